"""A network that scores by itself runs behind our contract, with a threshold from the user's own good parts."""

import hashlib
import math
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from inspector.engine.preprocess import Geometry
from inspector.errors import ModelError, NetworkError, ScoreError
from inspector.model.framing import Framing
from inspector.model.images import read_image
from inspector.model.imported import (
    Chosen,
    choose_outputs,
    fit_imported,
    imported_graph,
    require_room,
    score_good,
)
from inspector.model.network import read_network
from inspector.model.options import FitOptions, FrameOptions
from inspector.model.progress import silent
from inspector.model.score_nodes import Exposure
from inspector.model.scoring import compiled
from tests.support import networks

GREY, COLOUR = Geometry(1, 64, 96), Geometry(3, 64, 96)
MAP = ("float32", (1, 1, 16, 24))
NUMBER = ("float32", (1, 1))
IMAGE = np.random.default_rng(0).integers(0, 256, (64, 96, 3), np.uint8)


@pytest.fixture
def images(tmp_path: Path) -> list[Path]:
    """Six images, each brighter than the one before."""
    paths = [tmp_path / f"{index}.png" for index in range(6)]
    for index, path in enumerate(paths):
        cv2.imwrite(str(path), np.full((64, 96), 140 + 10 * index, np.uint8))
    return paths


