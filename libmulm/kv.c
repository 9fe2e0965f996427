/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * The key and value cache. See kv.h.
 */
#include "libmulm/kv.h"

#include <errno.h>
#include <sys/mman.h>

#include "libmulm/base/checked.h"
#include "libmulm/error.h"

int kv_init(struct kv *ret_kv, uint32_t n_layers, uint32_t n_context, uint32_t n_width, struct mulm_error *error)
{
        size_t n_rows, n_bytes;
        void *data;

        if (!checked_mul((size_t)n_layers * 2, n_context, &n_rows) || !checked_mul(n_rows, n_width, &n_bytes) ||
            !checked_mul(n_bytes, sizeof(float), &n_bytes))
                return error_set(error, -ENOMEM, "a context of %u tokens is too large", n_context);

        data = mmap(NULL, n_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (data == MAP_FAILED)
                return error_set(error, -ENOMEM, "out of memory for a context of %u tokens", n_context);

        /* A huge page would hold hundreds of positions that may never come. */
        (void)madvise(data, n_bytes, MADV_NOHUGEPAGE);
        *ret_kv = (struct kv){ .data = data, .n_bytes = n_bytes, .n_context = n_context, .n_width = n_width };
        return 0;
}

void kv_done(struct kv *kv)
{
        if (kv->data)
                (void)munmap(kv->data, kv->n_bytes);
        *kv = (struct kv){ 0 };
}
