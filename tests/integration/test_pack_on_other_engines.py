"""A pack made on one engine gives the same scores on another within the stated bound, or is refused there.

The other engines are real ones on the real graph: the ONNX project's own evaluator, OpenVINO in half precision, and OpenVINO on
weights that were rounded, as a careless quantisation would.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnx.numpy_helper
import onnx.reference
import pytest
from numpy.typing import NDArray

from inspector.engine.base import Engine, Score, open_engine, to_score
from inspector.engine.decoding import Samples
from inspector.engine.openvino import core
from inspector.engine.preprocess import to_input
from inspector.errors import DisagreementError
from inspector.model.pack import Pack, load_pack
from inspector.model.selftest import AGREEMENT, require_agreement
from tests.support.plates import part, scratched

Image = NDArray[np.uint8]


class Evaluator:
    """The evaluator of the ONNX project, in plain numpy: no line of code in common with OpenVINO."""

    name = "onnx.reference"

    def __init__(self, pack: Pack) -> None:
        self._pack = pack
        self._evaluator = onnx.reference.ReferenceEvaluator(str(pack.graph))

    def warm_up(self) -> None:
        pass

    def score(self, image: Samples, pixel_format: str | None = None) -> Score:
        return self.score_prepared(to_input(image, self._pack.geometry, pixel_format))

    def score_prepared(self, prepared: Image) -> Score:
        score, heatmap = self._evaluator.run(["score", "heatmap"], {"image": prepared})
        return to_score(np.asarray(score), np.asarray(heatmap))

    def close(self) -> None:
        pass


class HalfPrecision(Evaluator):
    """OpenVINO told to compute in bfloat16; a processor that cannot computes in float32."""

    name = "openvino bf16"

    def __init__(self, pack: Pack) -> None:
        super().__init__(pack)
        hints = {"INFERENCE_PRECISION_HINT": "bf16", "PERFORMANCE_HINT": "LATENCY"}
        self._compiled = core().compile_model(str(pack.graph), "CPU", hints)

    def score_prepared(self, prepared: Image) -> Score:
        answer = self._compiled({"image": prepared})
        return to_score(answer["score"], answer["heatmap"])


def rounded(pack: Pack, folder: Path, bits: int) -> Engine:
    """Return OpenVINO on the pack's graph with every weight rounded to `bits` of its tensor's range."""
    model = onnx.load(str(pack.graph))
    for tensor in model.graph.initializer:
        if tensor.data_type != onnx.TensorProto.FLOAT:
            continue
        values = onnx.numpy_helper.to_array(tensor)
        step = float(np.abs(values).max()) / 2 ** (bits - 1) or 1.0
        coarse = (np.round(values / step) * step).astype(np.float32)
        tensor.CopyFrom(onnx.numpy_helper.from_array(coarse, tensor.name))
    path = folder / f"rounded{bits}.onnx"
    onnx.save(model, str(path))
    return open_engine("openvino", path, pack.geometry)


def plates() -> list[Image]:
    """Return parts that the pack has not seen, good and bad."""
    rng = np.random.default_rng(20)
    images = [part(rng) for _ in range(6)] + [scratched(rng)[0] for _ in range(4)]
    return [np.clip(image, 0, 255).astype(np.uint8) for image in images]


def farthest(engine: Engine, pack: Pack) -> float:
    """Return the largest difference to the engine that the pack was made on, as a share of the threshold, or of a score above it.

    Far above the threshold a part is rejected by any of them.
    """
    made_on = open_engine("openvino", pack.graph, pack.geometry)
    differences = []
    for image in plates():
        here, there = made_on.score(image).value, engine.score(image).value
        differences.append(abs(here - there) / max(pack.threshold, here))
    made_on.close()
    return max(differences)


def refused(engine: Engine, pack: Pack) -> bool:
    try:
        require_agreement(engine, pack)
    except DisagreementError:
        return True
    return False


def test_another_runtime_in_float32_gives_the_same_scores_and_is_taken(pack: Path) -> None:
    loaded = load_pack(pack)
    engine = Evaluator(loaded)
    require_agreement(engine, loaded)
    assert farthest(engine, loaded) < 1e-3


def test_half_precision_is_taken_only_with_the_same_scores(pack: Path) -> None:
    loaded = load_pack(pack)
    engine = HalfPrecision(loaded)
    assert refused(engine, loaded) or farthest(engine, loaded) <= AGREEMENT


@pytest.mark.parametrize("bits", [4, 8, 12, 16])
def test_rounded_weights_are_taken_only_with_the_same_scores(pack: Path, tmp_path: Path, bits: int) -> None:
    loaded = load_pack(pack)
    engine = rounded(loaded, tmp_path, bits)
    off, out = farthest(engine, loaded), refused(engine, loaded)
    engine.close()
    assert out or off <= AGREEMENT
    if bits <= 4:
        assert out, "coarse weights give other scores"
    if bits >= 16:
        assert not out, "this fine, nothing changes"


def test_references_of_another_scale_are_refused(pack: Path) -> None:
    """As a pack whose references were made elsewhere with other weights."""
    loaded = load_pack(pack)
    moved = tuple(
        reference.model_copy(update={"score": 1.1 * reference.score})
        for reference in loaded.manifest.references
    )
    altered = replace(loaded, manifest=loaded.manifest.model_copy(update={"references": moved}))
    with pytest.raises(DisagreementError, match=r"onnx\.reference scores reference/best\.png"):
        require_agreement(Evaluator(loaded), altered)
