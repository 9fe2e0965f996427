/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * See fuzz-model.h.
 */
#include "tests/fuzz/fuzz-model.h"

#include "tests/fuzz/fuzz.h"

const mulm_model *fuzz_model(void)
{
        static mulm_model *model;

        if (!model)
                FUZZ_CHECK(mulm_model_open(&model, FUZZ_MODEL, NULL, NULL) == 0);
        return model;
}
