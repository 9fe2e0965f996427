/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * When no opener is wanted, and which openers claim what was not done: tables of what people and the μLM say.
 */
#include <string.h>

#include "daemon/core/claim.h"
#include "daemon/core/silence.h"
#include "libmulm/base/macro.h"
#include "tests/support/test.h"

static void check(enum silence wanted, const char *const *prompts, size_t n)
{
        for (size_t i = 0; i < n; i++)
                if (silence_judge(prompts[i]) != wanted)
                        fail_msg("\"%s\": %s", prompts[i], silence_name(silence_judge(prompts[i])));
}

#define CHECK(wanted, ...)                                                                                           \
        check(wanted, (const char *const[]){ __VA_ARGS__ }, ARRAY_SIZE(((const char *const[]){ __VA_ARGS__ })))

static void test_thanks_are_not_opened(void **state)
{
        (void)state;
        CHECK(SILENCE_THANKS, "thanks", "Thank you!", "Thanks a lot.", "  THANK YOU SO MUCH  ", "ok, thanks",
              "great, thank you very much", "perfect. that's all, thanks", "Thank you; that is all", "thx");
        CHECK(SILENCE_THANKS, "Danke!", "Vielen Dank", "danke schön", "Ok, danke dir", "Merci beaucoup",
              "Muchas gracias por todo", "Grazie mille!", "Muito obrigada", "Dank je wel", "Çok teşekkür ederim",
              "Dziękuję bardzo", "Большое спасибо!", "Ευχαριστώ πολύ", "شكرا جزيلا", "बहुत धन्यवाद।", "谢谢！",
              "非常感谢", "好的，谢谢你", "ありがとうございます。", "どうもありがとう", "정말 감사합니다", "ขอบคุณครับ",
              "ขอบคุณมากค่ะ", "cảm ơn bạn nhiều", "Terima kasih banyak");
}

static void test_bare_answers_are_not_opened(void **state)
{
        (void)state;
        CHECK(SILENCE_ANSWER, "yes", "No.", "Yeah!", "no thanks", "Yes, please", "ok ok", "sure", "Nope",
              "No thank you", "that's right", "Ja", "Nein, nein", "Oui", "bien sûr", "d’accord", "Peut-être.", "Sí",
              "Vale", "Va bene", "Não", "Oké", "Evet", "Hayır", "Nie", "Да", "нет", "Όχι", "نعم", "لا", "हाँ जी",
              "是的", "不是", "好的", "はい", "いいえ、", "네", "아니요", "ใช่ครับ", "ไม่ใช่ค่ะ", "Không", "Tidak");
}

static void test_everything_else_may_be_opened(void **state)
{
        (void)state;
        CHECK(SILENCE_NONE, "what is the capital of australia", "thanks giving date", "Thank you, what time is it?",
              "no way to treat a lady lyrics", "yes minister cast", "is it ok to eat raw eggs", "very", "you",
              "great", "please", "!?", "", "that is all", "play thank you by dido", "ok google", "danke auf englisch",
              "merci pour la musique", "谢谢用英语怎么说", "はいからさんが通る", "не", "nothing", "notes",
              "yesterday", "right now", "no-one lives forever");
        /* Nobody thanks at such length. */
        CHECK(SILENCE_NONE,
              "thanks thanks thanks thanks thanks thanks thanks thanks thanks thanks thanks thanks thanks "
              "thanks thanks thanks thanks thanks thanks thanks thanks thanks thanks thanks");
}

static void test_names_are_those_of_the_manual(void **state)
{
        (void)state;
        assert_string_equal(silence_name(SILENCE_NONE), "");
        assert_string_equal(silence_name(SILENCE_THANKS), "thanks");
        assert_string_equal(silence_name(SILENCE_ANSWER), "answer");
}

/* --------------------------------------------------------------------------------------------------- claims */

static enum claim_match match(const char *said, bool is_request)
{
        char words[16][CLAIM_WORD_MAX];
        struct claim_words claim = { .words = (const void *)words, .are_first = true, .is_request = is_request };
        size_t i = 0;

