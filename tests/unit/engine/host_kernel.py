"""The preprocessing kernel on the CPU: the very source that a GPU gets, compiled by a C compiler behind a shim for CUDA's words."""

import ctypes
import functools
import importlib.util
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inspector.engine.preparation import BLOCK, OUT_TYPES, SOURCE, U8_NHWC, Preparation, preparation
from inspector.engine.preprocess import Views

_SHIM = """
#include <math.h>
#define __device__ static
#define __global__
typedef struct { unsigned x, y, z; } Dim;
static Dim threadIdx, blockIdx, blockDim;
#include "%s"

void run(unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned block_x, unsigned block_y, const unsigned char *frame, const Preparation *how,
         const int *first_x, const float *weights_x, const int *first_y, const float *weights_y, const float *affine,
         unsigned *receipts, void *out) {
    blockDim.x = block_x; blockDim.y = block_y;
    for (blockIdx.z = 0; blockIdx.z < grid_z; blockIdx.z++)
        for (blockIdx.y = 0; blockIdx.y < grid_y; blockIdx.y++)
            for (blockIdx.x = 0; blockIdx.x < grid_x; blockIdx.x++)
                for (threadIdx.y = 0; threadIdx.y < block_y; threadIdx.y++)
                    for (threadIdx.x = 0; threadIdx.x < block_x; threadIdx.x++)
                        prepare(frame, how, first_x, weights_x, first_y, weights_y, affine, receipts, out);
}
"""


def compiler() -> list[str] | None:
    """The command of a C compiler; None where there is none."""
    found = next((path for name in ("cc", "gcc", "clang") if (path := shutil.which(name))), None)
    if found is not None:
        return [found]
    return [sys.executable, "-m", "ziglang", "cc"] if importlib.util.find_spec("ziglang") else None


@functools.cache
def library(*, checked: bool = False) -> Any:
    """The compiled kernel; `checked` stops at the first access that C leaves undefined."""
    command = compiler()
    assert command is not None
    folder = Path(tempfile.mkdtemp(prefix="inspector-kernel-"))
    source, target = folder / "host.c", folder / "host.so"
    source.write_text(_SHIM % SOURCE)
    flags = ["-std=gnu11", "-O1", "-shared", "-fPIC", "-Wall", "-Wextra", "-Werror", "-Wno-unknown-pragmas"]
    if checked:
        flags += ["-fsanitize=undefined", "-fno-sanitize-recover=all"]
    subprocess.run([*command, *flags, "-o", str(target), str(source), "-lm"], check=True)
    loaded = ctypes.CDLL(str(target))
    shutil.rmtree(folder)
    return loaded


def launch(how: Preparation, image: NDArray[Any], affine: NDArray[np.float32] | None = None) -> NDArray[Any]:
    """Run the kernel over `image` as a GPU would be told to, into a fresh output that nothing has written yet."""
    out_width, out_height, channels, kind = (int(v) for v in how.parameters[0, -4:])
    planar = (how.views, channels, out_height, out_width)
    shape = (how.views, out_height, out_width, channels) if kind == U8_NHWC else planar
    out = np.full(shape, 77, OUT_TYPES[kind])
    if affine is None:
        affine = np.array([1.0] * channels + [0.0] * channels, np.float32)
    receipts = np.zeros(how.views, np.uint32)
    tables = (how.parameters, how.first_x, how.weights_x, how.first_y, how.weights_y, affine)
    arrays = (image[slice(*how.lines)], *tables, receipts, out)
    assert all(array.flags.c_contiguous for array in arrays)
    library().run(*how.grid, *BLOCK, *(ctypes.c_void_p(array.ctypes.data) for array in arrays))
    assert (receipts == 0xFFFFFFFF).all()
    return out


def by_kernel(image: NDArray[Any], views: Views, pixel_format: str | None = None) -> NDArray[np.uint8]:
    """What to_input gives, by the kernel."""
    return launch(preparation(image, views, pixel_format), image)
