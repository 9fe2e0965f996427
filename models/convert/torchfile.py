# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The mulmd authors
"""Reads tensors from a PyTorch file without PyTorch, and without running what a pickle may ask to be run.

The format is a zip archive with data.pkl and one raw file for each storage (torch/serialization.py). A pickle names
the functions that rebuild its objects; only those of plain tensors are known here, anything else is refused.
"""

import collections
import pickle
import zipfile

import numpy

from .errors import Refused


def widen_bf16(raw):
    """BF16 is the upper half of an F32."""
    return (numpy.frombuffer(raw, "<u2").astype(numpy.uint32) << 16).view(numpy.float32)


STORAGES = {
    "DoubleStorage": lambda raw: numpy.frombuffer(raw, "<f8"),
    "FloatStorage": lambda raw: numpy.frombuffer(raw, "<f4"),
    "HalfStorage": lambda raw: numpy.frombuffer(raw, "<f2"),
    "BFloat16Storage": widen_bf16,
    "LongStorage": lambda raw: numpy.frombuffer(raw, "<i8"),
    "IntStorage": lambda raw: numpy.frombuffer(raw, "<i4"),
    "BoolStorage": lambda raw: numpy.frombuffer(raw, "?"),
}


def rebuild_tensor(storage, offset, size, stride, *_):
    """A strided view, checked against the storage that it looks into, and copied."""
    if len(size) != len(stride) or min((0, *size, *stride, offset)) < 0:
        raise Refused(f"a tensor of size {size} has strides {stride} and offset {offset}")
    last = offset + sum((n - 1) * step for n, step in zip(size, stride))
    if 0 not in size and last >= len(storage):
        raise Refused(f"a tensor of size {size} ends behind its storage")
    steps = [step * storage.itemsize for step in stride]
    return numpy.lib.stride_tricks.as_strided(storage[offset:], size, steps).copy()


def rebuild_parameter(tensor, *_):
    return tensor


class Unpickler(pickle.Unpickler):
    known = {
        ("collections", "OrderedDict"): collections.OrderedDict,
        ("torch._utils", "_rebuild_tensor_v2"): rebuild_tensor,
        ("torch._utils", "_rebuild_parameter"): rebuild_parameter,
    }

    def __init__(self, archive, folder):
        super().__init__(archive.open(folder + "data.pkl"))
        self.archive, self.folder = archive, folder

    def find_class(self, module, name):
        if module == "torch" and name in STORAGES:
            return name
        if (module, name) not in self.known:
            raise Refused(f"the file asks for {module}.{name}, which no plain tensor needs")
        return self.known[module, name]

    def persistent_load(self, pid):
        kind, storage, key = pid[:3]
        if kind != "storage" or storage not in STORAGES:
            raise Refused(f"the file refers to a {kind} of {storage}")
        return STORAGES[storage](self.archive.read(f"{self.folder}data/{key}"))


def read(path):
    """{name: array}. A state dict may be wrapped under the key "model" or "state_dict"."""
    try:
        with zipfile.ZipFile(path) as archive:
            pickles = [name for name in archive.namelist() if name.endswith("data.pkl")]
            if len(pickles) != 1:
                raise Refused(f"{path}: a zip archive, but none that torch.save wrote")
            state = Unpickler(archive, pickles[0].removesuffix("data.pkl")).load()
    except zipfile.BadZipFile as error:
        raise Refused(f"{path}: no file of PyTorch 1.6 or later ({error})") from error
    except (pickle.UnpicklingError, EOFError, KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        raise Refused(f"{path}: its pickle is malformed ({error})") from error
    for wrapper in ("model", "state_dict"):
        if isinstance(state, dict) and isinstance(state.get(wrapper), dict):
            state = state[wrapper]
    if not isinstance(state, dict):
        raise Refused(f"{path}: holds a {type(state).__name__}, no state dict")
    return {name: array for name, array in state.items() if isinstance(array, numpy.ndarray)}
