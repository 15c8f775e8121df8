"""The CPU engine: its settings, and the graphs it refuses."""

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest

from inspector.engine.openvino import OpenVinoEngine, _compile
from inspector.engine.preprocess import Geometry
from inspector.engine.settings import Settings
from inspector.errors import EngineClosedError, EngineError, GraphError, ScoreError
from tests.unit.engine.graphs import SmallGraph

GEOMETRY = Geometry(1, 32, 48)


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    return SmallGraph().save(tmp_path / "graph.onnx")


def test_it_computes_in_float32_for_latency_without_pinning(graph: Path) -> None:
    compiled = _compile(graph, Settings(threads=1))
    assert compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name() == "f32"
    assert compiled.get_property("PERFORMANCE_HINT") == "LATENCY"
    assert compiled.get_property("ENABLE_CPU_PINNING") is False
    assert compiled.get_property("INFERENCE_NUM_THREADS") == 1


def test_it_computes_with_the_settings_it_is_given(graph: Path) -> None:
    compiled = _compile(graph, Settings(precision="f32", pinned=True))
    assert compiled.get_property("ENABLE_CPU_PINNING") is True


def test_the_threads_of_opencv_do_not_compete(graph: Path) -> None:
    cv2.setNumThreads(2)
    OpenVinoEngine(graph, GEOMETRY).close()
    assert cv2.getNumThreads() == 1


def test_two_streams_of_one_compiled_graph_keep_their_images_apart(graph: Path) -> None:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (2, 32, 48), np.uint8)
    alone = OpenVinoEngine(graph, GEOMETRY)
    expected = [alone.score(image).value for image in images]
    assert expected[0] != expected[1]
    first = OpenVinoEngine(graph, GEOMETRY, threads=2, streams=2)
    engines = [first, first.another()]
    for engine, image in zip(engines, images, strict=True):
        engine._input[...] = image[None, :, :, None]
    assert [engine._run().value for engine in engines] == pytest.approx(expected)
    first.close()
    assert engines[1].score(images[0]).value == pytest.approx(expected[0])
    with pytest.raises(EngineClosedError):
        first.another()


def test_a_signal_finds_a_stack_after_engines_were_opened_and_closed_in_turn(graph: Path) -> None:
    """As at a change of recipes and in `evaluate --against`; a Core for each engine left the thread an alternate stack that was unmapped."""
    script = f"""
import signal
from pathlib import Path
from inspector.engine.openvino import OpenVinoEngine
from inspector.engine.preprocess import Geometry

heard = []
signal.signal(signal.SIGTERM, lambda *_: heard.append("SIGTERM"))
first, second = [OpenVinoEngine(Path({str(graph)!r}), Geometry(1, 32, 48)) for _ in "12"]
first.close()
second.close()
signal.raise_signal(signal.SIGTERM)
print(*heard)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "SIGTERM\n", "")


def test_a_graph_without_fixed_sizes_is_refused(graph: Path) -> None:
    model = onnx.load(graph)
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_param = "height"
    onnx.save(model, graph)
    with pytest.raises(GraphError, match="image has no fixed size"):
        OpenVinoEngine(graph, GEOMETRY)


def test_a_graph_with_an_operation_nobody_knows_is_refused_in_one_line(graph: Path) -> None:
    model = onnx.load(graph)
    model.graph.node[4].op_type = "Convolute"
    onnx.save(model, graph)
    with pytest.raises(GraphError, match="No conversion rule found for operations: Convolute") as caught:
        OpenVinoEngine(graph, GEOMETRY)
    assert "\n" not in str(caught.value)


def test_a_file_of_another_format_is_not_tried_in_other_readers(
    graph: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    graph.write_bytes(b"node { name: 'image' op: 'Placeholder' }")  # text that TensorFlow's reader would take
    with pytest.raises(GraphError, match="Model can't be parsed"):
        OpenVinoEngine(graph, GEOMETRY)
    assert capfd.readouterr() == ("", "")


def test_a_run_that_writes_nothing_does_not_leave_the_score_of_the_frame_before(graph: Path) -> None:
    class Idle:
        def start_async(self) -> None:
            pass

        def wait(self) -> None:
            pass

    engine = OpenVinoEngine(graph, GEOMETRY)
    engine.score(np.zeros((32, 48), np.uint8))
    engine._request = Idle()
    with pytest.raises(ScoreError, match="the score is nan"):
        engine.score(np.zeros((32, 48), np.uint8))


def test_a_failure_while_scoring_is_an_engine_error_in_one_line(graph: Path) -> None:
    class Request:
        def start_async(self) -> None:
            raise RuntimeError("Exception from src/inference/src/infer_request.cpp:223:\nbroken\n")

    engine = OpenVinoEngine(graph, GEOMETRY)
    engine._request = Request()
    with pytest.raises(EngineError, match=r"OpenVINO failed while scoring: broken$"):
        engine.score(np.zeros((32, 48), np.uint8))


def test_nothing_is_reported_and_nothing_written_home(tmp_path: Path) -> None:
    code = "import sys, inspector.engine.openvino; sys.exit('openvino_telemetry.main' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], env={"HOME": str(tmp_path)}, check=True)
    assert list(tmp_path.iterdir()) == []
