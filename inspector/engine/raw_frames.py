"""Raw frames on the GPU: their bytes go up as the camera sent them, and one kernel makes the graph's input of them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inspector.engine.decoding import Samples
from inspector.engine.gpu import Gpu, PageLock
from inspector.engine.kernels import ENTRY, kernel_for
from inspector.engine.place import Affine
from inspector.engine.preparation import BLOCK, Preparation, preparation
from inspector.engine.preprocess import Geometry

_ARGUMENTS = "P" * 8  # of the kernel: pointers all


@dataclass(frozen=True, slots=True)
class _Kind:
    """What frames of one shape and format need on the device. `frame` and `tables` are allocations, `staging` is page-locked."""

    what: object
    how: Preparation
    frame: Any
    tables: tuple[Any, ...]
    staging: NDArray[np.uint8]


class RawFrames:
    """The kernel, and device memory for one kind of frame: taken once, and again only when a frame of another kind comes.

    All calls in the GPU's context. `upload` then `launch` only put work into the stream.
    """

    def __init__(self, gpu: Gpu, geometry: Geometry, folder: Path, target: int, lock: PageLock) -> None:
        """`folder` keeps the compiled kernel, `target` is the address of the graph's input.

        Raises EngineUnavailableError where there is no kernel for this GPU.
        """
        self._gpu = gpu
        self._geometry = geometry
        self._target = target
        self._lock = lock
        self._module = gpu.cuda.module_from_buffer(kernel_for(folder, gpu.capability))
        self._kernel = self._module.get_function(ENTRY)
        self._kernel.prepare(_ARGUMENTS)
        self._kind: _Kind | None = None

    def upload(self, image: Samples, pixel_format: str | None) -> Affine:
        """Send the frame up; return where the input will be from. `image` has to stay until the stream was waited for.

        Raises EngineInputError for a frame that does not fit.
        """
        what = image.shape, image.strides, image.dtype.str, pixel_format
        kind = self._kind
        if kind is None or kind.what != what:
            how = preparation(image, self._geometry, pixel_format)  # refuses before anything is given back
            self._free_kind()
            kind = self._kind = self._take(what, how, image.nbytes)
        source: NDArray[Any] = image
        if not self._lock.lock(image):
            source = kind.staging
            np.copyto(source.view(image.dtype).reshape(image.shape), image)
        self._gpu.cuda.memcpy_htod_async(kind.frame, source, self._gpu.stream)
        return kind.how.input_to_frame

    def launch(self) -> None:
        """Put the kernel into the stream, behind an `upload`."""
        if (kind := self._kind) is not None:
            pointers = [int(each) for each in (kind.frame, *kind.tables)]
            block = (*BLOCK, 1)
            self._kernel.prepared_async_call(kind.how.grid, block, self._gpu.stream, *pointers, self._target)

    def free(self) -> None:
        """Give everything back."""
        self._free_kind()
        self._kernel = self._module = None

    def _free_kind(self) -> None:
        kind, self._kind = self._kind, None
        if kind is not None:
            for allocation in (kind.frame, *kind.tables):
                allocation.free()

    def _take(self, what: object, how: Preparation, frame_bytes: int) -> _Kind:
        cuda = self._gpu.cuda
        affine = np.zeros(2, np.float32)  # for other outputs alone, but a pointer has to be one
        tables = []
        for table in (how.parameters, how.first_x, how.weights_x, how.first_y, how.weights_y, affine):
            tables.append(cuda.mem_alloc(table.nbytes))
            cuda.memcpy_htod(tables[-1], np.ascontiguousarray(table))
        staging = cuda.pagelocked_empty((frame_bytes,), np.uint8)
        return _Kind(what, how, cuda.mem_alloc(frame_bytes), tuple(tables), staging)
