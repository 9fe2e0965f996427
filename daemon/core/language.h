/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * In which language is this? Told by the script where it has but one language of note, else by the commonest short
 * words. A guess for choosing a sentence, nothing more. Pure.
 */
#pragma once

/* ISO 639-1, two letters, of valid UTF-8; "en" where nothing tells. */
const char *language_guess(const char *text);
