/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * One POST as libcurl sees it. See cloud-attempt.h.
 *
 * The upload of a stream of HTTP/2 pauses by itself until its body is there: the read callback says so. HTTP/1.1
 * would send such a body in chunks, which small servers do not take; where 1.1 is known beforehand (it is configured,
 * or the URL is http:// without prior knowledge of 2), the transfer is held back until the body and its length are
 * known. Where TLS finds a server that has no HTTP/2, chunks are what it gets.
 */
#include "daemon/io/cloud-attempt.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>

#include "daemon/io/files.h"
#include "daemon/io/timers.h"

DEFINE_CLEANUP(CURLU *, curl_url_cleanup)

static size_t on_read(char *out, size_t size, size_t n_items, void *userdata)
{
        struct cloud_attempt *attempt = userdata;
        size_t n = MIN(size * n_items, attempt->body.n - attempt->n_sent);

        if (!attempt->released)
                return CURL_READFUNC_PAUSE;
        if (n > 0)
                memcpy(out, attempt->body.data + attempt->n_sent, n);
        attempt->n_sent += n;
        if (attempt->n_sent == attempt->body.n && !attempt->times.body_sent_us)
                attempt->times.body_sent_us = timers_now_us();
        return n;
}

/* A kept connection may turn out dead when it is used: libcurl then starts over on a new one. */
static int on_seek(void *userdata, curl_off_t offset, int origin)
{
        struct cloud_attempt *attempt = userdata;

        if (origin != SEEK_SET || offset < 0 || (uintmax_t)offset > attempt->body.n)
                return CURL_SEEKFUNC_FAIL;
        attempt->n_sent = (size_t)offset;
        attempt->times.body_sent_us = 0;
        return CURL_SEEKFUNC_OK;
}

static size_t on_write(char *bytes, size_t size, size_t n_items, void *userdata)
{
        struct cloud_attempt *attempt = userdata;
        size_t n = size * n_items;

        if (attempt->left)
                return n;
        if (n > CLOUD_ATTEMPT_RECEIVED_MAX - attempt->received.n) {
                attempt->too_much = true;
                return CURL_WRITEFUNC_ERROR;
        }
        if (buf_add(&attempt->received, bytes, n) < 0) {
                attempt->received_lost = true;
                return CURL_WRITEFUNC_ERROR;
        }
        if (!attempt->times.first_byte_us)
                attempt->times.first_byte_us = timers_now_us();
        return n;
}

/* One line a call; the empty one ends the headers of a response. Trailers come the same way, later. */
static size_t on_header(char *line, size_t size, size_t n_items, void *userdata)
{
        struct cloud_attempt *attempt = userdata;
        size_t n = size * n_items;
        char start[32];

        if (attempt->status)
                return n;
        snprintf(start, sizeof(start), "%.*s", (int)MIN(n, sizeof(start)), line);
        if (sscanf(start, "HTTP/%*s %u", &attempt->line_status) == 1)
                return n;
        if ((line[0] == '\r' || line[0] == '\n') && attempt->line_status >= 200) {
                attempt->status = attempt->line_status;
                attempt->headers_due = true;
                attempt->times.headers_us = timers_now_us();
        }
        return n;
}

static int on_connected(void *userdata, char *peer, char *local, int peer_port, int local_port)
{
        struct cloud_attempt *attempt = userdata;

        (void)peer;
        (void)local;
        (void)peer_port;
        attempt->local_port = local_port;
        attempt->times.connected_us = timers_now_us();
        return CURL_PREREQFUNC_OK;
}

static int attempt_add_header(struct cloud_attempt *attempt, const char *line)
{
        struct curl_slist *headers = curl_slist_append(attempt->headers, line);

        if (!headers)
                return -ENOMEM;
        attempt->headers = headers;
        return 0;
}

/* A line break in a key would let its file write headers. */
static bool key_is_printable(const struct buf *key)
{
        for (size_t i = 0; i < key->n; i++) {
                if (key->data[i] <= ' ' || key->data[i] > '~')
                        return false;
        }
        return true;
}

static void forget_secret(struct buf *secret)
{
        if (secret->data)
                explicit_bzero(secret->data, secret->capacity);
        buf_done(secret);
}

static int attempt_add_key(struct cloud_attempt *attempt, const struct settings_endpoint *endpoint,
                           const char *key_header, struct buf *error)
{
        _cleanup_(forget_secret) struct buf key = BUF_NULL, line = BUF_NULL;
        int r = files_read_key(endpoint, &key, error);

        if (r < 0)
                return r;
        if (key.n == 0)
                return 0;
        if (!key_is_printable(&key)) {
                r = buf_printf(error, "the key of endpoint %s has a character that no HTTP header may have",
                               endpoint->name);
                return r < 0 ? r : -EINVAL;
        }
        r = buf_printf(&line, "%s%s", key_header, key.data);
        return r < 0 ? r : attempt_add_header(attempt, line.data);
}

static int attempt_set_headers(struct cloud_attempt *attempt, const struct settings_endpoint *endpoint,
                               const struct cloud_request *request, struct buf *error)
{
        static const char *const lines[] = {
                "Content-Type: application/json", "Accept: text/event-stream",
                "Expect:", /* libcurl would wait for a 100 with large bodies on HTTP/1.1 */
        };
        int r;

        for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
                r = attempt_add_header(attempt, lines[i]);
                if (r < 0)
                        return r;
        }
        r = request->header ? attempt_add_header(attempt, request->header) : 0;
        return r < 0 ? r : attempt_add_key(attempt, endpoint, request->key_header, error);
}

