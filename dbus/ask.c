/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * mulmctl ask: subscribes to a path of its own choice, asks, prints what comes as it comes. Only signals of the
 * connection that answered Ask count: anyone on the bus may send us one with the right path.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <systemd/sd-event.h>
#include <systemd/sd-id128.h>
#include <time.h>

#include "dbus/json.h"
#include "dbus/mulmctl.h"
#include "dbus/reply.h"
#include "libmulm/base/macro.h"

#define CANCEL_WAIT_US 1000000 /* after ^C, for the daemon to say how it ended */

struct ask {
        const struct mulmctl *mulmctl;
        sd_event *event;
        struct terminal terminal;
        char *path;
        char *owner; /* who answered Ask; NULL before that */
        struct reply reply;
        uint64_t asked_us;
        bool interrupted;
};

static uint64_t now_us(void)
{
        struct timespec now;

        (void)clock_gettime(CLOCK_MONOTONIC, &now);
        return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static void ask_done(struct ask *ask)
{
        reply_done(&ask->reply);
        free(ask->owner);
        free(ask->path);
        sd_bus_detach_event(ask->mulmctl->bus);
        sd_event_unref(ask->event);
}

static int stop(struct ask *ask, int code)
{
        return sd_event_exit(ask->event, code);
}

static int fail(struct ask *ask, const char *what, int r)
{
        fprintf(stderr, "mulmctl: %s: %s\n", what, strerror(-r));
        return stop(ask, EXIT_CODE_FAILED);
}

/* ------------------------------------------------------------------------------------------------ signals */

static void hear(struct timeline *heard, const char *source, uint64_t at_us)
{
        if (strcmp(source, "opener") == 0) {
                heard->opener_first_us = heard->opener_first_us ?: at_us;
                heard->opener_last_us = at_us;
                return;
        }
        heard->rest_first_us = heard->rest_first_us ?: at_us;
        heard->rest_last_us = at_us;
        heard->rest_source = strcmp(source, "local") == 0 ? "local" : "cloud";
}

/* What goes into a pipe cannot be taken back, so it goes when it is final. */
static bool is_waiting(const struct ask *ask)
{
        return ask->mulmctl->redraw && !ask->terminal.is_terminal;
}

static int on_text(struct ask *ask, sd_bus_message *message)
{
        const char *delta, *source;
        uint32_t sequence;
        int r;

        r = sd_bus_message_read(message, "uss", &sequence, &delta, &source);
        if (r < 0)
                return fail(ask, "Bad signal", r);
        hear(&ask->reply.heard, source, MAX(now_us() - ask->asked_us, (uint64_t)1));
        r = buf_add_string(&ask->reply.text, delta);
        if (r >= 0 && strcmp(source, "opener") == 0)
                r = buf_add_string(&ask->reply.opener, delta);
        if (r < 0)
                return fail(ask, "Cannot keep the reply", r);
        if (ask->mulmctl->json != JSON_MODE_OFF || is_waiting(ask))
                return 0;
        r = terminal_print(&ask->terminal, source, delta);
        return r < 0 ? fail(ask, "Cannot write", r) : 0;
}

/* On a terminal the reply begins again on the next line; how many lines the old one took is the terminal's secret. */
static int on_replaced(struct ask *ask, sd_bus_message *message)
{
        uint32_t sequence, keep;
        const char *text;
        int r;

        r = sd_bus_message_read(message, "uus", &sequence, &keep, &text);
        if (r < 0)
                return fail(ask, "Bad signal", r);
        hear(&ask->reply.heard, "cloud", MAX(now_us() - ask->asked_us, (uint64_t)1));
        r = reply_replace(&ask->reply, keep, text);
        if (r < 0)
                return fail(ask, "Cannot keep the reply", r);
        if (ask->mulmctl->json != JSON_MODE_OFF || is_waiting(ask))
                return 0;
        terminal_restart(&ask->terminal);
        r = terminal_print(&ask->terminal, "cloud", buf_string(&ask->reply.text));
        return r < 0 ? fail(ask, "Cannot write", r) : 0;
}

static int finish_text(struct ask *ask, int code)
{
        const char *name, *message;
        int r = is_waiting(ask) ? terminal_print(&ask->terminal, "cloud", buf_string(&ask->reply.text)) : 0;

        if (r < 0)
                return fail(ask, "Cannot write", r);
        if (ask->reply.text.n > 0 && terminal_end(&ask->terminal) < 0 && code == EXIT_CODE_OK)
                return fail(ask, "Cannot write", -EIO);
        reply_failure(&ask->reply, &name, &message);
        if (name)
                fprintf(stderr, "mulmctl: The request failed: %s%s%s\n", name, *message ? ": " : "", message);
        return stop(ask, code);
}

static int finish_json(struct ask *ask, int code)
{
        cJSON *object = reply_json(&ask->reply);
        int printed = json_print(object, ask->mulmctl->json);

        cJSON_Delete(object);
        return stop(ask, printed != EXIT_CODE_OK ? printed : code);
}

static int finish(struct ask *ask, int code)
{
        return ask->mulmctl->json != JSON_MODE_OFF ? finish_json(ask, code) : finish_text(ask, code);
}

/* The end without Finished; what was said stays. */
static int give_up(struct ask *ask, const char *name, const char *message, int code)
{
        ask->reply.error_name = strdup(name);
        ask->reply.error_message = strdup(message);
        return finish(ask, code);
}

static int on_finished(struct ask *ask, sd_bus_message *message)
{
        const char *outcome;
        int r;

        r = sd_bus_message_read(message, "s", &outcome);
        if (r < 0)
                return fail(ask, "Bad signal", r);
        ask->reply.outcome = strdup(outcome);
        if (!ask->reply.outcome)
                return fail(ask, "Cannot keep the reply", -ENOMEM);
        r = json_read_dictionary(message, &ask->reply.timings);
        if (r < 0)
                return fail(ask, "Bad signal", r);
        if (ask->interrupted)
                return finish(ask, EXIT_CODE_INTERRUPTED);
        if (strcmp(outcome, "complete") == 0 || strcmp(outcome, "local") == 0)
                return finish(ask, EXIT_CODE_OK);
        return finish(ask, EXIT_CODE_REQUEST_FAILED);
}

static int on_signal(sd_bus_message *message, void *userdata, _unused_ sd_bus_error *error)
{
        struct ask *ask = userdata;
        const char *sender = sd_bus_message_get_sender(message);

        if (!ask->owner || !sender || strcmp(sender, ask->owner) != 0 || ask->reply.outcome)
                return 0;
        if (sd_bus_message_is_signal(message, ASSISTANT_REQUEST, "Text"))
                return on_text(ask, message);
        if (sd_bus_message_is_signal(message, ASSISTANT_REQUEST, "Replaced"))
                return on_replaced(ask, message);
        if (sd_bus_message_is_signal(message, ASSISTANT_REQUEST, "Finished"))
                return on_finished(ask, message);
        return 0;
}

/* mulmd left the bus. */
static int on_owner_changed(sd_bus_message *message, void *userdata, _unused_ sd_bus_error *error)
{
        const char *name, *old_owner, *new_owner;
        struct ask *ask = userdata;

        if (sd_bus_message_read(message, "sss", &name, &old_owner, &new_owner) < 0 || !ask->owner ||
            strcmp(old_owner, ask->owner) != 0)
                return 0;
        return give_up(ask, "Disconnected", "mulmd has left the bus.", EXIT_CODE_NO_DAEMON);
}

/* --------------------------------------------------------------------------------------------------- Ask */

static int on_refused(struct ask *ask, const sd_bus_error *error)
{
        int code;

        ask->reply.error_name = strdup(error->name);
        ask->reply.error_message = strdup(error->message ?: "");
        code = mulmctl_call_failed(error, -EIO);
        return ask->mulmctl->json != JSON_MODE_OFF ? finish_json(ask, code) : stop(ask, code);
}

static int on_asked(sd_bus_message *message, void *userdata, _unused_ sd_bus_error *error)
{
        struct ask *ask = userdata;

        if (sd_bus_message_is_method_error(message, NULL))
                return on_refused(ask, sd_bus_message_get_error(message));
        ask->owner = strdup(sd_bus_message_get_sender(message) ?: "");
        return ask->owner ? 0 : fail(ask, "Cannot keep the reply", -ENOMEM);
}

static int call_ask(struct ask *ask, const char *prompt, const char *token)
{
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *message = NULL;
        const struct mulmctl *mulmctl = ask->mulmctl;
        int r;

        if ((r = sd_bus_message_new_method_call(mulmctl->bus, &message, ASSISTANT_NAME, ASSISTANT_PATH,
                                                ASSISTANT_NAME, "Ask")) < 0 ||
            (r = sd_bus_message_append(message, "s", prompt)) < 0 ||
            (r = sd_bus_message_open_container(message, 'a', "{sv}")) < 0 ||
            (r = sd_bus_message_append(message, "{sv}", "handle_token", "s", token)) < 0 ||
            (mulmctl->opener && (r = sd_bus_message_append(message, "{sv}", "opener", "s", mulmctl->opener)) < 0) ||
            (mulmctl->cloud && (r = sd_bus_message_append(message, "{sv}", "cloud", "s", mulmctl->cloud)) < 0) ||
            (mulmctl->redraw && (r = sd_bus_message_append(message, "{sv}", "redraw", "b", 1)) < 0) ||
            (mulmctl->words_per_second > 0 &&
             (r = sd_bus_message_append(message, "{sv}", "words_per_second", "d", mulmctl->words_per_second)) < 0) ||
            (mulmctl->min_interval_ms > 0 &&
             (r = sd_bus_message_append(message, "{sv}", "min_interval_ms", "u", mulmctl->min_interval_ms)) < 0) ||
            (r = sd_bus_message_close_container(message)) < 0)
                return r;
        ask->asked_us = now_us();
        return sd_bus_call_async(mulmctl->bus, NULL, message, on_asked, ask, 0);
}

/* The path that the request is going to have, so that its signals are awaited before it exists. */
static int subscribe(struct ask *ask, const char *token)
{
        const char *unique_name;
        int r;

        r = sd_bus_get_unique_name(ask->mulmctl->bus, &unique_name);
        if (r < 0)
                return r;
        if (asprintf(&ask->path, ASSISTANT_REQUEST_ROOT "/%s/%s", unique_name + 1, token) < 0) {
                ask->path = NULL;
                return -ENOMEM;
        }
        for (char *c = ask->path; *c; c++)
                if (*c == '.')
                        *c = '_';
        r = sd_bus_match_signal(ask->mulmctl->bus, NULL, ASSISTANT_NAME, ask->path, ASSISTANT_REQUEST, NULL,
                                on_signal, ask);
        if (r < 0)
                return r;
        return sd_bus_add_match(ask->mulmctl->bus, NULL,
                                "type='signal',sender='org.freedesktop.DBus',path='/org/freedesktop/DBus',"
                                "interface='org.freedesktop.DBus',member='NameOwnerChanged',arg0='" ASSISTANT_NAME
                                "'",
                                on_owner_changed, ask);
}

/* ------------------------------------------------------------------------------------ interrupt and timeout */

/* Leaving the bus ends the request too. */
static int on_cancel_timeout(_unused_ sd_event_source *source, _unused_ uint64_t us, void *userdata)
{
        return stop(userdata, EXIT_CODE_INTERRUPTED);
}

static int on_interrupt(_unused_ sd_event_source *source, _unused_ const struct signalfd_siginfo *info,
                        void *userdata)
{
        struct ask *ask = userdata;

        if (ask->interrupted || !ask->owner ||
            sd_bus_call_method_async(ask->mulmctl->bus, NULL, ask->owner, ask->path, ASSISTANT_REQUEST, "Cancel",
                                     NULL, NULL, NULL) < 0)
                return stop(ask, EXIT_CODE_INTERRUPTED);
        ask->interrupted = true;
        return sd_event_add_time_relative(ask->event, NULL, CLOCK_MONOTONIC, CANCEL_WAIT_US, 0, on_cancel_timeout,
                                          ask);
}

static int on_timeout(_unused_ sd_event_source *source, _unused_ uint64_t us, void *userdata)
{
        return give_up(userdata, "Timeout", "The reply is not there in time.", EXIT_CODE_TIMEOUT);
}

static int start(struct ask *ask, const char *prompt)
{
        char token[SD_ID128_STRING_MAX];
        sigset_t signals;
        sd_id128_t id;
        int r;

        (void)sigemptyset(&signals);
        (void)sigaddset(&signals, SIGINT);
        if (sigprocmask(SIG_BLOCK, &signals, NULL) < 0)
                return -errno;
        if ((r = sd_event_new(&ask->event)) < 0 ||
            (r = sd_event_add_signal(ask->event, NULL, SIGINT, on_interrupt, ask)) < 0 ||
            (r = sd_bus_attach_event(ask->mulmctl->bus, ask->event, SD_EVENT_PRIORITY_NORMAL)) < 0 ||
            (r = sd_id128_randomize(&id)) < 0)
                return r;
        if (ask->mulmctl->timeout_us > 0) {
                r = sd_event_add_time_relative(ask->event, NULL, CLOCK_MONOTONIC, ask->mulmctl->timeout_us, 0,
                                               on_timeout, ask);
                if (r < 0)
                        return r;
        }
        r = subscribe(ask, sd_id128_to_string(id, token));
        if (r < 0)
                return r;
        return call_ask(ask, prompt, token);
}

static void print_timeline(const struct ask *ask)
{
        struct timeline_attempt attempts[REPLY_ATTEMPTS_MAX];
        struct timeline timeline = reply_timeline(&ask->reply, attempts);
        _cleanup_(buf_done) struct buf text = BUF_NULL;
        struct terminal terminal;

        terminal_init(&terminal, stderr, ask->mulmctl->color);
        timeline.n_columns = terminal_columns(stderr);
        timeline.color = terminal.color;

        if (timeline_render(&timeline, &text) >= 0)
                fprintf(stderr, "\n%s", buf_string(&text));
}

int ask(const struct mulmctl *mulmctl, const char *prompt)
{
        _cleanup_(ask_done) struct ask ask = { .mulmctl = mulmctl };
        int r;

        terminal_init(&ask.terminal, stdout, mulmctl->color);
        r = start(&ask, prompt);
        if (r >= 0)
                r = sd_event_loop(ask.event);
        if (r < 0) {
                fprintf(stderr, "mulmctl: Cannot ask: %s\n", strerror(-r));
                return EXIT_CODE_FAILED;
        }
        if (mulmctl->timeline && ask.reply.outcome)
                print_timeline(&ask);
        return r;
}
