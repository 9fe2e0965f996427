/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * The texts of prompts.h from files: of each folder those that are there, a stronger folder's in place of a weaker
 * one's. Refuses a file that lacks what it must have and one that no text is read from. Blocking: at start.
 */
#pragma once

#include <stdbool.h>

#include "daemon/core/prompts.h"
#include "libmulm/base/buf.h"

/* All text files of a folder; a folder that is not there has none, unless it `must` be. 0; -EINVAL or what the system
 * said, with a sentence in `error` for each file, on a line of its own; -ENOMEM. */
int promptfiles_load(struct prompts *prompts, const char *folder, bool must, struct buf *error);
