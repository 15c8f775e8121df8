"""Evidence for known defects: what it says of patches, and that the graph says the same."""

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from inspector.engine.base import Score
from inspector.model.bank import build_bank
from inspector.model.evidence import Evidence, Settled, Sums, evidence_of, fit_evidence, ground
from inspector.model.graph import evidence_graph, features_graph, fused_graph, head_graph, split_features
from inspector.model.lite import lite0
from inspector.model.methods.base import Detector, Scale
from inspector.model.methods.nearest import NearestHead
from inspector.model.score_nodes import Exposure
from inspector.model.scoring import compiled, compiled_head
from inspector.model.spec import ModelSpec, model_spec
from inspector.model.whitening import Moments, whitening

DEPTH = 12
BACKBONE = lite0()
ONE = model_spec(BACKBONE, 1, [(64, 96)], [("4", "7", "10")])
TWO = model_spec(BACKBONE, 1, [(64, 96), (32, 64)], [("4", "7", "10")])


def cloud(rng: np.random.Generator, count: int, *shift: tuple[int, float]) -> NDArray[np.float32]:
    """Patches that vary very differently along their axes, moved along some of them."""
    patches = rng.standard_normal((count, DEPTH)) * np.geomspace(0.1, 10, DEPTH) + 3
    for axis, by in shift:
        patches[:, axis] += by
    return patches.astype(np.float32)


def log_ratio(evidence: Evidence, patches: NDArray[np.float32]) -> NDArray[np.float32]:
    shown = patches @ evidence.kernels[0] + evidence.offsets[0]
    return np.asarray(evidence.mean + evidence.deviation * shown)


@pytest.fixture
def evidence() -> Evidence:
    rng = np.random.default_rng(0)
    moments = Moments.of(cloud(rng, 4000))
    examples = [
        [(cloud(rng, 6, (0, 0.6)),) for _ in range(8)],
        [(cloud(rng, 6, (1, 0.9)),) for _ in range(8)],
    ]
    return fit_evidence(("dent", "rust"), [ground(moments)], examples)


def test_patches_of_a_defect_are_likelier_of_it_and_good_ones_of_neither(evidence: Evidence) -> None:
    rng = np.random.default_rng(1)
    good = log_ratio(evidence, cloud(rng, 500))
    dent, rust = (log_ratio(evidence, cloud(rng, 500, shift)) for shift in ((0, 0.6), (1, 0.9)))
    assert (dent.argmax(axis=1) == 0).mean() > 0.95
    assert (rust.argmax(axis=1) == 1).mean() > 0.95
    assert (good < 0).mean() > 0.97
    assert (dent[:, 0] > 0).mean() > 0.95


def test_evidence_counts_in_deviations_of_good_patches(evidence: Evidence) -> None:
    good = cloud(np.random.default_rng(2), 4000)
    shown = good @ evidence.kernels[0] + evidence.offsets[0]
    np.testing.assert_allclose(shown.mean(axis=0), 0, atol=0.05)
    np.testing.assert_allclose(shown.std(axis=0), 1, rtol=0.05)


def test_an_example_counts_once_however_large_its_defect_is() -> None:
    rng = np.random.default_rng(3)
    moments = ground(Moments.of(cloud(rng, 4000)))
    small = [(cloud(rng, 400, (0, 0.6)),), (cloud(rng, 400, (1, 0.9)),)]
    large = [small[0], (np.concatenate([small[1][0]] * 10),)]
    once, again = (fit_evidence(("dent",), [moments], [examples]) for examples in (small, large))
    np.testing.assert_allclose(once.kernels[0], again.kernels[0], rtol=1e-3, atol=1e-5)


def test_one_example_of_one_patch_is_enough_for_finite_numbers() -> None:
    rng = np.random.default_rng(4)
    found = fit_evidence(("dent",), [ground(Moments.of(cloud(rng, 4000)))], [[(cloud(rng, 1, (0, 1.0)),)]])
    assert all(np.isfinite(array).all() for array in (found.kernels[0], found.offsets[0], found.mean))
    assert (found.deviation > 0).all()


