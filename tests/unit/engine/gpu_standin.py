"""A stand-in for one GPU: pycuda.driver and the TensorRT runtime, as far as the engine uses them. The builder is the real one.

Work is queued by the calls and done only when the event is polled, so an engine that reads too early reads zeros. Every call
checks that the context is current. A plan is run by onnx's reference evaluator on the graph it was built from. Not simulated: speed, page-locked
memory, kernels, and anything that a real driver may refuse.
"""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import onnx.reference
from numpy.typing import NDArray


class CudaError(Exception):
    """pycuda.driver.Error."""


class Allocation:
    def __init__(self, gpu: "StandInGpu", size: int) -> None:
        self._gpu = gpu
        self.memory = np.zeros(size, np.uint8)
        self.freed = False

    def __int__(self) -> int:
        return id(self)

    def free(self) -> None:
        self._gpu.needs_context()
        assert not self.freed, "freed twice"
        self.freed = True


class StandInGpu:
    """`cuda` and `trt` take the places of the two modules. `hangs`, `fails` and `refuses` make the next frame go wrong."""

    def __init__(self, graph: Path, trt: Any, capability: tuple[int, int] = (8, 6)) -> None:
        self.graph = graph
        self.capability = capability
        self.hangs = self.fails = self.refuses = False
        self.depth = 0  # of pushed contexts
        self.detached = 0
        self.plans: list[bytes] = []  # deserialised
        self.allocations: list[Allocation] = []
        self._queue: list[Callable[[], None]] = []
        device = SimpleNamespace(
            retain_primary_context=lambda: SimpleNamespace(push=self._push, detach=self._detach),
            compute_capability=lambda: self.capability,
            name=lambda: "stand-in",
        )
        self.cuda = SimpleNamespace(
            Error=CudaError,
            Device=lambda _index: device,
            Context=SimpleNamespace(pop=self._pop),
            Stream=lambda: SimpleNamespace(handle=77),
            Event=lambda _flags: SimpleNamespace(
                record=lambda _stream: self.needs_context(), query=self._query
            ),
            event_flags=SimpleNamespace(DISABLE_TIMING=2),
            pagelocked_empty=np.empty,
            mem_alloc=self._mem_alloc,
            memcpy_htod_async=self._copy_in,
            memcpy_dtoh_async=self._copy_out,
        )
        builder_side = {name: getattr(trt, name) for name in dir(trt) if not name.startswith("_")}
        self.trt = SimpleNamespace(
            **builder_side
            | {"Runtime": lambda _logger: SimpleNamespace(deserialize_cuda_engine=self._deserialize)},
            __name__=trt.__name__,
            __version__=trt.__version__,
        )

    def needs_context(self) -> None:
        assert self.depth == 1, "the context is not current"

    def _push(self) -> None:
        self.depth += 1

    def _pop(self) -> None:
        self.depth -= 1

    def _detach(self) -> None:
        assert self.depth == 0, "detached while current"
        self.detached += 1

    def _mem_alloc(self, size: int) -> Allocation:
        self.needs_context()
        self.allocations.append(Allocation(self, size))
        return self.allocations[-1]

    def _copy_in(self, target: Allocation, source: NDArray[Any], stream: object) -> None:
        self.needs_context()
        if self.fails:
            raise CudaError("cuMemcpyHtoDAsync failed: an illegal memory access was encountered")

        def copy() -> None:
            target.memory[:] = source.reshape(-1).view(np.uint8)

        self._queue.append(copy)

    def _copy_out(self, target: NDArray[Any], source: Allocation, stream: object) -> None:
        self.needs_context()
        self._queue.append(lambda: np.copyto(target, source.memory.view(target.dtype).reshape(target.shape)))

    def _query(self) -> bool:
        self.needs_context()
        if self.hangs:
            return False
        if self._queue:  # one step a poll: the first polls find it busy
            self._queue.pop(0)()
        return not self._queue

    def _deserialize(self, plan: bytes) -> Any:
        self.needs_context()
        self.plans.append(plan)
        return SimpleNamespace(create_execution_context=lambda: StandInExecution(self))

    def enqueue(self, work: Callable[[], None]) -> None:
        self._queue.append(work)


class StandInExecution:
    def __init__(self, gpu: StandInGpu) -> None:
        self._gpu = gpu
        self._bound: dict[str, Allocation] = {}
        self._evaluator = onnx.reference.ReferenceEvaluator(onnx.load(gpu.graph))
        self._image_shape = [d.dim_value for d in self._evaluator.input_types[0].tensor_type.shape.dim]

    def set_tensor_address(self, name: str, address: int) -> bool:
        self._bound[name] = next(a for a in self._gpu.allocations if int(a) == address)
        return name in {"image", *self._evaluator.output_names}

    def execute_async_v3(self, stream_handle: int) -> bool:
        self._gpu.needs_context()
        assert stream_handle == 77
        if self._gpu.refuses:
            return False
        self._gpu.enqueue(self._evaluate)
        return True

    def _evaluate(self) -> None:
        image = self._bound["image"].memory.reshape(self._image_shape)
        with np.errstate(all="ignore"):  # a GPU does not warn of NaN either
            results = self._evaluator.run(None, {"image": image})
        for name, result in zip(self._evaluator.output_names, results, strict=True):
            self._bound[name].memory[:] = np.ascontiguousarray(result, np.float32).reshape(-1).view(np.uint8)
