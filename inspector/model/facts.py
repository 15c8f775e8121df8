"""What fitting writes into a pack beside the graph: what the model is, what its threshold rests on, and images to check it by."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import cv2
import numpy as np
import onnx
from numpy.typing import NDArray

from inspector.clock import utc_label
from inspector.engine.preprocess import Views, input_shape_of, to_input
from inspector.errors import ModelError
from inspector.model.batches import Batches
from inspector.model.calibrate import Threshold
from inspector.model.images import read_frame
from inspector.model.imported import ImportedModel
from inspector.model.learning import Point
from inspector.model.options import IMPORTED, FitOptions
from inspector.model.patches import PatchModel
from inspector.model.proportions import CONFIDENCE
from inspector.model.score_nodes import Exposure
from inspector.model.scoring import compiled
from inspector.model.views import ViewsModel

# Good images that the pack keeps for the self-test. Three let an engine through whose weights were rounded to 13 bits and
# whose scores were off by 5 % elsewhere; twelve saw it, and 14 bits too. They cost a tenth of a second at the start.
_REFERENCES = 12


def what(
    options: FitOptions, model: PatchModel | ImportedModel | ViewsModel, kept: int, exposure: Exposure
) -> dict[str, object]:
    """Return the manifest's entries about the model."""
    size = model.geometry
    return {
        "created": utc_label(),
        "method": options.method,
        "input": {"channels": size.channels, "height": size.height, "width": size.width},
        **model.facts(),
        "bank": kept,
        "grey": (exposure.darkest, exposure.brightest),
        "seed": options.seed,
    }


def worth(
    options: FitOptions, batches: Batches, folds: int, threshold: Threshold, curve: Sequence[Point]
) -> dict[str, object]:
    """Return the manifest's entries about the threshold and what it rests on."""
    return {
        "threshold": threshold.value,
        "false_reject_rate": options.false_reject_rate,
        "held_out": {
            "by": batches.source,
            "batches": len(batches.names),
            "families": len(np.unique(batches.family_of)),
            "folds": folds,
            "images": len(batches.batch_of),
            "false_reject_rate": threshold.rate,
            "interval": threshold.interval,
            "next_images": threshold.next_images,
            # What an imported network has seen is not known: perhaps these very images.
            "promised": threshold.promised and options.method != IMPORTED,
            "confidence": CONFIDENCE,
            "learning": [asdict(point) for point in curve],
        },
    }


def calibration(
    names: Sequence[str],
    batches: Batches,
    fold_of: NDArray[np.int64],
    scores: NDArray[np.float64],
    views: Mapping[str, NDArray[np.float64]] | None = None,
) -> bytes:
    """Return calibration.json: one entry for each good image, where there are several `views` with the share of its limit that each reaches."""
    entries: list[dict[str, object]] = [
        {
            "image": name,
            "batch": batch,
            "family": int(family) + 1,  # as warnings count them
            "fold": int(fold),
            "score": float(score),
        }
        for name, batch, family, fold, score in zip(
            names, batches.labels(), batches.family_of, fold_of, scores, strict=True
        )
    ]
    if views:
        for index, entry in enumerate(entries):
            entry["views"] = {view: float(relative[index]) for view, relative in views.items()}
    return json.dumps({"held_out": entries}, indent=1).encode()


def references(
    paths: Sequence[Path], scores: NDArray[np.float64], graph: onnx.ModelProto, geometry: Views
) -> dict[str, tuple[bytes, dict[str, object]]]:
    """Return good images from the best to the worst by name: each as PNG of the graph's input, its views one below the other.

    Beside it is what the manifest says of it, the final graph's score.
    """
    order = np.argsort(scores, kind="stable")
    ranks = np.linspace(0, len(order) - 1, _REFERENCES).astype(np.int64)
    names = ["best", *(f"rank-{number:02}" for number in range(2, _REFERENCES)), "worst"]
    chosen = dict(zip(names, order[ranks], strict=True))
    found = {}
    _, _, width, channels = input_shape_of(geometry)
    with compiled(graph, geometry) as engine:
        for name, index in chosen.items():
            prepared = to_input(read_frame(paths[index], channels), geometry)
            stacked = prepared.reshape(-1, width, channels)[:, :, ::-1]
            written, png = cv2.imencode(".png", stacked)
            if not written:
                raise ModelError(f"{paths[index]}: cannot be encoded as PNG for the pack; replace the image")
            score = engine.score_prepared(prepared)
            entry: dict[str, object] = {"file": f"reference/{name}.png", "score": score.value}
            if score.views:
                entry["views"] = tuple(view.value for view in score.views)
            found[f"reference/{name}.png"] = (png.tobytes(), entry)
    return found
