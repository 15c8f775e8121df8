"""Reads a PyTorch weight file as data: nothing in it is ever executed.

The legacy `.pth` layout is five pickle streams (magic number, protocol, system info, the object, the storage keys)
followed by the raw storages. A pickle is a program; the usual readers run it. Here its opcodes are only listed by
`pickletools.genops`, and a small interpreter rebuilds the one thing we want, a dictionary of arrays. It knows four
names, and they are inert markers. Whatever else a file asks for is refused before anything comes of it.
"""

import hashlib
import io
import pickletools
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inspector.errors import WeightsError

MAGIC = 0x1950A86A20F9469CFC6C  # torch.serialization.MAGIC_NUMBER
PROTOCOL = 1001  # torch.serialization.PROTOCOL_VERSION
_DTYPES: dict[str, np.dtype[Any]] = {
    "torch FloatStorage": np.dtype("<f4"),
    "torch LongStorage": np.dtype("<i8"),
}
_REBUILD, _ORDERED_DICT = "torch._utils _rebuild_tensor_v2", "collections OrderedDict"


@dataclass(frozen=True, slots=True)
class _Global:
    """A name that the pickle asked for: a marker, never the object of that name."""

    name: str


@dataclass(frozen=True, slots=True)
class _Storage:
    key: str
    dtype: np.dtype[Any]
    length: int


@dataclass(frozen=True, slots=True)
class _Tensor:
    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class _Mark:
    """The pickle machine's stack mark."""


def read_weights(path: Path, sha256: str) -> dict[str, NDArray[Any]]:
    """Return the file's arrays by name (float32 or int64, read-only). Raises WeightsError for anything unexpected."""
    try:
        blob = path.read_bytes()
    except OSError as error:
        raise WeightsError(
            f"{path}: expected the backbone's weight file, {error.strerror}; reinstall its package"
        ) from error
    found = hashlib.sha256(blob).hexdigest()
    if found != sha256:
        raise WeightsError(
            f"{path}: expected sha256 {sha256[:12]}..., found {found[:12]}...; the file was altered or truncated, reinstall its package"
        )
    return parse_weights(blob, path.name)


def parse_weights(blob: bytes, name: str) -> dict[str, NDArray[Any]]:
    """Return the arrays of a legacy PyTorch file given as bytes; `name` is for messages only."""
    try:
        return _parse(io.BytesIO(blob))
    except WeightsError as error:
        raise WeightsError(f"{name}: {error}") from None
    except (ValueError, LookupError, TypeError, AttributeError, StopIteration, struct.error) as error:
        raise WeightsError(
            f"{name}: expected a weight file, its structure breaks off ({error}); reinstall its package"
        ) from error


def _parse(stream: io.BytesIO) -> dict[str, NDArray[Any]]:
    if _interpret(stream) != MAGIC or _interpret(stream) != PROTOCOL:
        raise WeightsError("expected PyTorch's legacy weight layout, found another; use the published file")
    _interpret(stream)  # system info: sizes of C types on the writer's machine
    tensors = _interpret(stream)
    if not isinstance(tensors, dict) or not all(isinstance(tensor, _Tensor) for tensor in tensors.values()):
        raise WeightsError("expected a dictionary of tensors and nothing else; use the published file")
    declared = {tensor.storage.key: tensor.storage for tensor in tensors.values()}
    storages = _read_storages(stream, _interpret(stream), declared)
    return {name: _view(tensor, storages) for name, tensor in tensors.items()}


def _read_storages(
    stream: io.BytesIO, keys: object, declared: dict[str, _Storage]
) -> dict[str, NDArray[Any]]:
    """Read `(int64 length, raw values)` for each key, in the order of the key list."""
    if not isinstance(keys, list) or set(keys) != set(declared):
        raise WeightsError(
            "expected one storage for each tensor, the key list says otherwise; reinstall its package"
        )
    storages = {}
    for key in keys:
        storage = declared[key]
        (length,) = struct.unpack("<q", stream.read(8))
        raw = stream.read(length * storage.dtype.itemsize if length == storage.length else 0)
        storages[key] = np.frombuffer(raw, storage.dtype, count=storage.length)
    return storages


def _view(tensor: _Tensor, storages: dict[str, NDArray[Any]]) -> NDArray[Any]:
    flat = storages[tensor.storage.key]
    last = tensor.offset + sum(
        (n - 1) * stride for n, stride in zip(tensor.shape, tensor.strides, strict=True)
    )
    if min((tensor.offset, *tensor.strides)) < 0 or min(tensor.shape, default=1) < 1 or last >= flat.size:
        raise WeightsError("a tensor reaches outside its storage; reinstall its package")
    strides = [stride * flat.itemsize for stride in tensor.strides]
    view = np.lib.stride_tricks.as_strided(flat[tensor.offset :], tensor.shape, strides, writeable=False)
    return np.ascontiguousarray(
        view
    )  # the file keeps convolutions transposed, as its authors' framework had them