/* Also keeps the host's name, which messages use. */
static int attempt_set_url(struct cloud_attempt *attempt, const struct settings_endpoint *endpoint, const char *path,
                           struct buf *error)
{
        _cleanup_(buf_done) struct buf url = BUF_NULL;
        _cleanup_(curl_url_cleanupp) CURLU *parsed = curl_url();
        char *host = NULL;
        CURLUcode bad;
        int r;

        if (!parsed)
                return -ENOMEM;
        r = buf_printf(&url, "%s%s", endpoint->url, path);
        if (r < 0)
                return r;
        bad = curl_url_set(parsed, CURLUPART_URL, url.data, 0);
        if (!bad)
                bad = curl_url_get(parsed, CURLUPART_HOST, &host, 0);
        if (bad == CURLUE_OUT_OF_MEMORY)
                return -ENOMEM;
        if (bad) {
                r = buf_printf(error, "the URL of endpoint %s cannot be used: %s", endpoint->name,
                               curl_url_strerror(bad));
                return r < 0 ? r : -EINVAL;
        }
        attempt->host = strdup(host);
        curl_free(host);
        if (!attempt->host || curl_easy_setopt(attempt->easy, CURLOPT_URL, url.data))
                return -ENOMEM;
        return 0;
}

static long http_version(const struct settings_endpoint *endpoint)
{
        switch (endpoint->http) {
        case SETTINGS_HTTP_2: return CURL_HTTP_VERSION_2TLS;
        case SETTINGS_HTTP_2_PRIOR_KNOWLEDGE: return CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE;
        case SETTINGS_HTTP_1_1: break;
        }
        return CURL_HTTP_VERSION_1_1;
}

/* The only failures are libcurl's lack of memory and our use of an option that this libcurl lacks. */
#define SET(option, value) (bad |= curl_easy_setopt(attempt->easy, option, value) != CURLE_OK)

/* libcurl 7.88 begins HTTP/2 anew on a connection that speaks it already, if that is by prior knowledge. Mended
 * in 8.0.
 */
static bool must_not_share(const struct settings_endpoint *endpoint)
{
        return endpoint->http == SETTINGS_HTTP_2_PRIOR_KNOWLEDGE &&
               curl_version_info(CURLVERSION_NOW)->version_num < 0x080000;
}

/* Whole seconds, at least one. */
static long whole_sec(double sec)
{
        return MAX(1L, (long)sec);
}

/* A second probe, and what is found dead is so for libcurl too, when it looks at the socket before its next use. */
static int on_socket(void *userdata, curl_socket_t fd, curlsocktype purpose)
{
        const int n_probes = 2;

        (void)userdata;
        (void)purpose;
        (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &n_probes, sizeof(n_probes));
        return CURL_SOCKOPT_OK;
}

/* HTTP/2's own PING cannot be had: curl_easy_upkeep() of libcurl 7.88 does not reach a multi handle's connections,
 * and that of 8.14 leaves the frame in a buffer. TCP's probes keep the same way open, and wake nobody here. */
static int attempt_set_keeping(struct cloud_attempt *attempt, const struct cloud_request *request)
{
        bool bad = false;

        SET(CURLOPT_TCP_KEEPALIVE, 1L);
        SET(CURLOPT_TCP_KEEPIDLE, whole_sec(request->probe_sec));
        SET(CURLOPT_TCP_KEEPINTVL, whole_sec(MIN(request->probe_sec, 5)));
        SET(CURLOPT_SOCKOPTFUNCTION, on_socket);
        SET(CURLOPT_MAXAGE_CONN, whole_sec(request->warm_sec) + 1);
        return bad ? -ENOMEM : 0;
}

