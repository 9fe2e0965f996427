# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The mulmd authors
"""What a checkpoint is refused with: one sentence that names the file and the thing."""


class Refused(Exception):
    pass
