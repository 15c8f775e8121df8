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
from inspector.engine.decoding import Samples
from inspector.engine.place import IDENTITY, Affine
from inspector.engine.plan import Plan, PlanKey, plan_folder, read_plan, sha256, write_plan
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
_INSTALL = "sh tools/setup gpu"


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
                plan = _plan(trt, graph, device)
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
        logger = _logger(trt)
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


def load_tensorrt() -> Any:
    """Return the module `tensorrt`, else `tensorrt_rtx`; what we use is common to both. Raises EngineUnavailableError."""
    for name in ("tensorrt", "tensorrt_rtx"):
        with contextlib.suppress(ImportError):
            return importlib.import_module(name)
    raise EngineUnavailableError(f"no tensorrt and no tensorrt_rtx that loads: {_INSTALL}")


def require_device() -> tuple[Any, Any]:
    """Return the modules (tensorrt, pycuda.driver), initialised, or raise EngineUnavailableError naming all that is missing."""
    missing = []
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        missing.append("no libcuda.so.1 (install the NVIDIA driver)")
    if importlib.util.find_spec("pycuda") is None:
        missing.append(f"no pycuda ({_INSTALL}, which needs the CUDA toolkit)")
    if not any(importlib.util.find_spec(name) for name in ("tensorrt", "tensorrt_rtx")):
        missing.append(f"no tensorrt and no tensorrt_rtx ({_INSTALL})")
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


def build_plan(trt: Any, graph: Path, data: bytes, compute_capability: str) -> Plan:
    """Compile the ONNX bytes `data`, read from `graph`, into a strongly typed plan for e.g. "sm86". RTX needs no GPU for it.

    Strongly typed: every layer computes in the type that the graph says, so that the threshold calibrated on the graph holds.
    """
    logger = _logger(trt)
    builder = trt.Builder(logger)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, logger)
    if not parser.parse(data):
        errors = "; ".join(parser.get_error(i).desc() for i in range(parser.num_errors))
        raise GraphError(f"{graph}: {trt.__name__} cannot read this graph: {one_line(Exception(errors))}")
    inputs = {t.name: _tensor(trt, t) for t in map(network.get_input, range(network.num_inputs))}
    outputs = {t.name: _tensor(trt, t) for t in map(network.get_output, range(network.num_outputs))}
    config = builder.create_builder_config()
    # 10 bits of mantissa are not the float32 of the calibration: the distance is a small difference of large sums.
    config.clear_flag(trt.BuilderFlag.TF32)
    if hasattr(config, "set_compute_capability"):  # RTX; the full TensorRT builds for the GPU it runs on
        config.num_compute_capabilities = 1
        config.set_compute_capability(_capability(trt, compute_capability), 0)
    serialised = builder.build_serialized_network(network, config)
    if serialised is None:
        raise GraphError(
            f"{graph}: {trt.__name__} cannot compile this graph for {compute_capability}: {logger.last_error()}"
        )
    return Plan(bytes(serialised), inputs, outputs)


def _plan(trt: Any, graph: Path, device: Any) -> Plan:
    """Return the cached plan for this graph, runtime and GPU, or build and cache it."""
    data = graph.read_bytes()
    key = PlanKey(
        graph_sha256=sha256(data),
        runtime=trt.__name__,
        runtime_version=trt.__version__,
        compute_capability="sm{}{}".format(*device.compute_capability()),
        gpu=device.name(),
    )
    folder = plan_folder(graph)
    try:
        cached = read_plan(folder, key)
    except GraphError as error:
        log.warning("plan_refused", extra={"why": str(error), "next": "building it again"})
        cached = None
    if cached is not None:
        return cached
    log.info("plan_building", extra={"graph": str(graph), **key.model_dump()})
    plan = build_plan(trt, graph, data, key.compute_capability)
    try:
        write_plan(folder, key, plan)
    except OSError as error:  # the plan in hand is good; only the next start will be slow again
        log.warning("plan_not_cached", extra={"folder": str(folder), "why": one_line(error)})
    return plan


def _capability(trt: Any, name: str) -> Any:
    try:
        return getattr(trt.ComputeCapability, name.upper())
    except AttributeError:
        raise EngineUnavailableError(
            f"{trt.__name__} {trt.__version__} has no kernels for {name.upper()}: install tensorrt, the full package"
        ) from None


def _tensor(trt: Any, tensor: Any) -> tuple[str, tuple[int, ...]]:
    return np.dtype(trt.nptype(tensor.dtype)).name, tuple(tensor.shape)


_loggers: dict[str, Any] = {}  # by package: TensorRT keeps the first one it is given for the whole process


def _logger(trt: Any) -> Any:
    """Return TensorRT's logger, without an error so far: passes warnings and errors on to ours, keeps the last error for our message."""
    severity = trt.ILogger.Severity

    class Logger(trt.ILogger):  # type: ignore[misc]  # the vendor's class is untyped, and known only once it is imported
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.error = ""

        def log(self, level: Any, message: str) -> None:
            """Take one message; any thread of TensorRT's."""
            text = one_line(Exception(message))
            if level in {severity.ERROR, severity.INTERNAL_ERROR}:
                self.error = text
                log.error("tensorrt_error", extra={"text": text})
            elif level == severity.WARNING:
                log.warning("tensorrt_warning", extra={"text": text})

        def last_error(self) -> str:
            """Return the last error, for a message of ours."""
            return self.error or "it gave no reason"

    logger = _loggers.setdefault(trt.__name__, Logger())
    logger.error = ""
    return logger
