"""Reads arrays from PyTorch's files (.pth from before version 1.6) without PyTorch.

Such a file is a pickle, and a pickle may call any Python function. Here none is called: the pickle
operations that describe tensors are carried out on tuples and dictionaries, and every other one is
refused. The numbers after the pickle are plain bytes.
"""

import io
import math
import pathlib
from pickletools import genops
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from trainers.errors import ArtefactError

_MAGIC, _PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
_DTYPES = {
    "DoubleStorage": "<f8",
    "FloatStorage": "<f4",
    "HalfStorage": "<f2",
    "IntStorage": "<i4",
    "LongStorage": "<i8",
}
_CONSTANTS = ("BININT", "BININT1", "BININT2", "LONG1", "BINUNICODE")
_FIXED = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_EMPTY = {"EMPTY_DICT": dict, "EMPTY_LIST": list, "EMPTY_TUPLE": tuple}
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_DICTIONARY, _TENSOR = "collections OrderedDict", "torch._utils _rebuild_tensor_v2"
_STORAGES = {f"torch {name}": dtype for name, dtype in _DTYPES.items()}


class _Storage(NamedTuple):
    dtype: np.dtype
    key: str
    size: int  # numbers in it


class _Tensor(NamedTuple):
    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]  # in numbers


def load(path: pathlib.Path) -> dict[str, np.ndarray]:
    """The arrays of a dictionary of tensors by name, as PyTorch saved them before version 1.6.

    Raises:
        ArtefactError: the file is of another kind, holds more than tensors, or is damaged.
        OSError: it cannot be read.
    """
    content = path.read_bytes()
    try:
        return _arrays(io.BytesIO(content), len(content))
    except Exception as error:  # a damaged pickle may raise anything
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ArtefactError(f"{path} is refused: {reason[:300]}") from error


def _arrays(file: BinaryIO, size: int) -> dict[str, np.ndarray]:
    if file.read(2) == b"PK":
        raise ValueError("it is of PyTorch 1.6 or later: expected the format of before")
    file.seek(0)
    if _unpickled(file) != _MAGIC or _unpickled(file) != _PROTOCOL:
        raise ValueError("not a file of torch.save")
    if _unpickled(file).get("little_endian") is not True:
        raise ValueError("its numbers are big-endian")
    tensors = _unpickled(file)
    if not isinstance(tensors, dict) or not all(isinstance(t, _Tensor) for t in tensors.values()):
        raise ValueError("expected a dictionary of tensors")
    storages = {tensor.storage.key: tensor.storage for tensor in tensors.values()}
    keys = _unpickled(file)
    if sorted(keys) != sorted(storages):
        raise ValueError("the storages are not those of its tensors")
    numbers = {}
    for key in keys:
        storage = storages[key]
        count, left = int.from_bytes(file.read(8), "little"), size - file.tell()
        if count != storage.size or not 0 <= count * storage.dtype.itemsize <= left:
            raise ValueError(f"a storage declares {storage.size} numbers and has another size")
        numbers[key] = np.frombuffer(file.read(count * storage.dtype.itemsize), storage.dtype)
    if file.read(1):
        raise ValueError("it goes on after its last storage")
    return {name: _array(tensor, numbers[tensor.storage.key]) for name, tensor in tensors.items()}


def _array(tensor: _Tensor, numbers: np.ndarray) -> np.ndarray:
    """A copy of the numbers that a tensor refers to, in its shape."""
    shape, strides = tensor.shape, tensor.strides
    whole = (*shape, *strides, tensor.offset)
    if len(shape) != len(strides) or any(type(n) is not int or n < 0 for n in whole):
        raise ValueError(f"a tensor has shape {shape} and strides {strides}")
    last = tensor.offset + sum((n - 1) * step for n, step in zip(shape, strides, strict=True))
    # No number is used twice: with stride 0 a tensor could have any size.
    if math.prod(shape) > len(numbers) or (math.prod(shape) and last >= len(numbers)):
        raise ValueError(f"a tensor of {shape} reads beyond its storage of {len(numbers)}")
    steps = [step * numbers.itemsize for step in strides]
    view = np.lib.stride_tricks.as_strided(numbers[tensor.offset :], shape, steps, writeable=False)
    return view.copy()


def _unpickled(file: BinaryIO) -> Any:
    """The next value of the file. ValueError: it has operations that no tensor needs."""
    stack: list[Any] = []
    marks: list[int] = []
    memo: dict[int, Any] = {}
    for operation, argument, _ in genops(file):
        name = operation.name
        if name == "STOP":
            return stack.pop()
        if name == "MARK":
            marks.append(len(stack))
        elif name in ("BINPUT", "LONG_BINPUT"):
            memo[argument] = stack[-1]
        elif name in ("BINGET", "LONG_BINGET"):
            stack.append(memo[argument])
        elif name in _CONSTANTS:
            stack.append(argument)
        elif name in _FIXED:
            stack.append(_FIXED[name])
        elif name in _EMPTY:
            stack.append(_EMPTY[name]())
        elif name == "GLOBAL":
            if argument not in (_DICTIONARY, _TENSOR, *_STORAGES):
                raise ValueError(f"its pickle asks for {argument}, which is no tensor")
            stack.append(argument)
        elif name == "REDUCE":
            arguments = stack.pop()
            stack.append(_called(stack.pop(), arguments))
        elif name == "BINPERSID":
            stack.append(_storage(*stack.pop()))
        elif name == "BUILD":  # the versions of modules that PyTorch keeps with a dictionary
            stack.pop()
        elif name in ("TUPLE", "SETITEMS", "APPENDS", *_TUPLES, "SETITEM", "APPEND"):
            _collect(name, stack, marks)
        elif name != "PROTO":
            raise ValueError(f"its pickle has the operation {name}")
    raise ValueError("its pickle has no end")


def _collect(name: str, stack: list[Any], marks: list[int]) -> None:
    """Moves the last values of the stack into a container."""
    if name in ("TUPLE", "SETITEMS", "APPENDS"):
        first = marks.pop()
    else:
        first = len(stack) - {**_TUPLES, "SETITEM": 2, "APPEND": 1}[name]
    items = stack[first:]
    del stack[first:]
    if "TUPLE" in name:
        stack.append(tuple(items))
    elif "APPEND" in name:
        stack[-1].extend(items)
    else:
        stack[-1].update(zip(items[::2], items[1::2], strict=True))


def _called(name: str, arguments: tuple) -> Any:
    """The result of a call in the pickle, if it makes a dictionary or a tensor."""
    if name == _DICTIONARY and not arguments:
        return {}
    if name == _TENSOR and isinstance(arguments[0], _Storage):
        storage, offset, shape, strides, *_ = arguments
        return _Tensor(storage, offset, tuple(shape), tuple(strides))
    raise ValueError(f"its pickle calls {name}")


def _storage(kind: str, name: str, key: str, _: str, size: int, part: None) -> _Storage:
    if kind != "storage" or part is not None or name not in _STORAGES:
        raise ValueError("its pickle refers to something that is no storage")
    return _Storage(np.dtype(_STORAGES[name]), str(key), int(size))
