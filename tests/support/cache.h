/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * Where scripts of tests/ keep what they fetched or built: $XDG_CACHE_HOME/mulm, or ~/.cache/mulm.
 */
#pragma once

/* The path of `below` in it, which need not exist. The caller frees it. */
char *cache_path(const char *below);
