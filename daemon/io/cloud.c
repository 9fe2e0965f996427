/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * HTTP requests to cloud endpoints. See cloud.h.
 *
 * libcurl's callbacks record into the attempt (cloud-attempt.c). After libcurl has returned, cloud_turn() delivers
 * what is due, one event at a time, and looks anew for the next: a callback may open, release and close whatever it
 * likes. What an event points to belongs to the cloud meanwhile, so that an attempt may be closed, and is then freed,
 * in its own callback.
 */
#include "daemon/io/cloud.h"

#include <assert.h>
#include <errno.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/ioctl.h>

#include "daemon/io/cloud-attempt.h"
#include "daemon/io/cloud-failure.h"
#include "daemon/io/curlloop.h"
#include "daemon/io/timers.h"

/* A server that has said its last word ends the stream at once. One that does not is not waited for for ever, and
 * what it costs is bounded by number rather than by time: the oldest gives way. */
#define LEFT_MAX 4

/* A kept connection that has not even acknowledged the request's headers by then is taken for dead; or in four times
 * the time that it used to take, where that is more. */
#define REACH_US 300000

struct cloud {
        struct curlloop *curlloop;
        struct timers *timers;
        struct timer_node idle; /* when kept connections are let go */
        uint64_t warm_us;
        struct cloud_attempt *attempts; /* the newest first */
        struct buf bytes, text;         /* what the event being delivered points to */
        struct buf retry[3];            /* and the headers in it */
        bool delivering;                /* cloud_turn() is at work */
        bool closed;                    /* meanwhile: it frees the cloud */
};

static void cloud_free(struct cloud *cloud)
{
        buf_done(&cloud->bytes);
        buf_done(&cloud->text);
        for (size_t i = 0; i < ARRAY_SIZE(cloud->retry); i++)
                buf_done(&cloud->retry[i]);
        free(cloud);
}

/* What libcurl knows of the connection, once there is an answer or none. */
static void attempt_update_times(struct cloud_attempt *attempt)
{
        long version = 0, n_connects = 0;

        curl_easy_getinfo(attempt->easy, CURLINFO_HTTP_VERSION, &version);
        curl_easy_getinfo(attempt->easy, CURLINFO_NUM_CONNECTS, &n_connects);
        attempt->times.reused = attempt->times.connected_us && n_connects == 0;
        if (version == CURL_HTTP_VERSION_2_0)
                attempt->times.http_version = 20;
        else if (version == CURL_HTTP_VERSION_1_1)
                attempt->times.http_version = 11;
}

/* libcurl 7.88 leaves small frames, such as the RST_STREAM of a transfer that was removed, in a buffer until the
 * connection is next written to; unpausing what is not paused does that, and nothing else. */
static void cloud_flush(struct cloud *cloud)
{
        for (struct cloud_attempt *attempt = cloud->attempts; attempt; attempt = attempt->next) {
                if (!attempt->added || attempt->ended)
                        continue;
                curl_easy_pause(attempt->easy, CURLPAUSE_RECV);
                curl_easy_pause(attempt->easy, CURLPAUSE_CONT);
        }
}

/* The server must hear of it at once, since it goes on answering, at somebody's cost. A connection that other
 * transfers use carries the reset; one that was this stream's alone, which nothing would write to, is closed. */
static void attempt_remove(struct cloud_attempt *attempt)
{
        struct cloud *cloud = attempt->cloud;

        attempt->added = false;
        if (!attempt->ended)
                curl_easy_setopt(attempt->easy, CURLOPT_FORBID_REUSE, 1L);
        curl_multi_remove_handle(curlloop_multi(cloud->curlloop), attempt->easy);
        if (!attempt->ended)
                cloud_flush(cloud);
        curlloop_kick(cloud->curlloop); /* transfers that waited for this one's connection go on */
}

/* Gives the transfer to libcurl; what libcurl refuses is told like any other failure, later. */
static void attempt_add(struct cloud_attempt *attempt)
{
        struct cloud *cloud = attempt->cloud;

        if (curl_multi_add_handle(curlloop_multi(cloud->curlloop), attempt->easy)) {
                attempt->ended = true;
                attempt->result = CURLE_OUT_OF_MEMORY;
        } else {
                attempt->added = true;
        }
        curlloop_kick(cloud->curlloop);
}

