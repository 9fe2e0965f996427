/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * org.mulm.Assistant1 at /org/mulm/Assistant1: reads and checks Ask, makes the request, hands out properties. Owns
 * the request objects. Loop thread only.
 */
#pragma once

#include <systemd/sd-bus.h>

#include "daemon/core/settings.h"
#include "daemon/request.h"

#define SERVICE_NAME "org.mulm.Assistant1"
#define SERVICE_PATH "/org/mulm/Assistant1"

struct service;

/* Registers objects on `bus`; taking the name is the daemon's last step. All arguments outlive the service.
 * `model_name` is property Model. */
int service_new(struct service **ret_service, sd_bus *bus, const struct settings *settings, struct requests *requests,
                const char *model_name);

/* Releases every request. Returns NULL. */
struct service *service_free(struct service *service);

/* Frees request objects that are over. From the loop, outside all callbacks. */
void service_reap(struct service *service);
