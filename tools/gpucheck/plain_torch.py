"""The same graph by the plain framework: torch in half precision, captured as a CUDA graph. Nothing else here needs torch."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

from inspector.clock import NS_PER_MS, SystemClock
from inspector.engine.half import to_half


def load_torch() -> Any:
    """Return the module torch. Raises ImportError."""
    import importlib

    return importlib.import_module("torch")


class PlainGraph:
    """A graph of ours, node by node in torch: exactly the operators that it has. Raises NotImplementedError for others."""

    def __init__(self, torch: Any, graph: Path, device: str, *, half: bool) -> None:
        self._torch, self._device = torch, device
        data = graph.read_bytes()
        model = onnx.load_model_from_string((to_half(data) if half else None) or data)
        self._nodes = list(model.graph.node)
        self._constants = {each.name: numpy_helper.to_array(each) for each in model.graph.initializer}
        self._weights = {
            name: torch.from_numpy(np.ascontiguousarray(array)).to(device)
            for name, array in self._constants.items()
        }

    def __call__(self, image: Any) -> Any:
        """Return the score of `image`, a uint8 tensor [1, H, W, C]."""
        found: dict[str, Any] = {**self._weights, "image": image}
        for node in self._nodes:
            settings = {each.name: onnx.helper.get_attribute_value(each) for each in node.attribute}
            inputs = [found[name] if name else None for name in node.input]
            found[node.output[0]] = self._do(node, inputs, settings)
        return found["score"]

    def _do(self, node: Any, inputs: list[Any], settings: dict[str, Any]) -> Any:
        torch, x = self._torch, inputs[0]
        plain = {
            "Add": torch.add, "Sub": torch.sub, "Mul": torch.mul, "Div": torch.div, "Max": torch.maximum, "Min": torch.minimum,
            "MatMul": torch.matmul, "Sqrt": torch.sqrt, "Exp": torch.exp, "Log": torch.log, "Abs": torch.abs, "Relu": torch.relu,
            "Sigmoid": torch.sigmoid, "Identity": lambda value: value, "Pow": torch.pow,
        }  # fmt: skip
        kind = node.op_type
        if kind in plain:
            return plain[kind](*inputs)
        if kind == "Cast":
            types = {onnx.TensorProto.FLOAT: torch.float32, onnx.TensorProto.FLOAT16: torch.float16}
            return x.to(types[settings["to"]])
        if kind == "Transpose":
            return x.permute(*settings["perm"])
        if kind == "Clip":
            return torch.clamp(
                x, float(self._constants[node.input[1]]), float(self._constants[node.input[2]])
            )
        if kind == "Conv":
            pads = settings.get("pads", [0, 0, 0, 0])
            padded = torch.nn.functional.pad(x, (pads[1], pads[3], pads[0], pads[2])) if any(pads) else x
            bias = inputs[2] if len(inputs) > 2 else None
            return torch.nn.functional.conv2d(
                padded,
                inputs[1],
                bias,
                settings.get("strides", [1, 1]),
                0,
                settings.get("dilations", [1, 1]),
                settings.get("group", 1),
            )
        return self._reshaping(node, inputs, settings)

    def _reshaping(self, node: Any, inputs: list[Any], settings: dict[str, Any]) -> Any:
        torch, x, kind = self._torch, inputs[0], node.op_type
        numbers: list[Any] = [
            self._constants[name].tolist() if name in self._constants else None for name in node.input
        ]
        axes: Any = settings.get("axes") or (numbers[1] if len(numbers) > 1 else None)
        keep = bool(settings.get("keepdims", 1))
        if kind in {"ReduceMean", "ReduceSum", "ReduceMin", "ReduceMax"}:
            reduce = {
                "ReduceMean": torch.mean,
                "ReduceSum": torch.sum,
                "ReduceMin": torch.amin,
                "ReduceMax": torch.amax,
            }[kind]
            return reduce(x, dim=tuple(axes or range(x.ndim)), keepdim=keep)
        if kind == "Concat":
            return torch.cat(inputs, dim=settings["axis"])
        if kind == "Reshape":
            return x.reshape(numbers[1])
        if kind == "Slice":
            axis = numbers[3][0] if len(numbers) > 3 else 0
            return x.narrow(axis, numbers[1][0], numbers[2][0] - numbers[1][0])
        if kind == "Squeeze":
            return x.squeeze(tuple(axes))
        if kind == "AveragePool":
            pads, kernel = settings.get("pads", [0, 0, 0, 0]), settings["kernel_shape"]
            return torch.nn.functional.avg_pool2d(
                x, kernel, settings.get("strides", [1, 1]), pads[:2], count_include_pad=False
            )
        if kind == "Resize" and settings.get("mode") == b"linear" and numbers[2]:
            return torch.nn.functional.interpolate(
                x, scale_factor=numbers[2][2:], mode="bilinear", align_corners=False
            )
        if kind == "Pad" and settings.get("mode", b"constant") in {b"edge", b"constant", b"reflect"}:
            mode = {b"edge": "replicate", b"constant": "constant", b"reflect": "reflect"}[
                settings.get("mode", b"constant")
            ]
            pads = numbers[1]
            return torch.nn.functional.pad(x, (pads[3], pads[7], pads[2], pads[6]), mode=mode)
        raise NotImplementedError(f"the plain framework's side knows no {kind}")


def captured_ms(
    torch: Any, graph: Path, images: np.ndarray[Any, np.dtype[np.uint8]], runs: int
) -> list[float]:
    """Return the time of each run of the captured graph, upload of the prepared input and download of the score included. Needs CUDA."""
    plain = PlainGraph(torch, graph, "cuda", half=True)
    host = [torch.from_numpy(image).pin_memory() for image in images]
    clock, times = SystemClock(), []
    with torch.inference_mode():
        image = host[0].cuda()
        side = torch.cuda.Stream()
        with torch.cuda.stream(side):
            for _ in range(5):
                plain(image)
        torch.cuda.current_stream().wait_stream(side)
        captured = torch.cuda.CUDAGraph()
        with torch.cuda.graph(captured):
            score = plain(image)
        for run in range(runs):
            t_start_ns = clock.now_ns()
            image.copy_(host[run % len(host)], non_blocking=True)
            captured.replay()
            score.cpu()
            times.append((clock.now_ns() - t_start_ns) / NS_PER_MS)
    return times


def product_tflops(torch: Any, side: int = 4096) -> float:
    """Return what a plain product in half precision reaches: the best of ten, 2 side^3 sums each. Needs CUDA."""
    a = torch.randn(side, side, device="cuda", dtype=torch.float16)
    best = 0.0
    for _ in range(10):
        start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        start.record()
        torch.matmul(a, a)
        end.record()
        end.synchronize()
        best = max(best, 2 * side**3 / start.elapsed_time(end) / 1e9)
    return best
