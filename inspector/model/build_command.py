"""The command `inspector build`: compile a model pack for GPUs, beforehand, on any x86 machine after `sh tools/setup build`."""

import argparse
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from inspector.model.console import add_json, check_json, write_json

if TYPE_CHECKING:
    from inspector.engine.plan import Precision
    from inspector.model.pack import Pack

_SAMPLE = 100  # images of a folder that are compared, spread evenly: some seconds


def add(build: argparse.ArgumentParser) -> None:
    """Add the arguments, and `run`, a function of the parsed ones that returns the exit status."""
    build.add_argument("pack", type=Path, metavar="PACK", help="the model pack")
    build.add_argument(
        "--gpu",
        nargs="+",
        default=[],
        metavar="SM",
        help="compute capabilities to build for, such as sm_86 sm_89 (default: that of the GPU in this machine)",
    )
    build.add_argument(
        "--precision",
        choices=["auto", "half", "float32"],
        default="auto",
        help="auto: half where the scores of the pack's images allow it (default)",
    )
    build.add_argument(
        "--images", type=Path, metavar="DIR", help="more images to compare half precision with float32 on"
    )
    add_json(build)
    build.set_defaults(run=run_build)


def run_build(args: argparse.Namespace) -> int:
    """Settle the precision, build, and show."""
    from rich.console import Console

    from inspector.clock import NS_PER_S, SystemClock
    from inspector.engine.build import INSTALL_BUILDER, capability_of, load_tensorrt, plan_for
    from inspector.engine.plan import plan_folder, write_precision
    from inspector.errors import ServiceError
    from inspector.model.pack import load_pack

    check_json(args.json)
    # Nobody reads a log here: without a handler Python would print the bare names of events. What matters is raised.
    logging.getLogger("inspector").addHandler(logging.NullHandler())
    wanted = [capability_of(each) for each in args.gpu]
    pack = load_pack(args.pack)
    trt = load_tensorrt(INSTALL_BUILDER)
    gpus = _gpus(trt, wanted)
    precision = _precision(pack, args.precision, args.images)
    console = Console(highlight=False, soft_wrap=True)
    try:
        write_precision(plan_folder(pack.graph), precision)
    except OSError as error:
        raise ServiceError(
            f"{plan_folder(pack.graph)}: plans cannot be kept here, {error.strerror}; make the folder writable"
        ) from error
    console.print(f"precision: {precision.taken}, {precision.why}")
    clock = SystemClock()
    built = []
    for capability, name in gpus:
        t_start_ns = clock.now_ns()
        plan = plan_for(trt, pack.graph, capability, name, again=True)
        seconds = (clock.now_ns() - t_start_ns) / NS_PER_S
        path = plan_folder(pack.graph) / f"{trt.__name__}-{capability}.plan"
        built.append(
            {"gpu": capability, "bytes": len(plan.data), "seconds": round(seconds, 3), "plan": str(path)}
        )
        console.print(f"{capability}: {path}, {len(plan.data) / 1e6:.1f} MB in {seconds:.1f} s")
    kernel = _kernel(plan_folder(pack.graph), [capability for capability, _ in gpus])
    console.print(f"preprocessing kernel: {kernel}")
    console.print("built, not run: the first start on the GPU checks the scores")
    write_json(
        args.json,
        {
            "runtime": trt.__name__,
            "runtime_version": trt.__version__,
            "precision": precision.model_dump(),
            "plans": built,
            "kernel": kernel,
        },
    )
    return 0


def _gpus(trt: Any, wanted: list[str]) -> list[tuple[str, str]]:
    """Return (compute capability, name) of the GPUs to build for. Raises EngineUnavailableError where that cannot be."""
    from inspector.engine.build import INSTALL_BUILDER, builds_for_others, known_capability
    from inspector.engine.gpu import require_device
    from inspector.errors import EngineUnavailableError

    if wanted and builds_for_others(trt):
        for each in wanted:
            known_capability(trt, each)
        return [(each, "") for each in dict.fromkeys(wanted)]
    try:
        _, cuda = require_device()
    except EngineUnavailableError as error:
        remedy = (
            "name one: --gpu sm_86"
            if builds_for_others(trt)
            else f"{INSTALL_BUILDER} brings a builder that needs none"
        )
        raise EngineUnavailableError(f"there is no GPU here to build for ({error}); {remedy}") from error
    device = cuda.Device(0)
    here = "sm{}{}".format(*device.compute_capability())
    if any(each != here for each in wanted):
        raise EngineUnavailableError(
            f"{trt.__name__} builds for the GPU it runs on, {here}, not for {', '.join(wanted)}: "
            "build there, or with tensorrt-rtx-cu13"
        )
    return [(here, device.name())]


def _kernel(folder: Path, capabilities: list[str]) -> str:
    """Compile the preprocessing kernel too, and say how that went: without it frames are prepared on the CPU."""
    from inspector.engine.kernels import FATBIN, keep_kernel
    from inspector.errors import EngineUnavailableError

    try:
        keep_kernel(folder, capabilities)
    except EngineUnavailableError as error:
        return f"not compiled, {error}; frames are prepared on the CPU until then"
    return f"{folder / FATBIN} for {', '.join(capabilities)}"


def _precision(pack: "Pack", wanted: str, folder: Path | None) -> "Precision":
    from inspector.engine.half import RULES, to_half
    from inspector.engine.plan import Precision, sha256
    from inspector.errors import GraphError
    from inspector.model.precision import HALF_BOUND, settled

    if wanted == "auto":
        return settled(pack, _images(pack, folder))
    if wanted == "half" and to_half(pack.graph.read_bytes()) is None:
        raise GraphError(
            f"{pack.graph}: nothing in this graph can be computed in half precision: leave --precision away"
        )
    return Precision(
        graph_sha256=sha256(pack.graph.read_bytes()),
        rules=RULES,
        taken="half" if wanted == "half" else "float32",
        bound=HALF_BOUND,
        worst=None,
        images=0,
        why="as asked for, not compared",
    )


def _images(pack: "Pack", folder: Path | None) -> Iterator[NDArray[np.uint8]]:
    """Yield graph inputs of up to _SAMPLE images of the folder."""
    from inspector.engine.preprocess import to_input
    from inspector.model.images import list_images, read_frame

    if folder is None:
        return
    paths = list_images(folder)
    for path in paths[:: -(-len(paths) // _SAMPLE)]:
        yield to_input(read_frame(path, pack.geometry.channels), pack.geometries)
