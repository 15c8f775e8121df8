"""Reads a PyTorch weight file as data: nothing in it is ever executed.

The legacy `.pth` layout is five pickle streams (magic number, protocol, system info, the object, the storage keys)
followed by the raw storages. A pickle is a program; the usual readers run it. Here its opcodes are only listed by
`pickletools.genops`, and a small interpreter rebuilds the one thing we want, a dictionary of arrays. It knows four
names, and they are inert markers. Whatever else a file asks for is refused before anything comes of it.
"""

import hashlib
import io
import math
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
_DTYPES = {"torch FloatStorage": np.dtype("<f4"), "torch LongStorage": np.dtype("<i8")}
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
    stream = io.BytesIO(blob)
    try:
        if _interpret(stream) != MAGIC or _interpret(stream) != PROTOCOL:
            raise WeightsError(
                f"{name}: expected PyTorch's legacy weight layout, found another; use the published file"
            )
        _interpret(stream)  # system info: sizes of C types on the writer's machine
        tensors = _interpret(stream)
        storages = _read_storages(stream, _interpret(stream), _declared(tensors, name))
        return {key: _view(tensor, storages) for key, tensor in tensors.items()}
    except WeightsError as error:
        raise WeightsError(f"{name}: {error}") from None
    except (ValueError, IndexError, KeyError, TypeError, AttributeError, struct.error) as error:
        raise WeightsError(
            f"{name}: expected a weight file, its structure breaks off ({error}); reinstall its package"
        ) from error


def _declared(tensors: object, name: str) -> dict[str, _Storage]:
    if not isinstance(tensors, dict) or not all(isinstance(t, _Tensor) for t in tensors.values()):
        raise WeightsError(
            f"{name}: expected a dictionary of tensors and nothing else; use the published file"
        )
    return {tensor.storage.key: tensor.storage for tensor in tensors.values()}


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
    count = math.prod(tensor.shape)
    contiguous = tuple(math.prod(tensor.shape[i + 1 :]) for i in range(len(tensor.shape)))
    if tensor.offset < 0 or tensor.offset + count > flat.size:
        raise WeightsError("a tensor reaches outside its storage; reinstall its package")
    if (
        count == flat.size
        and sorted(tensor.strides, reverse=True) != list(contiguous)
        and tensor.strides != contiguous
    ):
        return _strided(flat, tensor)
    if tensor.strides == contiguous:
        return flat[tensor.offset : tensor.offset + count].reshape(tensor.shape)
    return _strided(flat, tensor)
