"""A stand-in for one GPU: pycuda.driver and the TensorRT runtime, as far as the engine uses them. The builder is the real one.

Work is queued by the calls and done only when the event is polled, so an engine that reads too early reads zeros. Every call
checks that the context is current, and leaves its name in `calls`. A plan is run by onnx's reference evaluator on the graph it was built
from, the preprocessing kernel by its own source, compiled for the CPU. Not simulated: speed, page-locked memory beyond the calls, and
anything that a real driver may refuse.
"""

import ctypes
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import onnx.reference
from numpy.typing import NDArray

from inspector.engine.base import Engine
from inspector.errors import EngineUnavailableError
from tests.unit.engine import host_kernel


def kernel_for(folder: Path, capability: str) -> bytes:
    """Take the place of kernels.kernel_for: the kernel is compiled for the CPU where a compiler is."""
    if host_kernel.compiler() is None:
        raise EngineUnavailableError("no C compiler to play nvcc")
    return b"fatbin"


class CudaError(Exception):
    """pycuda.driver.Error."""


class Allocation:
    def __init__(self, gpu: "StandInGpu", size: int) -> None:
        self._gpu = gpu
        self.memory = np.zeros(size, np.uint8)
        self.freed = False

    def __int__(self) -> int:
        return self.memory.ctypes.data  # so that an address within it can be told

    def free(self) -> None:
        self._gpu.needs_context()
        assert not self.freed, "freed twice"
        self.freed = True