/* On a connection of its own. The dead one goes with the last transfer that uses it. */
static void attempt_restart(struct cloud_attempt *attempt)
{
        attempt_remove(attempt);
        attempt->ended = false;
        if (cloud_attempt_rewind(attempt) < 0) {
                attempt->ended = true;
                attempt->result = CURLE_OUT_OF_MEMORY;
                return;
        }
        attempt_add(attempt);
}

/* It was sent over a connection that had been kept, and nothing of an answer has come. */
static bool is_on_kept_connection(const struct cloud_attempt *attempt)
{
        long n_connects = 0;

        curl_easy_getinfo(attempt->easy, CURLINFO_NUM_CONNECTS, &n_connects);
        return attempt->times.connected_us > 0 && n_connects == 0 && attempt->status == 0;
}

/* The kept connection had ended before anything was answered. libcurl starts over by itself only where it learns so
 * from its first read; of HTTP/2 it says no more than this sentence. */
static bool is_stale(const struct cloud_attempt *attempt)
{
        if (!is_on_kept_connection(attempt) || attempt->left)
                return false;
        return attempt->result == CURLE_SEND_ERROR || attempt->result == CURLE_RECV_ERROR ||
               strstr(attempt->error, "before end of the underlying stream");
}

/* Notes which transfers are over. */
static void cloud_collect(struct cloud *cloud)
{
        struct cloud_attempt *attempt;
        CURLMsg *message;
        int n_left;

        while ((message = curl_multi_info_read(curlloop_multi(cloud->curlloop), &n_left))) {
                if (message->msg != CURLMSG_DONE)
                        continue;
                curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&attempt);
                attempt->ended = true;
                attempt->result = attempt->received_lost ? CURLE_OUT_OF_MEMORY : message->data.result;
                attempt->times.ended_us = timers_now_us();
                if (is_stale(attempt))
                        attempt_restart(attempt);
        }
}

static struct cloud_attempt *cloud_find_due(struct cloud *cloud)
{
        struct cloud_attempt *attempt;

        for (attempt = cloud->attempts; attempt; attempt = attempt->next) {
                if (attempt->left)
                        continue;
                if (attempt->headers_due || attempt->received.n || (attempt->ended && !attempt->ended_told))
                        return attempt;
        }
        return NULL;
}

/* libcurl's own copy does not outlive its next call. */
static const char *attempt_header(struct cloud_attempt *attempt, const char *name, struct buf *value)
{
        struct curl_header *header;

        buf_clear(value);
        if (curl_easy_header(attempt->easy, name, 0, CURLH_HEADER, -1, &header) != CURLHE_OK ||
            buf_add_string(value, header->value) < 0)
                return NULL;
        return buf_string(value);
}

static void attempt_take_headers(struct cloud_attempt *attempt, struct cloud_event *ret_event)
{
        const char *content_type = NULL;

        attempt->headers_due = false;
        attempt_update_times(attempt);
        curl_easy_getinfo(attempt->easy, CURLINFO_CONTENT_TYPE, &content_type);
        if (content_type)
                buf_add_string(&attempt->cloud->text, content_type);
        ret_event->type = CLOUD_EVENT_HEADERS;
        ret_event->content_type = buf_string(&attempt->cloud->text);
        ret_event->retry = (struct retry_headers){
                .retry_after_ms = attempt_header(attempt, "retry-after-ms", &attempt->cloud->retry[0]),
                .retry_after = attempt_header(attempt, "retry-after", &attempt->cloud->retry[1]),
                .should_retry = attempt_header(attempt, "x-should-retry", &attempt->cloud->retry[2]),
        };
}

static void attempt_take_bytes(struct cloud_attempt *attempt, struct cloud_event *ret_event)
{
        struct buf empty = attempt->cloud->bytes;

        attempt->cloud->bytes = attempt->received;
        attempt->received = empty;
        ret_event->type = CLOUD_EVENT_BYTES;
        ret_event->bytes = attempt->cloud->bytes.data;
        ret_event->n_bytes = attempt->cloud->bytes.n;
}

