/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * Which kernels this processor can run, and which of them the caller wants. Called once per model, on any thread.
 */
#include <errno.h>
#include <stdio.h>

#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__aarch64__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

#include "libmulm/base/macro.h"
#include "libmulm/kernels/kernels.h"

struct choice {
        enum mulm_isa isa;
        const struct kernels *const *kernels; /* NULL behind it in a build for another processor family */
        bool (*processor_has_it)(void);
        const char *refusal;
};

#if defined(__x86_64__)
/* Clang 14 has no name for F16C. */
static bool have_f16c(void)
{
        unsigned eax, ebx, ecx, edx;

        return __get_cpuid(1, &eax, &ebx, &ecx, &edx) && (ecx & bit_F16C);
}

static bool have_avx2(void)
{
        return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && have_f16c();
}
#else
static bool have_avx2(void)
{
        return false;
}
#endif

#if defined(__aarch64__)
static bool have_neon(void)
{
        return getauxval(AT_HWCAP) & HWCAP_ASIMD;
}

static bool have_dotprod(void)
{
        return getauxval(AT_HWCAP) & HWCAP_ASIMDDP;
}
#else
static bool have_neon(void)
{
        return false;
}

static bool have_dotprod(void)
{
        return false;
}
#endif

static bool have_scalar(void)
{
        return true;
}

static const struct kernels *const scalar = &kernels_scalar;

/* Best first. */
static const struct choice choices[] = {
        { MULM_ISA_AVX2, &kernels_avx2, have_avx2, "isa avx2: this processor or build lacks AVX2, FMA or F16C" },
        { MULM_ISA_NEON_DOTPROD, &kernels_neon_dotprod, have_dotprod,
          "isa neon-dotprod: this processor or build lacks NEON's dot products" },
        { MULM_ISA_NEON, &kernels_neon, have_neon, "isa neon: this processor or build lacks NEON" },
        { MULM_ISA_SCALAR, &scalar, have_scalar, NULL },
};

int kernels_select(const struct kernels **ret_kernels, enum mulm_isa isa, struct mulm_error *error)
{
        for (size_t i = 0; i < ARRAY_SIZE(choices); i++) {
                if (isa != MULM_ISA_AUTO && isa != choices[i].isa)
                        continue;
                if (*choices[i].kernels && choices[i].processor_has_it()) {
                        *ret_kernels = *choices[i].kernels;
                        return 0;
                }
                if (isa == MULM_ISA_AUTO)
                        continue;
                if (error)
                        snprintf(error->sentence, sizeof(error->sentence), "%s", choices[i].refusal);
                return -ENOTSUP;
        }
        if (error)
                snprintf(error->sentence, sizeof(error->sentence), "isa %d: no such instruction set", (int)isa);
        return -EINVAL;
}
