/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * Stands for avx2.c in a build for another processor family.
 */
#include "libmulm/kernels/kernels.h"

const struct kernels *const kernels_avx2 = NULL;
