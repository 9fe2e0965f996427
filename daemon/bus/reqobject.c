/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * A request on the bus. See reqobject.h.
 *
 * Signals carry a destination, so that the message bus delivers them to the caller alone, whatever others have
 * subscribed to. sd_bus_emit_signal_to() would be shorter; it came with systemd 253.
 */
#include "daemon/bus/reqobject.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <systemd/sd-id128.h>

#include "daemon/bus/dictionary.h"
#include "daemon/log.h"
#include "libmulm/base/macro.h"

DEFINE_CLEANUP(struct reqobject *, reqobject_free);

char *reqobject_path(const char *sender, const char *token)
{
        char random[SD_ID128_STRING_MAX], *path, *element;
        sd_id128_t id;

        if (!*token) {
                if (sd_id128_randomize(&id) < 0)
                        return NULL;
                token = sd_id128_to_string(id, random);
        }
        if (*sender == ':')
                sender++;
        if (asprintf(&path, REQOBJECT_ROOT "/%s/%s", sender, token) < 0)
                return NULL;
        element = path + strlen(REQOBJECT_ROOT "/");
        for (size_t i = 0; i < strlen(sender); i++)
                if (element[i] == '.' || element[i] == '-')
                        element[i] = '_';
        return path;
}

/* ------------------------------------------------------------------------------------------------ signals */

static int signal_new(struct reqobject *object, const char *member, sd_bus_message **ret_message)
{
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *message = NULL;
        int r;

        r = sd_bus_message_new_signal(object->bus, &message, object->path, REQOBJECT_INTERFACE, member);
        if (r < 0)
                return r;
        r = sd_bus_message_set_destination(message, object->owner);
        if (r < 0)
                return r;
        *ret_message = STEAL(message);
        return 0;
}

/* A lost signal leaves a gap in the sequence numbers, so the caller can know and ask GetText. */
static void signal_sent(struct reqobject *object, const char *member, int r)
{
        if (r >= 0 || object->signal_lost)
                return;
        object->signal_lost = true;
        log_line(LOG_WARNING, &(struct log_about){ .request = object->path }, "Cannot send signal %s to %s: %s",
                 member, object->owner, strerror(-r));
}

static int send_text(struct reqobject *object, uint32_t sequence, const char *delta, size_t n_delta,
                     enum request_source source)
{
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *message = NULL;
        char *space;
        int r;

        r = signal_new(object, "Text", &message);
        if (r < 0)
                return r;
        r = sd_bus_message_sensitive(message); /* wiped when it is freed */
        if (r < 0)
                return r;
        r = sd_bus_message_append(message, "u", sequence);
        if (r < 0)
                return r;
        r = sd_bus_message_append_string_space(message, n_delta, &space);
        if (r < 0)
                return r;
        memcpy(space, delta, n_delta);
        r = sd_bus_message_append(message, "s", request_source_name(source));
        if (r < 0)
                return r;
        return sd_bus_send(object->bus, message, NULL);
}

static void on_text(void *userdata, uint32_t sequence, const char *delta, size_t n_delta, enum request_source source)
{
        signal_sent(userdata, "Text", send_text(userdata, sequence, delta, n_delta, source));
}

static int send_replaced(struct reqobject *object, uint32_t sequence, size_t keep, const char *text, size_t n_text)
{
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *message = NULL;
        char *space;
        int r;

        if ((r = signal_new(object, "Replaced", &message)) < 0 || (r = sd_bus_message_sensitive(message)) < 0 ||
            (r = sd_bus_message_append(message, "uu", sequence, (uint32_t)MIN(keep, (size_t)UINT32_MAX))) < 0 ||
            (r = sd_bus_message_append_string_space(message, n_text, &space)) < 0)
                return r;
        memcpy(space, text, n_text);
        return sd_bus_send(object->bus, message, NULL);
}

static void on_replaced(void *userdata, uint32_t sequence, size_t keep, const char *text, size_t n_text)
{
        signal_sent(userdata, "Replaced", send_replaced(userdata, sequence, keep, text, n_text));
}

static int send_handoff(struct reqobject *object, uint32_t sequence, const struct request_handoff *handoff)
{
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *message = NULL;
        int r;

        r = signal_new(object, "Handoff", &message);
        if (r < 0)
                return r;
        r = sd_bus_message_append(message, "ua{sv}", sequence, 3, "words", "u", (uint32_t)handoff->n_words, "reason",
                                  "s", handoff->reason, "characters", "u",
                                  (uint32_t)MIN(handoff->n_characters, (size_t)UINT32_MAX));
        if (r < 0)
                return r;
        return sd_bus_send(object->bus, message, NULL);
}

static void on_handoff(void *userdata, uint32_t sequence, const struct request_handoff *handoff)
{
        signal_sent(userdata, "Handoff", send_handoff(userdata, sequence, handoff));
}

/* What did not happen is left out. */
static int append_time(sd_bus_message *message, const char *key, uint64_t value)
{
        return value == 0 ? 0 : sd_bus_message_append(message, "{sv}", key, "t", value);
}

