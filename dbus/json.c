/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * See json.h.
 */
#include "dbus/json.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "libmulm/base/macro.h"

DEFINE_CLEANUP(cJSON *, cJSON_Delete);

/* The value within a variant of this basic type, as JSON; *ret_item stays NULL for a type that is left out. */
static int read_basic(sd_bus_message *message, char type, cJSON **ret_item)
{
        union {
                const char *string;
                uint64_t u64;
                uint32_t u32;
                double number;
                int boolean;
        } value;
        int r;

        if (!strchr("sogtudb", type))
                return sd_bus_message_skip(message, (char[]){ type, '\0' });
        r = sd_bus_message_read_basic(message, type, &value);
        if (r < 0)
                return r;
        switch (type) {
        case 't': *ret_item = cJSON_CreateNumber((double)value.u64); break;
        case 'u': *ret_item = cJSON_CreateNumber((double)value.u32); break;
        case 'd': *ret_item = cJSON_CreateNumber(value.number); break;
        case 'b': *ret_item = cJSON_CreateBool(value.boolean); break;
        default: *ret_item = cJSON_CreateString(value.string);
        }
        return *ret_item ? 0 : -ENOMEM;
}

static int read_string(sd_bus_message *message, cJSON **ret_item)
{
        return read_basic(message, 's', ret_item);
}

/* An array of `contents`, each read by `read_item`. */
static int read_array(sd_bus_message *message, const char *contents,
                      int (*read_item)(sd_bus_message *message, cJSON **ret_item), cJSON **ret_array)
{
        _cleanup_(cJSON_Deletep) cJSON *array = cJSON_CreateArray();
        cJSON *item;
        int r;

        if (!array)
                return -ENOMEM;
        r = sd_bus_message_enter_container(message, 'a', contents);
        if (r < 0)
                return r;
        while ((r = sd_bus_message_at_end(message, false)) == 0) {
                r = read_item(message, &item);
                if (r < 0)
                        return r;
                cJSON_AddItemToArray(array, item);
        }
        if (r < 0)
                return r;
        r = sd_bus_message_exit_container(message);
        if (r < 0)
                return r;
        *ret_array = STEAL(array);
        return 0;
}

static bool is_readable(const char *contents)
{
        return strlen(contents) == 1 || strcmp(contents, "a{sv}") == 0 || strcmp(contents, "aa{sv}") == 0 ||
               strcmp(contents, "as") == 0;
}

static int read_variant(sd_bus_message *message, cJSON **ret_item)
{
        const char *contents;
        int r;

        r = sd_bus_message_peek_type(message, NULL, &contents);
        if (r < 0)
                return r;
        if (!is_readable(contents))
                return sd_bus_message_skip(message, "v");
        r = sd_bus_message_enter_container(message, 'v', contents);
        if (r < 0)
                return r;
        /* sd-bus bounds how deep a message nests. */
        if (strcmp(contents, "aa{sv}") == 0)
                r = read_array(message, "a{sv}", json_read_dictionary, ret_item);
        else if (strcmp(contents, "as") == 0)
                r = read_array(message, "s", read_string, ret_item);
        else if (*contents == 'a')
                r = json_read_dictionary(message, ret_item);
        else
                r = read_basic(message, *contents, ret_item);
        if (r < 0)
                return r;
        return sd_bus_message_exit_container(message);
}

static int read_entry(sd_bus_message *message, cJSON *object)
{
        _cleanup_(cJSON_Deletep) cJSON *item = NULL;
        const char *key;
        int r;

        r = sd_bus_message_read(message, "s", &key);
        if (r < 0)
                return r;
        r = read_variant(message, &item);
        if (r < 0 || !item)
                return r;
        if (!cJSON_AddItemToObject(object, key, item))
                return -ENOMEM;
        item = NULL;
        return 0;
}

int json_read_dictionary(sd_bus_message *message, cJSON **ret_object)
{
        _cleanup_(cJSON_Deletep) cJSON *object = NULL;
        int r;

        object = cJSON_CreateObject();
        if (!object)
                return -ENOMEM;
        r = sd_bus_message_enter_container(message, 'a', "{sv}");
        if (r < 0)
                return r;
        while ((r = sd_bus_message_enter_container(message, 'e', "sv")) > 0) {
                r = read_entry(message, object);
                if (r < 0)
                        return r;
                r = sd_bus_message_exit_container(message);
                if (r < 0)
                        return r;
        }
        if (r < 0)
                return r;
        r = sd_bus_message_exit_container(message);
        if (r < 0)
                return r;
        *ret_object = STEAL(object);
        return 0;
}

const char *json_string(const cJSON *object, const char *key)
{
        return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, key)) ?: "";
}

uint64_t json_number(const cJSON *object, const char *key)
{
        const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);

        return cJSON_IsNumber(item) && item->valuedouble > 0 ? (uint64_t)item->valuedouble : 0;
}

int json_print(const cJSON *object, enum json_mode mode)
{
        char *text = mode == JSON_MODE_PRETTY ? cJSON_Print(object) : cJSON_PrintUnformatted(object);
        bool written;

        if (!text) {
                fputs("mulmctl: no memory\n", stderr);
                return EXIT_CODE_FAILED;
        }
        written = puts(text) >= 0 && fflush(stdout) == 0;
        cJSON_free(text);
        if (written)
                return EXIT_CODE_OK;
        fprintf(stderr, "mulmctl: cannot write: %s\n", strerror(errno));
        return EXIT_CODE_FAILED;
}
