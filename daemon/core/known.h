/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * How an endpoint probably wants to be asked, before it has answered once: by what is configured, and by what vendors
 * say of their servers and models. Where that is wrong, capability.h mends it.
 */
#pragma once

#include <stdbool.h>

#include "daemon/core/dialect.h"
#include "daemon/core/settings.h"

void known_shape(const struct settings_endpoint *endpoint, struct dialect_shape *ret_shape);

/* The configuration says how the endpoint learns what was said: that is not to be changed by what it answers. */
bool known_form_is_fixed(const struct settings_endpoint *endpoint);
