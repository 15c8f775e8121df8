"""A backbone in int8 is the same network, nearly the same numbers, and truly computed in integers."""

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import numpy_helper

from inspector.model.backbone import Backbone
from inspector.model.graph import features_graph, split_features
from inspector.model.int8 import Int8Backbone, quantised
from inspector.model.lite import lite0
from inspector.model.onnx_nodes import Nodes
from inspector.model.scoring import compiled
from inspector.model.spec import ModelSpec, model_spec

SPEC = model_spec(lite0(), 1, [(64, 96)], taps=[("2", "4")])


def images_of(count: int, seed: int) -> list[NDArray[np.uint8]]:
    """Return views of one striped texture with noise, as graph inputs."""
    rng = np.random.default_rng(seed)
    stripes = 120 + 40 * np.sin(np.arange(96) / 5)[None, :] + np.zeros((64, 1))
    noisy = [np.clip(stripes + rng.normal(0, 12, (64, 96)), 0, 255) for _ in range(count)]
    return [image.astype(np.uint8)[None, :, :, None] for image in noisy]


@pytest.fixture(scope="module")
def rounded() -> ModelSpec:
    return quantised(SPEC, images_of(4, seed=0))


def features_of(spec: ModelSpec, images: list[NDArray[np.uint8]]) -> NDArray[np.float32]:
    with compiled(features_graph(spec), spec.geometry) as engine:
        return np.stack([split_features(spec, engine.score_prepared(image).heatmap)[0] for image in images])


def kernels_of(backbone: Backbone) -> list[NDArray[np.generic]]:
    """Return the kernels of all convolutions in order, as they are stored."""
    nodes = Nodes()
    tap = backbone.add(nodes, "pixels", channels=1, size=(64, 96), taps=["4"])[0]
    graph = nodes.model("alone", {"pixels": (1, 1, 64, 96)}, {tap: (1, 40, 8, 12)}).graph
    stored = {each.name: numpy_helper.to_array(each) for each in graph.initializer}
    made = {node.output[0]: node.input[0] for node in graph.node if node.op_type == "DequantizeLinear"}
    names = [node.input[1] for node in graph.node if node.op_type == "Conv"]
    assert {name for name in stored if stored[name].ndim == 4} == {made.get(name, name) for name in names}
    return [stored[made.get(name, name)] for name in names]


def test_features_are_those_of_float32_but_for_small_errors(rounded: ModelSpec) -> None:
    shown = images_of(3, seed=1)
    exact, found = features_of(SPEC, shown), features_of(rounded, shown)
    error = np.sqrt(np.square(found - exact).mean(axis=(0, 1))) / exact.std(axis=(0, 1))
    assert 1e-4 < float(np.median(error)) < 0.3  # the lower end: it would be 0 if nothing were rounded


def test_it_is_the_same_backbone_by_name_and_hash(rounded: ModelSpec) -> None:
    backbone = rounded.backbone
    assert (backbone.name, backbone.sha256) == (SPEC.backbone.name, SPEC.backbone.sha256)
    assert backbone.taps(("2",), (64, 96)) == SPEC.backbone.taps(("2",), (64, 96))


def test_all_kernels_but_the_first_are_integers_that_use_the_range_in_each_channel(
    rounded: ModelSpec,
) -> None:
    first, *rest = kernels_of(rounded.backbone)
    assert first.dtype == np.float32
    for found, exact in zip(rest, kernels_of(SPEC.backbone)[1:], strict=True):
        assert found.dtype == np.int8
        assert found.shape == exact.shape
        largest = np.abs(found.astype(int)).reshape(len(found), -1).max(axis=1)
        assert set(largest.tolist()) <= {0, 63}  # of a channel that is all zeros there is none
        assert (largest == 63).mean() > 0.9
        # What a CPU without VNNI adds up in 16 bits: two products with unsigned activations.
        assert 2 * 255 * int(largest.max()) <= np.iinfo(np.int16).max


def test_zero_is_exact_so_that_padding_stays_nothing(rounded: ModelSpec) -> None:
    backbone = rounded.backbone
    assert isinstance(backbone, Int8Backbone)
    assert backbone.ranges
    for low, high in backbone.ranges.values():
        assert low <= 0 <= high
        assert high > low


def test_what_a_clip_leaves_is_the_whole_range_there_is(rounded: ModelSpec) -> None:
    backbone = rounded.backbone
    assert isinstance(backbone, Int8Backbone)
    clipped = [range_ for name, range_ in backbone.ranges.items() if name.startswith("clip")]
    assert clipped
    assert all(low == 0 and high <= 6 for low, high in clipped)


def test_it_can_be_written_twice_into_one_graph(rounded: ModelSpec) -> None:
    two = model_spec(rounded.backbone, 1, [(64, 96), (32, 64)], taps=[("2",), ("4",)])
    model = features_graph(two)
    names = [node.name for node in model.graph.node]
    assert len(names) == len(set(names))
    with compiled(model, two.geometry) as engine:
        assert np.isfinite(engine.score_prepared(images_of(1, seed=2)[0]).heatmap).all()
