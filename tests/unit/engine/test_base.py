"""The table of backends, `auto`, and what counts as a score."""

import logging
from pathlib import Path

import numpy as np
import pytest

from inspector.engine import base
from inspector.engine.base import Score, check_contract, finding_of, one_line, open_engine, to_score
from inspector.engine.preprocess import Geometry
from inspector.errors import EngineError, EngineUnavailableError, GraphError, ScoreError
from inspector.part import Deciding
from tests.unit.engine.graphs import SmallGraph

GEOMETRY = Geometry(1, 32, 48)


class Backend:
    """A backend that this machine can run; subclasses cannot be opened."""

    name = "stand-in"

    def __init__(self, graph: Path, geometry: Geometry, *, threads: int = 0) -> None:
        self.opened_with = (graph, geometry, threads)


class NoDriver(Backend):
    def __init__(self, graph: Path, geometry: Geometry, *, threads: int = 0) -> None:
        raise EngineUnavailableError("no libcuda.so.1")


class WrongGraph(Backend):
    def __init__(self, graph: Path, geometry: Geometry, *, threads: int = 0) -> None:
        raise GraphError("no float32 on this GPU")


class Broken(Backend):
    def __init__(self, graph: Path, geometry: Geometry, *, threads: int = 0) -> None:
        raise EngineError("the GPU fell off the bus")


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    path = tmp_path / "graph.onnx"
    path.write_bytes(b"not looked at")
    return path


def use_backends(monkeypatch: pytest.MonkeyPatch, *classes: type[Backend]) -> None:
    table = {cls.__name__.lower(): (__name__, cls.__name__) for cls in classes}
    monkeypatch.setattr(base, "BACKENDS", table)


