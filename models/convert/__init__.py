# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The mulmd authors
"""Turns other people's checkpoints into GGUF: see __main__.py."""
