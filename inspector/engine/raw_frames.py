"""Raw frames on the GPU: their bytes go up as the camera sent them, once, and one kernel makes all views of the graph's input of them.

Only the lines that a view needs go up: a copy over PCIe takes as long as it has bytes (2.3 MB are some 0.1 ms on 16 lanes of generation 4).
"""

from collections.abc import Sequence
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
from inspector.engine.preprocess import Geometry, input_shape_of, to_input
from inspector.engine.uploads import Uploads
from inspector.errors import EngineError

ARGUMENTS = "P" * 9  # of the kernel: pointers all
LEVELS = 1  # from the CPU path: a tie may round the other way on the GPU
_POISON = 0xA5  # of the graph's input


@dataclass(frozen=True, slots=True)
class _Kind:
    """What frames of one shape and format need on the device. `frame` and `tables` are allocations, `staging` and `sources` page-locked."""

    what: object
    how: Preparation
    frame: Any
    tables: tuple[Any, ...]
    staging: NDArray[np.uint8]
    sources: tuple[NDArray[Any], ...]  # what the tables are copied from, in the stream


class RawFrames:
    """The kernel, and device memory for one kind of frame: taken once, and again only when a frame of another kind comes.

    All calls but `check` in the GPU's context. `upload` then `launch` only put work into the stream; once that was waited for,
    `check` says whether it was done: without it the image of the part before could be scored again.
    """

    def __init__(
        self, gpu: Gpu, views: Sequence[Geometry], folder: Path, target: int, lock: PageLock
    ) -> None:
        """`folder` keeps the compiled kernel, `target` is the address of the graph's input, which has a slice for each view.

        Raises EngineUnavailableError where there is no kernel for this GPU.
        """
        self._gpu = gpu
        self._views = tuple(views)
        self._target = target
        self._lock = lock
        self._module = gpu.cuda.module_from_buffer(kernel_for(folder, gpu.capability))
        self._kernel = self._module.get_function(ENTRY)
        self._kernel.prepare(ARGUMENTS)
        self._kind: _Kind | None = None
        self._uploads = Uploads(gpu)
        self._run = 0  # counts the frames sent up
        self._receipts = gpu.cuda.mem_alloc(4 * len(self._views))
        self._received: NDArray[np.uint32] = gpu.cuda.pagelocked_empty((len(self._views),), np.uint32)
        self._made: NDArray[np.uint8] = gpu.cuda.pagelocked_empty(input_shape_of(self._views), np.uint8)
        self._agreed = False  # whether an input of the kernel for this kind was found to be that of the CPU

    def upload(self, image: Samples, pixel_format: str | None) -> tuple[Affine, ...]:
        """Send the frame up; return where each slice of the input will be from. `image` has to stay until the stream was waited for.

        Raises EngineInputError for a frame that does not fit.
        """
        what = image.shape, image.strides, image.dtype.str, pixel_format
        kind = self._kind
        if kind is None or kind.what != what:
            how = preparation(image, self._views, pixel_format)  # refuses before anything is given back
            self._free_kind()
            kind = self._kind = self._take(what, how, image[slice(*how.lines)].nbytes)
            self._agreed = False
        source: NDArray[Any] = image[slice(*kind.how.lines)]
        if not self._lock.lock(image):
            np.copyto(kind.staging.view(image.dtype).reshape(source.shape), source)
            source = kind.staging
        self._uploads.send(kind.frame, source)
        self._run = (self._run + 1) & 0x7FFFFFFF
        return kind.how.input_to_frame

    def launch(self) -> None:
        """Put the kernel into the stream, behind an `upload`."""
        if (kind := self._kind) is None:
            return
        cuda, stream = self._gpu.cuda, self._gpu.stream
        cuda.memset_d8_async(self._target, _POISON, self._made.nbytes, stream)
        cuda.memset_d32_async(self._receipts, self._run, len(self._views), stream)
        pointers = [int(each) for each in (kind.frame, *kind.tables, self._receipts)]
        self._kernel.prepared_async_call(kind.how.grid, (*BLOCK, 1), stream, *pointers, self._target)
        cuda.memcpy_dtoh_async(self._received, self._receipts, stream)
        if not self._agreed:
            cuda.memcpy_dtoh_async(self._made, self._target, stream)

    def check(self, image: Samples, pixel_format: str | None) -> None:
        """Raise EngineError unless `image` came up, the kernel ran over it, and the first of a kind is prepared as on the CPU.

        Costs a preparation on the CPU for the first frame of each kind, next to nothing for the others.
        """
        self._uploads.check()
        if (
            self._received != self._run ^ 0xFFFFFFFF
        ).any():  # the kernel turns every bit of each view's receipt
            raise EngineError(
                "the preparation kernel did not run over this frame: the engine is opened again; "
                "if that does not help, restart the station and run tools/gpu-check"
            )
        if self._agreed:
            return
        wanted = to_input(image, self._views, pixel_format)
        apart = int(np.abs(self._made.astype(np.int16) - wanted).max())
        if apart > LEVELS:
            raise EngineError(
                f"the GPU prepares frames wrongly, {apart} grey levels from the CPU, expected at most {LEVELS}: "
                "run tools/gpu-check, and set model.engine to openvino meanwhile"
            )
        # A view of one grey says nothing of where its pixels come from.
        self._agreed = all(np.ptp(view) for view in wanted)

    def free(self) -> None:
        """Give everything back."""
        self._free_kind()
        self._receipts.free()
        self._uploads.free()
        del self._received, self._made
        self._kernel = self._module = None

    def _free_kind(self) -> None:
        kind, self._kind = self._kind, None
        if kind is not None:
            for allocation in (kind.frame, *kind.tables):
                allocation.free()

    def _take(self, what: object, how: Preparation, frame_bytes: int) -> _Kind:
        cuda = self._gpu.cuda
        affine = np.zeros(2, np.float32)  # for other outputs alone, but a pointer has to be one
        tables, sources = [], []
        for table in (how.parameters, how.first_x, how.weights_x, how.first_y, how.weights_y, affine):
            source = cuda.pagelocked_empty(table.shape, table.dtype)
            source[...] = table
            tables.append(cuda.mem_alloc(table.nbytes))
            # In the stream, like all else: a plain copy waits for the GPU, and for one that hangs it waits for ever.
            cuda.memcpy_htod_async(tables[-1], source, self._gpu.stream)
            sources.append(source)
        staging = cuda.pagelocked_empty((frame_bytes,), np.uint8)
        return _Kind(what, how, cuda.mem_alloc(frame_bytes), tuple(tables), staging, tuple(sources))
