"""A run as a CUDA graph: the same work put into the stream by one call instead of dozens, where cuda-bindings are installed.

pycuda has no calls for it. TensorRT-RTX captures by itself (cuda_graph_strategy), so that this is for the full TensorRT alone.
"""

import importlib
import logging
from collections.abc import Callable
from typing import Any

from inspector.engine.base import one_line
from inspector.errors import EngineError

log = logging.getLogger(__name__)


class CapturedRun:
    """Work on one stream, captured. All calls in the GPU's context, on its thread."""

    def __init__(self, stream_handle: int, work: Callable[[], None], driver: Any = None) -> None:
        """Capture `work`, which puts into the stream what shall be done and waits for nothing. Raises EngineError, ImportError."""
        self._driver = driver or importlib.import_module("cuda.bindings.driver")
        self._stream = self._driver.CUstream(stream_handle)
        relaxed = self._driver.CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL
        self._call("cuStreamBeginCapture", self._stream, relaxed)
        try:
            work()
        finally:  # a stream that is left capturing takes no other work
            graph = self._call("cuStreamEndCapture", self._stream)
        try:
            self._executable = self._call("cuGraphInstantiate", graph, 0)
        finally:
            self._call("cuGraphDestroy", graph)

    def launch(self) -> None:
        """Put the captured work into the stream. Raises EngineError."""
        self._call("cuGraphLaunch", self._executable, self._stream)

    def free(self) -> None:
        """Give it back."""
        self._call("cuGraphExecDestroy", self._executable)

    def _call(self, name: str, *arguments: Any) -> Any:
        try:
            status, *results = getattr(self._driver, name)(*arguments)
        except RuntimeError as error:  # the bindings' answer where the driver lacks a call
            raise EngineError(
                f"{name} is not to be had, frames are run call by call: {one_line(error)}"
            ) from error
        if int(status):
            raise EngineError(f"{name} failed with CUDA error {int(status)}: frames are run call by call")
        return results[0] if results else None