static int append_count(sd_bus_message *message, const char *key, unsigned value)
{
        return value == 0 ? 0 : sd_bus_message_append(message, "{sv}", key, "u", (uint32_t)value);
}

static int append_flag(sd_bus_message *message, const char *key, bool value)
{
        return value ? sd_bus_message_append(message, "{sv}", key, "b", 1) : 0;
}

static int append_string(sd_bus_message *message, const char *key, const char *value)
{
        return !value || !*value ? 0 : sd_bus_message_append(message, "{sv}", key, "s", value);
}

static int append_attempt(sd_bus_message *message, const struct request_attempt *attempt)
{
        int r;

        if ((r = sd_bus_message_open_container(message, 'a', "{sv}")) < 0 ||
            (r = sd_bus_message_append(message, "{sv}{sv}{sv}{sv}{sv}{sv}{sv}", "endpoint", "s", attempt->endpoint,
                                       "form", "s", attempt->form, "status", "u", (uint32_t)attempt->http_status,
                                       "reason", "s", attempt->reason, "hedge", "b", (int)attempt->is_hedge, "tokens",
                                       "u", (uint32_t)attempt->n_tokens, "characters", "u",
                                       (uint32_t)attempt->n_said)) < 0 ||
            (r = append_time(message, "opened_us", attempt->opened_us)) < 0 ||
            (r = append_time(message, "sent_us", attempt->released_us)) < 0 ||
            (r = append_time(message, "first_text_us", attempt->first_text_us)) < 0 ||
            (r = append_time(message, "ended_us", attempt->ended_us)) < 0)
                return r;
        return sd_bus_message_close_container(message);
}

/* An entry of its own: aa{sv}, in order. */
static int append_attempts(sd_bus_message *message, const struct request_attempt *attempts, size_t n)
{
        int r;

        if (n == 0)
                return 0;
        r = dictionary_open_array(message, "attempts", "a{sv}");
        if (r < 0)
                return r;
        for (size_t i = 0; i < n; i++) {
                r = append_attempt(message, &attempts[i]);
                if (r < 0)
                        return r;
        }
        return dictionary_close_array(message);
}

/* Who was to speak, an entry of its own: as. */
static int append_raced(sd_bus_message *message, const struct request_timings *timings)
{
        const char *const names[] = { timings->raced_opener ? "opener" : NULL, timings->raced_cloud ? "cloud" : NULL,
                                      timings->raced_hedge ? "hedge" : NULL };
        int r;

        r = dictionary_open_array(message, "raced", "s");
        if (r < 0)
                return r;
        for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
                r = names[i] ? sd_bus_message_append(message, "s", names[i]) : 0;
                if (r < 0)
                        return r;
        }
        return dictionary_close_array(message);
}

/* Who won, and where the reply was taken over. */
static int append_race(sd_bus_message *message, const struct request_timings *timings)
{
        int r;

        if ((r = append_raced(message, timings)) < 0 || (r = append_string(message, "winner", timings->winner)) < 0 ||
            (r = append_string(message, "opener_end", timings->opener_end)) < 0 ||
            (r = append_count(message, "seam", (unsigned)timings->n_seam)) < 0 ||
            (r = append_count(message, "local_seam", (unsigned)timings->n_local_seam)) < 0 ||
            (r = append_count(message, "lost_tokens", timings->n_lost_tokens)) < 0)
                return r;
        return 0;
}

static int append_timings(sd_bus_message *message, const struct request_timings *timings)
{
        int r;

        r = sd_bus_message_open_container(message, 'a', "{sv}");
        if (r < 0)
                return r;
        if ((r = append_time(message, "first_word_us", timings->first_word_us)) < 0 ||
            (r = append_time(message, "last_opener_word_us", timings->last_opener_word_us)) < 0 ||
            (r = append_time(message, "released_us", timings->released_us)) < 0 ||
            (r = append_time(message, "body_sent_us", timings->body_sent_us)) < 0 ||
            (r = append_time(message, "cloud_first_byte_us", timings->cloud_first_byte_us)) < 0 ||
            (r = append_time(message, "cloud_first_text_us", timings->cloud_first_text_us)) < 0 ||
            (r = append_time(message, "end_us", timings->end_us)) < 0 ||
            (r = append_time(message, "undecided_us", timings->undecided_us)) < 0 ||
            (r = append_time(message, "paced_us", timings->paced_us)) < 0 ||
            (r = append_count(message, "opener_words", timings->n_opener_words)) < 0 ||
            (r = append_count(message, "input_tokens", timings->n_input_tokens)) < 0 ||
            (r = append_count(message, "output_tokens", timings->n_output_tokens)) < 0 ||
            (r = append_string(message, "endpoint", timings->endpoint)) < 0 ||
            (r = append_string(message, "form", timings->form)) < 0 ||
            (r = append_count(message, "http_status", timings->http_status)) < 0 ||
            (r = append_flag(message, "reused_connection", timings->reused_connection)) < 0 ||
            (r = append_string(message, "error", timings->error)) < 0 ||
            (r = append_string(message, "message", timings->message)) < 0 ||
            (r = append_race(message, timings)) < 0 ||
            (r = append_attempts(message, timings->attempts, timings->n_attempts)) < 0)
                return r;
        return sd_bus_message_close_container(message);
}

