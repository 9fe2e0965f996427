/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * Which language a question is in.
 */
#include <string.h>

#include "daemon/core/language.h"
#include "libmulm/base/macro.h"
#include "tests/support/test.h"

static void test_questions_are_told_apart(void **state)
{
        static const struct {
                const char *language, *question;
        } questions[] = {
                { "en", "What is the capital of Australia?" },
                { "en", "weather tomorrow" },
                { "en", "" },
                { "en", "12:30?!" },
                { "de", "Was ist die Hauptstadt von Australien?" },
                { "de", "wie wird das Wetter" },
                { "fr", "Quelle est la capitale de l'Australie ?" },
                { "es", "¿Cuál es la capital de Australia?" },
                { "it", "Qual è la capitale della Francia?" },
                { "pt", "Qual é a capital do Brasil e quem é o presidente?" },
                { "nl", "Wat is de hoofdstad van het land?" },
                { "tr", "Bu şehrin nüfusu ne kadar ve nasıl?" },
                { "pl", "Jaka jest stolica i co to jest?" },
                { "sv", "Vad är det och varför?" },
                { "fi", "Mikä on Suomen pääkaupunki?" },
                { "vi", "Thủ đô của nước là gì?" },
                { "ru", "Какая столица России?" },
                { "uk", "Що це є та чому?" },
                { "el", "Ποια είναι η πρωτεύουσα;" },
                { "he", "מהי בירת אוסטרליה?" },
                { "ar", "ما هي عاصمة أستراليا؟" },
                { "hi", "ऑस्ट्रेलिया की राजधानी क्या है?" },
                { "th", "เมืองหลวงคืออะไร" },
                { "ko", "호주의 수도는 어디입니까?" },
                { "ja", "オーストラリアの首都はどこですか" },
                { "ja", "首都はどこ" },
                { "zh", "澳大利亚的首都是哪里？" },
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(questions); i++)
                if (strcmp(language_guess(questions[i].question), questions[i].language) != 0)
                        fail_msg("\"%s\": %s, not %s", questions[i].question, language_guess(questions[i].question),
                                 questions[i].language);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_questions_are_told_apart),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
