/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * Makes one allocation of libmulm fail, and counts what it holds. Works by the linker's --wrap, so that nothing but
 * the code that is linked in here is concerned. One thread.
 */
#pragma once

#include <stddef.h>

/* Number `nth` from now on fails, once, counted from 0. */
void fault_arm(size_t nth);

/* Nothing fails any more; whether something did since fault_arm(). */
int fault_disarm(void);

/* Blocks, mappings and patterns that are held. */
long fault_n_held(void);
