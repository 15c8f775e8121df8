"""A small graph with every part of the fused one (normalise, convolve, match against a bank, minimum, maximum), and its twin in NumPy."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

STRIDE = 4
FEATURES = 8
BANK = 64


@dataclass(frozen=True)
class SmallGraph:
    """Weights of one small fused graph, with `known` defects an output more, with several `views` one for them; `poison` adds a value that is
    not finite once the image is dark.

    Each view's patches go through the same bank, and are divided by a threshold of its own.

    The confidence in defect i is score * (i + 1) / 1000. poison: "" none, "nan" or "inf" in the score, "heatmap" NaN in one place of the heat map while the score stays healthy.
    """

    height: int = 32
    width: int = 48
    channels: int = 1
    poison: str = ""
    heatmap_rank: int = 3
    seed: int = 7
    known: int = 0
    views: int = 1

    @property
    def limits(self) -> NDArray[np.float32]:
        """The thresholds of the views (V,); 1 where there is one view, which is divided by nothing."""
        return (
            np.linspace(0.5, 0.75, self.views, dtype=np.float32) if self.views > 1 else np.ones(1, np.float32)
        )

    @property
    def shares(self) -> NDArray[np.float32]:
        """What the score is multiplied with for each known defect, [1, known]."""
        return np.arange(1, self.known + 1, dtype=np.float32)[None] / np.float32(1000)

    @property
    def grid(self) -> tuple[int, int]:
        return self.height // STRIDE, self.width // STRIDE

    @property
    def heatmap_shape(self) -> list[int]:
        """[V, h, w] by the contract; with another `heatmap_rank` one dimension less or more."""
        return [self.views] * (self.heatmap_rank > 2) + [1] * (self.heatmap_rank - 3) + list(self.grid)

    def weights(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return kernels [F, C, s, s] and bank [F, N]."""
        rng = np.random.default_rng(self.seed)
        kernels = rng.normal(0, 0.1, (FEATURES, self.channels, STRIDE, STRIDE)).astype(np.float32)
        bank = rng.normal(0, 1, (FEATURES, BANK)).astype(np.float32)
        return kernels, bank

    def reference(self, image: NDArray[np.uint8]) -> tuple[float, NDArray[np.float64]]:
        """Return (score, heat map of the view that decided) in float64 for a graph input [V, H, W, C]."""
        maps = np.stack(
            [self._map(view[None]) / limit for view, limit in zip(image, self.limits, strict=True)]
        )
        return float(maps.max()), maps[maps.reshape(self.views, -1).max(axis=1).argmax()]

    def _map(self, image: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Return the heat map in float64 of one view [1, H, W, C], divided by nothing."""
        kernels, bank = (array.astype(np.float64) for array in self.weights())
        rows, columns = self.grid
        x = (image[0].astype(np.float64) - 127) / 128
        patches = x.reshape(rows, STRIDE, columns, STRIDE, self.channels)
        features = np.einsum("aibjc,fcij->abf", patches, kernels).reshape(-1, FEATURES)
        distances = ((features[:, :, None] - bank[None]) ** 2).sum(axis=1)
        heatmap: NDArray[np.float64] = distances.min(axis=1).reshape(rows, columns)
        return heatmap

    def save(self, path: Path) -> Path:
        """Write the ONNX file and return its path."""
        nodes = self._nodes()
        outputs = {"score": [1], "heatmap": self.heatmap_shape}
        if self.known:
            nodes.append(helper.make_node("Mul", ["score", "shares"], ["defects"]))
            outputs["defects"] = [1, self.known]
        if self.views > 1:
            nodes.append(helper.make_node("ReduceMax", ["relative", "axis_1"], ["views"], keepdims=0))
            outputs["views"] = [self.views]
        image = helper.make_tensor_value_info(
            "image", TensorProto.UINT8, [self.views, self.height, self.width, self.channels]
        )
        initializers = [numpy_helper.from_array(array, name) for name, array in self._constants().items()]
        values = [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in outputs.items()
        ]
        graph = helper.make_graph(nodes, "small_fused", [image], values, initializers)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
        onnx.checker.check_model(model)
        path.write_bytes(model.SerializeToString())
        return path

    def _constants(self) -> dict[str, NDArray[Any]]:
        kernels, bank = self.weights()
        rows, columns = self.grid
        patches = self.views * rows * columns
        return {
            "offset": np.array(127, np.float32),
            "scale": np.array(128, np.float32),
            "kernels": kernels,
            "flat": np.array([patches, FEATURES], np.int64),
            "limits": self.limits[:, None],
            "by_view": np.array([self.views, -1], np.int64),
            "all": np.array([patches], np.int64),
            "bank": bank,
            "bank_norms": (bank**2).sum(axis=0, keepdims=True),
            "minus_two": np.array(-2, np.float32),
            "heatmap_shape": np.array(self.heatmap_shape, np.int64),
            "axis_1": np.array([1], np.int64),
            "one_score": np.array([1], np.int64),
            "dark": np.array(-0.5, np.float32),
            "one": np.array(1, np.float32),
            **({"shares": self.shares} if self.known else {}),
        }

    def _nodes(self) -> list[onnx.NodeProto]:
        return [
            helper.make_node("Cast", ["image"], ["as_float"], to=TensorProto.FLOAT),
            helper.make_node("Sub", ["as_float", "offset"], ["centred"]),
            helper.make_node("Div", ["centred", "scale"], ["normalised"]),
            helper.make_node("Transpose", ["normalised"], ["planes"], perm=[0, 3, 1, 2]),
            helper.make_node("Conv", ["planes", "kernels"], ["convolved"], strides=[STRIDE, STRIDE]),
            helper.make_node("Transpose", ["convolved"], ["by_place"], perm=[0, 2, 3, 1]),
            helper.make_node("Reshape", ["by_place", "flat"], ["features"]),
            helper.make_node("Mul", ["features", "features"], ["squares"]),
            helper.make_node("ReduceSum", ["squares", "axis_1"], ["feature_norms"]),
            helper.make_node("MatMul", ["features", "bank"], ["products"]),
            helper.make_node("Mul", ["products", "minus_two"], ["cross"]),
            helper.make_node("Add", ["cross", "bank_norms"], ["partial"]),
            helper.make_node("Add", ["partial", "feature_norms"], ["distances"]),
            helper.make_node("ReduceMin", ["distances", "axis_1"], ["absolute"], keepdims=0),
            helper.make_node("Reshape", ["absolute", "by_view"], ["of_views"]),
            helper.make_node("Div", ["of_views", "limits"], ["relative"]),
            helper.make_node("Reshape", ["relative", "all"], ["nearest"]),
            helper.make_node("Reshape", ["nearest", "heatmap_shape"], ["clean_heatmap"]),
            helper.make_node("ReduceMax", ["nearest"], ["maximum"], keepdims=0),
            helper.make_node("Reshape", ["maximum", "one_score"], ["clean_score"]),
            *self._poison_nodes(),
        ]

    def _poison_nodes(self) -> list[onnx.NodeProto]:
        """Name the outputs, by way of sqrt(mean + 0.5) (NaN below a quarter of the grey scale) or 1 / sum (infinite on black)."""
        mean = helper.make_node("ReduceMean", ["normalised"], ["mean"], keepdims=0)
        above_dark = helper.make_node("Sub", ["mean", "dark"], ["above_dark"])
        root = helper.make_node("Sqrt", ["above_dark"], ["root"])
        clean_score = helper.make_node("Identity", ["clean_score"], ["score"])
        clean_heatmap = helper.make_node("Identity", ["clean_heatmap"], ["heatmap"])
        if self.poison == "nan":
            return [
                mean,
                above_dark,
                root,
                helper.make_node("Add", ["clean_score", "root"], ["score"]),
                clean_heatmap,
            ]
        if self.poison == "heatmap":
            return [
                mean,
                above_dark,
                root,
                helper.make_node("Add", ["clean_heatmap", "root"], ["heatmap"]),
                clean_score,
            ]
        if self.poison == "inf":
            return [
                helper.make_node("ReduceSum", ["as_float"], ["sum"], keepdims=0),
                helper.make_node("Div", ["one", "sum"], ["inverse"]),
                helper.make_node("Add", ["clean_score", "inverse"], ["score"]),
                clean_heatmap,
            ]
        return [clean_score, clean_heatmap]
