"""Weight files are read as data: a hostile one is refused, and nothing in it runs."""

import hashlib
import importlib
import struct
from pathlib import Path

import numpy as np
import pytest

from inspector.errors import WeightsError
from inspector.model.lite import LITE0_SHA256, lite0
from inspector.model.weights import MAGIC, PROTOCOL, parse_weights, read_weights


def text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value)) + value.encode()


def number(value: int) -> bytes:
    return b"J" + struct.pack("<i", value)


def numbers(*values: int) -> bytes:
    return b"(" + b"".join(number(value) for value in values) + b"t"


def stream(body: bytes) -> bytes:
    return b"\x80\x02" + body + b"."


def tensor(key: str, length: int, offset: int, shape: tuple[int, ...], strides: tuple[int, ...]) -> bytes:
    """Return the opcodes of one tensor, as PyTorch writes them."""
    storage = (
        b"(" + text("storage") + b"ctorch\nFloatStorage\n" + text(key) + text("cpu") + number(length) + b"NtQ"
    )
    hooks = b"ccollections\nOrderedDict\n)R"
    arguments = b"(" + storage + number(offset) + numbers(*shape) + numbers(*strides) + b"\x89" + hooks + b"t"
    return b"ctorch._utils\n_rebuild_tensor_v2\n" + arguments + b"R"


def weight_file(content: bytes, keys: bytes = b"]", storages: bytes = b"") -> bytes:
    """Return a legacy PyTorch file around the opcodes of its object."""
    magic = MAGIC.to_bytes(10, "little")
    head = stream(b"\x8a\x0a" + magic) + stream(b"M" + struct.pack("<H", PROTOCOL)) + stream(b"}")
    return head + stream(content) + stream(keys) + storages


def one_tensor(offset: int = 0, shape: tuple[int, ...] = (2, 3), strides: tuple[int, ...] = (1, 2)) -> bytes:
    values = np.arange(6, dtype="<f4")
    content = b"ccollections\nOrderedDict\n)R(" + text("w") + tensor("7", 6, offset, shape, strides) + b"u"
    return weight_file(content, b"](" + text("7") + b"e", struct.pack("<q", 6) + values.tobytes())


def test_a_transposed_tensor_is_read() -> None:
    weights = parse_weights(one_tensor(), "file")
    np.testing.assert_array_equal(weights["w"], [[0, 2, 4], [1, 3, 5]])


def test_the_pretrained_file_is_read_whole() -> None:
    weights = lite0().weights
    assert len(weights) == 296
    assert weights["_conv_stem.weight"].shape == (32, 3, 3, 3)
    assert all(np.isfinite(array).all() for array in weights.values())


def test_a_hostile_file_is_refused_and_not_executed(tmp_path: Path) -> None:
    trace = tmp_path / "executed"
    trap = b"cpathlib\nPath.touch\n(cpathlib\nPath\n(" + text(str(trace)) + b"tRtR"
    importlib.import_module("pickle").loads(
        b"\x80\x04"
        + trap.replace(b"cpathlib\nPath.touch\n", text("pathlib") + text("Path.touch") + b"\x93")
        + b"."
    )
    assert trace.exists(), "the trap is no trap: the usual reader must spring it"
    trace.unlink()
    with pytest.raises(WeightsError, match="asks for the name 'pathlib Path"):
        parse_weights(weight_file(trap), "evil.pth")
    assert not trace.exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"cos\nsystem\n" + text("true") + b"\x85R", "asks for the name 'os system'"),
        (b"cbuiltins\neval\n(" + text("1") + b"tR", "asks for the name 'builtins eval'"),
        (text("os") + text("system") + b"\x93", "asks for the pickle operation STACK_GLOBAL"),
        (b"(" + text("x") + b"ios\nsystem\n", "asks for the pickle operation INST"),
        (b"ctorch\nFloatStorage\n(" + text("x") + b"tR", "asks for a call"),
        (b"ccollections\nOrderedDict\n)R(" + text("w") + number(1) + b"u", "a dictionary of tensors"),
    ],
)
def test_whatever_plain_weights_never_need_is_refused(content: bytes, message: str) -> None:
    with pytest.raises(WeightsError, match=message):
        parse_weights(weight_file(content), "file")


@pytest.mark.parametrize(
    ("offset", "shape", "strides"),
    [(1, (2, 3), (1, 2)), (0, (2, 4), (1, 2)), (0, (2, 3), (3, 6)), (-1, (2, 2), (1, 2)), (5, (2,), (-1,))],
)
def test_a_tensor_outside_its_storage_is_refused(
    offset: int, shape: tuple[int, ...], strides: tuple[int, ...]
) -> None:
    with pytest.raises(WeightsError, match="outside its storage"):
        parse_weights(one_tensor(offset, shape, strides), "file")


def test_a_file_cut_off_anywhere_is_refused() -> None:
    whole = one_tensor()
    for length in range(len(whole)):
        with pytest.raises(WeightsError):
            parse_weights(whole[:length], "file")


def test_another_layout_is_refused() -> None:
    with pytest.raises(WeightsError, match="legacy weight layout"):
        parse_weights(stream(number(1)) + stream(number(2)), "file")


def test_the_hash_is_checked_before_anything_is_parsed(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    path.write_bytes(one_tensor())
    assert list(read_weights(path, hashlib.sha256(path.read_bytes()).hexdigest())) == ["w"]
    with pytest.raises(WeightsError, match=f"expected sha256 {LITE0_SHA256[:12]}"):
        read_weights(path, LITE0_SHA256)
    with pytest.raises(WeightsError, match="No such file"):
        read_weights(tmp_path / "missing.pth", LITE0_SHA256)
