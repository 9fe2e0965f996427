# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The mulmd authors
"""Makes the default model: see models/README.md for what, __main__.py for how."""
