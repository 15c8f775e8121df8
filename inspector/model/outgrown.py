"""Whether a pack has outgrown what was settled when it was fitted: its backbone in int8, and the time that an image takes."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import onnx

from inspector.clock import NS_PER_MS, SystemClock
from inspector.engine.base import open_engine
from inspector.errors import ModelError
from inspector.model.agreement import agreement, common_factor
from inspector.model.graph import fused_graph
from inspector.model.int8 import Int8Backbone
from inspector.model.int8_gate import DEVIATION_BOUND, FLIP_BOUND, agrees
from inspector.model.methods.base import Detector
from inspector.model.pack import Pack
from inspector.model.scoring import compiled, score_all
from inspector.model.spec import ModelSpec

_SHOWN = 200  # new images that int8 is tried on: two seconds
_TURNS = 15  # runs of the old and the new graph; the quickest of each counts
_WORTH_SAYING = 1.2  # times the time that an image took


def settled_again(
    pack: Pack, spec: ModelSpec, detector: Detector, paths: Sequence[Path]
) -> dict[str, object] | None:
    """Return the manifest's entry about the precision, with what the new good images at `paths` say of int8.

    The model that saw none of them scores them in int8 and, all else the same, in float32: by the bounds of the gate (int8_gate.py).
    Raises ModelError where they would be decided otherwise.
    """
    entry = pack.manifest.precision
    backbone = spec.backbone
    if entry is None or not isinstance(backbone, Int8Backbone):
        return None if entry is None else entry.model_dump(mode="json")
    shown = paths[:: -(-len(paths) // _SHOWN)]
    exact, rounded = (
        np.array(
            [
                answer.value
                for answer in score_all(fused_graph(each, detector), spec.geometry, shown, spec.channels)
            ]
        )
        for each in (replace(spec, backbone=backbone.exact), spec)
    )
    factor = common_factor(exact, rounded)
    found = agreement(exact, rounded, pack.threshold / factor, factor=factor)
    told = (
        f"int8 and float32 differ on {found.images} added images by a deviation of {found.deviation:.3f} of the relative scores "
        f"(at most {DEVIATION_BOUND:g} is allowed), and decisions turn up to {found.farthest_flip:.3f} from the threshold "
        f"(at most {FLIP_BOUND:g} is allowed)"
    )
    if not agrees(found):
        raise ModelError(
            f"expected int8 to decide on the new parts as float32 does, {told}; fit the model again on all images"
        )
    return {**entry.model_dump(mode="json"), "why": told, "found": asdict(found)}


def slower(pack: Pack, grown: onnx.ModelProto) -> tuple[str, ...]:
    """Return a warning where an image takes longer with the grown graph than the pack was tuned for, or much longer than before."""
    (before_ms, after_ms), tuning = _times_ms(pack, grown), pack.manifest.tuning
    if tuning is not None and tuning.budget_ms is not None and after_ms > tuning.budget_ms:
        return (
            (
                f"an image takes {after_ms:.1f} ms here with the larger bank, the model was tuned for {tuning.budget_ms:g} ms; "
                "choose a smaller --bank, or tune on all images again"
            ),
        )
    if after_ms > _WORTH_SAYING * before_ms:
        return (
            (
                f"an image takes {after_ms:.1f} ms here with the larger bank, it took {before_ms:.1f}; "
                "`inspector bench` tells whether the station's budget holds that"
            ),
        )
    return ()


def _times_ms(pack: Pack, grown: onnx.ModelProto) -> tuple[float, float]:
    """Return what the pack's graph and the grown one take on a reference image, in turn."""
    images, clock = [image for _, image in pack.references()], SystemClock()
    with ExitStack() as stack:
        first = open_engine("openvino", pack.graph, pack.geometry)
        stack.callback(first.close)
        engines = [first, stack.enter_context(compiled(grown, pack.geometry))]
        took: list[list[int]] = [[], []]
        first.warm_up()
        for turn in range(_TURNS):
            for engine, times in zip(engines, took, strict=True):
                started_ns = clock.now_ns()
                engine.score_prepared(images[turn % len(images)])
                times.append(clock.now_ns() - started_ns)
    before_ms, after_ms = (min(times) / NS_PER_MS for times in took)
    return before_ms, after_ms
