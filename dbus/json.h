/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * D-Bus dictionaries as JSON objects, and JSON onto stdout.
 */
#pragma once

#include <cjson/cJSON.h>
#include <systemd/sd-bus.h>

#include "dbus/mulmctl.h"

/* Reads an a{sv} at the cursor: numbers, booleans, strings, dictionaries and lists of the last two; what is of
 * another type, from a newer mulmd, is left out. */
int json_read_dictionary(sd_bus_message *message, cJSON **ret_object);

/* A member that is a string or a number; "" or 0 where it is none. */
const char *json_string(const cJSON *object, const char *key);
uint64_t json_number(const cJSON *object, const char *key);

/* An exit code. */
int json_print(const cJSON *object, enum json_mode mode);
