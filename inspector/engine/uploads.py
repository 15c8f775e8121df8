"""Copies to the GPU that prove themselves: one that does not happen must not leave the image of the part before to be scored."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from inspector.engine.gpu import Gpu
from inspector.errors import EngineError


class Uploads:
    """One upload at a time: `send`, wait for the stream, `check`. All but `check` in the GPU's context."""

    def __init__(self, gpu: Gpu) -> None:
        self._gpu = gpu
        self._sent = 0  # the last byte
        self._seen: NDArray[np.uint8] | None = (
            None  # page-locked: that byte on the GPU before and after the copy
        )

    def send(self, target: Any, source: NDArray[Any]) -> None:
        """Put into the stream: poison `target` (an allocation), copy the dense `source` there, and the last byte back each time.

        The poison is what the last byte is not, so that no image whatever looks like it. `source` stays until the stream was waited for.
        """
        cuda, stream = self._gpu.cuda, self._gpu.stream
        if self._seen is None:
            self._seen = cuda.pagelocked_empty((2,), np.uint8)
        self._sent = int(source.reshape(-1).view(np.uint8)[-1])
        poison = self._sent ^ 0xFF
        self._seen[:] = (
            self._sent,
            poison,
        )  # the wrong way round: a copy back that does not happen is seen as well
        last = int(target) + source.nbytes - 1
        cuda.memset_d8_async(target, poison, source.nbytes, stream)
        cuda.memcpy_dtoh_async(self._seen[:1], last, stream)
        cuda.memcpy_htod_async(target, source, stream)
        cuda.memcpy_dtoh_async(self._seen[1:], last, stream)

    def check(self) -> None:
        """Raise EngineError where the last `send` did not reach the GPU."""
        wanted = [self._sent ^ 0xFF, self._sent]
        seen = [] if self._seen is None else self._seen.tolist()
        if seen != wanted:
            raise EngineError(
                f"the image did not reach the GPU, expected its last byte there to go {wanted}, it went {seen}: "
                "the engine is opened again; if that does not help, restart the station and run tools/gpu-check"
            )

    def free(self) -> None:
        """Give the page-locked bytes back."""
        self._seen = None
