"""The GPU engine: the fused graph as a TensorRT plan, run with pycuda memory on a stream of its own.

The runtime is `tensorrt` where it is installed, else `tensorrt_rtx`. pycuda, the driver and the runtime are imported when an engine is
opened, so this module can be imported anywhere and says what is missing.

What has not been run: there was no GPU where this was written. Building plans for SM80, SM86, SM89 and SM120 is tested with the real
RTX builder, the plan cache with real plans; the order of the calls on the device, time-outs and releasing are tested against a
stand-in for pycuda and the runtime. Deserialising and executing a plan on a real GPU, and with the full `tensorrt` package, are not tested;
the contract suite does both wherever there is a GPU.
"""

import contextlib
import ctypes
import importlib
import importlib.util
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inspector.clock import NS_PER_MS, SystemClock, sleep_ms
from inspector.engine.base import Score, check_contract, one_line, to_score
from inspector.engine.build import INSTALL, load_tensorrt, logger_of, plan_for
from inspector.engine.decoding import Samples
from inspector.engine.place import IDENTITY, Affine
from inspector.engine.plan import Plan, plan_folder
from inspector.engine.preprocess import Geometry, copy_prepared, prepare
from inspector.errors import (
    EngineClosedError,
    EngineError,
    EngineTimeoutError,
    EngineUnavailableError,
    GraphError,
)

log = logging.getLogger(__name__)

# RTX compiles kernels on the first runs, and the clocks of an idle GPU need some to come up.
_WARM_UP_RUNS = 20


