/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * The texts of config/prompts as the build has put them into the program, without a newline at their end. For
 * prompts.c.
 */
#pragma once

extern const char prompts_builtin_system[];
extern const char prompts_builtin_mend[];
extern const char prompts_builtin_pivot[];
extern const char prompts_builtin_replace[];
extern const char prompts_builtin_continuation[];
extern const char prompts_builtin_anchor[];
extern const char prompts_builtin_refused[];
extern const char prompts_builtin_refusals[];
