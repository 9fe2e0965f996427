/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * Entries of an a{sv} whose value is an array, which sd-bus writes in four steps each way. Loop thread only.
 */
#pragma once

#include <systemd/sd-bus.h>

/* Opens the entry; items of type `contents` ("s", "a{sv}") may then be appended. 0 or a negative errno. */
int dictionary_open_array(sd_bus_message *message, const char *key, const char *contents);
int dictionary_close_array(sd_bus_message *message);
