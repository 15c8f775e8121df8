"""One GPU as an engine uses it: its primary context on one thread, one stream, waits that end, page-locked host memory.

pycuda is imported when a GPU is asked for, so that this module can be imported anywhere, and says what is missing.
"""

import contextlib
import ctypes
import importlib
import importlib.util
import logging
import mmap
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inspector.clock import NS_PER_MS, SystemClock, sleep_ms
from inspector.engine.base import one_line
from inspector.engine.build import INSTALL, load_tensorrt
from inspector.errors import DeviceLostError, EngineError, EngineTimeoutError, EngineUnavailableError

log = logging.getLogger(__name__)

_DRIVER = "libcuda.so.1"
_ALREADY_REGISTERED = 712  # CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED


def require_device() -> tuple[Any, Any]:
    """Return the modules (tensorrt, pycuda.driver), initialised, or raise EngineUnavailableError naming all that is missing."""
    missing = []
    try:
        ctypes.CDLL(_DRIVER)
    except OSError:
        missing.append(f"no {_DRIVER} (install the NVIDIA driver)")
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


class Gpu:
    """The first GPU. Open, use and close it on one thread: pycuda gives the primary context back only there, and leaks it elsewhere.

    `lost` once a wait ran out or CUDA failed: then nothing may be freed any more, since freeing waits for the GPU too.
    """

    def __init__(self, cuda: Any, timeout_ms: float) -> None:
        """Take the GPU. Raises EngineError where it is not to be had."""
        self.cuda = cuda
        self.lost = False
        self.timeout_ms = timeout_ms  # of a wait
        self._clock = SystemClock()
        try:
            device = cuda.Device(0)
            # The primary context is the one TensorRT's own CUDA calls use; another beside it would hide our memory from them.
            self._context: Any = device.retain_primary_context()
            self.name = str(device.name())
            self.capability = "sm{}{}".format(*device.compute_capability())
        except cuda.Error as error:
            raise EngineError(
                f"the GPU cannot be taken, see nvidia-smi for who holds it: {one_line(error)}"
            ) from error
        try:
            with self.current(opening=True):
                self.stream: Any = cuda.Stream()
                self._done: Any = cuda.Event(cuda.event_flags.DISABLE_TIMING)
        except BaseException:
            self._detach()
            raise

    @property
    def closed(self) -> bool:
        """Whether it was given back."""
        return self._context is None

    @contextlib.contextmanager
    def current(self, *, opening: bool = False) -> Iterator[None]:
        """Make the context current on this thread for the block. What CUDA refuses is EngineError while `opening`, else DeviceLostError.

        An error in the middle of the work sticks to the context, and to all else that the process has on the GPU.
        """
        try:
            self._context.push()
            try:
                yield
            finally:
                self.cuda.Context.pop()
        except self.cuda.Error as error:
            if opening:
                raise EngineError(
                    f"CUDA failed, see nvidia-smi for free memory: {one_line(error)}"
                ) from error
            self.lost = True
            raise DeviceLostError(
                f"CUDA failed: {one_line(error)}: restart the station; dmesg tells of Xid errors"
            ) from error

    def wait(self) -> None:
        """Poll until the stream has done all it was given: pycuda's own wait has no time-out, and a hung GPU must not hang the station.

        In `current`. Raises EngineTimeoutError.
        """
        self._done.record(self.stream)
        deadline_ns = self._clock.now_ns() + round(self.timeout_ms * NS_PER_MS)
        while not self._done.query():
            if self._clock.now_ns() > deadline_ns:
                self.lost = True
                raise EngineTimeoutError(
                    f"the GPU did not finish a frame in {self.timeout_ms:g} ms: restart the station; dmesg tells of Xid errors"
                )
            sleep_ms(0)  # lets other threads have the interpreter

    def close(self) -> None:
        """Give the context back, after all that lives in it was freed. A second call does nothing, nor does one on a lost GPU."""
        if self._context is None or self.lost:
            return
        try:
            with self.current():
                self.stream = self._done = None
        finally:
            self._detach()

    def _detach(self) -> None:
        context, self._context = self._context, None
        context.detach()


class PageLock:
    """The memory that frames come from, page-locked as a whole, so that the GPU fetches a frame by itself while we do other things.

    By the driver's own call: pycuda 2026.1 has `register_host_memory`, but it crashes with NumPy 2 (its test is marked so).
    """

    def __init__(self, driver: Any = None) -> None:
        """`driver`: the library libcuda, loaded where it is not given."""
        self._driver = driver
        self._memory: NDArray[Any] | None = None  # held, so that it is not unmapped while it is registered
        self._status = 0  # what the driver said to it

    def lock(self, image: NDArray[Any]) -> bool:
        """Page-lock the shared memory that `image` is a view of, where that is not done yet; return whether it is page-locked.

        Memory of this process alone is left as it is. In the GPU's context. Costs milliseconds once for each ring.
        """
        memory = _shared(image)
        if memory is None:
            return False
        if self._memory is None or memory.ctypes.data != self._memory.ctypes.data:
            self.release()
            self._memory = memory
            self._status = self._register(memory)
        # Already registered: by the engine of another recipe. Should that let it go, copies are slower and no less right.
        return self._status in {0, _ALREADY_REGISTERED}

    def release(self) -> None:
        """Unlock what was locked here. In the GPU's context."""
        memory, self._memory = self._memory, None
        if memory is not None and not self._status:
            self._driver.cuMemHostUnregister(ctypes.c_void_p(memory.ctypes.data))

    def _register(self, memory: NDArray[Any]) -> int:
        if self._driver is None:
            self._driver = ctypes.CDLL(_DRIVER)
        address, size = ctypes.c_void_p(memory.ctypes.data), ctypes.c_size_t(memory.nbytes)
        status = int(self._driver.cuMemHostRegister_v2(address, size, ctypes.c_uint(0)))
        if status not in {0, _ALREADY_REGISTERED}:
            log.warning("ring_not_page_locked", extra={"cuda_error": status, "cost": "a copy for each frame"})
        return status


def _shared(image: NDArray[Any]) -> NDArray[Any] | None:
    """Return the array that covers the mapping which `image` is a view of; None where its memory is the process's own."""
    root = image
    while isinstance(root.base, np.ndarray):
        root = root.base
    owner = root.base.obj if isinstance(root.base, memoryview) else root.base
    return root if isinstance(owner, mmap.mmap) else None
