"""A backbone from a file gives the features that the file's own arithmetic gives, at any size, grey or in colour."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx.reference import ReferenceEvaluator

from inspector.errors import ModelError, NetworkError, ScoreError
from inspector.model.backbone import open_backbone
from inspector.model.bank import build_bank
from inspector.model.graph import features_graph, fused_graph, split_features
from inspector.model.methods.base import Detector, Scale
from inspector.model.methods.nearest import NearestHead
from inspector.model.score_nodes import Exposure
from inspector.model.scoring import compiled
from inspector.model.spec import ModelSpec, model_spec
from inspector.model.whitening import Moments, whitening
from tests.support import networks

METADATA = {"mean": "0.5,0.4,0.3", "std": "0.2,0.2,0.25"}


def features_of(spec: ModelSpec, image: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
    with compiled(features_graph(spec), spec.geometry) as engine:
        return split_features(spec, engine.score(image).heatmap)


def expected(path: Path, image: NDArray[np.uint8], name: str) -> NDArray[np.float32]:
    """Normalise, run the file itself, average 3 x 3 of what there is: (rows, columns, channels)."""
    x = image.astype(np.float64)
    x = ((x - x.mean()) / x.std() * 57.6 + 114.5) / 255
    x = (x - np.array([0.5, 0.4, 0.3])) / np.array([0.2, 0.2, 0.25])
    (found,) = ReferenceEvaluator(str(path)).run(
        [name], {"pixels": x.transpose(2, 0, 1)[None].astype(np.float32)}
    )
    padded = np.pad(np.asarray(found)[0], [(0, 0), (1, 1), (1, 1)], constant_values=np.nan)
    rows, columns = found.shape[2:]
    windows = [padded[:, i : i + rows, j : j + columns] for i in range(3) for j in range(3)]
    mean: NDArray[np.float32] = np.nanmean(windows, axis=0).transpose(1, 2, 0)
    return mean


@pytest.mark.parametrize("opset", [13, 17, 20])
def test_features_are_those_of_the_file(tmp_path: Path, opset: int) -> None:
    path = networks.pyramid(tmp_path / "net.onnx", opset=opset, metadata=METADATA)
    backbone = open_backbone(str(path))
    spec = model_spec(backbone, 3, [(64, 96)])
    image = np.random.default_rng(0).integers(0, 256, (64, 96, 3), np.uint8)
    (found,) = features_of(spec, image)
    assert (backbone.name, spec.grid, found.shape) == ("net.onnx", (4, 6), (24, 20))
    grid = found.reshape(4, 6, 20)
    np.testing.assert_allclose(grid[..., 8:], expected(path, image, "coarse"), rtol=1e-3, atol=1e-3)
    fine = expected(path, image, "fine").reshape(4, 4, 6, 4, 8).mean(axis=(1, 3))
    np.testing.assert_allclose(grid[..., :8], fine, rtol=1e-3, atol=1e-3)


def test_a_grey_image_is_the_same_grey_in_colour(tmp_path: Path) -> None:
    backbone = open_backbone(str(networks.pyramid(tmp_path / "net.onnx", metadata=METADATA)))
    grey = np.random.default_rng(0).integers(0, 256, (64, 64), np.uint8)
    one, three = (features_of(model_spec(backbone, channels, [(64, 64)]), grey)[0] for channels in (1, 3))
    np.testing.assert_allclose(one, three, rtol=1e-4, atol=1e-4)


def test_two_scales_and_taps_by_name(tmp_path: Path) -> None:
    backbone = open_backbone(str(networks.pyramid(tmp_path / "net.onnx", image=networks.FREE)))
    spec = model_spec(backbone, 1, [(64, 64), (96, 128)], [("coarse",), ("a", "b")])
    image = np.random.default_rng(0).integers(0, 256, (96, 128), np.uint8)
    assert [part.shape for part in features_of(spec, image)] == [(16, 12), (48, 20)]
    weights = [c for c in features_graph(spec).graph.initializer if np.prod(c.dims) == 12 * 8 * 16]
    assert len(weights) == 1, "both scales share one copy"


@pytest.mark.parametrize(
    ("taps", "message"),
    [
        (("layer9",), "the value 'layer9', there is none; its outputs are fine, coarse"),
        (("pooled", "flat"), "the value 'flat', there is none"),
    ],
)
def test_a_tap_that_is_none_is_told(tmp_path: Path, taps: tuple[str, ...], message: str) -> None:
    backbone = open_backbone(str(networks.pyramid(tmp_path / "net.onnx")))
    with pytest.raises(NetworkError, match=message):
        model_spec(backbone, 1, [(64, 64)], [taps])


def test_a_tap_that_is_no_map_is_told(tmp_path: Path) -> None:
    nodes = [
        onnx.helper.make_node("ReduceMean", ["pixels"], ["flat"], axes=[2, 3], keepdims=0),
    ]
    path = networks.write(tmp_path / "net.onnx", nodes, [], {"flat": ("n", 3)})
    with pytest.raises(
        NetworkError, match=r"'flat' to be float32 \[1, channels, rows, columns\], it is float32 \[1, 3\]"
    ):
        model_spec(open_backbone(str(path)), 1, [(64, 64)])


def test_a_network_of_fixed_sides_takes_only_those(tmp_path: Path) -> None:
    backbone = open_backbone(str(networks.pyramid(tmp_path / "net.onnx", image=(1, 3, 64, 64))))
    assert model_spec(backbone, 1, [(64, 64)]).grid == (4, 4)
    with pytest.raises(NetworkError, match="export it with free sides"):
        model_spec(backbone, 1, [(96, 64)])


def test_a_name_that_is_none_offers_a_file() -> None:
    with pytest.raises(ModelError, match="or an ONNX file, got 'resnet18'"):
        open_backbone("resnet18")


@pytest.mark.parametrize("added", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("scales", [(), (Scale(0.0, 1.0),)], ids=["one scale", "several"])
def test_features_that_are_no_numbers_give_no_score(
    tmp_path: Path, added: float, scales: tuple[Scale, ...]
) -> None:
    """A maximum drops a NaN, and the part would get the best score there is."""
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (64, 96), np.uint8)

    def spec_of(name: str, offset: float) -> ModelSpec:
        nodes = [
            onnx.helper.make_node("Conv", ["pixels", "mix"], ["a"], kernel_shape=[8, 8], strides=[8, 8]),
            onnx.helper.make_node("Add", ["a", "offset"], ["map"]),
        ]
        weights = np.random.default_rng(1).normal(size=(6, 3, 8, 8)).astype(np.float32)
        offsets = np.array([0, 0, 0, 0, 0, offset], np.float32).reshape(1, 6, 1, 1)
        constants = [networks.constant("mix", weights), networks.constant("offset", offsets)]
        path = networks.write(tmp_path / name, nodes, constants, {"map": ("n", 6, "rows", "columns")})
        return model_spec(open_backbone(str(path)), 1, [(64, 96)])

    (good,) = features_of(spec_of("good.onnx", 0), image)
    white = whitening(Moments.of(good))
    head = NearestHead(white, build_bank(white.apply(good), 20, rng))
    spec = spec_of("overflows.onnx", added)
    graph = fused_graph(spec, Detector((head,), scales), Exposure(100, 150, limit=3.0))
    with pytest.raises(ScoreError), compiled(graph, spec.geometry) as engine:
        engine.score(image)