static int attempt_set_options(struct cloud_attempt *attempt, const struct settings_endpoint *endpoint,
                               double connect_sec)
{
        bool bad = false;

        SET(CURLOPT_POST, 1L);
        SET(CURLOPT_HTTPHEADER, attempt->headers);
        SET(CURLOPT_USERAGENT, "mulmd/" MULMD_VERSION);
        SET(CURLOPT_HTTP_VERSION, http_version(endpoint));
        SET(CURLOPT_PIPEWAIT, 1L); /* a second request waits to share a connection that is being made */
        SET(CURLOPT_CONNECTTIMEOUT_MS, MAX(1L, (long)(connect_sec * 1000)));
        SET(CURLOPT_NOSIGNAL, 1L);
        SET(CURLOPT_QUICK_EXIT, 1L); /* closing an attempt does not wait for the resolver's thread */
        SET(CURLOPT_PROTOCOLS_STR, "http,https");
        SET(CURLOPT_PROXY, ""); /* none from the environment either */
        SET(CURLOPT_SSL_VERIFYPEER, 1L);
        SET(CURLOPT_SSL_VERIFYHOST, 2L);
        SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
        if (endpoint->ca_file)
                SET(CURLOPT_CAINFO, endpoint->ca_file);
        if (must_not_share(endpoint)) {
                SET(CURLOPT_FRESH_CONNECT, 1L);
                SET(CURLOPT_FORBID_REUSE, 1L);
        }
        return bad ? -ENOMEM : 0;
}

static int attempt_set_callbacks(struct cloud_attempt *attempt)
{
        bool bad = false;

        SET(CURLOPT_PRIVATE, attempt);
        SET(CURLOPT_ERRORBUFFER, attempt->error);
        SET(CURLOPT_READFUNCTION, on_read);
        SET(CURLOPT_READDATA, attempt);
        SET(CURLOPT_SEEKFUNCTION, on_seek);
        SET(CURLOPT_SEEKDATA, attempt);
        SET(CURLOPT_WRITEFUNCTION, on_write);
        SET(CURLOPT_WRITEDATA, attempt);
        SET(CURLOPT_HEADERFUNCTION, on_header);
        SET(CURLOPT_HEADERDATA, attempt);
        SET(CURLOPT_PREREQFUNCTION, on_connected);
        SET(CURLOPT_PREREQDATA, attempt);
        return bad ? -ENOMEM : 0;
}

int cloud_attempt_rewind(struct cloud_attempt *attempt)
{
        bool bad = false;

        attempt->n_sent = 0;
        attempt->times.connected_us = attempt->times.body_sent_us = 0;
        SET(CURLOPT_FRESH_CONNECT, 1L);
        SET(CURLOPT_FORBID_REUSE, 0L);
        return bad ? -ENOMEM : 0;
}

int cloud_attempt_set_body(struct cloud_attempt *attempt)
{
        bool bad = false;

        SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)attempt->body.n);
        return bad ? -ENOMEM : 0;
}

#undef SET

static int attempt_prepare(struct cloud_attempt *attempt, const struct settings_endpoint *endpoint,
                           const struct cloud_request *request, struct buf *error)
{
        int r;

        attempt->easy = curl_easy_init();
        if (!attempt->easy)
                return -ENOMEM;
        attempt->held = endpoint->http == SETTINGS_HTTP_1_1 ||
                        (endpoint->http == SETTINGS_HTTP_2 && strncmp(endpoint->url, "http:", 5) == 0);
        r = attempt_set_url(attempt, endpoint, request->path, error);
        if (r < 0)
                return r;
        r = attempt_set_headers(attempt, endpoint, request, error);
        if (r < 0)
                return r;
        r = attempt_set_options(attempt, endpoint, request->connect_sec);
        if (r == 0)
                r = attempt_set_keeping(attempt, request);
        return r < 0 ? r : attempt_set_callbacks(attempt);
}

int cloud_attempt_new(struct cloud_attempt **ret_attempt, const struct settings_endpoint *endpoint,
                      const struct cloud_request *request, struct buf *error)
{
        struct cloud_attempt *attempt = calloc(1, sizeof(*attempt));
        int r;

        if (!attempt)
                return -ENOMEM;
        r = attempt_prepare(attempt, endpoint, request, error);
        if (r < 0) {
                cloud_attempt_free(attempt);
                return r;
        }
        *ret_attempt = attempt;
        return 0;
}

struct cloud_attempt *cloud_attempt_free(struct cloud_attempt *attempt)
{
        if (!attempt)
                return NULL;
        curl_easy_cleanup(attempt->easy);
        curl_slist_free_all(attempt->headers);
        buf_done(&attempt->body);
        buf_done(&attempt->received);
        free(attempt->host);
        free(attempt);
        return NULL;
}
