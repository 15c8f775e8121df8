"""The GPU engine: the fused graph as a TensorRT plan, run with pycuda memory on a stream of its own.

A frame's way: from the page-locked ring up to the GPU as the camera sent it, one kernel that makes the graph's input (of all views), the
plan, its few outputs down; all put into one stream, then one wait that has a time-out. Where there is no kernel for this GPU, or the part has to
be found first (an alignment), the frame is prepared on the CPU.

What has not been run: there was no GPU where this was written. Plans for SM80, SM86, SM89 and SM120 are really built in the tests, the
kernel is compiled for them and its source run on the CPU; the order of the calls on the device, time-outs and releasing are tested against
a stand-in for pycuda and the runtime. Deserialising and executing a plan on a real GPU are not; tools/gpu-check does both.
"""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inspector.engine.base import Score, check_contract, to_score
from inspector.engine.build import logger_of, plan_for
from inspector.engine.capture import CapturedRun
from inspector.engine.decoding import Samples
from inspector.engine.gpu import Gpu, PageLock, require_device
from inspector.engine.place import Affine
from inspector.engine.plan import Plan, plan_folder
from inspector.engine.preparation import is_dense
from inspector.engine.preprocess import Views, copy_prepared, prepare_views, views_of
from inspector.engine.raw_frames import RawFrames
from inspector.engine.uploads import Uploads
from inspector.errors import EngineClosedError, EngineError, EngineUnavailableError, GraphError

log = logging.getLogger(__name__)

# RTX compiles kernels on the first runs, and the clocks of an idle GPU need some to come up.
_WARM_UP_RUNS = 20
_WARM_UP_LIMIT_MS = 60_000.0
_NAN = 0x7FC00000