@pytest.mark.parametrize(
    ("first", "why"), [(NoDriver, "no libcuda.so.1"), (WrongGraph, "no float32 on this GPU")]
)
def test_auto_passes_over_what_cannot_run_and_says_so_once(
    first: type[Backend],
    why: str,
    graph: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    use_backends(monkeypatch, first, Backend)
    with caplog.at_level(logging.INFO):
        engine = open_engine("auto", graph, GEOMETRY, threads=2)
    assert isinstance(engine, Backend)
    assert engine.opened_with == (graph, GEOMETRY, 2)
    [record] = caplog.records
    assert record.getMessage() == "engine_chosen"
    assert record.__dict__["engine"] == "backend"
    assert record.__dict__["why"] == f"{first.__name__.lower()} not usable: {why}; backend chosen"


def test_auto_does_not_hide_a_broken_backend_behind_a_slower_one(
    graph: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_backends(monkeypatch, Broken, Backend)
    with pytest.raises(EngineError, match="fell off the bus"):
        open_engine("auto", graph, GEOMETRY)


def test_auto_without_any_usable_backend_raises_the_reason_of_the_last(
    graph: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_backends(monkeypatch, NoDriver, WrongGraph)
    with pytest.raises(GraphError, match="no float32"):
        open_engine("auto", graph, GEOMETRY)


def test_a_named_backend_is_taken_or_refused_never_replaced(
    graph: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_backends(monkeypatch, NoDriver, Backend)
    with pytest.raises(EngineUnavailableError):
        open_engine("nodriver", graph, GEOMETRY)


def test_a_backend_whose_package_is_missing_is_named(graph: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "BACKENDS", {"other": ("inspector.engine.not_there", "Engine")})
    with pytest.raises(EngineUnavailableError, match=r"inspector\.engine\.not_there does not load"):
        open_engine("other", graph, GEOMETRY)


def test_an_unknown_engine_is_answered_with_the_known_ones(graph: Path) -> None:
    with pytest.raises(EngineError, match="one of auto, openvino, tensorrt, not 'cuda'"):
        open_engine("cuda", graph, GEOMETRY)


@pytest.mark.parametrize("kind", ["auto", "openvino", "tensorrt"])
def test_a_missing_graph_file_is_named(kind: str, tmp_path: Path) -> None:
    with pytest.raises(GraphError, match=r"no graph file at .*gone\.onnx"):
        open_engine(kind, tmp_path / "gone.onnx", GEOMETRY)


def test_auto_opens_a_real_graph_on_this_machine(tmp_path: Path) -> None:
    engine = open_engine("auto", SmallGraph().save(tmp_path / "graph.onnx"), GEOMETRY)
    engine.warm_up()
    assert np.isfinite(engine.score(np.full((32, 48), 9, np.uint8)).value)
    engine.close()


@pytest.mark.parametrize("score_shape", [(), (1,)])
def test_a_score_may_be_a_scalar_or_a_vector_of_one(score_shape: tuple[int, ...]) -> None:
    outputs = {"score": ("float32", score_shape), "heatmap": ("float32", (1, 8, 12))}
    check_contract({"image": ("uint8", (1, 32, 48, 1))}, outputs, GEOMETRY, Path("g.onnx"))
    assert to_score(np.full(score_shape, 2, np.float32), np.zeros((1, 8, 12), np.float32)).value == 2


@pytest.mark.parametrize(
    "outputs",
    [
        {},
        {"score": ("float32", (1,))},
        {"score": ("float32", (1,)), "heatmap": ("float16", (1, 8, 12))},
        {"score": ("float32", (2,)), "heatmap": ("float32", (1, 8, 12))},
        {"score": ("float32", (1,)), "heatmap": ("float32", (2, 8, 12))},
        {"score": ("float32", (1,)), "heatmap": ("float32", (1, 0, 12))},
        {"score": ("float32", (1,)), "heatmap": ("float32", (1, 8, 12)), "extra": ("float32", (1,))},
        {"score": ("float32", (1,)), "heatmap": ("float32", (1, 8, 12)), "extra": ("int64", (1,))},
        {"score": ("float32", (1,)), "heatmap": ("float32", (1, 8, 12)), "defects": ("float32", (3,))},
        {"score": ("float32", (1,)), "heatmap": ("float32", (1, 8, 12)), "defects": ("float32", (1, 0))},
        {"score": ("float32", (1,)), "heatmap": ("float32", (1, 8, 12)), "defects": ("float32", (2, 3))},
        {"score": ("float32", (1,)), "heatmap": ("float32", (1, 8, 12)), "defects": ("float16", (1, 3))},
        {"score": ("float32", (1,)), "defects": ("float32", (1, 3))},
    ],
)
def test_outputs_that_break_the_contract(outputs: base.Signature) -> None:
    with pytest.raises(GraphError, match=r"g\.onnx: expected the outputs score float32 \[1\]"):
        check_contract({"image": ("uint8", (1, 32, 48, 1))}, outputs, GEOMETRY, Path("g.onnx"))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_nothing_that_an_engine_hands_out_may_be_other_than_finite(bad: float) -> None:
    heatmap = np.zeros((1, 4, 4), np.float32)
    with pytest.raises(ScoreError, match="the score is"):
        to_score(np.array([bad], np.float32), heatmap)
    heatmap[0, 3, 1] = bad
    with pytest.raises(ScoreError, match="the heat map"):
        to_score(np.array([0.5], np.float32), heatmap)
    heatmap[0, 3, 1] = 0
    with pytest.raises(ScoreError, match="the confidence in a known defect"):
        to_score(np.array([0.5], np.float32), heatmap, defects=np.array([[0.5, bad]], np.float32))


VIEWS = (GEOMETRY, Geometry(1, 32, 48, roi=(9, 9, 48, 32)))
OF_TWO = {"score": ("float32", (1,)), "heatmap": ("float32", (2, 8, 12)), "views": ("float32", (2,))}


def test_a_graph_of_several_views_tells_of_each() -> None:
    check_contract({"image": ("uint8", (2, 32, 48, 1))}, OF_TWO, VIEWS, Path("g.onnx"))


@pytest.mark.parametrize(
    "change",
    [
        {"views": ("float32", (1,))},
        {"views": ("float32", (2, 1))},
        {"views": ("float16", (2,))},
        {"views": None},
        {"heatmap": ("float32", (1, 8, 12))},
        {"score": ("float32", (2,))},
        {"defects": ("float32", (1, 3))},  # which view they are of nobody could say
    ],
)
def test_outputs_that_do_not_tell_of_each_view(change: dict[str, tuple[str, tuple[int, ...]] | None]) -> None:
    outputs = {name: each for name, each in ({**OF_TWO, **change}).items() if each is not None}
    with pytest.raises(
        GraphError, match=r"heatmap float32 \[2, h, w\] .* and views float32 \[2\], found"
    ) as caught:
        check_contract({"image": ("uint8", (2, 32, 48, 1))}, outputs, VIEWS, Path("g.onnx"))
    assert "\n" not in str(caught.value)


def test_a_graph_of_one_view_has_no_output_for_views() -> None:
    outputs = {**OF_TWO, "heatmap": ("float32", (1, 8, 12)), "views": ("float32", (1,))}
    with pytest.raises(GraphError, match="expected the outputs score"):
        check_contract({"image": ("uint8", (1, 32, 48, 1))}, outputs, GEOMETRY, Path("g.onnx"))


def test_a_graph_of_one_view_is_not_one_of_two() -> None:
    with pytest.raises(
        GraphError, match=r"expected the input image uint8 \[2, 32, 48, 1\], found image uint8 \[1,"
    ):
        check_contract({"image": ("uint8", (1, 32, 48, 1))}, OF_TWO, VIEWS, Path("g.onnx"))


def test_the_worst_view_decides_and_the_places_are_its_own() -> None:
    heatmap = np.zeros((2, 8, 12), np.float32)
    heatmap[0, 0, 0], heatmap[1, 7, 11] = 0.5, 2
    places = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0), (1.0, 0.0, 9.0, 0.0, 1.0, 9.0)
    views = np.array([0.5, 2], np.float32)
    score = to_score(np.array([2], np.float32), heatmap, VIEWS, places, views=views)
    heatmap[:], views[:] = 7, 7
    assert (score.value, score.view, [each.value for each in score.views]) == (2, 1, [0.5, 2])
    assert score.oddest() == (9 + 46, 9 + 30)
    assert score.views[0].oddest() == (2, 2)
    assert score.heatmap.max() == 2


@pytest.mark.parametrize(
    ("values", "told"),
    [([0.5, np.nan], "score of a view"), ([0.5, 1.5], "expected that of its worst view, 1.5")],
)
def test_views_that_do_not_make_the_score_are_refused(values: list[float], told: str) -> None:
    """Those of the part before would name the wrong view."""
    with pytest.raises(ScoreError, match=told):
        to_score(
            np.array([2], np.float32),
            np.zeros((2, 8, 12), np.float32),
            VIEWS,
            views=np.array(values, np.float32),
        )


def test_known_defects_may_be_told_beside_score_and_heat_map() -> None:
    outputs = {
        "score": ("float32", (1,)),
        "heatmap": ("float32", (1, 8, 12)),
        "defects": ("float32", (1, 3)),
    }
    check_contract({"image": ("uint8", (1, 32, 48, 1))}, outputs, GEOMETRY, Path("g.onnx"))
    memory = np.array([[0.5, 0.25, 0]], np.float32)
    score = to_score(np.array([1], np.float32), np.zeros((1, 8, 12), np.float32), defects=memory)
    memory[:] = 0
    assert score.defects is not None
    np.testing.assert_array_equal(score.defects, np.array([0.5, 0.25, 0], np.float32))


def test_a_score_names_the_likeliest_defect_unless_none_is_likelier() -> None:
    def named(*confidences: float) -> tuple[str, float]:
        return Score(1.0, np.zeros((2, 2), np.float32), defects=np.array(confidences, np.float32)).named(
            ("dent", "rust")
        )

    assert named(0.25, 0.5) == ("rust", 0.5)
    assert named(0.5, 0.25) == ("dent", 0.5)
    for name, confidence in (named(0.25, 0.125), Score(1.0, np.zeros((2, 2), np.float32)).named(())):
        assert name == ""
        assert np.isnan(confidence)


def test_the_oddest_place_is_the_centre_of_the_highest_cell_in_the_frame() -> None:
    heatmap = np.zeros((4, 6), np.float32)
    heatmap[1, 5] = 2
    assert Score(2.0, heatmap, (20.0, 0.0, 100.0, 0.0, 10.0, 50.0)).oddest() == (210.0, 65.0)


def test_a_defect_is_named_only_above_the_threshold() -> None:
    deciding = Deciding(threshold=2.0, defects=("dent", "rust"))
    confidences = np.array([0.75, 0.125], np.float32)
    for value, named in ((2.0, ""), (2.5, "dent")):
        finding = finding_of(
            Score(value, np.ones((2, 2), np.float32), defects=confidences), deciding, engine_ms=5.0
        )
        assert (finding.score, finding.relative_score, finding.engine_ms) == (value, value / 2, 5.0)
        assert (finding.place, finding.defect) == ((0, 0), named)
        assert np.isnan(finding.confidence) == (not named)


def test_vendor_messages_become_one_line() -> None:
    assert one_line(RuntimeError("Check failed\n  at src/core.cpp:12\n")) == "Check failed at src/core.cpp:12"
    assert one_line(KeyError()) == "KeyError"
    assert len(one_line(RuntimeError("x" * 999))) == 200
