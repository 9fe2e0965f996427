/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * libcurl's multi-socket interface on the libuv loop: one uv_poll_t per socket, one uv_timer_t. Its callbacks only
 * record; after curl_multi_socket_action() has returned, `fn` is called so that the owner may act. Loop thread only.
 */
#pragma once

#include <curl/curl.h>
#include <uv.h>

struct curlloop;

/* Called after each turn of libcurl, never inside one. */
typedef void (*curlloop_fn)(void *userdata);

int curlloop_new(struct curlloop **ret_curlloop, uv_loop_t *loop, curlloop_fn fn, void *userdata);

/* The file descriptor of a connection in use, by its local port; -1 where there is none. */
int curlloop_find_socket(const struct curlloop *curlloop, int local_port);

/* Closes all connections, with their last words on the wire. All transfers must have been removed. Without memory
 * they stay. */
void curlloop_let_go(struct curlloop *curlloop);

void curlloop_close(struct curlloop *curlloop);
CURLM *curlloop_multi(struct curlloop *curlloop);

/* After adding, removing or unpausing a transfer: lets libcurl run from the loop, soon. */
void curlloop_kick(struct curlloop *curlloop);
