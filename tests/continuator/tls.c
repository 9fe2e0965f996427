/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * OpenSSL between two memory BIOs.
 */
#include "tests/continuator/tls.h"

#include <errno.h>
#include <limits.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <string.h>

#include "libmulm/base/macro.h"

struct tls_context {
        SSL_CTX *ctx;
};

struct tls {
        SSL *ssl;
        BIO *in, *out; /* owned by ssl */
};

static int on_alpn(SSL *ssl _unused_, const unsigned char **ret, unsigned char *ret_n, const unsigned char *offered,
                   unsigned n_offered, void *userdata _unused_)
{
        static const unsigned char h2[] = { 2, 'h', '2' };
        unsigned char *chosen;

        if (SSL_select_next_proto(&chosen, ret_n, h2, sizeof(h2), offered, n_offered) != OPENSSL_NPN_NEGOTIATED)
                return SSL_TLSEXT_ERR_ALERT_FATAL;
        *ret = chosen;
        return SSL_TLSEXT_ERR_OK;
}

int tls_context_new(struct tls_context **ret_context, const char *certificate, const char *key, struct buf *error)
{
        struct tls_context *context = calloc(1, sizeof(*context));
        int r;

        if (!context)
                return -ENOMEM;
        context->ctx = SSL_CTX_new(TLS_server_method());
        if (!context->ctx) {
                free(context);
                return -ENOMEM;
        }
        SSL_CTX_set_min_proto_version(context->ctx, TLS1_2_VERSION);
        SSL_CTX_set_alpn_select_cb(context->ctx, on_alpn, NULL);

        if (SSL_CTX_use_certificate_chain_file(context->ctx, certificate) != 1 ||
            SSL_CTX_use_PrivateKey_file(context->ctx, key, SSL_FILETYPE_PEM) != 1) {
                r = buf_printf(error, "%s, %s: %s", certificate, key, ERR_reason_error_string(ERR_get_error()));
                tls_context_free(context);
                return r < 0 ? r : -EINVAL;
        }

        *ret_context = context;
        return 0;
}

struct tls_context *tls_context_free(struct tls_context *context)
{
        if (!context)
                return NULL;
        SSL_CTX_free(context->ctx);
        free(context);
        return NULL;
}

int tls_new(struct tls **ret_tls, struct tls_context *context)
{
        struct tls *tls = calloc(1, sizeof(*tls));

        if (!tls)
                return -ENOMEM;
        tls->ssl = SSL_new(context->ctx);
        tls->in = BIO_new(BIO_s_mem());
        tls->out = BIO_new(BIO_s_mem());
        if (!tls->ssl || !tls->in || !tls->out) {
                BIO_free(tls->in);
                BIO_free(tls->out);
                SSL_free(tls->ssl);
                free(tls);
                return -ENOMEM;
        }
        SSL_set_bio(tls->ssl, tls->in, tls->out);
        SSL_set_accept_state(tls->ssl);
        *ret_tls = tls;
        return 0;
}

struct tls *tls_free(struct tls *tls)
{
        if (!tls)
                return NULL;
        SSL_free(tls->ssl);
        free(tls);
        return NULL;
}

int tls_feed(struct tls *tls, const char *bytes, size_t n)
{
        if (n > INT_MAX)
                return -ENOMEM;
        return BIO_write(tls->in, bytes, (int)n) == (int)n ? 0 : -ENOMEM;
}

static int error_of(const struct tls *tls, int r)
{
        const int code = SSL_get_error(tls->ssl, r);

        ERR_clear_error(); /* the queue is the thread's and would be read as the next call's */
        if (code == SSL_ERROR_WANT_READ)
                return 0;
        return code == SSL_ERROR_ZERO_RETURN ? -ECONNRESET : -EPROTO;
}

static bool is_h2(const struct tls *tls)
{
        const unsigned char *protocol;
        unsigned n;

        SSL_get0_alpn_selected(tls->ssl, &protocol, &n);
        return n == 2 && memcmp(protocol, "h2", 2) == 0;
}

int tls_read(struct tls *tls, struct buf *plain)
{
        char bytes[4096];
        int n, r;

        if (!tls_is_ready(tls)) {
                n = SSL_do_handshake(tls->ssl);
                if (n != 1)
                        return error_of(tls, n);
                if (!is_h2(tls)) /* a client without ALPN */
                        return -EPROTO;
        }

        while ((n = SSL_read(tls->ssl, bytes, sizeof(bytes))) > 0) {
                r = buf_add(plain, bytes, (size_t)n);
                if (r < 0)
                        return r;
        }
        return error_of(tls, n);
}

bool tls_is_ready(const struct tls *tls)
{
        return SSL_is_init_finished(tls->ssl);
}

int tls_write(struct tls *tls, const char *bytes, size_t n)
{
        size_t n_written;

        if (n == 0)
                return 0;
        /* memory never blocks: all or nothing */
        if (SSL_write_ex(tls->ssl, bytes, n, &n_written) != 1) {
                ERR_clear_error();
                return -EPROTO;
        }
        return 0;
}

int tls_take(struct tls *tls, struct buf *cipher)
{
        char *bytes;
        const long n = BIO_get_mem_data(tls->out, &bytes);
        int r;

        if (n <= 0)
                return 0;
        r = buf_add(cipher, bytes, (size_t)n);
        if (r >= 0)
                BIO_reset(tls->out);
        return r;
}