class StandInGpu:
    """`cuda` and `trt` take the places of the two modules. `hangs`, `fails` and `refuses` make the next frame go wrong.

    `capturing` is set while a CUDA graph is captured: work is then kept for the graph. `full`: the full TensorRT, which does not
    capture by itself. `evaluate` takes the place of onnx's evaluator, which needs a second for a real network: input -> outputs in
    the order of the graph's.
    """

    def __init__(
        self, graph: Path, trt: Any, capability: tuple[int, int] = (8, 6), *, full: bool = False
    ) -> None:
        self.evaluate: Callable[[NDArray[np.uint8]], list[Any]] | None = None
        self.graph = graph
        self.capability = capability
        self.hangs = self.fails = self.refuses = False
        self.depth = 0  # of pushed contexts
        self.detached = 0
        self.plans: list[bytes] = []  # deserialised
        self.allocations: list[Allocation] = []
        self.calls: list[str] = []  # in the order they came
        self.grids: list[tuple[int, ...]] = []  # of the kernel's runs
        self.uploaded: list[NDArray[Any]] = []  # what was copied in
        self.queries = 0  # of the event
        self.strategies: list[Any] = []  # of the execution contexts
        self.capturing: list[Callable[[], None]] | None = None
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
            Event=lambda _flags=0: SimpleNamespace(
                record=lambda _stream: self.enter("record"),
                query=self._query,
                time_since=lambda _start: 0.125,
            ),
            event_flags=SimpleNamespace(DISABLE_TIMING=2),
            pagelocked_empty=np.empty,
            mem_alloc=self._mem_alloc,
            memcpy_htod=self._copy_in_now,
            memcpy_htod_async=self._copy_in,
            memcpy_dtoh=lambda target, source: np.copyto(
                target, source.memory.view(target.dtype).reshape(target.shape)
            ),
            memcpy_dtod_async=self._copy_within,
            memset_d8_async=lambda target, value, count, _stream: self._set(target, value, count, np.uint8),
            memset_d32_async=lambda target, value, count, _stream: self._set(target, value, count, np.uint32),
            module_from_buffer=self._module,
            memcpy_dtoh_async=self._copy_out,
        )
        builder_side = {name: getattr(trt, name) for name in dir(trt) if not name.startswith("_")}
        self.trt = SimpleNamespace(
            **builder_side
            | {"Runtime": lambda _logger: SimpleNamespace(deserialize_cuda_engine=self._deserialize)},
            __name__=trt.__name__,
            __version__=trt.__version__,
        )
        if full:
            del self.trt.CudaGraphStrategy

    def needs_context(self) -> None:
        assert self.depth == 1, "the context is not current"

    def enter(self, call: str) -> None:
        """Take note of a call, which needs the context."""
        self.needs_context()
        self.calls.append(call)

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

    def _copy_in_now(self, target: Allocation, source: NDArray[Any]) -> None:
        self.needs_context()
        target.memory[:] = source.reshape(-1).view(np.uint8)

    def _copy_within(self, target: Allocation, source: Allocation, size: int, stream: object) -> None:
        self.enter("copy")
        self.enqueue(lambda: np.copyto(target.memory[:size], source.memory[:size]))

    def _at(self, pointer: Any) -> NDArray[np.uint8]:
        """Return the memory from an allocation or address on, to the end of what was allocated there."""
        address = int(pointer)
        for each in self.allocations:
            if not each.freed and 0 <= address - int(each) < each.memory.size:
                return each.memory[address - int(each) :]
        raise AssertionError("an address that was not allocated")

    def _set(self, target: Any, value: int, count: int, dtype: Any) -> None:
        self.enter("set")
        size = count * np.dtype(dtype).itemsize
        self.enqueue(lambda: self._at(target)[:size].view(dtype).fill(value))

    def _module(self, fatbin: bytes) -> Any:
        self.needs_context()
        return SimpleNamespace(
            get_function=lambda name: SimpleNamespace(
                prepare=lambda _types: None, prepared_async_call=self._kernel if name == "prepare" else None
            )
        )

    def _kernel(self, grid: Any, block: Any, stream: object, *pointers: int) -> None:
        self.enter("kernel")
        self.grids.append(grid)
        by_address = {int(each): each for each in self.allocations if not each.freed}
        memory = [ctypes.c_void_p(by_address[each].memory.ctypes.data) for each in pointers]
        self.enqueue(lambda: host_kernel.library().run(*grid, *block[:2], *memory))

    def _copy_in(self, target: Allocation, source: NDArray[Any], stream: object) -> None:
        self.enter("upload")
        self.uploaded.append(source)
        if self.fails:
            raise CudaError("cuMemcpyHtoDAsync failed: an illegal memory access was encountered")

        def copy() -> None:
            target.memory[:] = source.reshape(-1).view(np.uint8)

        self.enqueue(copy)

    def _copy_out(self, target: NDArray[Any], source: Any, stream: object) -> None:
        self.enter("download")

        def copy() -> None:
            np.copyto(target, self._at(source)[: target.nbytes].view(target.dtype).reshape(target.shape))

        self.enqueue(copy)

    def _query(self) -> bool:
        self.needs_context()
        self.queries += 1
        if self.hangs:
            return False
        if self._queue:  # one step a poll: the first polls find it busy
            self._queue.pop(0)()
        return not self._queue

    def _deserialize(self, plan: bytes) -> Any:
        self.needs_context()
        self.plans.append(plan)
        return SimpleNamespace(
            create_execution_context=lambda config=None: StandInExecution(self, config),
            create_runtime_config=lambda: SimpleNamespace(cuda_graph_strategy=None),
        )

    def enqueue(self, work: Callable[[], None]) -> None:
        (self._queue if self.capturing is None else self.capturing).append(work)


