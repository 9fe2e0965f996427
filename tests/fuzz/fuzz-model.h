/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * The default model's vocabulary, read once, for targets about text.
 */
#pragma once

#include "libmulm/model.h"

const mulm_model *fuzz_model(void);
