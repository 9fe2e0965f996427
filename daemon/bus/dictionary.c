/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * See dictionary.h.
 */
#include "daemon/bus/dictionary.h"

#include <errno.h>
#include <stdio.h>

int dictionary_open_array(sd_bus_message *message, const char *key, const char *contents)
{
        char type[16];
        int r;

        if (snprintf(type, sizeof(type), "a%s", contents) >= (int)sizeof(type))
                return -EINVAL;
        if ((r = sd_bus_message_open_container(message, 'e', "sv")) < 0 ||
            (r = sd_bus_message_append(message, "s", key)) < 0 ||
            (r = sd_bus_message_open_container(message, 'v', type)) < 0)
                return r;
        return sd_bus_message_open_container(message, 'a', contents);
}

int dictionary_close_array(sd_bus_message *message)
{
        int r = 0;

        for (unsigned i = 0; i < 3 && r >= 0; i++) /* array, variant, entry */
                r = sd_bus_message_close_container(message);
        return r;
}
