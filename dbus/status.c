/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * mulmctl status: the daemon's properties, for a person or as JSON.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "dbus/json.h"
#include "dbus/mulmctl.h"
#include "libmulm/base/macro.h"

DEFINE_CLEANUP(cJSON *, cJSON_Delete);

/* A line for each endpoint that has answered. */
static void print_delays(const cJSON *delays)
{
        const cJSON *delay;

        cJSON_ArrayForEach(delay, delays)
        {
                printf("          %s: first text after %.0f ms (deviation %.0f ms), openers of %" PRIu64 " words\n",
                       json_string(delay, "endpoint"), (double)json_number(delay, "first_text_us") / 1e3,
                       (double)json_number(delay, "deviation_us") / 1e3, json_number(delay, "opener_words"));
        }
}

static void print_human(const cJSON *properties)
{
        const cJSON *statistics = cJSON_GetObjectItemCaseSensitive(properties, "Statistics");

        printf("mulmd %s, %s\n"
               "   model: %s\n"
               "   cloud: %s\n",
               json_string(properties, "Version"), json_string(properties, "State"), json_string(properties, "Model"),
               json_string(properties, "CloudState"));
        print_delays(cJSON_GetObjectItemCaseSensitive(statistics, "delays"));
        printf("requests: %" PRIu64 " active\n"
               "          %" PRIu64 " asked: %" PRIu64 " complete, %" PRIu64 " local, %" PRIu64 " cancelled, %" PRIu64
               " failed\n",
               json_number(properties, "ActiveRequests"), json_number(statistics, "asked"),
               json_number(statistics, "complete"), json_number(statistics, "local"),
               json_number(statistics, "cancelled"), json_number(statistics, "failed"));
}

/* The properties under the names that JSON has elsewhere in mulmctl. */
static int print_json(cJSON *properties, enum json_mode mode)
{
        static const struct {
                const char *property, *key;
        } keys[] = {
                { "Version", "version" },
                { "Model", "model" },
                { "State", "state" },
                { "CloudState", "cloud_state" },
                { "ActiveRequests", "active_requests" },
                { "Statistics", "statistics" },
        };
        _cleanup_(cJSON_Deletep) cJSON *object = cJSON_CreateObject();

        for (size_t i = 0; object && i < ARRAY_SIZE(keys); i++) {
                cJSON *item = cJSON_DetachItemFromObjectCaseSensitive(properties, keys[i].property);

                if (item)
                        cJSON_AddItemToObject(object, keys[i].key, item);
        }
        return json_print(object, mode);
}

int status(const struct mulmctl *mulmctl)
{
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        _cleanup_(cJSON_Deletep) cJSON *properties = NULL;
        int r;

        r = sd_bus_call_method(mulmctl->bus, ASSISTANT_NAME, ASSISTANT_PATH, "org.freedesktop.DBus.Properties",
                               "GetAll", &error, &reply, "s", ASSISTANT_NAME);
        if (r >= 0)
                r = json_read_dictionary(reply, &properties);
        if (r < 0)
                return mulmctl_call_failed(&error, r);
        if (mulmctl->json != JSON_MODE_OFF)
                return print_json(properties, mulmctl->json);
        print_human(properties);
        return EXIT_CODE_OK;
}
