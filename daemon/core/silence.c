/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * See silence.h.
 */
#include "daemon/core/silence.h"

#include <string.h>

#include "daemon/core/letter.h"
#include "libmulm/base/macro.h"
#include "libmulm/base/utf8.h"

#define FOLDED_MAX 128 /* bytes; nobody thanks at greater length */

const char *silence_name(enum silence silence)
{
        switch (silence) {
        case SILENCE_NONE: return "";
        case SILENCE_THANKS: return "thanks";
        case SILENCE_ANSWER: return "answer";
        }
        return "";
}

#define PHRASES(...) ((const char *const[]){ __VA_ARGS__, NULL })

/* A row for each language: words and phrases of thanks, those of a bare yes or no, and those that go with either and
 * say nothing alone. In small letters. */
static const struct row {
        const char *const *thanks, *const *answers, *const *others;
} rows[] = {
        { PHRASES("thank you", "thanks", "thank", "thx", "ty", "cheers", "much appreciated", "appreciate it",
                  "appreciated"),
          PHRASES("yes please", "no thank you", "no thanks", "yes", "yeah", "yep", "yup", "no", "nope", "nah", "ok",
                  "okay", "sure", "right", "exactly", "maybe", "alright", "fine", "true", "correct", "got it"),
          PHRASES("very much", "so much", "a lot", "a bunch", "for that", "for your help", "for the help", "again",
                  "many", "great", "nice", "perfect", "cool", "wonderful", "awesome", "that is", "that's", "all",
                  "you", "very", "really", "please", "oh", "well", "i", "it", "good", "mulm") },
        { PHRASES("vielen dank", "danke", "dank", "merci"),
          PHRASES("ja", "nein", "nee", "doch", "genau", "okay", "ok", "klar", "gut", "stimmt", "vielleicht",
                  "richtig"),
          PHRASES("sehr", "schön", "dir", "ihnen", "bitte", "herzlichen", "besten", "tausend", "für die hilfe",
                  "super", "prima", "toll", "alles") },
        { PHRASES("je te remercie", "je vous remercie", "merci"),
          PHRASES("oui", "ouais", "non", "si", "d'accord", "ok", "bien sûr", "exact", "peut-être"),
          PHRASES("beaucoup", "bien", "à toi", "à vous", "mille fois", "encore", "super", "parfait", "s'il te plaît",
                  "s'il vous plaît", "et", "c'est", "tout") },
        { PHRASES("muchas gracias", "mil gracias", "gracias", "te lo agradezco"),
          PHRASES("sí", "si", "no", "vale", "claro", "ok", "de acuerdo", "quizás", "exacto"),
          PHRASES("muy", "mucho", "por todo", "por tu ayuda", "por favor", "perfecto", "genial", "bueno",
                  "eso es todo", "y") },
        { PHRASES("mille grazie", "tante grazie", "molte grazie", "grazie", "ti ringrazio"),
          PHRASES("sì", "si", "no", "va bene", "certo", "ok", "esatto", "forse"),
          PHRASES("molto", "tante", "mille", "ancora", "perfetto", "per favore", "per l'aiuto", "e", "bene") },
        { PHRASES("muito obrigado", "muito obrigada", "obrigado", "obrigada", "valeu"),
          PHRASES("sim", "não", "nao", "ok", "claro", "certo", "talvez", "tá bom"),
          PHRASES("muito", "por tudo", "por favor", "pela ajuda", "perfeito", "e") },
        { PHRASES("dank je wel", "dank u wel", "dankjewel", "dank je", "dank u", "bedankt"),
          PHRASES("ja", "nee", "oké", "ok", "klopt", "goed", "misschien"),
          PHRASES("heel erg", "hartelijk", "wel", "hoor", "alvast", "prima", "top") },
        { PHRASES("çok teşekkür ederim", "teşekkür ederim", "teşekkürler", "sağ ol", "sağol"),
          PHRASES("evet", "hayır", "tamam", "olur", "olmaz", "belki"),
          PHRASES("çok", "ederim", "lütfen", "harika", "süper") },
        { PHRASES("dziękuję bardzo", "dziękuję", "dzięki"), PHRASES("tak", "nie", "dobrze", "ok", "jasne", "może"),
          PHRASES("bardzo", "wielkie", "proszę", "świetnie") },
        { PHRASES("большое спасибо", "спасибо", "благодарю"),
          PHRASES("да", "нет", "ага", "хорошо", "ладно", "конечно", "ок", "может быть"),
          PHRASES("большое", "огромное", "тебе", "вам", "за помощь", "отлично", "пожалуйста") },
        { PHRASES("ευχαριστώ πολύ", "ευχαριστώ"), PHRASES("ναι", "όχι", "εντάξει", "σωστά", "ίσως"),
          PHRASES("πολύ", "σε", "σας", "παρακαλώ") },
        { PHRASES("شكرا جزيلا", "شكرا لك", "شكرا", "شكراً", "أشكرك"),
          PHRASES("نعم", "لا", "حسنا", "حسناً", "طيب", "أجل", "ربما"),
          PHRASES("جزيلا", "جزيلاً", "لك", "كثيرا", "من فضلك") },
        { PHRASES("बहुत धन्यवाद", "धन्यवाद", "शुक्रिया"), PHRASES("हाँ", "हां", "नहीं", "जी", "ठीक है", "ठीक", "शायद"),
          PHRASES("बहुत", "आपका", "बहुत बहुत") },
        { PHRASES("非常感谢", "感谢", "谢谢你", "谢谢您", "谢谢", "多谢", "謝謝你", "謝謝", "多謝"),
          PHRASES("是的", "不是", "没有", "好的", "可以", "不用", "不要", "对的", "是", "不", "好", "对", "嗯", "行"),
          PHRASES("你", "您", "了", "啊", "啦", "非常", "很") },
        { PHRASES("どうもありがとうございます", "ありがとうございます", "ありがとうございました", "どうもありがとう",
                  "ありがとう", "どうも"),
          PHRASES("はい", "いいえ", "うん", "ううん", "いや", "そうです", "了解", "わかりました", "わかった"),
          PHRASES("ね", "よ", "とても", "本当に") },
        { PHRASES("정말 감사합니다", "감사합니다", "감사해요", "고맙습니다", "고마워요", "고마워"),
          PHRASES("네", "예", "아니요", "아니오", "아니", "응", "그래", "좋아요", "좋아", "아마"),
          PHRASES("정말", "너무", "아주", "매우", "정말로") },
        { PHRASES("ขอบคุณมาก", "ขอบคุณ", "ขอบใจ"), PHRASES("ไม่ใช่", "ใช่", "ไม่เอา", "ไม่", "ได้", "โอเค", "ตกลง"),
          PHRASES("ครับ", "ค่ะ", "คะ", "มาก", "มากๆ", "นะ") },
        { PHRASES("cảm ơn bạn", "cảm ơn"), PHRASES("vâng", "dạ", "không", "có", "được", "đúng", "ừ"),
          PHRASES("bạn", "rất nhiều", "nhiều", "ạ") },
        { PHRASES("terima kasih", "makasih"), PHRASES("ya", "tidak", "nggak", "oke", "baik", "mungkin"),
          PHRASES("banyak", "sekali", "kembali") },
};

