/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * Which kernels this processor can run, and which of them the caller wants. Called once per model, on any thread.
 */
#include <errno.h>
#include <stdio.h>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

#include "libmulm/base/macro.h"
#include "libmulm/kernels/kernels.h"

#if defined(__x86_64__)
/* Clang 14 has no name for F16C. */
static bool have_f16c(void)
{
        unsigned eax, ebx, ecx, edx;

        return __get_cpuid(1, &eax, &ebx, &ecx, &edx) && (ecx & bit_F16C);
}

static bool have_avx2(void)
{
        return kernels_avx2 && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && have_f16c();
}
#else
static bool have_avx2(void)
{
        return false;
}
#endif

int kernels_select(const struct kernels **ret_kernels, enum mulm_isa isa, struct mulm_error *error)
{
        switch (isa) {
        case MULM_ISA_AUTO: *ret_kernels = have_avx2() ? kernels_avx2 : &kernels_scalar; return 0;
        case MULM_ISA_SCALAR: *ret_kernels = &kernels_scalar; return 0;
        case MULM_ISA_AVX2:
                if (have_avx2()) {
                        *ret_kernels = kernels_avx2;
                        return 0;
                }
                if (error)
                        snprintf(error->sentence, sizeof(error->sentence),
                                 "isa avx2: this processor or build lacks AVX2, FMA or F16C");
                return -ENOTSUP;
        }
        if (error)
                snprintf(error->sentence, sizeof(error->sentence), "isa %d: no such instruction set", (int)isa);
        return -EINVAL;
}