static int send_finished(struct reqobject *object, enum race_outcome outcome, const struct request_timings *timings)
{
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *message = NULL;
        int r;

        r = signal_new(object, "Finished", &message);
        if (r < 0)
                return r;
        r = sd_bus_message_append(message, "s", race_outcome_name(outcome));
        if (r < 0)
                return r;
        r = append_timings(message, timings);
        if (r < 0)
                return r;
        return sd_bus_send(object->bus, message, NULL);
}

static void on_finished(void *userdata, enum race_outcome outcome, const struct request_timings *timings)
{
        struct reqobject *object = userdata;

        signal_sent(object, "Finished", send_finished(object, outcome, timings));
        object->finished = true;
        object->changed(object->userdata);
}

static void on_state(void *userdata, _unused_ enum race_state state)
{
        struct reqobject *object = userdata;

        object->changed(object->userdata);
}

static const struct request_sink reqobject_sink = {
        .text = on_text,
        .replaced = on_replaced,
        .handoff = on_handoff,
        .state = on_state,
        .finished = on_finished,
};

/* ---------------------------------------------------------------------------------------------- interface */

static int check_owner(const struct reqobject *object, sd_bus_message *message, sd_bus_error *error)
{
        const char *sender = sd_bus_message_get_sender(message);

        if (sender && strcmp(sender, object->owner) == 0)
                return 0;
        return sd_bus_error_setf(error, SD_BUS_ERROR_ACCESS_DENIED, "This request belongs to %s.", object->owner);
}

static int method_cancel(sd_bus_message *message, void *userdata, sd_bus_error *error)
{
        struct reqobject *object = userdata;
        int r;

        r = check_owner(object, message, error);
        if (r < 0)
                return r;
        request_cancel(object->request);
        return sd_bus_reply_method_return(message, NULL);
}

static int method_get_text(sd_bus_message *message, void *userdata, sd_bus_error *error)
{
        struct reqobject *object = userdata;
        int r;

        r = check_owner(object, message, error);
        if (r < 0)
                return r;
        return sd_bus_reply_method_return(message, "s", request_text(object->request));
}

static int property_state(_unused_ sd_bus *bus, _unused_ const char *path, _unused_ const char *interface,
                          _unused_ const char *property, sd_bus_message *reply, void *userdata,
                          _unused_ sd_bus_error *error)
{
        struct reqobject *object = userdata;

        return sd_bus_message_append(reply, "s", race_state_name(request_state(object->request)));
}

const sd_bus_vtable reqobject_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD_WITH_ARGS("Cancel", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT, method_cancel,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("GetText", SD_BUS_NO_ARGS, SD_BUS_RESULT("s", text), method_get_text,
                                SD_BUS_VTABLE_UNPRIVILEGED | SD_BUS_VTABLE_SENSITIVE),
        SD_BUS_SIGNAL_WITH_ARGS("Text", SD_BUS_ARGS("u", sequence, "s", delta, "s", source), 0),
        SD_BUS_SIGNAL_WITH_ARGS("Replaced", SD_BUS_ARGS("u", sequence, "u", keep, "s", text), 0),
        SD_BUS_SIGNAL_WITH_ARGS("Handoff", SD_BUS_ARGS("u", sequence, "a{sv}", details), 0),
        SD_BUS_SIGNAL_WITH_ARGS("Finished", SD_BUS_ARGS("s", outcome, "a{sv}", timings), 0),
        /* No change signals: Text, Handoff and Finished tell the caller, and it is nobody else's business. */
        SD_BUS_PROPERTY("State", "s", property_state, 0, 0),
        SD_BUS_VTABLE_END,
};

int reqobject_new(struct reqobject **ret_object, sd_bus *bus, struct requests *requests, const char *path,
                  const char *owner, const char *prompt, const struct request_options *options, reqobject_fn changed,
                  void *userdata)
{
        _cleanup_(reqobject_freep) struct reqobject *object = NULL;
        int r;

        object = calloc(1, sizeof(*object));
        if (!object)
                return -ENOMEM;
        object->bus = bus;
        object->changed = changed;
        object->userdata = userdata;
        object->path = strdup(path);
        object->owner = strdup(owner);
        if (!object->path || !object->owner)
                return -ENOMEM;
        r = request_new(&object->request, requests, prompt, options, &reqobject_sink, object, object->path);
        if (r < 0)
                return r;
        *ret_object = STEAL(object);
        return 0;
}

struct reqobject *reqobject_free(struct reqobject *object)
{
        if (!object)
                return NULL;
        request_release(object->request);
        free(object->owner);
        free(object->path);
        free(object);
        return NULL;
}