def _interpret(stream: io.BytesIO) -> Any:
    """Rebuild the value of the next pickle in `stream` out of plain data and the markers above."""
    stack: list[Any] = []
    memo: dict[int, Any] = {}
    argument: Any
    for opcode, argument, _position in pickletools.genops(stream):
        name = opcode.name
        if name in _LITERALS:
            stack.append(_LITERALS[name](argument))
        elif name in {"BINPUT", "LONG_BINPUT"}:
            memo[argument] = stack[-1]
        elif name in {"BINGET", "LONG_BINGET"}:
            stack.append(memo[argument])
        elif name in _ACTIONS:
            _ACTIONS[name](stack)
        elif name == "STOP":
            return stack.pop()
        elif name != "PROTO":
            raise WeightsError(
                f"the file asks for the pickle operation {name}, which plain weights never need; do not use it"
            )
    raise WeightsError("a pickle without its end; reinstall its package")


def _known_name(name: str) -> _Global:
    if name not in _DTYPES and name not in {_REBUILD, _ORDERED_DICT}:
        raise WeightsError(
            f"the file asks for the name {name!r}, which plain weights never need; do not use it"
        )
    return _Global(name)


def _pop_to_mark(stack: list[Any]) -> list[Any]:
    start = len(stack) - 1 - next(i for i, item in enumerate(reversed(stack)) if isinstance(item, _Mark))
    items = stack[start + 1 :]
    del stack[start:]
    return items


def _tuple_of(count: int) -> Callable[[list[Any]], None]:
    def action(stack: list[Any]) -> None:
        items = tuple(stack[len(stack) - count :])
        del stack[len(stack) - count :]
        stack.append(items)

    return action


def _reduce(stack: list[Any]) -> None:
    """Stand-in for "call this with that": only a tensor record or an empty dictionary can come of it."""
    arguments, function = stack.pop(), stack.pop()
    if function == _Global(_ORDERED_DICT) and arguments == ():
        stack.append({})
    elif function == _Global(_REBUILD):
        storage, offset, shape, strides, *_ = arguments
        if not isinstance(storage, _Storage):
            raise WeightsError("a tensor without storage; reinstall its package")
        stack.append(_Tensor(storage, offset, shape, strides))
    else:
        raise WeightsError("the file asks for a call that plain weights never need; do not use it")


def _persistent(stack: list[Any]) -> None:
    kind, storage_type, key, _device, length, _view_metadata = stack.pop()
    if kind != "storage" or not isinstance(storage_type, _Global):
        raise WeightsError("a reference to something other than a storage; reinstall its package")
    stack.append(_Storage(key, _DTYPES[storage_type.name], length))


def _set_items(stack: list[Any]) -> None:
    items = _pop_to_mark(stack)
    stack[-1].update(zip(items[::2], items[1::2], strict=True))


def _set_item(stack: list[Any]) -> None:
    value, key = stack.pop(), stack.pop()
    stack[-1].update({key: value})


def _append_items(stack: list[Any]) -> None:
    items = _pop_to_mark(stack)
    stack[-1].extend(items)


def _ignore_state(stack: list[Any]) -> None:
    """Drop what BUILD would set on an object: version notes of PyTorch's state dictionary."""
    stack.pop()


_LITERALS: dict[str, Callable[[Any], Any]] = {
    **dict.fromkeys(("BININT", "BININT1", "BININT2", "LONG1", "BINUNICODE"), lambda value: value),
    "NONE": lambda _: None,
    "NEWTRUE": lambda _: True,
    "NEWFALSE": lambda _: False,
    "EMPTY_TUPLE": lambda _: (),
    "EMPTY_DICT": lambda _: {},
    "EMPTY_LIST": lambda _: [],
    "MARK": lambda _: _Mark(),
    "GLOBAL": _known_name,
}
_ACTIONS: dict[str, Callable[[list[Any]], None]] = {
    "TUPLE": lambda stack: stack.append(tuple(_pop_to_mark(stack))),
    "TUPLE1": _tuple_of(1),
    "TUPLE2": _tuple_of(2),
    "TUPLE3": _tuple_of(3),
    "REDUCE": _reduce,
    "BINPERSID": _persistent,
    "SETITEM": _set_item,
    "SETITEMS": _set_items,
    "APPENDS": _append_items,
    "BUILD": _ignore_state,
}
