# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The mulmd authors
"""Measures a model on the held-out pairs: see __main__.py."""
