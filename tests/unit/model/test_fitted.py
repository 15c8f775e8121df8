"""What a bank grows from comes back as it was, and damaged files are told."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from inspector.errors import PackError
from inspector.model.bank import Bank
from inspector.model.evidence import Evidence, Settled
from inspector.model.fitted import from_file, to_file
from inspector.model.methods.base import Detector, Scale
from inspector.model.methods.gaussian import GaussianHead
from inspector.model.methods.nearest import NearestHead
from inspector.model.whitening import Whitening

RNG = np.random.default_rng(0)


def floats(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape).astype(np.float32)


def head() -> NearestHead:
    return NearestHead(Whitening(floats(6), floats(6, 6)), Bank(floats(30, 6), np.abs(floats(30)) + 1))


EVIDENCE = Evidence(
    ("dent", "scratch"),
    (floats(6, 2), floats(6, 2)),
    (floats(2), floats(2)),
    floats(2),
    floats(2),
    Settled(floats(2), 1.25, 0.5, -2.0),
)
DETECTOR = Detector((head(), head()), (Scale(0.1, 0.2), Scale(0.3, 0.4)), EVIDENCE)


@pytest.mark.parametrize(
    "detector",
    [
        DETECTOR,
        replace(DETECTOR, evidence=replace(EVIDENCE, settled=None)),
        Detector((head(),)),
    ],
)
def test_it_comes_back_as_it_was_to_the_last_bit(detector: Detector, tmp_path: Path) -> None:
    content = to_file(detector)
    assert content is not None
    (tmp_path / "fitted.npz").write_bytes(content)
    found = from_file(tmp_path / "fitted.npz")
    assert to_file(found) == content
    assert found.scales == detector.scales
    if detector.evidence is not None:
        assert found.evidence is not None
        assert found.evidence.names == detector.evidence.names
        assert (found.evidence.settled is None) == (detector.evidence.settled is None)


def test_what_has_no_bank_cannot_grow() -> None:
    assert to_file(Detector((GaussianHead(Whitening(floats(6), floats(6, 6))),))) is None


@pytest.mark.parametrize("content", [b"", b"nothing of the kind", (to_file(DETECTOR) or b"")[:-200]])
def test_a_file_that_is_none_is_told(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "fitted.npz").write_bytes(content)
    with pytest.raises(PackError, match="expected the arrays of a bank"):
        from_file(tmp_path / "fitted.npz")