static void attempt_take_end(struct cloud_attempt *attempt, struct cloud_event *ret_event)
{
        const char *detail = attempt->error;
        long os_errno = 0;

        attempt->ended_told = true;
        attempt_update_times(attempt);
        if (attempt->result == CURLE_OK) {
                ret_event->type = CLOUD_EVENT_END;
                return;
        }
        if (attempt->too_much)
                detail = "more than 8 MiB at once";
        ret_event->type = CLOUD_EVENT_FAILED;
        curl_easy_getinfo(attempt->easy, CURLINFO_OS_ERRNO, &os_errno);
        ret_event->failure = cloud_failure_of(attempt->result, os_errno);
        cloud_failure_print(attempt->result, attempt->host, detail, &attempt->cloud->text);
        ret_event->message = buf_string(&attempt->cloud->text);
}

static void attempt_deliver(struct cloud_attempt *attempt)
{
        struct cloud_event event = { .status = attempt->status };

        buf_clear(&attempt->cloud->bytes);
        buf_clear(&attempt->cloud->text);
        if (attempt->headers_due)
                attempt_take_headers(attempt, &event);
        else if (attempt->received.n)
                attempt_take_bytes(attempt, &event);
        else
                attempt_take_end(attempt, &event);
        attempt->fn(attempt->userdata, &event);
}

/* Nobody waits for an answer: connections are kept for a while. */
static void cloud_rest(struct cloud *cloud)
{
        for (struct cloud_attempt *attempt = cloud->attempts; attempt; attempt = attempt->next)
                if (!attempt->left)
                        return;
        timers_set(cloud->timers, &cloud->idle, timers_now_us() + cloud->warm_us);
}

static void attempt_destroy(struct cloud_attempt *attempt)
{
        struct cloud *cloud = attempt->cloud;

        timers_set(cloud->timers, &attempt->reaching, 0);
        if (attempt->added)
                attempt_remove(attempt);
        if (attempt->previous)
                attempt->previous->next = attempt->next;
        else
                cloud->attempts = attempt->next;
        if (attempt->next)
                attempt->next->previous = attempt->previous;
        cloud_attempt_free(attempt);
        cloud_rest(cloud);
}

/* Those that were left: the ones that have ended go, and the oldest beyond `n_max`. */
static void cloud_clear_left(struct cloud *cloud, unsigned n_max)
{
        struct cloud_attempt *next;
        unsigned n = 0;

        for (struct cloud_attempt *attempt = cloud->attempts; attempt; attempt = next) {
                next = attempt->next;
                if (attempt->left && (attempt->ended || ++n > n_max))
                        attempt_destroy(attempt);
        }
}

static void on_idle(void *userdata)
{
        struct cloud *cloud = userdata;

        cloud_clear_left(cloud, 0);
        timers_set(cloud->timers, &cloud->idle, 0);
        curlloop_let_go(cloud->curlloop);
}

static void cloud_turn(void *userdata)
{
        struct cloud *cloud = userdata;
        struct cloud_attempt *attempt;

        cloud_collect(cloud);
        cloud->delivering = true;
        while ((attempt = cloud_find_due(cloud)))
                attempt_deliver(attempt);
        cloud->delivering = false;
        cloud_clear_left(cloud, LEFT_MAX);
        if (cloud->closed)
                cloud_free(cloud);
}

int cloud_new(struct cloud **ret_cloud, uv_loop_t *loop, struct timers *timers)
{
        struct cloud *cloud = calloc(1, sizeof(*cloud));
        int r;

        if (!cloud)
                return -ENOMEM;
        if (curl_global_init(CURL_GLOBAL_DEFAULT)) {
                free(cloud);
                return -ENOMEM;
        }
        r = curlloop_new(&cloud->curlloop, loop, cloud_turn, cloud);
        if (r < 0) {
                curl_global_cleanup();
                free(cloud);
                return r;
        }
        cloud->timers = timers;
        cloud->idle = (struct timer_node){ .fn = on_idle, .userdata = cloud };
        *ret_cloud = cloud;
        return 0;
}

void cloud_close(struct cloud *cloud)
{
        cloud_clear_left(cloud, 0);
        assert(!cloud->attempts);
        timers_set(cloud->timers, &cloud->idle, 0);
        curlloop_close(cloud->curlloop);
        curl_global_cleanup();
        if (cloud->delivering)
                cloud->closed = true;
        else
                cloud_free(cloud);
}

/* The connection was kept, and its other end has not acknowledged anything since this attempt's headers were sent:
 * -1 where that is not so, else how long it usually takes. */
