"""What a bank can be grown from: the arrays that the graph of a pack was made of, as one file of the pack (fitted.npz)."""

import io
import zipfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from inspector.errors import PackError
from inspector.model.bank import Bank
from inspector.model.evidence import Evidence, Settled
from inspector.model.methods.base import Detector, Scale
from inspector.model.methods.nearest import NearestHead
from inspector.model.whitening import Whitening

FITTED = "fitted.npz"


def to_file(detector: Detector) -> bytes | None:
    """Return the detector's arrays as the content of a file; None where not all heads are banks, which alone can grow.

    The same detector gives the same bytes.
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
    file = io.BytesIO()
    np.savez(file, allow_pickle=False, **arrays)
    return file.getvalue()


def from_file(path: Path) -> Detector:
    """Return the detector of a pack's file, whose hash was checked. Raises PackError where it is none."""
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        heads = tuple(_head(arrays, number) for number in range(int(arrays["branches"])))
        scales = tuple(Scale(float(mean), float(deviation)) for mean, deviation in arrays["scales"])
        return Detector(heads, scales, _evidence(arrays) if "names" in arrays else None)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise PackError(f"{path}: expected the arrays of a bank ({error}); fit the model again") from error


def _head(arrays: dict[str, NDArray[np.generic]], number: int) -> NearestHead:
    mean, projection, entries, spacing = (
        arrays[f"{number}.{name}"].astype(np.float32, copy=False)
        for name in ("mean", "projection", "entries", "spacing")
    )
    return NearestHead(Whitening(mean, projection), Bank(entries, spacing))


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


def _evidence(arrays: dict[str, NDArray[np.generic]]) -> Evidence:
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