class TensorRTEngine:
    """One plan on the first GPU, with page-locked input and outputs. Raises EngineUnavailableError, GraphError or EngineError.

    Takes the cached plan beside the pack, or builds one (seconds) and caches it. After an EngineTimeoutError or DeviceLostError the
    GPU may still be busy with the frame: the engine then only answers EngineClosedError, and frees nothing.
    Open it, use it and close it on one thread. `threads` is for CPU backends and not used. `mark` is called with the name of each
    step once it is in the stream, for measuring.
    """

    name = "tensorrt"

    def __init__(self, graph: Path, geometry: Views, *, threads: int = 0, timeout_ms: float = 1000.0) -> None:
        del threads
        self._views = views_of(geometry)
        trt, cuda = require_device()
        self.mark: Callable[[str], None] = lambda _step: None
        self.gpu = Gpu(cuda, timeout_ms)
        self._lock = PageLock()
        self._runtime: Any = None
        self._engine: Any = None
        self._execution: Any = None
        self._host: dict[str, NDArray[Any]] = {}  # page-locked, by tensor name
        self._device: dict[str, Any] = {}
        self._outputs: tuple[str, ...] = ()
        self._raw: RawFrames | None = None
        self._uploads = Uploads(self.gpu)  # of inputs that the CPU prepared
        self._captured: CapturedRun | None = None
        self._captures_itself = hasattr(trt, "CudaGraphStrategy")
        try:
            with self.gpu.current(opening=True):
                self._load(trt, self._deserialise(trt, graph), graph)
        except BaseException:
            self.close()
            raise

    @property
    def prepares_on_gpu(self) -> bool:
        """Whether raw frames become the graph's input on the GPU."""
        return self._raw is not None

    @property
    def captured(self) -> bool:
        """Whether plan and download are one CUDA graph of ours; what RTX captures by itself does not count."""
        return self._captured is not None

    def warm_up(self) -> None:
        """Run until kernels are compiled and clocks are up, over a pattern: a uniform image has no contrast to normalise."""
        self._check_usable()
        image = self._host["image"]
        image[...] = np.arange(image.size, dtype=np.uint32).astype(np.uint8).reshape(image.shape)
        usual_ms = self.gpu.timeout_ms
        self.gpu.timeout_ms = max(usual_ms, _WARM_UP_LIMIT_MS)
        try:
            for _ in range(_WARM_UP_RUNS):
                self._run_prepared()
            self._capture()
            self._run_prepared()
        finally:
            self.gpu.timeout_ms = usual_ms

    def keep_warm(self) -> None:
        """Run once over what is there and look at nothing, so that the clocks stay up and the next frame finds all in place."""
        self._check_usable()
        self._run_to_host(self._upload_prepared)

    def score(self, image: Samples, pixel_format: str | None = None) -> Score:
        """Score one frame; see Engine.score. Engine thread only: it makes the GPU's context current there and takes it back."""
        self._check_usable()
        raw = self._raw
        if raw is None or not is_dense(image):
            return self._run_prepared(prepare_views(image, self._views, self._host["image"], pixel_format))
        places: list[Affine] = []

        def upload() -> None:
            places.extend(raw.upload(image, pixel_format))
            self.mark("upload")
            raw.launch()
            self.mark("prepare")

        outputs = self._run_to_host(upload)
        raw.check(image, pixel_format)
        return to_score(**outputs, geometry=self._views, input_to_frame=places)

    def score_prepared(self, prepared: NDArray[np.uint8]) -> Score:
        """Score what is the graph's input already; see Engine.score_prepared."""
        self._check_usable()
        copy_prepared(prepared, self._host["image"])
        return self._run_prepared()

    def close(self) -> None:
        """Free device memory and give the context back. From the engine thread. Raises EngineError where the GPU is in disorder."""
        gpu = self.gpu
        if gpu.closed or gpu.lost:
            return
        try:
            with gpu.current():
                # Each under the context it belongs to, the users of memory before the memory.
                if self._captured is not None:
                    self._captured.free()
                self._captured = self._execution = self._engine = self._runtime = None
                if self._raw is not None:
                    self._raw.free()
                self._raw = None
                self._uploads.free()
                self._lock.release()
                for allocation in self._device.values():
                    allocation.free()
                self._device = {}
                self._host = {}
        finally:
            gpu.close()

    def _deserialise(self, trt: Any, graph: Path) -> Plan:
        """Take the plan into the runtime, built again once where that refuses the one that was kept; under the current context."""
        logger = logger_of(trt)
        self._runtime = trt.Runtime(logger)
        for again in (False, True):
            plan = plan_for(trt, graph, self.gpu.capability, self.gpu.name, again=again)
            check_contract(plan.inputs, plan.outputs, self._views, graph)
            logger.error = ""
            self._engine = self._runtime.deserialize_cuda_engine(plan.data)
            if self._engine is not None:
                return plan
            log.warning(
                "plan_refused",
                extra={"why": logger.last_error(), "next": "" if again else "building it again"},
            )
        raise GraphError(f"{graph}: {trt.__name__} refuses the plan built from it: {logger.last_error()}")

    def _load(self, trt: Any, plan: Plan, graph: Path) -> None:
        """Set up execution and memory, under the current context."""
        self._execution = _execution_of(trt, self._engine)
        if self._execution is None:
            raise EngineError(f"{trt.__name__} gave no execution context: {logger_of(trt).last_error()}")
        cuda = self.gpu.cuda
        self._outputs = tuple(plan.outputs)
        for name, (dtype, shape) in {**plan.inputs, **plan.outputs}.items():
            self._host[name] = cuda.pagelocked_empty(shape, np.dtype(dtype))
            self._device[name] = cuda.mem_alloc(self._host[name].nbytes)
            if not self._execution.set_tensor_address(name, int(self._device[name])):
                raise GraphError(f"{graph}: the plan has no tensor {name!r}, delete {plan_folder(graph)}")
        if any(view.alignment is not None for view in self._views):
            log.info("frames_prepared_on_cpu", extra={"why": "the part is found there"})
            return
        try:
            target = int(self._device["image"])
            self._raw = RawFrames(self.gpu, self._views, plan_folder(graph), target, self._lock)
        except EngineUnavailableError as error:
            log.warning("frames_prepared_on_cpu", extra={"why": str(error)})

    def _upload_prepared(self) -> None:
        self._uploads.send(self._device["image"], self._host["image"])
        self.mark("upload")

    def _infer(self) -> None:
        """Put plan and download into the stream."""
        cuda, stream = self.gpu.cuda, self.gpu.stream
        # A run that writes nothing must not leave the score of the frame before.
        cuda.memset_d32_async(self._device["score"], _NAN, 1, stream)
        if not self._execution.execute_async_v3(stream.handle):
            raise EngineError("TensorRT refused to run the plan: its log line before this one says why")
        self.mark("infer")
        for name in self._outputs:
            cuda.memcpy_dtoh_async(self._host[name], self._device[name], stream)
        self.mark("download")

    def _run_prepared(self, input_to_frame: Sequence[Affine] = ()) -> Score:
        outputs = self._run_to_host(self._upload_prepared)
        self._uploads.check()
        return to_score(**outputs, geometry=self._views, input_to_frame=input_to_frame)

    def _run_to_host(self, upload: Callable[[], None]) -> dict[str, NDArray[Any]]:
        """Return the outputs, which are the engine's own memory."""
        self._host["score"].fill(np.nan)  # nor may a copy that did not happen
        try:
            with self.gpu.current():
                upload()
                if self._captured is None:
                    self._infer()
                else:
                    self._captured.launch()
                self.gpu.wait()
        finally:
            if self.gpu.lost:
                _LOST.append(self)
        return {name: self._host[name] for name in self._outputs}

    def _capture(self) -> None:
        """From now on put plan and download into the stream by one call, where that can be had. After the first runs: they allocate."""
        if self._captures_itself or self._captured is not None:
            return
        try:
            with self.gpu.current():
                self._captured = CapturedRun(self.gpu.stream.handle, self._infer)
        except (ImportError, EngineError) as error:
            log.info("graph_not_captured", extra={"why": str(error)})

    def _check_usable(self) -> None:
        if self.gpu.closed:
            raise EngineClosedError("the engine was closed: open another")
        if self.gpu.lost:
            raise EngineClosedError("the GPU of this engine hangs or failed: restart the station")


# Engines whose GPU is lost, kept for the life of the process: to collect their memory would wait for the GPU.
_LOST: list[TensorRTEngine] = []


def _execution_of(trt: Any, engine: Any) -> Any:
    """Return an execution context; RTX is told to capture its kernels as a CUDA graph, and to launch that from then on."""
    if not hasattr(trt, "CudaGraphStrategy"):
        return engine.create_execution_context()
    config = engine.create_runtime_config()
    config.cuda_graph_strategy = trt.CudaGraphStrategy.WHOLE_GRAPH_CAPTURE
    return engine.create_execution_context(config)
