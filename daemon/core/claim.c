/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * See claim.h.
 */
#include "daemon/core/claim.h"

#include <string.h>

#include "daemon/core/letter.h"
#include "libmulm/base/macro.h"
#include "libmulm/base/utf8.h"

/* What one asks an assistant to do: the verb, what it has done, what it is doing. */
static const struct verb {
        const char *base, *done, *doing;
} verbs[] = {
        { "add", "added", "adding" },
        { "book", "booked", "booking" },
        { "call", "called", "calling" },
        { "cancel", "cancelled", "cancelling" },
        { "change", "changed", "changing" },
        { "close", "closed", "closing" },
        { "connect", "connected", "connecting" },
        { "create", "created", "creating" },
        { "delete", "deleted", "deleting" },
        { "dial", "dialed", "dialing" },
        { "dim", "dimmed", "dimming" },
        { "disable", "disabled", "disabling" },
        { "email", "emailed", "emailing" },
        { "enable", "enabled", "enabling" },
        { "increase", "increased", "increasing" },
        { "lock", "locked", "locking" },
        { "lower", "lowered", "lowering" },
        { "make", "made", "making" },
        { "message", "messaged", "messaging" },
        { "mute", "muted", "muting" },
        { "navigate", "navigated", "navigating" },
        { "note", "noted", "noting" },
        { "open", "opened", "opening" },
        { "order", "ordered", "ordering" },
        { "pause", "paused", "pausing" },
        { "play", "played", "playing" },
        { "put", "put", "putting" },
        { "raise", "raised", "raising" },
        { "record", "recorded", "recording" },
        { "remind", "reminded", "reminding" },
        { "remove", "removed", "removing" },
        { "reserve", "reserved", "reserving" },
        { "resume", "resumed", "resuming" },
        { "save", "saved", "saving" },
        { "schedule", "scheduled", "scheduling" },
        { "send", "sent", "sending" },
        { "set", "set", "setting" },
        { "skip", "skipped", "skipping" },
        { "start", "started", "starting" },
        { "stop", "stopped", "stopping" },
        { "switch", "switched", "switching" },
        { "take", "taken", "taking" },
        { "text", "texted", "texting" },
        { "turn", "turned", "turning" },
        { "unlock", "unlocked", "unlocking" },
        { "unmute", "unmuted", "unmuting" },
        { "update", "updated", "updating" },
        { "wake", "woken", "waking" },
};

/* A word that is a capital stands for all verbs: B for the base, D for what is done, G for what is being done. */
static const struct claim {
        const char *words[4];
        bool first;    /* only at the beginning */
        bool requests; /* only where the person wants something done: "Playing the guitar" may begin an answer */
} claims[] = {
        { { "done" }, true, false },
        { { "all", "done" }, true, false },
        { { "i've", "D" }, false, false },
        { { "i've", "just", "D" }, false, false },
        { { "i", "have", "D" }, false, false },
        { { "i", "have", "just", "D" }, false, false },
        { { "i", "just", "D" }, false, false },
        { { "i", "D" }, false, false },
        { { "we've", "D" }, false, false },
        { { "i'll", "B" }, false, false },
        { { "i", "will", "B" }, false, false },
        { { "i'm", "G" }, false, false },
        { { "i", "am", "G" }, false, false },
        { { "i'm", "now", "G" }, false, false },
        { { "let", "me", "B" }, false, true },
        { { "G" }, true, true },
        { { "now", "G" }, true, true },
        { { "D" }, true, true },
        { { "reminder", "D" }, true, true },
        { { "alarm", "D" }, true, true },
        { { "timer", "D" }, true, true },
        { { "message", "D" }, true, true },
        { { "is", "D" }, false, true },
        { { "are", "D" }, false, true },
        { { "is", "now" }, false, true },
        { { "are", "now" }, false, true },
        { { "has", "been", "D" }, false, true },
        { { "have", "been", "D" }, false, true },
};

static bool is_one_of(const char *const *words, const char *word)
{
        while (*words && strcmp(*words, word) != 0)
                words++;
        return *words;
}

static bool is_verb(char form, const char *word)
{
        for (size_t i = 0; i < ARRAY_SIZE(verbs); i++) {
                const struct verb *verb = &verbs[i];

                if (strcmp(word, form == 'B' ? verb->base : form == 'D' ? verb->done : verb->doing) == 0)
                        return true;
        }
        return false;
}

size_t claim_read_word(const char *text, size_t n, size_t from, char ret_word[CLAIM_WORD_MAX])
{
        size_t i = from, n_word = 0, length;
        uint32_t c;

        while ((c = letter_at(text, n, i, &length)) != 0 && !letter_is_word(c))
                i += length;
        for (; (c = letter_at(text, n, i, &length)) != 0; i += length) {
                if (!letter_is_word(c) && !letter_is_joiner(c))
                        break;
                if (n_word + 5 <= CLAIM_WORD_MAX)
                        n_word += utf8_encode(letter_fold(c), ret_word + n_word);
        }
        ret_word[n_word] = '\0';
        return n_word > 0 ? i : 0;
}

bool claim_is_request(const char *prompt)
{
        static const char *const polite[] = {
                "please", "can", "could", "would", "will", "you",   "kindly", "hey", "just", "now",  "i",  "want",
                "need",   "i'd", "like",  "to",    "go",   "ahead", "and",    "ok",  "okay", "mulm", NULL,
        };
        char word[CLAIM_WORD_MAX];
        size_t i = 0;

        while ((i = claim_read_word(prompt, strlen(prompt), i, word)) > 0)
                if (!is_one_of(polite, word))
                        return is_verb('B', word);
        return false;
}

bool claim_is_interjection(const char *word)
{
        static const char *const interjections[] = {
                "absolutely", "alright", "certainly", "great", "ok", "okay", "right", "sure", "yes", NULL,
        };

        return is_one_of(interjections, word);
}

static bool is_word(const char *pattern, const char *word)
{
        if (*pattern >= 'A' && *pattern <= 'Z')
                return is_verb(*pattern, word);
        return strcmp(pattern, word) == 0;
}

static enum claim_match match_claim(const struct claim *claim, const struct claim_words *words)
{
        if ((claim->first && !words->are_first) || (claim->requests && !words->is_request))
                return CLAIM_MATCH_NONE;
        for (size_t i = 0; i < ARRAY_SIZE(claim->words) && claim->words[i]; i++) {
                if (i == words->n_words)
                        return CLAIM_MATCH_PART;
                if (!is_word(claim->words[i], words->words[i]))
                        return CLAIM_MATCH_NONE;
        }
        return CLAIM_MATCH_CLAIM;
}

enum claim_match claim_match(const struct claim_words *words)
{
        enum claim_match found = CLAIM_MATCH_NONE;

        for (size_t i = 0; i < ARRAY_SIZE(claims) && found != CLAIM_MATCH_CLAIM; i++) {
                enum claim_match match = match_claim(&claims[i], words);

                found = MAX(found, match);
        }
        return found;
}