/* Small letters without punctuation, a blank behind each word. 0 where that does not fit. */
static size_t fold(const char *prompt, size_t n, char text[FOLDED_MAX])
{
        size_t n_text = 0, length;
        uint32_t c;

        for (size_t i = 0; (c = letter_at(prompt, n, i, &length)) != 0; i += length) {
                if (n_text + 6 > FOLDED_MAX)
                        return 0;
                if (letter_is_word(c) || (letter_is_joiner(c) && n_text > 0 && text[n_text - 1] != ' '))
                        n_text += utf8_encode(letter_fold(c), text + n_text);
                else if (n_text > 0 && text[n_text - 1] != ' ')
                        text[n_text++] = ' ';
        }
        if (n_text > 0 && text[n_text - 1] != ' ')
                text[n_text++] = ' ';
        text[n_text] = '\0';
        return n_text;
}

/* Bytes of the longest phrase with which `text` begins; in a script without blanks one may end within a word. */
static size_t match_phrase(const char *const *phrases, const char *text)
{
        size_t longest = 0;

        for (; *phrases; phrases++) {
                size_t n = strlen(*phrases);

                if (n > longest && strncmp(*phrases, text, n) == 0 &&
                    (text[n] == ' ' || letter_is_unspaced(letter_before(*phrases, n, NULL))))
                        longest = n;
        }
        return longest;
}

static enum silence judge_by(const struct row *row, const char *text)
{
        bool thanks = false, answer = false;

        while (*text) {
                size_t n_thanks = match_phrase(row->thanks, text), n_answer = match_phrase(row->answers, text);
                size_t n_other = match_phrase(row->others, text), n = MAX(MAX(n_thanks, n_answer), n_other);

                if (n == 0)
                        return SILENCE_NONE;
                thanks = thanks || n_thanks == n;
                answer = answer || n_answer == n;
                text += n;
                text += *text == ' ';
        }
        return thanks ? SILENCE_THANKS : answer ? SILENCE_ANSWER : SILENCE_NONE;
}

enum silence silence_judge(const char *prompt)
{
        enum silence silence = SILENCE_NONE;
        char text[FOLDED_MAX];

        if (fold(prompt, strlen(prompt), text) == 0)
                return SILENCE_NONE;
        for (size_t i = 0; i < ARRAY_SIZE(rows) && silence == SILENCE_NONE; i++)
                silence = judge_by(&rows[i], text);
        return silence;
}
