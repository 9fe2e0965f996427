/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * See language.h.
 */
#include "daemon/core/language.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "daemon/core/letter.h"
#include "libmulm/base/macro.h"
#include "libmulm/base/utf8.h"

#define WORD_MAX 16 /* bytes: longer ones are of no list */

/* By the first letter of such a script; kana decide before Han does, since Japanese has both. */
static const struct {
        uint32_t first, last;
        const char *language;
} scripts[] = {
        { 0x370, 0x3ff, "el" },   { 0x5d0, 0x5ea, "he" },   { 0x600, 0x6ff, "ar" },
        { 0x900, 0x97f, "hi" },   { 0xe01, 0xe7f, "th" },   { 0x1100, 0x11ff, "ko" },
        { 0x3041, 0x30ff, "ja" }, { 0xac00, 0xd7a3, "ko" }, { 0x4e00, 0x9fff, "zh" },
};

/* Words that are common in one of these languages and rare in the others; blanks around each. */
static const struct words {
        const char *language, *words;
} lists[] = {
        { "en", " the what is are how why who where when which does do did can could of and you my tell me " },
        { "de", " der die das ist sind wie warum wer wo wann welche und ich du mir ein eine nicht wird von " },
        { "fr", " le la les est sont comment pourquoi qui quand quel quelle et je tu mon ma une des du où que " },
        { "es", " el los las es son cómo por qué quién dónde cuándo cuál y mi una del está para cuántos " },
        { "it", " il gli è sono come perché chi dove quando quale che e mio una della di nel quanto " },
        { "pt", " o os as é são como quem onde quando qual que e meu uma do da não em você " },
        { "nl", " de het een is zijn hoe waarom wie waar wanneer welke en ik je mijn van niet wat " },
        { "tr", " ne nasıl neden kim nerede hangi ve bir bu için mi mı kaç nedir ben " },
        { "pl", " co jak dlaczego kto gdzie kiedy jest są i w na nie się który jaka jaki " },
        { "cs", " co jak proč kdo kde kdy je jsou a v na se který jaké jaký kolik " },
        { "hu", " mi hogyan miért ki hol mikor melyik és az egy nem van hány mennyi " },
        { "sv", " vad är hur varför vem var när vilken och jag du en ett det inte som " },
        { "da", " hvad er hvordan hvorfor hvem hvor hvornår hvilken og jeg du en et det ikke " },
        { "no", " hva er hvordan hvorfor hvem hvor når hvilken og jeg du en et det ikke " },
        { "fi", " mikä mitä on miten miksi kuka missä milloin ja ei se minä ovat kuinka " },
        { "vi", " là gì của có không và tôi bạn ở đâu khi nào sao bao nhiêu thủ đô " },
        { "ru", " что как почему кто где когда какой какая и в на не это я столица " },
        { "uk", " що як чому хто де коли який яка і та у не це є " },
};

/* The next word from *offset on, in small letters; its bytes, 0 for one of no list. False at the end. */
static bool read_word(const char *text, size_t n, size_t *offset, char word[WORD_MAX + 2], size_t *ret_n)
{
        size_t n_word = 0, length;
        uint32_t c;

        while ((c = letter_at(text, n, *offset, &length)) != 0 && !letter_is_word(c))
                *offset += length;
        for (; (c = letter_at(text, n, *offset, &length)) != 0 && letter_is_word(c); *offset += length)
                if (n_word + 4 <= WORD_MAX)
                        n_word += utf8_encode(letter_lower(c), word + n_word);
                else
                        n_word = WORD_MAX;
        *ret_n = n_word < WORD_MAX ? n_word : 0;
        return n_word > 0;
}

static bool is_in(const char *words, const char *word, size_t n)
{
        for (const char *at = words; (at = strchr(at, ' ')) && at[1]; at++)
                if (strncmp(at + 1, word, n) == 0 && at[1 + n] == ' ')
                        return true;
        return false;
}

/* NULL where no letter is of a script with one language. */
static const char *guess_by_script(const char *text, size_t n)
{
        const char *language = NULL;
        size_t length;
        uint32_t c;

        for (size_t i = 0; (c = letter_at(text, n, i, &length)) != 0; i += length)
                for (size_t k = 0; k < ARRAY_SIZE(scripts); k++) {
                        if (c < scripts[k].first || c > scripts[k].last)
                                continue;
                        if (strcmp(scripts[k].language, "zh") != 0)
                                return scripts[k].language;
                        language = scripts[k].language;
                }
        return language;
}

const char *language_guess(const char *text)
{
        unsigned n_hits[ARRAY_SIZE(lists)] = { 0 };
        size_t n = strlen(text), offset = 0, n_word, best = 0;
        const char *language = guess_by_script(text, n);
        char word[WORD_MAX + 2];

        if (language)
                return language;
        while (read_word(text, n, &offset, word, &n_word))
                for (size_t i = 0; i < ARRAY_SIZE(lists) && n_word > 0; i++)
                        n_hits[i] += is_in(lists[i].words, word, n_word);
        for (size_t i = 1; i < ARRAY_SIZE(lists); i++)
                if (n_hits[i] > n_hits[best])
                        best = i;
        return lists[best].language;
}
