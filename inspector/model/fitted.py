"""What a bank can be grown from: what the graph of a pack was made of, as one file of the pack (fitted.npz).

The detector's arrays and, of a backbone in int8, the ranges of its activations.
"""

import io
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inspector.errors import PackError
from inspector.model.bank import Bank
from inspector.model.evidence import Evidence, Settled
from inspector.model.int8 import Ranges
from inspector.model.methods.base import Detector, Scale
from inspector.model.methods.nearest import SEARCHED_FROM, SEARCHED_FROM_INT8, NearestHead
from inspector.model.whitening import Whitening

FITTED = "fitted.npz"


def to_file(detector: Detector, ranges: Ranges | None = None) -> bytes | None:
    """Return the detector's arrays as the content of a file; None where not all heads are banks, which alone can grow.

    `ranges` are those of a backbone in int8. The same detector gives the same bytes.
    """
    arrays: dict[str, NDArray[np.generic]] = {}
    for number, head in enumerate(detector.heads):
        if not isinstance(head, NearestHead):
            return None
        arrays[f"{number}.mean"], arrays[f"{number}.projection"] = (
            head.whitening.mean,
            head.whitening.projection,
        )
        arrays[f"{number}.entries"], arrays[f"{number}.spacing"] = head.bank.entries, head.bank.spacing
    arrays["branches"] = np.array(len(detector.heads))
    arrays["scales"] = np.array([(scale.mean, scale.deviation) for scale in detector.scales])
    if detector.evidence is not None:
        arrays.update(_of_evidence(detector.evidence))
    if ranges:
        arrays["ranges.of"] = np.array(list(ranges))
        arrays["ranges"] = np.array(list(ranges.values()), np.float64)
    file = io.BytesIO()
    np.savez(file, allow_pickle=False, **arrays)
    return file.getvalue()


def from_file(path: Path) -> Detector:
    """Return the detector of a pack's file, whose hash was checked. Raises PackError where it is none."""
    with _read(path) as arrays:
        heads = tuple(_head(arrays, number) for number in range(int(arrays["branches"])))
        scales = tuple(Scale(float(mean), float(deviation)) for mean, deviation in arrays["scales"])
        return Detector(heads, scales, _evidence(arrays) if "names" in arrays else None)


def ranges_from_file(path: Path) -> Ranges:
    """Return the ranges of a pack's backbone in int8, empty where the file has none. Raises PackError where it is no such file."""
    with _read(path) as arrays:
        found = arrays.get("ranges", np.empty((0, 2))).tolist()
        return {
            str(name): (low, high)
            for name, (low, high) in zip(arrays.get("ranges.of", ()), found, strict=True)
        }


@contextmanager
def _read(path: Path) -> Iterator[dict[str, NDArray[Any]]]:
    """Yield the file's arrays; what is made of them in the block may fail as reading them does. Raises PackError."""
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            yield {name: file[name] for name in file.files}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise PackError(f"{path}: expected the arrays of a bank ({error}); fit the model again") from error


def _head(arrays: dict[str, NDArray[Any]], number: int) -> NearestHead:
    mean, projection, entries, spacing = (
        arrays[f"{number}.{name}"].astype(np.float32, copy=False)
        for name in ("mean", "projection", "entries", "spacing")
    )
    searched_from = SEARCHED_FROM_INT8 if "ranges" in arrays else SEARCHED_FROM
    return NearestHead(Whitening(mean, projection), Bank(entries, spacing), searched_from)


def _of_evidence(evidence: Evidence) -> dict[str, NDArray[np.generic]]:
    arrays: dict[str, NDArray[np.generic]] = {
        "names": np.array(evidence.names),
        "known.mean": evidence.mean,
        "known.deviation": evidence.deviation,
    }
    for number, (kernel, offset) in enumerate(zip(evidence.kernels, evidence.offsets, strict=True)):
        arrays[f"{number}.kernel"], arrays[f"{number}.offset"] = kernel, offset
    if evidence.settled is not None:
        settled = evidence.settled
        arrays["limits"] = settled.limits
        arrays["settled"] = np.array([settled.unit, settled.slope, settled.none])
    return arrays


def _evidence(arrays: dict[str, NDArray[Any]]) -> Evidence:
    def single(name: str) -> NDArray[np.float32]:
        return arrays[name].astype(np.float32, copy=False)

    branches = range(int(arrays["branches"].item()))
    settled = None
    if "settled" in arrays:
        settled = Settled(single("limits"), *(float(value) for value in arrays["settled"].tolist()))
    return Evidence(
        tuple(str(name) for name in arrays["names"].tolist()),
        tuple(single(f"{number}.kernel") for number in branches),
        tuple(single(f"{number}.offset") for number in branches),
        single("known.mean"),
        single("known.deviation"),
        settled,
    )