        while ((i = claim_read_word(said, strlen(said), i, words[claim.n_words])) > 0)
                claim.n_words++;
        return claim_match(&claim);
}

static void test_claims_are_known(void **state)
{
        static const char *const always[] = { "I've set",    "I’ve added",       "Done",          "done!",
                                              "All done",    "I have just sent", "I just turned", "I set",
                                              "I'll remind", "I will play",      "I'm setting",   "I am setting" };
        static const char *const of_requests[] = { "Playing",   "Now playing",   "Setting",      "Set",
                                                   "Alarm set", "is set",        "are turned",   "is now",
                                                   "are now",   "has been sent", "Reminder set", "Let me call",
                                                   "Turning",   "Calling" };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(always); i++)
                assert_int_equal(match(always[i], false), CLAIM_MATCH_CLAIM);
        for (size_t i = 0; i < ARRAY_SIZE(of_requests); i++) {
                assert_int_equal(match(of_requests[i], true), CLAIM_MATCH_CLAIM);
                assert_int_not_equal(match(of_requests[i], false), CLAIM_MATCH_CLAIM);
        }
}

static void test_what_may_become_a_claim_is_known_too(void **state)
{
        (void)state;
        assert_int_equal(match("I", false), CLAIM_MATCH_PART);
        assert_int_equal(match("I've", false), CLAIM_MATCH_PART);
        assert_int_equal(match("I have", false), CLAIM_MATCH_PART);
        assert_int_equal(match("has been", true), CLAIM_MATCH_PART);
        assert_int_equal(match("is", true), CLAIM_MATCH_PART);
        assert_int_equal(match("is", false), CLAIM_MATCH_NONE);
        assert_int_equal(match("I've heard", false), CLAIM_MATCH_NONE);
        assert_int_equal(match("I think", false), CLAIM_MATCH_NONE);
        assert_int_equal(match("The", true), CLAIM_MATCH_NONE);
        assert_int_equal(match("has been raining", true), CLAIM_MATCH_NONE);
}

static void test_requests_are_told_from_questions(void **state)
{
        static const char *const requests[] = { "set an alarm for seven",         "Please play some jazz",
                                                "could you turn off the lights?", "Can you call mom",
                                                "I want you to send a message",   "REMIND me to buy milk",
                                                "hey mulm, open the door" };
        static const char *const others[] = {
                "what is set theory", "how do I play chess", "the alarm", "why", "is the light turned off", "", "?!"
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(requests); i++)
                assert_true(claim_is_request(requests[i]));
        for (size_t i = 0; i < ARRAY_SIZE(others); i++)
                assert_false(claim_is_request(others[i]));
}

static void test_words_are_read_whole_and_bounded(void **state)
{
        static const char text[] = "  “Don’t” – aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaé Ünd!";
        char word[CLAIM_WORD_MAX];
        size_t i = claim_read_word(text, sizeof(text) - 1, 0, word);

        (void)state;
        assert_string_equal(word, "don't");
        i = claim_read_word(text, sizeof(text) - 1, i, word);
        assert_true(strlen(word) >= CLAIM_WORD_MAX - 5 && strlen(word) < CLAIM_WORD_MAX);
        i = claim_read_word(text, sizeof(text) - 1, i, word);
        assert_string_equal(word, "ünd");
        assert_int_equal(claim_read_word(text, sizeof(text) - 1, i, word), 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_thanks_are_not_opened),
                cmocka_unit_test(test_bare_answers_are_not_opened),
                cmocka_unit_test(test_everything_else_may_be_opened),
                cmocka_unit_test(test_names_are_those_of_the_manual),
                cmocka_unit_test(test_claims_are_known),
                cmocka_unit_test(test_what_may_become_a_claim_is_known_too),
                cmocka_unit_test(test_requests_are_told_from_questions),
                cmocka_unit_test(test_words_are_read_whole_and_bounded),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