# -- in the graph ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def images() -> list[NDArray[np.uint8]]:
    """Stripes; on the last two a bright blot and a dark one."""
    rng = np.random.default_rng(0)
    stripes = 120 + 40 * np.sin(np.arange(96) / 5)[None, :] + np.zeros((64, 1))
    views = [np.clip(stripes + rng.normal(0, 12, (64, 96)), 0, 255).astype(np.uint8) for _ in range(8)]
    cv2.circle(views[-2], (70, 40), 9, 250, -1)
    cv2.circle(views[-1], (24, 24), 9, 5, -1)
    return views


def kept(spec: ModelSpec, images: Sequence[NDArray[np.uint8]]) -> list[NDArray[np.float32]]:
    with compiled(features_graph(spec), spec.geometry) as engine:
        return [engine.score(image).heatmap for image in images]


def knowing(spec: ModelSpec, rows: Sequence[NDArray[np.float32]]) -> Detector:
    """A detector of the six good images that knows two blots: of each, the cell in its middle."""
    heads, grounds = [], []
    examples: list[list[tuple[NDArray[np.float32], ...]]] = [[()], [()]]
    for number, branch in enumerate(spec.branches):
        flat = np.concatenate([split_features(spec, row)[number] for row in rows[:6]])
        moments = Moments.of(flat)
        white = whitening(moments)
        heads.append(NearestHead(white, build_bank(white.apply(flat), 40, np.random.default_rng(0))))
        grounds.append(ground(moments))
        for kind, (x, y) in enumerate(((70, 40), (24, 24))):
            cell = int(y / 64 * branch.grid[0]) * branch.grid[1] + int(x / 96 * branch.grid[1])
            patch = split_features(spec, rows[6 + kind])[number][cell : cell + 1]
            examples[kind][0] += (patch,)
    scales = () if len(heads) == 1 else tuple(Scale(0.0, 0.3) for _ in heads)
    return Detector(tuple(heads), scales, fit_evidence(("bright", "dark"), grounds, examples))


def top(score: Score) -> NDArray[np.float32]:
    """The highest evidence for each of two classes, of an evidence_graph of one branch or two."""
    return np.asarray(score.heatmap.reshape(2, -1).max(axis=1))


def settled(detector: Detector, limits: tuple[float, float] = (20, 30)) -> Detector:
    assert detector.evidence is not None
    worth = Settled(np.array(limits, np.float32), unit=2.0, slope=0.01, none=30.0)
    return replace(detector, evidence=replace(detector.evidence, settled=worth))


@pytest.mark.parametrize("spec", [ONE, TWO], ids=["one branch", "two branches"])
def test_the_graph_says_what_the_arithmetic_says(spec: ModelSpec, images: list[NDArray[np.uint8]]) -> None:
    rows = kept(spec, images)
    detector = knowing(spec, rows)
    evidence = detector.evidence
    assert evidence is not None
    kernel = np.outer([1, 2, 1], [1, 2, 1]).astype(np.float32) / 16
    with (
        compiled(fused_graph(spec, detector), spec.geometry) as engine,
        compiled_head(evidence_graph(spec, evidence)) as alone,
    ):
        for image, row in zip(images, rows, strict=True):
            planes = np.zeros((*spec.grid, 2), np.float32)
            for branch, part, weights, offset in zip(
                spec.branches, split_features(spec, row), evidence.kernels, evidence.offsets, strict=True
            ):
                plane = (part @ weights + offset).reshape(*branch.grid, 2)
                plane = cv2.filter2D(plane, -1, kernel, borderType=cv2.BORDER_REPLICATE)
                planes += cv2.resize(plane, spec.grid[::-1], interpolation=cv2.INTER_LINEAR)
            expected = np.maximum(planes, 0).max(axis=(0, 1))
            answer = engine.score(image)
            assert answer.defects is not None
            np.testing.assert_allclose(answer.defects, expected, rtol=1e-3, atol=1e-3)
            np.testing.assert_allclose(top(alone.score(row)), expected, rtol=1e-3, atol=1e-3)
            assert answer.value == pytest.approx(float(answer.heatmap.max())), (
                "not settled: worth nothing yet"
            )


