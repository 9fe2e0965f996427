/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * The key and value cache. See kv.h.
 */
#include "libmulm/kv.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "libmulm/base/checked.h"
#include "libmulm/error.h"
#include "libmulm/kernels/half.h"

static size_t value_bytes(enum mulm_kv type)
{
        return type == MULM_KV_F16 ? sizeof(quant_half) : sizeof(float);
}

static char *row(const struct kv *kv, enum kv_part part, uint32_t layer, uint32_t position, size_t column)
{
        size_t index = (((size_t)layer * 2 + part) * kv->n_context + position) * kv->n_width + column;

        return (char *)kv->data + index * value_bytes(kv->type);
}

int kv_init(struct kv *ret_kv, enum mulm_kv type, uint32_t n_layers, uint32_t n_context, uint32_t n_width,
            struct mulm_error *error)
{
        size_t n_rows, n_bytes;
        void *data;

        if (type != MULM_KV_F32 && type != MULM_KV_F16)
                return error_set(error, -EINVAL, "kv %d: no such type of keys and values", (int)type);
        if (!checked_mul((size_t)n_layers * 2, n_context, &n_rows) || !checked_mul(n_rows, n_width, &n_bytes) ||
            !checked_mul(n_bytes, value_bytes(type), &n_bytes))
                return error_set(error, -ENOMEM, "a context of %u tokens is too large", n_context);

        data = mmap(NULL, n_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (data == MAP_FAILED)
                return error_set(error, -ENOMEM, "out of memory for a context of %u tokens", n_context);

        /* A huge page would hold hundreds of positions that may never come. */
        (void)madvise(data, n_bytes, MADV_NOHUGEPAGE);
        *ret_kv = (struct kv){
                .data = data, .n_bytes = n_bytes, .type = type, .n_context = n_context, .n_width = n_width
        };
        return 0;
}

void kv_write(const struct kv *kv, enum kv_part part, uint32_t layer, uint32_t position, size_t first, size_t n,
              const float *x)
{
        char *to = row(kv, part, layer, position, first);

        if (kv->type == MULM_KV_F32) {
                memcpy(to, x, n * sizeof(*x));
                return;
        }
        for (size_t i = 0; i < n; i++)
                ((quant_half *)(void *)to)[i] = half_from_float(x[i]);
}

const float *kv_read(const struct kv *kv, enum kv_part part, uint32_t layer, uint32_t n_positions, size_t first,
                     size_t n, float *scratch, size_t *ret_stride, const struct kernels *kernels)
{
        if (kv->type == MULM_KV_F32) {
                *ret_stride = kv->n_width;
                return (const float *)(const void *)row(kv, part, layer, 0, first);
        }
        for (uint32_t p = 0; p < n_positions; p++)
                kernels->dequantise[QUANT_F16](scratch + p * n, row(kv, part, layer, p, first), n);
        *ret_stride = n;
        return scratch;
}

void kv_done(struct kv *kv)
{
        if (kv->data)
                (void)munmap(kv->data, kv->n_bytes);
        *kv = (struct kv){ 0 };
}
