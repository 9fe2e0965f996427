/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * Files the daemon reads: configuration (layered: /usr/lib < /run < /etc, drop-ins in mulmd.conf.d by name), prompt
 * texts, and keys. Refuses a key file that others may read, what is no regular file, and anything above its limit.
 * Blocking: start-up and reload only, except keys, which are small and local. Sentences are appended to `error`, each
 * on a line of its own; no byte of a key is ever among them.
 */
#pragma once

#include "daemon/core/settings.h"
#include "libmulm/base/buf.h"

/* All layers, or only `path` where it is not NULL; and the prompts of their folders "prompts" and of the one that
 * Prompts= names. Fills initialised settings and checks them. 0; -EINVAL or what the
 * system said, with one sentence per error (file, line, key) in `error`, one a line; -ENOMEM. */
int files_load_settings(struct settings *settings, const char *path, struct buf *error);

/* The same from these trees, NULL-terminated, the weakest first: files_load_settings() has /usr/lib/mulm, /run/mulm
 * and /etc/mulm. */
int files_load_settings_from(struct settings *settings, const char *const *trees, struct buf *error);

/* The endpoint's key without surrounding blanks: from $CREDENTIALS_DIRECTORY/key_credential or key_file. 0 and an
 * empty key where it has neither. -EPERM: others may read the file. */
int files_read_key(const struct settings_endpoint *endpoint, struct buf *key, struct buf *error);

/* A whole file of at most `max` bytes, appended. -EFBIG above; -EINVAL for what is no regular file. */
int files_read(const char *path, size_t max, struct buf *content, struct buf *error);
