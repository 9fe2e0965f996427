/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * Time slices by sched_setattr(2), which glibc has no call for. See slice.h.
 */
#include "daemon/io/slice.h"

#include <sched.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

/* struct sched_attr of <linux/sched/types.h>, which cannot be included beside <sched.h>: its first version. */
struct attributes {
        uint32_t size, policy;
        uint64_t flags;
        int32_t nice;
        uint32_t priority;
        uint64_t runtime_ns, deadline_ns, period_ns;
};

void slice_set(unsigned slice_us)
{
        const struct attributes attributes = {
                .size = sizeof(attributes),
                .policy = SCHED_OTHER,
                .nice = getpriority(PRIO_PROCESS, 0),
                .runtime_ns = slice_us * UINT64_C(1000),
        };

        (void)syscall(SYS_sched_setattr, 0, &attributes, 0);
}