def test_evidence_joins_score_and_heat_map_by_the_maximum(images: list[NDArray[np.uint8]]) -> None:
    rows = kept(ONE, images)
    detector = knowing(ONE, rows)
    with compiled(fused_graph(ONE, detector), ONE.geometry) as engine:
        without = [engine.score(image) for image in images]
    with compiled(fused_graph(ONE, settled(detector)), ONE.geometry) as engine:
        joined = [engine.score(image) for image in images]
    for before, after in zip(without, joined, strict=True):
        assert before.defects is not None
        relative = 2.0 * before.defects / np.array([20, 30])
        assert after.value == pytest.approx(max(before.value, float(relative.max())), rel=1e-4)
        assert (after.heatmap >= before.heatmap - 1e-4).all()
        assert after.value == pytest.approx(float(after.heatmap.max()))
    assert joined[6].value > without[6].value
    row, column = np.unravel_index(int(joined[6].heatmap.argmax()), joined[6].heatmap.shape)
    assert abs(row - 2) <= 1
    assert abs(column - 4) <= 1


def test_confidences_are_a_softmax_over_the_classes_and_none(images: list[NDArray[np.uint8]]) -> None:
    rows = kept(ONE, images)
    detector = knowing(ONE, rows)
    evidence = detector.evidence
    assert evidence is not None
    with compiled_head(evidence_graph(ONE, evidence)) as head:
        shown = [top(head.score(row)) for row in rows]
    with compiled_head(head_graph(ONE, settled(detector))) as head:
        found = [head.score(row).defects for row in rows]
    for of_image, shares in zip(shown, found, strict=True):
        assert shares is not None
        logits = 0.01 * np.append(evidence.mean + evidence.deviation * of_image, 30.0)
        expected = np.exp(logits - logits.max())
        np.testing.assert_allclose(shares, (expected / expected.sum())[:2], rtol=1e-3, atol=1e-4)
    assert [int(np.argmax(shares)) for shares in found[6:] if shares is not None] == [0, 1]


def test_a_failing_lamp_still_rejects(images: list[NDArray[np.uint8]]) -> None:
    detector = settled(knowing(ONE, kept(ONE, images)), (1e6, 1e6))
    model = fused_graph(ONE, detector, Exposure(darkest=100, brightest=140, limit=9.0))
    with compiled(model, ONE.geometry) as engine:
        assert engine.score(np.zeros((64, 96), np.uint8)).value >= 9


def test_taking_an_example_out_of_the_sums_is_fitting_on_the_others() -> None:
    rng = np.random.default_rng(0)
    good = ground(Moments.of(cloud(rng, 4000)))
    dents = [(cloud(rng, count, (0, 0.6)),) for count in (6, 1, 9)]
    rust = [(cloud(rng, 6, (1, 0.9)),) for _ in range(4)]
    expected = fit_evidence(("dent", "rust"), [good], [dents[1:], rust])
    sums = [Sums.of(good, [patches for (patches,) in of_class]) for of_class in (dents, rust)]
    found = evidence_of(("dent", "rust"), [good], [[sums[0] - Sums.of(good, dents[0]), sums[1]]])
    for name in ("mean", "deviation"):
        np.testing.assert_allclose(getattr(found, name), getattr(expected, name), rtol=1e-5)
    np.testing.assert_allclose(found.kernels[0], expected.kernels[0], rtol=1e-4, atol=1e-6)
    everything = fit_evidence(("dent", "rust"), [good], [dents, rust])
    assert not np.allclose(everything.mean, expected.mean, rtol=1e-3)
