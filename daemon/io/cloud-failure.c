/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * libcurl's error codes in the daemon's terms. See cloud-failure.h. The codes are those of libcurl-errors(3); one
 * that is not named here cannot come of a POST over HTTP and counts as internal.
 */
#include "daemon/io/cloud-failure.h"

#include <errno.h>
#include <string.h>

static const struct {
        CURLcode code;
        enum cloud_failure failure;
} failures[] = {
        { CURLE_COULDNT_RESOLVE_HOST, CLOUD_FAILURE_RESOLVE },
        { CURLE_COULDNT_CONNECT, CLOUD_FAILURE_CONNECT },
        { CURLE_OPERATION_TIMEDOUT, CLOUD_FAILURE_CONNECT }, /* no other timeout is set */
        { CURLE_SSL_CONNECT_ERROR, CLOUD_FAILURE_TLS },
        { CURLE_PEER_FAILED_VERIFICATION, CLOUD_FAILURE_TLS },
        { CURLE_SSL_CACERT_BADFILE, CLOUD_FAILURE_TLS },
        { CURLE_SSL_CERTPROBLEM, CLOUD_FAILURE_TLS },
        { CURLE_SSL_CIPHER, CLOUD_FAILURE_TLS },
        { CURLE_SSL_ISSUER_ERROR, CLOUD_FAILURE_TLS },
        { CURLE_SSL_INVALIDCERTSTATUS, CLOUD_FAILURE_TLS },
        { CURLE_SSL_SHUTDOWN_FAILED, CLOUD_FAILURE_TLS },
        { CURLE_SEND_ERROR, CLOUD_FAILURE_BROKEN },
        { CURLE_RECV_ERROR, CLOUD_FAILURE_BROKEN },
        { CURLE_GOT_NOTHING, CLOUD_FAILURE_BROKEN },
        { CURLE_PARTIAL_FILE, CLOUD_FAILURE_BROKEN },
        { CURLE_HTTP2_STREAM, CLOUD_FAILURE_BROKEN },
        { CURLE_SEND_FAIL_REWIND, CLOUD_FAILURE_BROKEN },
        { CURLE_HTTP2, CLOUD_FAILURE_PROTOCOL },
        { CURLE_UNSUPPORTED_PROTOCOL, CLOUD_FAILURE_PROTOCOL }, /* HTTP/0.9, that is: no HTTP at all */
        { CURLE_WEIRD_SERVER_REPLY, CLOUD_FAILURE_PROTOCOL },
        { CURLE_BAD_CONTENT_ENCODING, CLOUD_FAILURE_PROTOCOL },
        { CURLE_WRITE_ERROR, CLOUD_FAILURE_PROTOCOL }, /* our own limit on what may wait undelivered */
};

/* On the way to the host there is no network. */
static bool is_network(long os_errno)
{
        return os_errno == ENETUNREACH || os_errno == EHOSTUNREACH || os_errno == ENETDOWN ||
               os_errno == EADDRNOTAVAIL;
}

enum cloud_failure cloud_failure_of(CURLcode code, long os_errno)
{
        if (code == CURLE_COULDNT_CONNECT && is_network(os_errno))
                return CLOUD_FAILURE_NETWORK;
        for (size_t i = 0; i < ARRAY_SIZE(failures); i++) {
                if (failures[i].code == code)
                        return failures[i].failure;
        }
        return CLOUD_FAILURE_INTERNAL;
}

static const char *skip_prefix(const char *text, const char *prefix)
{
        return strncmp(text, prefix, strlen(prefix)) == 0 ? text + strlen(prefix) : text;
}

int cloud_failure_print(CURLcode code, const char *host, const char *detail, struct buf *message)
{
        const char *cause = *detail ? detail : curl_easy_strerror(code);

        cause = skip_prefix(skip_prefix(cause, "SSL certificate problem: "), "SSL: ");
        switch (cloud_failure_of(code, 0)) {
        case CLOUD_FAILURE_RESOLVE: return buf_printf(message, "the host name %s has no address: %s", host, cause);
        case CLOUD_FAILURE_NETWORK:
        case CLOUD_FAILURE_CONNECT: return buf_printf(message, "no connection to %s: %s", host, cause);
        case CLOUD_FAILURE_TLS:
                if (code == CURLE_PEER_FAILED_VERIFICATION)
                        return buf_printf(message, "the certificate of %s does not verify: %s", host, cause);
                return buf_printf(message, "TLS with %s failed: %s", host, cause);
        case CLOUD_FAILURE_BROKEN: return buf_printf(message, "the answer of %s broke off: %s", host, cause);
        case CLOUD_FAILURE_PROTOCOL: return buf_printf(message, "%s does not speak proper HTTP: %s", host, cause);
        case CLOUD_FAILURE_NONE:
        case CLOUD_FAILURE_INTERNAL: break;
        }
        return buf_printf(message, "the request to %s cannot be made: %s", host, cause);
}
