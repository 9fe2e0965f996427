/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * What libcurl's error codes mean to the daemon, and the sentence that a person reads. Any thread.
 */
#pragma once

#include <curl/curl.h>

#include "daemon/io/cloud.h"
#include "libmulm/base/buf.h"

/* `os_errno`: of the last connect(2) that failed, or 0. */
enum cloud_failure cloud_failure_of(CURLcode code, long os_errno);

/* Appends a sentence that names the host and the cause; `detail` is libcurl's error buffer. 0 or -ENOMEM. */
int cloud_failure_print(CURLcode code, const char *host, const char *detail, struct buf *message);