class TensorRTEngine:
    """One plan on the first GPU, with page-locked input and outputs. Raises EngineUnavailableError, GraphError or EngineError.

    Takes the cached plan beside the pack, or builds one (seconds) and caches it. After an EngineTimeoutError the GPU may still be busy
    with the frame: the engine then only answers EngineClosedError, and frees nothing, since freeing would wait for the GPU too.
    Open it, use it and close it on one thread: pycuda gives the primary context back only on the thread that took it, and leaks it
    elsewhere without a word. `threads` is for CPU backends and not used.
    """

    name = "tensorrt"

    def __init__(
        self, graph: Path, geometry: Geometry, *, threads: int = 0, timeout_ms: float = 1000.0
    ) -> None:
        del threads
        trt, self._cuda = require_device()
        self._geometry = geometry
        self._timeout_ms = timeout_ms
        self._clock = SystemClock()
        self._runtime: Any = None
        self._engine: Any = None
        self._execution: Any = None
        self._stream: Any = None
        self._done: Any = None  # the event behind the last copy
        self._host: dict[str, NDArray[Any]] = {}  # page-locked, by tensor name
        self._device: dict[str, Any] = {}
        self._outputs: tuple[str, ...] = ()
        self._hung = False
        try:
            device = self._cuda.Device(0)
            # The primary context is the one TensorRT's own CUDA calls use; another beside it would hide our memory from them.
            self._context = device.retain_primary_context()
        except self._cuda.Error as error:
            raise EngineError(
                f"the GPU cannot be taken, see nvidia-smi for who holds it: {one_line(error)}"
            ) from error
        try:
            with self._current():
                plan = plan_for(trt, graph, "sm{}{}".format(*device.compute_capability()), device.name())
                check_contract(plan.inputs, plan.outputs, geometry, graph)
                self._load(trt, plan, graph)
        except BaseException:
            self.close()
            raise

    def warm_up(self) -> None:
        """Run until kernels are compiled and clocks are up, over a pattern: a uniform image has no contrast to normalise."""
        self._check_usable()
        image = self._host["image"]
        image[...] = np.arange(image.size, dtype=np.uint32).astype(np.uint8).reshape(image.shape)
        for _ in range(_WARM_UP_RUNS):
            self._run()

    def score(self, image: Samples, pixel_format: str | None = None) -> Score:
        """Score one frame; see Engine.score. Engine thread only: it makes the GPU's context current there and takes it back."""
        self._check_usable()
        return self._run(prepare(image, self._geometry, self._host["image"], pixel_format))

    def score_prepared(self, prepared: NDArray[np.uint8]) -> Score:
        """Score what is the graph's input already; see Engine.score_prepared."""
        self._check_usable()
        copy_prepared(prepared, self._host["image"])
        return self._run()

    def close(self) -> None:
        """Free device memory and give the context back. From the engine thread. Raises EngineError where the GPU is in disorder."""
        if self._context is None or self._hung:
            return
        try:
            with self._current():
                # Each under the context it belongs to, the users of memory before the memory.
                self._execution = self._engine = self._runtime = None
                self._stream = self._done = None
                for allocation in self._device.values():
                    allocation.free()
                self._device = {}
                self._host = {}
        finally:
            context, self._context = self._context, None
            context.detach()

    def _load(self, trt: Any, plan: Plan, graph: Path) -> None:
        """Deserialise the plan and set up memory, stream and event, under the current context."""
        logger = logger_of(trt)
        self._runtime = trt.Runtime(logger)
        self._engine = self._runtime.deserialize_cuda_engine(plan.data)
        if self._engine is None:
            raise GraphError(
                f"{graph}: {trt.__name__} refuses the plan built from it, delete {plan_folder(graph)}: {logger.last_error()}"
            )
        self._execution = self._engine.create_execution_context()
        if self._execution is None:
            raise EngineError(f"{trt.__name__} gave no execution context: {logger.last_error()}")
        cuda = self._cuda
        self._outputs = tuple(plan.outputs)
        self._stream = cuda.Stream()
        self._done = cuda.Event(cuda.event_flags.DISABLE_TIMING)
        for name, (dtype, shape) in {**plan.inputs, **plan.outputs}.items():
            self._host[name] = cuda.pagelocked_empty(shape, np.dtype(dtype))
            self._device[name] = cuda.mem_alloc(self._host[name].nbytes)
            if not self._execution.set_tensor_address(name, int(self._device[name])):
                raise GraphError(f"{graph}: the plan has no tensor {name!r}, delete {plan_folder(graph)}")

    def _run(self, input_to_frame: Affine = IDENTITY) -> Score:
        cuda, host, device, stream = self._cuda, self._host, self._device, self._stream
        host["score"].fill(np.nan)  # a run that writes nothing must not leave the score of the frame before
        with self._current():
            cuda.memcpy_htod_async(device["score"], host["score"], stream)
            cuda.memcpy_htod_async(device["image"], host["image"], stream)
            if not self._execution.execute_async_v3(stream.handle):
                raise EngineError("TensorRT refused to run the plan: its log line before this one says why")
            for name in self._outputs:
                cuda.memcpy_dtoh_async(host[name], device[name], stream)
            self._done.record(stream)
            self._wait()
        outputs = {name: host[name] for name in self._outputs}
        return to_score(**outputs, geometry=self._geometry, input_to_frame=input_to_frame)

    def _wait(self) -> None:
        """Poll until the stream has passed the event: pycuda's own wait has no time-out, and a hung GPU must not hang the station."""
        deadline_ns = self._clock.now_ns() + round(self._timeout_ms * NS_PER_MS)
        while not self._done.query():
            if self._clock.now_ns() > deadline_ns:
                self._hung = True
                _HUNG.append(self)
                raise EngineTimeoutError(
                    f"the GPU did not finish a frame in {self._timeout_ms:g} ms: restart the station; dmesg tells of Xid errors"
                )
            sleep_ms(0)  # lets other threads have the interpreter

    def _check_usable(self) -> None:
        if self._context is None:
            raise EngineClosedError("the engine was closed: open another")
        if self._hung:
            raise EngineClosedError("the GPU of this engine hangs: restart the station")

    @contextlib.contextmanager
    def _current(self) -> Iterator[None]:
        """Make the GPU's context current on this thread for the block; CUDA's errors become EngineError."""
        try:
            self._context.push()
            try:
                yield
            finally:
                self._cuda.Context.pop()
        except self._cuda.Error as error:
            raise EngineError(f"CUDA failed: {one_line(error)}") from error


# Engines whose GPU hangs, kept for the life of the process: to collect their memory would wait for the GPU.
_HUNG: list[TensorRTEngine] = []


def require_device() -> tuple[Any, Any]:
    """Return the modules (tensorrt, pycuda.driver), initialised, or raise EngineUnavailableError naming all that is missing."""
    missing = []
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        missing.append("no libcuda.so.1 (install the NVIDIA driver)")
    if importlib.util.find_spec("pycuda") is None:
        missing.append(f"no pycuda ({INSTALL}, which needs the CUDA toolkit)")
    if not any(importlib.util.find_spec(name) for name in ("tensorrt", "tensorrt_rtx")):
        missing.append(f"no tensorrt and no tensorrt_rtx ({INSTALL})")
    if missing:
        raise EngineUnavailableError(", ".join(missing))
    trt = load_tensorrt()
    try:
        cuda = importlib.import_module("pycuda.driver")
    except ImportError as error:
        raise EngineUnavailableError(f"pycuda does not load: {one_line(error)}") from error
    try:
        cuda.init()
        count = cuda.Device.count()
    except cuda.Error as error:
        raise EngineUnavailableError(f"the NVIDIA driver does not start: {one_line(error)}") from error
    if count == 0:
        raise EngineUnavailableError("the NVIDIA driver sees no GPU")
    return trt, cuda
