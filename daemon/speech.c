/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * The μLM's part of one request: submits its jobs to the engine and takes their words. An opener's words pass
 * `core/vet` first: one that opens as the reply before is asked for anew with another first word, one that claims to
 * have done something ends in front of that. Loop thread only.
 */
#include <stdio.h>
#include <string.h>

#include "daemon/core/silence.h"
#include "daemon/log.h"
#include "daemon/request-private.h"

#define COMPLETION_MAX_WORDS 40 /* past that a micro model has nothing to say that is worth hearing */

void speech_init(struct request *request, const char *prompt)
{
        const struct request_options *options = &request->options;

        vet_init(&request->vet, prompt, options->previous, options->opener == REQUEST_OPENER_AUTO);
        request->options.previous = NULL; /* the caller's, and not needed any more */
        request->opener_reason = "";
        if (options->opener == REQUEST_OPENER_NEVER)
                request->opener_reason = "never";
        else if (options->opener == REQUEST_OPENER_AUTO)
                request->opener_reason = silence_name(silence_judge(prompt));
}

void speech_done(struct request *request)
{
        vet_done(&request->vet);
}

static int prompt_copy(struct prompt *ret_copy, const struct request *request)
{
        struct prompt copy = PROMPT_NULL;
        int r = 0;

        for (size_t i = 0; r == 0 && i < request->prompt.n_messages; i++) {
                const struct prompt_message *message = &request->prompt.messages[i];

                r = prompt_add(&copy, message->role, message->text, strlen(message->text));
        }
        if (r == 0 && !request->opening)
                r = prompt_set_said(&copy, buf_string(&request->merge.shown), request->merge.shown.n);
        if (r < 0) {
                prompt_done(&copy);
                return r;
        }
        *ret_copy = copy;
        return 0;
}

/* `avoid`: what an opener is not to begin with, "" for nothing. */
static bool submit(struct request *request, bool opening, const char *avoid)
{
        const struct settings *settings = request->owner->settings;
        const struct request_options *options = &request->options;
        unsigned max_words = options->max_opener_words > 0 ? options->max_opener_words : settings->max_words;
        struct engine_job job = {
                .id = ++request->owner->last_job,
                .kind = opening ? ENGINE_JOB_OPENER : ENGINE_JOB_COMPLETION,
                .min_words = MIN(settings->min_words, max_words),
                .max_words = opening ? recovery_opener_words(request, max_words) : COMPLETION_MAX_WORDS,
                .confidence = options->opener == REQUEST_OPENER_ALWAYS ? 0 : settings->confidence,
                .seed = options->seed > 0 ? options->seed : settings->seed,
        };
        int r;

        (void)snprintf(job.avoid, sizeof(job.avoid), "%s", avoid);
        request->opening = opening;
        r = prompt_copy(&job.prompt, request);
        if (r == 0)
                r = engine_submit(request->owner->engine, &job);
        if (r < 0) {
                request_note(request, "Model", "The model could not take the question up: %s.", strerror(-r));
                return false;
        }
        request->job = job.id;
        return true;
}

bool speech_start(struct request *request, bool opening)
{
        return submit(request, opening, "");
}

void speech_stop(struct request *request)
{
        if (request->job != 0)
                engine_cancel(request->owner->engine, request->job);
        request->job = 0;
}

/* ---------------------------------------------------------------------------------------------------- words */

static void take_no_memory(struct request *request)
{
        speech_stop(request);
        request_note(request, "NoMemory", "No memory for the reply.");
        request_step(request, RACE_EVENT_ENGINE_FAILED);
}

static void take_word(struct request *request, const char *word, size_t n)
{
        enum request_source source = request->opening ? REQUEST_SOURCE_OPENER : REQUEST_SOURCE_LOCAL;
        int r;

        request_step(request, RACE_EVENT_WORD);
        if (!RACE_STATE_IS_LIVE(request->race.state))
                return;
        request->n_opener_words += request->opening;
        r = request->opening ? merge_opener(&request->merge, word, n, &request->delta)
                             : merge_local(&request->merge, word, n, &request->delta);
        if (r < 0)
                take_no_memory(request);
        else
                showing_take(request, source);
}

/* Shows the opener's words that are let go. */
static void take_vetted(struct request *request)
{
        const char *word;
        size_t n;

        while (RACE_STATE_IS_LIVE(request->race.state) && (word = vet_take(&request->vet, &n)))
                take_word(request, word, n);
}

static void end_opener(struct request *request, const char *reason)
{
        speech_stop(request);
        request->opener_reason = reason;
        request_step(request, RACE_EVENT_OPENER_END);
}

static void vary_opener(struct request *request)
{
        speech_stop(request);
        if (!submit(request, true, vet_again(&request->vet)))
                request_step(request, RACE_EVENT_ENGINE_FAILED);
}

static void take_opener_word(struct request *request, const struct engine_word *word)
{
        int verdict = vet_word(&request->vet, word->text, word->n_text, word->probability);

        if (verdict < 0) {
                take_no_memory(request);
                return;
        }
        take_vetted(request);
        switch ((enum vet_verdict)verdict) {
        case VET_VERDICT_GO_ON: break;
        case VET_VERDICT_ALIKE: vary_opener(request); break;
        case VET_VERDICT_CLAIM: end_opener(request, "claim"); break;
        case VET_VERDICT_ODD: end_opener(request, "alike"); break;
        }
}

static const char *reason_name(enum engine_reason reason)
{
        switch (reason) {
        case ENGINE_REASON_LIMIT: return "limit";
        case ENGINE_REASON_END: return "end";
        case ENGINE_REASON_UNSURE: return "unsure";
        case ENGINE_REASON_FULL: return "full";
        }
        return "";
}

static void take_end(struct request *request, const struct engine_word *word)
{
        if (request->opening) {
                vet_end(&request->vet);
                take_vetted(request);
                request->opener_reason = word->event == ENGINE_EVENT_END ? reason_name(word->reason) : "failed";
        }
        request->job = 0;
        if (word->event == ENGINE_EVENT_END) {
                request_step(request, request->opening ? RACE_EVENT_OPENER_END : RACE_EVENT_LOCAL_END);
                return;
        }
        log_line(LOG_WARNING, &(struct log_about){ .request = request->log_name }, "The model failed: %.*s",
                 (int)word->n_text, word->text);
        request_note(request, "Model", "%.*s", (int)word->n_text, word->text);
        request_step(request, RACE_EVENT_ENGINE_FAILED);
}

void requests_engine_word(void *userdata, const struct engine_word *word)
{
        struct requests *requests = userdata;
        struct request *request = requests->first;

        while (request && request->job != word->job)
                request = request->next;
        if (!request)
                return;

        switch (word->event) {
        case ENGINE_EVENT_STARTED: request_step(request, RACE_EVENT_ENGINE_STARTED); break;
        case ENGINE_EVENT_WORD:
                if (request->opening)
                        take_opener_word(request, word);
                else
                        take_word(request, word->text, word->n_text);
                break;
        case ENGINE_EVENT_END:
        case ENGINE_EVENT_FAILED: take_end(request, word); break;
        }
}
