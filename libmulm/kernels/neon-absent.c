/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * Stands for the NEON files in a build for another processor family.
 */
#include "libmulm/kernels/kernels.h"

const struct kernels *const kernels_neon = NULL;
const struct kernels *const kernels_neon_dotprod = NULL;
