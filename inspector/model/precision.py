"""Half precision or float32 for a GPU: settled by the scores of the pack's own images, before a plan is built.

Both graphs are run on the CPU, that of half precision emulated (engine/half.py), so the answer is the same on the machine that
builds plans and on the line PC. What the GPU itself makes of the plan is checked against the same references when it is opened.
"""

import logging
import tempfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from inspector.engine.base import Engine, one_line, open_engine
from inspector.engine.plan import Precision, plan_folder, read_precision, sha256, write_precision
from inspector.errors import EngineError, EngineUnavailableError, ScoreError
from inspector.model.pack import Pack

log = logging.getLogger(__name__)

# Share of the threshold. Half of what an engine may be off by (selftest.py), so that the rest is left to the GPU itself.
HALF_BOUND = 0.01


def settle(kind: str, pack: Pack) -> None:
    """Settle the precision of a pack whose engine `kind` ("auto", "tensorrt" ...) may run on a GPU here, where that is still open.

    Does nothing on a machine that cannot run TensorRT. What cannot be settled or kept leaves the pack in float32, and is logged.
    """
    from inspector.engine.gpu import require_device

    if kind not in {"auto", "tensorrt"}:
        return
    try:
        require_device()
    except EngineUnavailableError:
        return  # `auto` says so when it chooses
    from inspector.engine.half import RULES  # late: it loads onnx, which a station without a GPU never needs

    try:
        if read_precision(plan_folder(pack.graph), sha256(pack.graph.read_bytes()), RULES) is None:
            write_precision(plan_folder(pack.graph), settled(pack))
    except (EngineError, OSError) as error:
        log.warning("precision_not_settled", extra={"why": one_line(error), "next": "float32"})


def give_up_half(pack: Pack, why: str) -> bool:
    """Settle for float32 where half was taken and the GPU's own scores say otherwise; return whether that changed anything.

    What cannot be kept changes nothing: the engine would be built in half again.
    """
    from inspector.engine.half import RULES

    folder = plan_folder(pack.graph)
    try:
        taken = read_precision(folder, sha256(pack.graph.read_bytes()), RULES)
        if taken is None or taken.taken == "float32":
            return False
        write_precision(folder, taken.model_copy(update={"taken": "float32", "why": f"on the GPU: {why}"}))
    except (EngineError, OSError) as error:
        log.warning(
            "precision_not_settled", extra={"why": one_line(error), "next": "choose another model.engine"}
        )
        return False
    log.warning("half_precision_given_up", extra={"why": why, "next": "building in float32"})
    return True


def settled(pack: Pack, images: Iterable[NDArray[np.uint8]] = ()) -> Precision:
    """Return which precision the scores of the reference images, and of `images` (graph inputs), allow. Raises GraphError.

    Takes about 30 ms an image for a Lite0 at 256 x 256. Any thread.
    """
    from inspector.engine.half import RULES, emulated

    data = pack.graph.read_bytes()
    taken = Precision(
        graph_sha256=sha256(data),
        rules=RULES,
        taken="float32",
        bound=HALF_BOUND,
        worst=None,
        images=0,
        why="",
    )
    twin = emulated(data)
    if twin is None:
        return taken.model_copy(update={"why": "nothing in this graph can be computed in half precision"})
    inputs = [*(prepared for _, prepared in pack.references()), *images]
    if not inputs:
        return taken.model_copy(update={"why": "the pack has no reference images to compare"})
    taken = taken.model_copy(update={"images": len(inputs)})
    try:
        worst = _worst(pack, twin, inputs)
    except ScoreError as error:
        return taken.model_copy(update={"why": f"in half precision {one_line(error)}"})
    agrees = worst <= HALF_BOUND
    told = f"scores differ by up to {worst:.2%} of the threshold, at most {HALF_BOUND:.0%} is allowed"
    precision = taken.model_copy(
        update={"taken": "half" if agrees else "float32", "worst": worst, "why": told}
    )
    log.info("precision_settled", extra=precision.model_dump())
    return precision


def _worst(pack: Pack, twin: bytes, inputs: list[NDArray[np.uint8]]) -> float:
    """Return the largest difference of a score as a share of the threshold. Raises ScoreError where one is no number."""
    exact = _scores(open_engine("openvino", pack.graph, pack.geometries), inputs)
    with tempfile.TemporaryDirectory(prefix="inspector-half-") as folder:
        path = Path(folder) / "emulated.onnx"
        path.write_bytes(twin)
        half = _scores(open_engine("openvino", path, pack.geometries), inputs)
    return float(np.abs(np.subtract(half, exact)).max()) / pack.threshold


def _scores(engine: Engine, inputs: list[NDArray[np.uint8]]) -> list[float]:
    try:
        return [engine.score_prepared(each).value for each in inputs]
    finally:
        engine.close()
