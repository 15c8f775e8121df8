"""What every engine promises, run against each backend; a backend that this machine cannot run is skipped by name of what is missing."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from inspector.engine.base import Engine, open_engine
from inspector.engine.preprocess import Geometry, Views, to_input
from inspector.errors import (
    EngineClosedError,
    EngineInputError,
    EngineUnavailableError,
    GraphError,
    ScoreError,
)
from tests.unit.engine.gpu_standin import StandInGpu, kernel_for
from tests.unit.engine.graphs import SmallGraph


def noise(*shape: int, seed: int = 1) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


class EngineContract:
    """Subclass with the backend's name in `kind`."""

    kind: str

    @pytest.fixture
    def opened(self) -> Iterator[list[Engine]]:
        engines: list[Engine] = []
        yield engines
        for engine in engines:
            engine.close()

    def open(
        self, graph: SmallGraph, folder: Path, opened: list[Engine], geometry: Views | None = None
    ) -> Engine:
        geometry = geometry or Geometry(graph.channels, graph.height, graph.width)
        engine = open_engine(self.kind, graph.save(folder / "graph.onnx"), geometry)
        opened.append(engine)
        engine.warm_up()
        return engine

    @pytest.mark.parametrize("channels", [1, 3])
    def test_score_and_heatmap_are_those_of_the_graph(
        self, channels: int, tmp_path: Path, opened: list[Engine]
    ) -> None:
        graph = SmallGraph(channels=channels)
        image = noise(32, 48) if channels == 1 else noise(32, 48, 3)
        score = self.open(graph, tmp_path, opened).score(image)
        value, heatmap = graph.reference(image.reshape(1, 32, 48, channels))
        assert score.value == pytest.approx(value, rel=1e-3)
        assert score.heatmap.dtype == np.float32
        assert score.heatmap.shape == graph.grid
        np.testing.assert_allclose(score.heatmap, heatmap, rtol=1e-3, atol=1e-3)

    def test_confidences_are_those_of_the_graph_and_none_where_it_knows_no_defect(
        self, tmp_path: Path, opened: list[Engine]
    ) -> None:
        graph = SmallGraph(known=3)
        engine = self.open(graph, tmp_path, opened)
        first, other = engine.score(noise(32, 48)), engine.score(noise(32, 48, seed=2))
        for score in (first, other):
            assert score.defects is not None
            np.testing.assert_allclose(score.defects, score.value * graph.shares[0], rtol=1e-6)
        assert self.open(SmallGraph(), tmp_path, opened).score(noise(32, 48)).defects is None

    @pytest.mark.parametrize("shape", [(100, 150), (77, 201, 3)])
    def test_a_frame_of_another_size_is_prepared_as_for_fitting(
        self, shape: tuple[int, ...], tmp_path: Path, opened: list[Engine]
    ) -> None:
        graph = SmallGraph(channels=3)
        geometry = Geometry(3, 32, 48, roi=(3, 5, 64, 51))
        image = noise(*shape)
        score = self.open(graph, tmp_path, opened, geometry).score(image)
        assert score.value == pytest.approx(graph.reference(to_input(image, geometry))[0], rel=1e-3)

    @pytest.mark.parametrize("shape", [(100, 150), (100, 150, 3)])
    def test_each_view_of_a_frame_is_scored_and_the_worst_decides(
        self, shape: tuple[int, ...], tmp_path: Path, opened: list[Engine]
    ) -> None:
        graph = SmallGraph(channels=3, views=2)
        views = Geometry(3, 32, 48, roi=(3, 5, 64, 51)), Geometry(3, 32, 48, roi=(40, 20, 110, 80))
        engine = self.open(graph, tmp_path, opened, views)
        for odd, corner in enumerate((np.s_[8:16, 8:24], np.s_[70:90, 100:140])):
            image = 190 + noise(*shape) // 16
            image[corner] = 0
            score, prepared = engine.score(image), to_input(image, views)
            value, heatmap = graph.reference(prepared)
            assert score.value == pytest.approx(
                value, rel=3e-2
            )  # a grey level may round the other way on a GPU
            np.testing.assert_allclose(score.heatmap, heatmap, rtol=3e-2, atol=3e-2)
            alone = [
                graph.reference(np.stack([each] * 2))[0] for each in prepared
            ]  # by the first's threshold
            relative = np.array(alone) * graph.limits[0] / graph.limits
            np.testing.assert_allclose([each.value for each in score.views], relative, rtol=3e-2)
            assert score.view == odd
            (x, y), (rows, columns) = score.oddest(), corner
            assert columns.start <= x <= columns.stop, "a place in the frame, not in the view"
            assert rows.start <= y <= rows.stop

    def test_views_come_prepared_in_one_batch(self, tmp_path: Path, opened: list[Engine]) -> None:
        graph = SmallGraph(views=4)
        engine = self.open(graph, tmp_path, opened, [Geometry(1, 32, 48)] * 4)
        prepared = noise(4, 32, 48, 1)
        first, other = engine.score_prepared(prepared), engine.score_prepared(prepared[::-1].copy())
        assert first.value == pytest.approx(graph.reference(prepared)[0], rel=1e-3)
        assert len(first.views) == 4
        assert first.views[0].value == pytest.approx(other.views[3].value * 1.5, rel=1e-3), (
            "by their thresholds"
        )
        with pytest.raises(EngineInputError, match=r"the graph's input is uint8 \(4, 32, 48, 1\)"):
            engine.score_prepared(prepared[:1])

    def test_a_graph_of_other_views_is_refused_when_opened(
        self, tmp_path: Path, opened: list[Engine]
    ) -> None:
        with pytest.raises(GraphError, match=r"expected the input image uint8 \[2, 32, 48, 1\]"):
            self.open(SmallGraph(views=3), tmp_path, opened, [Geometry(1, 32, 48)] * 2)
        with pytest.raises(GraphError, match=r"expected the input image uint8 \[1, 32, 48, 1\]"):
            self.open(SmallGraph(views=3), tmp_path, opened)
        with pytest.raises(EngineInputError, match="expected views of one size"):
            self.open(SmallGraph(views=2), tmp_path, opened, [Geometry(1, 32, 48), Geometry(1, 48, 32)])

    def test_the_same_frame_gives_the_same_score_whatever_came_between(
        self, tmp_path: Path, opened: list[Engine]
    ) -> None:
        engine = self.open(SmallGraph(), tmp_path, opened)
        first, other = engine.score(noise(32, 48)), engine.score(noise(32, 48, seed=2))
        again = engine.score(noise(32, 48))
        assert first.value == again.value != other.value
        np.testing.assert_array_equal(first.heatmap, again.heatmap)
        assert not np.array_equal(first.heatmap, other.heatmap), "a score must not share the engine's memory"

    @pytest.mark.parametrize("poison", ["nan", "inf", "heatmap"])
    def test_what_is_not_finite_is_refused_and_the_next_frame_is_scored(
        self, poison: str, tmp_path: Path, opened: list[Engine]
    ) -> None:
        engine = self.open(SmallGraph(poison=poison), tmp_path, opened)
        with pytest.raises(ScoreError, match="finite"):
            engine.score(np.zeros((32, 48), np.uint8))
        assert np.isfinite(engine.score(np.full((32, 48), 200, np.uint8)).value)

    @pytest.mark.parametrize(
        "image",
        [np.zeros((32, 48), np.float32), np.zeros((32, 48, 4), np.uint8), np.zeros((0, 0), np.uint8)],
        ids=["float", "four channels", "empty"],
    )
    def test_what_is_no_frame_is_refused(
        self, image: NDArray[np.uint8], tmp_path: Path, opened: list[Engine]
    ) -> None:
        engine = self.open(SmallGraph(), tmp_path, opened)
        with pytest.raises(EngineInputError, match="an image is uint8 or uint16"):
            engine.score(image)

    def test_a_graph_of_another_size_is_refused_when_opened(
        self, tmp_path: Path, opened: list[Engine]
    ) -> None:
        with pytest.raises(GraphError, match=r"expected the input image uint8 \[1, 64, 48, 1\]"):
            self.open(SmallGraph(), tmp_path, opened, Geometry(1, 64, 48))

    @pytest.mark.parametrize("rank", [2, 4])
    def test_an_output_of_the_wrong_shape_is_refused_when_opened(
        self, rank: int, tmp_path: Path, opened: list[Engine]
    ) -> None:
        with pytest.raises(GraphError, match="expected the outputs score"):
            self.open(SmallGraph(heatmap_rank=rank), tmp_path, opened)

    @pytest.mark.parametrize("keep", [0, 100, -40])
    def test_a_truncated_graph_is_refused_in_one_line(self, keep: int, tmp_path: Path) -> None:
        path = SmallGraph().save(tmp_path / "graph.onnx")
        path.write_bytes(path.read_bytes()[:keep])
        with pytest.raises(GraphError) as caught:
            open_engine(self.kind, path, Geometry(1, 32, 48))
        assert "\n" not in str(caught.value)
        assert str(path) in str(caught.value)

    def test_close_twice_is_fine_and_a_score_afterwards_is_an_error(
        self, tmp_path: Path, opened: list[Engine]
    ) -> None:
        engine = self.open(SmallGraph(), tmp_path, opened)
        engine.close()
        engine.close()
        with pytest.raises(EngineClosedError):
            engine.score(noise(32, 48))
        with pytest.raises(EngineClosedError):
            engine.warm_up()