class StandInExecution:
    def __init__(self, gpu: StandInGpu, config: Any) -> None:
        self._gpu = gpu
        gpu.strategies.append(None if config is None else config.cuda_graph_strategy)
        self._bound: dict[str, Allocation] = {}
        self._evaluator = onnx.reference.ReferenceEvaluator(onnx.load(gpu.graph))
        self._image_shape = [d.dim_value for d in self._evaluator.input_types[0].tensor_type.shape.dim]

    def set_tensor_address(self, name: str, address: int) -> bool:
        self._bound[name] = next(a for a in self._gpu.allocations if int(a) == address)
        return name in {"image", *self._evaluator.output_names}

    def execute_async_v3(self, stream_handle: int) -> bool:
        self._gpu.enter("infer")
        assert stream_handle == 77
        if self._gpu.refuses:
            return False
        self._gpu.enqueue(self._evaluate)
        return True

    def _evaluate(self) -> None:
        image = self._bound["image"].memory.reshape(self._image_shape)
        with np.errstate(all="ignore"):  # a GPU does not warn of NaN either
            evaluate = self._gpu.evaluate or (lambda x: self._evaluator.run(None, {"image": x}))
            results = evaluate(image)
        for name, result in zip(self._evaluator.output_names, results, strict=True):
            self._bound[name].memory[:] = np.ascontiguousarray(result, np.float32).reshape(-1).view(np.uint8)


class StandInDriver:
    """libcuda, as far as memory is page-locked by it. `status`: what locking answers."""

    def __init__(self, status: int = 0) -> None:
        self.status = status
        self.locked: dict[int, int] = {}  # bytes by address
        self.asked = 0

    def cuMemHostRegister_v2(  # noqa: N802 - the driver's name
        self, address: ctypes.c_void_p, size: ctypes.c_size_t, flags: ctypes.c_uint
    ) -> int:
        assert address.value is not None
        self.asked += 1
        if address.value in self.locked:
            return 712  # CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED
        if not self.status:
            self.locked[address.value] = size.value
        return self.status

    def cuMemHostUnregister(self, address: ctypes.c_void_p) -> int:  # noqa: N802 - the driver's name
        assert address.value is not None
        del self.locked[address.value]
        return 0


class StandInBindings:
    """cuda.bindings.driver, as far as a stream is captured by it; `refuses` names a call that fails."""

    CUstreamCaptureMode = SimpleNamespace(CU_STREAM_CAPTURE_MODE_THREAD_LOCAL=1)

    def __init__(self, gpu: StandInGpu) -> None:
        self._gpu = gpu
        self.refuses = ""
        self.destroyed: list[str] = []

    def __getattr__(self, name: str) -> Any:
        def call(*arguments: Any) -> tuple[Any, ...]:
            self._gpu.needs_context()
            done = getattr(self, f"_{name}")(*arguments)
            return (1,) if name == self.refuses else (0,) if done is None else (0, done)

        return call

    @staticmethod
    def CUstream(handle: int) -> int:  # noqa: N802 - the binding's name
        return handle

    def _cuStreamBeginCapture(self, stream: int, mode: int) -> None:  # noqa: N802
        assert (stream, mode, self._gpu.capturing) == (77, 1, None)
        self._gpu.capturing = []

    def _cuStreamEndCapture(self, stream: int) -> list[Callable[[], None]]:  # noqa: N802
        captured, self._gpu.capturing = self._gpu.capturing, None
        assert captured
        return captured

    def _cuGraphInstantiate(self, graph: list[Callable[[], None]], flags: int) -> list[Callable[[], None]]:  # noqa: N802
        return list(graph)

    def _cuGraphDestroy(self, graph: object) -> None:  # noqa: N802
        self.destroyed.append("graph")

    def _cuGraphExecDestroy(self, executable: object) -> None:  # noqa: N802
        self.destroyed.append("executable")

    def _cuGraphLaunch(self, executable: list[Callable[[], None]], stream: int) -> None:  # noqa: N802
        self._gpu.enter("launch")
        for work in executable:
            self._gpu.enqueue(work)


def calls_of_a_frame(
    gpu: StandInGpu, engine: Engine, image: Any, pixel_format: str | None = None
) -> list[str]:
    """Score one frame and return what the GPU was told for it, in order."""
    gpu.calls.clear()
    engine.score(image, pixel_format)
    return gpu.calls
