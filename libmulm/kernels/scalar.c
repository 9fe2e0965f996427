/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * The portable reference that every other instruction set is tested against.
 */
#include "libmulm/kernels/kernels.h"

const struct kernels kernels_scalar = {
        .name = "scalar",
};