class TestOpenVino(EngineContract):
    kind = "openvino"


class TestTensorRT(EngineContract):
    kind = "tensorrt"

    @pytest.fixture(autouse=True)
    def _needs_a_gpu(self) -> None:
        from inspector.engine.gpu import require_device

        try:
            require_device()
        except EngineUnavailableError as error:
            pytest.skip(f"TensorRT cannot run here: {error}")


class TestTensorRTOnAStandIn(EngineContract):
    """The same promises with the real builder and a stand-in for the GPU: what our own code does around a device."""

    kind = "tensorrt"

    @pytest.fixture(autouse=True)
    def _stand_in(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        trt = pytest.importorskip("tensorrt_rtx")
        gpu = StandInGpu(tmp_path / "graph.onnx", trt)
        monkeypatch.setattr("inspector.engine.tensorrt.require_device", lambda: (gpu.trt, gpu.cuda))
        monkeypatch.setattr("inspector.engine.raw_frames.kernel_for", kernel_for)


class TestTensorRTOnAStandInThatCompilesNoKernel(TestTensorRTOnAStandIn):
    """Frames are prepared on the CPU then."""

    @pytest.fixture(autouse=True)
    def _no_compiler(self, _stand_in: None, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(folder: Path, capability: str) -> bytes:
            raise EngineUnavailableError("no nvcc")

        monkeypatch.setattr("inspector.engine.raw_frames.kernel_for", refuse)