def expected_map(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return what networks.detector computes, in the plainest way."""
    odd = np.abs(image / 255 - 0.5).mean(axis=2)
    mean: NDArray[np.float32] = odd.reshape(16, 4, 24, 4).mean(axis=(1, 3))
    return mean


@pytest.mark.parametrize("opset", [13, 17, 20])
def test_score_and_map_are_the_network_s_own(tmp_path: Path, opset: int) -> None:
    network = read_network(networks.detector(tmp_path / "net.onnx", opset=opset))
    chosen = choose_outputs(network.path, network.shapes((64, 96)))
    assert chosen == Chosen("anomaly_map", (16, 24), "pred_score")
    with compiled(imported_graph(network, COLOUR, chosen), COLOUR) as engine:
        score = engine.score(IMAGE)
    np.testing.assert_allclose(score.heatmap, expected_map(IMAGE), atol=1e-5)
    assert score.value == pytest.approx(2 * expected_map(IMAGE).mean(), rel=1e-4)


def test_a_grey_frame_is_given_as_three_channels(tmp_path: Path) -> None:
    network = read_network(networks.detector(tmp_path / "net.onnx"))
    chosen = choose_outputs(network.path, network.shapes((64, 96)))
    with compiled(imported_graph(network, GREY, chosen), GREY) as engine:
        score = engine.score(IMAGE[..., 0])
    np.testing.assert_allclose(score.heatmap, expected_map(np.repeat(IMAGE[..., :1], 3, axis=2)), atol=1e-5)


def test_the_map_alone_is_scored_by_its_maximum_and_a_score_alone_is_its_map(tmp_path: Path) -> None:
    network = read_network(networks.detector(tmp_path / "net.onnx"))
    for wanted, shape in (("anomaly_map", (16, 24)), ("pred_score", (1, 1))):
        chosen = choose_outputs(network.path, network.shapes((64, 96)), wanted)
        with compiled(imported_graph(network, COLOUR, chosen), COLOUR) as engine:
            score = engine.score(IMAGE)
        assert score.heatmap.shape == shape
        assert score.value == pytest.approx(float(score.heatmap.max()))


def test_a_lamp_that_failed_is_odd_here_too(tmp_path: Path) -> None:
    network = read_network(networks.detector(tmp_path / "net.onnx", factor=0.0))
    chosen = choose_outputs(network.path, network.shapes((64, 96)))
    with compiled(imported_graph(network, GREY, chosen, Exposure(100, 150, limit=3.0)), GREY) as engine:
        assert engine.score(np.full((64, 96), 50, np.uint8)).value == pytest.approx(3, rel=0.01)
        assert engine.score(np.full((64, 96), 120, np.uint8)).value == pytest.approx(0, abs=0.01)


@pytest.mark.parametrize("factor", [float("nan"), float("-inf"), float("inf")])
@pytest.mark.parametrize("output", ["", "anomaly_map", "pred_score"])
def test_an_answer_that_is_no_number_is_refused_whatever_the_exposure_says(
    tmp_path: Path, factor: float, output: str
) -> None:
    """A maximum may take the other number instead, and a part that nobody judged would pass."""
    network = read_network(networks.detector(tmp_path / "net.onnx", factor=factor))
    chosen = choose_outputs(network.path, network.shapes((64, 96)), output)
    graph = imported_graph(network, GREY, chosen, Exposure(100, 150, limit=3.0))
    with pytest.raises(ScoreError), compiled(graph, GREY) as engine:
        engine.score(np.full((64, 96), 120, np.uint8))


def test_the_good_parts_are_scored_and_the_threshold_can_be_positive(
    tmp_path: Path, images: list[Path]
) -> None:
    """A likelihood is below 0; relative to a threshold it must not be."""
    network = read_network(networks.detector(tmp_path / "net.onnx", factor=-1.0))
    model = score_good(network, GREY, "", images, silent)
    scores = model.held_out(images, None, silent).scores
    assert scores.min() > 0
    assert (np.diff(scores) < 0).all(), "the order is kept"
    np.testing.assert_allclose(model.grey, 140 + 10 * np.arange(6))
    graph, kept = model.fused(Exposure(0, 255, limit=1.0), silent)
    with compiled(graph, GREY) as engine:
        answers = [engine.score(read_image(path, 1)).value for path in images]
    np.testing.assert_allclose(answers, scores, rtol=1e-4)
    assert kept == 0


def test_positive_scores_stay_as_they_are(tmp_path: Path, images: list[Path]) -> None:
    network = read_network(networks.detector(tmp_path / "net.onnx"))
    scores = score_good(network, GREY, "", images, silent).held_out(images, None, silent).scores
    np.testing.assert_allclose(scores, [2 * abs((140 + 10 * i) / 255 - 0.5) for i in range(6)], rtol=1e-4)


@pytest.mark.parametrize(
    ("factor", "message"),
    [
        (float("nan"), "a finite number for each image, the first has none"),
        (0.0, "scores that differ, all good images have 0"),
    ],
)
def test_scores_that_are_none_are_told(
    tmp_path: Path, images: list[Path], factor: float, message: str
) -> None:
    network = read_network(networks.detector(tmp_path / "net.onnx", factor=factor))
    with pytest.raises(NetworkError, match=message) as caught:
        score_good(network, GREY, "", images, silent)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("shapes", "wanted", "expected"),
    [
        (
            {"pred_score": NUMBER, "anomaly_map": MAP, "pred_mask": ("bool", (1, 1, 16, 24))},
            "",
            ("anomaly_map", "pred_score"),
        ),
        ({"output": MAP}, "", ("output", "")),
        ({"output": ("float32", (1, 16, 24)), "std": NUMBER}, "", ("output", "")),
        ({"output": NUMBER}, "", ("", "output")),
        ({"a": MAP, "b": MAP}, "b", ("b", "")),
        ({"a": MAP, "b": NUMBER}, "b", ("", "b")),
    ],
)
def test_outputs_are_found_by_name_or_shape(
    shapes: dict[str, tuple[str, tuple[int, ...]]], wanted: str, expected: tuple[str, str]
) -> None:
    chosen = choose_outputs(Path("net.onnx"), shapes, wanted)
    assert (chosen.map, chosen.score) == expected


@pytest.mark.parametrize(
    ("shapes", "wanted", "message"),
    [
        ({"a": MAP, "b": MAP}, "", "found a, b that could all be it; choose one with --output"),
        ({"logits": ("float32", (1, 10))}, "", r"found: logits float32 \[1, 10\]"),
        ({"two": ("float32", (1, 2, 16, 24))}, "", "a map float32"),
        ({}, "", "found: none of a fixed size"),
        ({"a": MAP}, "c", "expected the output 'c' to be a map"),
        ({"label": ("bool", (1, 1))}, "label", r"found: label bool \[1, 1\]"),
    ],
)
def test_outputs_that_cannot_be_used_are_told(
    shapes: dict[str, tuple[str, tuple[int, ...]]], wanted: str, message: str
) -> None:
    with pytest.raises(NetworkError, match=message):
        choose_outputs(Path("net.onnx"), shapes, wanted)


FRAMING = Framing(GREY, ((64, 96),))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (FitOptions(), "expected --network FILE.onnx beside --method imported"),
        (FitOptions(network=Path("n.onnx"), pooling=8.0), "expected no --pooling"),
        (FitOptions(network=Path("n.onnx"), pooling=math.inf), "expected no --pooling"),
        (FitOptions(network=Path("n.onnx"), taps=(("4",),)), "expected no --taps"),
        (FitOptions(network=Path("n.onnx"), frame=FrameOptions(mask=Path("m.png"))), "expected no --mask"),
    ],
)
def test_options_that_belong_to_other_methods_are_told(options: FitOptions, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        fit_imported(options, FRAMING, [], silent)


def test_frames_fill_an_input_of_fixed_sides(tmp_path: Path, images: list[Path]) -> None:
    path = networks.detector(tmp_path / "net.onnx", image=("batch", 3, 32, 32))
    planned = Framing(Geometry(3, 64, 96, picture=(90, 64)), ((64, 96),))
    model = fit_imported(FitOptions(network=path), planned, images, silent)
    assert model.geometry == Geometry(3, 32, 32)
    assert model.facts()["network"] == {
        "name": "net.onnx",
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "outputs": ("anomaly_map", "pred_score"),
    }


@pytest.mark.parametrize(
    "scores",
    [[*np.linspace(0.2, 0.9, 29), 1.0], [*np.linspace(0.2, 0.9, 20), *[1.0] * 10]],
    ids=["one image", "many"],
)
def test_scores_that_are_cut_off_below_the_threshold_are_refused(scores: list[float]) -> None:
    """No bad part could score above: all would be released."""
    with pytest.raises(NetworkError, match="where the network cuts them off; export it before"):
        require_room(Path("net.onnx"), np.array(scores), 0.01)


@pytest.mark.parametrize(
    ("scores", "rate"),
    [
        ([*np.linspace(0.2, 0.9, 29), 1.0], 0.1),  # the threshold lies below the end
        ([*np.linspace(0.2, 0.9, 20), *[3.0] * 10], 0.01),  # a scale of its own, in steps
        (list(np.linspace(0.2, 0.9, 30)), 0.01),
    ],
)
def test_scores_with_room_above_the_threshold_are_taken(scores: list[float], rate: float) -> None:
    require_room(Path("net.onnx"), np.array(scores), rate)