static int64_t silent_us(const struct cloud_attempt *attempt, uint64_t now_us)
{
        int fd = curlloop_find_socket(attempt->cloud->curlloop, attempt->local_port);
        struct tcp_info info = { 0 };
        socklen_t size = sizeof(info);
        int n_waiting; /* bytes that are not acknowledged, or could not even be sent */

        if (fd < 0 || ioctl(fd, SIOCOUTQ, &n_waiting) < 0 || n_waiting == 0 ||
            getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) < 0 ||
            info.tcpi_last_ack_recv * UINT64_C(1000) < now_us - attempt->times.connected_us)
                return -1;
        return info.tcpi_rtt;
}

static void on_reaching(void *userdata)
{
        struct cloud_attempt *attempt = userdata;
        uint64_t now_us = timers_now_us();
        int64_t usual_us;

        timers_set(attempt->cloud->timers, &attempt->reaching, 0);
        if (!attempt->added || attempt->ended || attempt->left || !is_on_kept_connection(attempt))
                return;
        usual_us = silent_us(attempt, now_us);
        if (usual_us < 0)
                return;
        if (now_us - attempt->times.connected_us < 4 * (uint64_t)usual_us)
                timers_set(attempt->cloud->timers, &attempt->reaching,
                           attempt->times.connected_us + 4 * (uint64_t)usual_us);
        else
                attempt_restart(attempt);
}

int cloud_open(struct cloud *cloud, const struct settings_endpoint *endpoint, const struct cloud_request *request,
               cloud_bytes_fn fn, void *userdata, struct cloud_attempt **ret_attempt, struct buf *error)
{
        struct cloud_attempt *attempt;
        int r = cloud_attempt_new(&attempt, endpoint, request, error);

        if (r < 0)
                return r;
        attempt->cloud = cloud;
        attempt->fn = fn;
        attempt->userdata = userdata;
        attempt->times.opened_us = timers_now_us();
        attempt->reaching = (struct timer_node){ .fn = on_reaching, .userdata = attempt };
        timers_set(cloud->timers, &attempt->reaching, attempt->times.opened_us + REACH_US);
        timers_set(cloud->timers, &cloud->idle, 0);
        cloud->warm_us = (uint64_t)(request->warm_sec * 1e6);
        attempt->next = cloud->attempts;
        if (attempt->next)
                attempt->next->previous = attempt;
        cloud->attempts = attempt;
        if (!attempt->held)
                attempt_add(attempt);
        *ret_attempt = attempt;
        return 0;
}

void cloud_release(struct cloud_attempt *attempt, struct buf *body)
{
        assert(!attempt->released);
        attempt->released = true;
        attempt->times.released_us = timers_now_us();
        attempt->body = *body;
        *body = BUF_NULL;
        if (attempt->ended)
                return;
        if (!attempt->held) {
                curl_easy_pause(attempt->easy, CURLPAUSE_CONT);
                curlloop_kick(attempt->cloud->curlloop);
        } else if (cloud_attempt_set_body(attempt) == 0) {
                attempt_add(attempt);
        } else {
                attempt->ended = true;
                attempt->result = CURLE_OUT_OF_MEMORY;
                curlloop_kick(attempt->cloud->curlloop);
        }
}

int cloud_attempt_hand_over(struct cloud_attempt *attempt, cloud_bytes_fn fn, void *userdata, struct buf *bytes)
{
        int r = buf_add(bytes, buf_string(&attempt->received), attempt->received.n);

        if (r < 0)
                return r;
        buf_done(&attempt->received);
        attempt->received = *bytes;
        *bytes = BUF_NULL;
        attempt->fn = fn;
        attempt->userdata = userdata;
        attempt->headers_due = attempt->status > 0;
        attempt->ended_told = false;
        curlloop_kick(attempt->cloud->curlloop);
        return 0;
}

const struct cloud_times *cloud_attempt_times(const struct cloud_attempt *attempt)
{
        return &attempt->times;
}

struct cloud_attempt *cloud_attempt_close(struct cloud_attempt *attempt)
{
        if (attempt)
                attempt_destroy(attempt);
        return NULL;
}

struct cloud_attempt *cloud_attempt_leave(struct cloud_attempt *attempt)
{
        if (!attempt)
                return NULL;
        attempt->left = true;
        cloud_rest(attempt->cloud);
        cloud_clear_left(attempt->cloud, LEFT_MAX);
        return NULL;
}
