/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * The server's side of TLS 1.2 or newer, without sockets: cipher text in and out, plain text in and out. Only peers
 * that agree on "h2" by ALPN get past the handshake. Loop thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "libmulm/base/buf.h"

struct tls_context;
struct tls;

/* PEM files. 0; -EINVAL with a sentence in `error`; -ENOMEM. */
int tls_context_new(struct tls_context **ret_context, const char *certificate, const char *key, struct buf *error);
struct tls_context *tls_context_free(struct tls_context *context);

int tls_new(struct tls **ret_tls, struct tls_context *context);
struct tls *tls_free(struct tls *tls);

/* Cipher text from the peer. 0 or -ENOMEM. */
int tls_feed(struct tls *tls, const char *bytes, size_t n);

/* Goes on with the handshake, then appends the plain text that has come in. 0; -ENOMEM; -ECONNRESET: the peer said
 * goodbye; -EPROTO: it is no TLS, or no agreement. tls_take() may have an alert for the peer in any case. */
int tls_read(struct tls *tls, struct buf *plain);

/* The handshake is over: there may be plain text to send. */
bool tls_is_ready(const struct tls *tls);

/* 0, -ENOMEM, -EPROTO. Only when ready. */
int tls_write(struct tls *tls, const char *bytes, size_t n);

/* Appends the cipher text to send. 0 or -ENOMEM. */
int tls_take(struct tls *tls, struct buf *cipher);
