"""The parts of the check, one function each. They fill an outcome in; what they raise makes it a failed one."""

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from inspector.clock import NS_PER_MS, NS_PER_S, SystemClock
from inspector.engine.build import build_plan, builds_for_others, load_tensorrt
from inspector.engine.gpu import Gpu, PageLock, require_device
from inspector.engine.kernels import compile_kernel, kernel_for
from inspector.engine.plan import plan_folder
from inspector.engine.preparation import BLOCK, Preparation
from inspector.engine.preprocess import input_shape_of, to_input
from inspector.engine.raw_frames import ARGUMENTS, RawFrames
from inspector.errors import EngineError, EngineUnavailableError
from tools.gpucheck import measure, plain_torch, references
from tools.gpucheck.exact import in_float64
from tools.gpucheck.outcome import Outcome
from tools.gpucheck.roofline import bounds, work_of
from tools.gpucheck.setting import Checked, Setting

CAPABILITIES = ("sm80", "sm86", "sm89", "sm120")  # those that TensorRT-RTX 1.7 builds for
_SIZE = (960, 600)  # of the frames that the kernel is compared on
_SCORES_APART = 0.02  # as a station accepts of an engine
_SLOW_RUNS = 50  # of what waits between two frames
_PRECISIONS: tuple[Literal["half", "float32"], ...] = ("half", "float32")


def plans(outcome: Outcome, setting: Setting) -> None:
    """Build for every GPU that the builder knows, in both precisions; or for the one that is here."""
    trt, here, clock = load_tensorrt(), _capability_here(), SystemClock()
    wanted = [*CAPABILITIES] if builds_for_others(trt) else []
    for model, capability, precision in itertools.product(
        setting.models, dict.fromkeys([*wanted, *([here] if here else [])]), _PRECISIONS
    ):
        row = {**model.row, "runtime": f"{trt.__name__} {trt.__version__}", "gpu": capability}
        row["precision"] = precision
        data, t_start_ns = model.graph.read_bytes(), clock.now_ns()
        try:
            plan = build_plan(trt, model.graph, data, capability, precision=precision)
        except EngineUnavailableError as error:  # the one that is here, and the runtime does not know
            outcome.rows.append({**row, "refused": str(error)})
            outcome.status, outcome.why = "only built", str(error)
            continue
        seconds = (clock.now_ns() - t_start_ns) / NS_PER_S
        outcome.rows.append({**row, "mb": len(plan.data) / 1e6, "build_s": seconds})
    if here is None:
        outcome.status, outcome.why = "only built", _why_no_gpu()


def kernel(outcome: Outcome, _setting: Setting) -> None:
    """Compile the preprocessing kernel."""
    here = _capability_here()
    wanted = list(dict.fromkeys([*CAPABILITIES, *([here] if here else [])]))
    try:
        fatbin = compile_kernel(wanted)
    except EngineUnavailableError as error:
        outcome.status, outcome.why = "not run", str(error)
        return
    outcome.rows.append({"gpus": " ".join(wanted), "kb": len(fatbin) / 1e3})
    if here is None:
        outcome.status, outcome.why = "only built", _why_no_gpu()


def kernel_values(outcome: Outcome, setting: Setting) -> None:
    """Compare the kernel with its references on fresh random frames: on the GPU, else its source compiled for the CPU."""
    if _capability_here() is None:
        from tests.unit.engine import host_kernel  # the same shim as in the tests

        if host_kernel.compiler() is None:
            outcome.status, outcome.why = (
                "not run",
                f"{_why_no_gpu()}; no C compiler to run its source on the CPU either",
            )
            return
        outcome.rows = references.compare(host_kernel.launch, setting.seed, *_SIZE)
        outcome.status = "only built"
        outcome.why = f"{_why_no_gpu()}; the figures are of its source, compiled for the CPU"
    else:
        _, cuda = require_device()
        gpu = Gpu(cuda, 1000.0)
        try:
            outcome.rows = references.compare(
                _launcher(gpu, plan_folder(setting.models[0].graph)), setting.seed, *_SIZE
            )
        finally:
            gpu.close()
    worst = max(row["levels_from_cpu"] for row in outcome.rows)
    exact = max(row["levels_from_float64"] for row in outcome.rows)
    if worst > references.LEVELS or exact > references.EXACT_LEVELS:
        outcome.status, outcome.why = (
            "failed",
            f"{worst:g} levels from the CPU path, {exact:.2f} from float64",
        )


def preparing(outcome: Outcome, setting: Setting) -> None:
    """Measure a frame's way to the graph's input, without TensorRT: page-locked ring, upload, kernel, and the input down again."""
    if _needs_gpu(outcome):
        return
    for model in setting.models:
        _prepare(outcome, setting, model)


def _prepare(outcome: Outcome, setting: Setting, model: Checked) -> None:
    if any(view.alignment for view in model.views):
        outcome.rows.append({**model.row, "what": "prepared on the CPU: the part has to be found first"})
        return
    _, cuda = require_device()
    gpu = Gpu(cuda, 1000.0)
    lock = PageLock()
    slots = measure.frames(*setting.size, setting.seed)
    made = np.empty(input_shape_of(model.views), np.uint8)
    try:
        with gpu.current():
            target = cuda.mem_alloc(made.nbytes)
            raw = RawFrames(gpu, model.views, plan_folder(model.graph), int(target), lock)
        rows = measure.preparing(
            gpu, raw, target, made, slots, pixel_format=setting.pixel_format, runs=setting.runs
        )
        unnoticed = not _notices_stale_input(gpu, raw, slots[0], setting.pixel_format)
        with gpu.current():
            rows.append({"what": f"ring page-locked: {lock.lock(slots)}"})
            raw.free()
            lock.release()
            target.free()
    finally:
        gpu.close()
    outcome.rows += [{**model.row, **row} for row in rows]
    wanted = to_input(slots[(setting.runs - 1) % len(slots)], model.views, setting.pixel_format)
    apart = int(np.abs(made.astype(int) - wanted).max())
    if apart > references.LEVELS:
        outcome.status, outcome.why = "failed", f"the last input is {apart} levels from the CPU path"
    if unnoticed:
        outcome.status, outcome.why = "failed", "a frame over which no kernel ran is taken for prepared"


def scores(outcome: Outcome, setting: Setting) -> None:
    """Compare scores of the GPU, of the part and of each view, with OpenVINO in float32, on fresh random inputs."""
    if _needs_gpu(outcome):
        return
    from inspector.engine.base import open_engine

    rng = np.random.default_rng(setting.seed)
    for model in setting.models:
        engine, cpu = model.opened(), open_engine("openvino", model.graph, model.views)
        for number in range(20):
            image = rng.integers(0, 256, input_shape_of(model.views), np.uint8)
            here, there = engine.score_prepared(image), cpu.score_prepared(image)
            pairs = zip((here, *here.views), (there, *there.views), strict=True)
            apart = max(abs(ours.value - theirs.value) / abs(theirs.value) for ours, theirs in pairs)
            values = {"gpu": here.value, "cpu_float32": there.value, "relative": apart}
            outcome.rows.append({**model.row, "input": number, **values})
        cpu.close()
    _require_close(outcome, "OpenVINO")


def exact_scores(outcome: Outcome, setting: Setting) -> None:
    """Compare scores of this GPU, and of OpenVINO, with the graph in float64, on a fresh random input."""
    rng = np.random.default_rng([setting.seed, 64])
    missing = None if _capability_here() is not None else _why_no_gpu()
    for model in setting.models:
        image = rng.integers(0, 256, input_shape_of(model.views), np.uint8)
        exact = float(in_float64(model.graph)(image)["score"].item())
        found = {"openvino": _cpu_score(model, image)}
        if missing is None:
            try:
                found["gpu"] = model.opened().score_prepared(image).value
            except EngineUnavailableError as error:  # a GPU that the runtime here does not serve
                missing = str(error)
        for name, score in found.items():
            values = {"score": score, "float64": exact, "relative": abs(score / exact - 1)}
            outcome.rows.append({**model.row, "engine": name, **values})
    if missing is not None:
        outcome.status, outcome.why = "only built", f"{missing}; the figures are of OpenVINO"
    _require_close(outcome, "float64")


def _cpu_score(model: Checked, prepared: NDArray[np.uint8]) -> float:
    from inspector.engine.base import open_engine

    engine = open_engine("openvino", model.graph, model.views)
    try:
        return engine.score_prepared(prepared).value
    finally:
        engine.close()


def _require_close(outcome: Outcome, reference: str) -> None:
    worst = float(np.max([row["relative"] for row in outcome.rows]))
    if not worst <= _SCORES_APART:  # as also where it is no number
        outcome.status, outcome.why = "failed", f"a score differs from {reference} by {worst:.1%}"


def times(outcome: Outcome, setting: Setting) -> None:
    """Measure a frame's way, and hold it against the targets, which are those of one view."""
    if _needs_gpu(outcome):
        return
    slots = measure.frames(*setting.size, setting.seed)
    for model in setting.models:
        engine = model.opened()
        measure.by_clock(
            engine, slots, setting.pixel_format, min(setting.runs, 200)
        )  # the first frames take memory
        rows = measure.by_events(engine, slots, setting.pixel_format, setting.runs)
        rows.append(measure.by_clock(engine, slots, setting.pixel_format, setting.runs))
        rows += measure.after_idle(engine, slots, setting.pixel_format, min(setting.runs, _SLOW_RUNS))
        held = measure.verdicts(rows) if len(model.views) == 1 else []
        outcome.rows += [{**model.row, **row} for row in (*rows, *held)]
        if not engine.prepares_on_gpu:
            outcome.why = "frames were prepared on the CPU: the log says why"


def plain(outcome: Outcome, setting: Setting) -> None:
    """Time the same graphs by torch in half precision, captured as a CUDA graph."""
    if _needs_gpu(outcome):
        return
    try:
        torch = plain_torch.load_torch()
    except ImportError:
        outcome.status, outcome.why = "not run", "no torch"
        return
    if not torch.cuda.is_available():
        outcome.status, outcome.why = "not run", "this torch sees no GPU"
        return
    slots, clock = measure.frames(*setting.size, setting.seed), SystemClock()
    for model in setting.models:
        images = np.stack([to_input(slot, model.views, setting.pixel_format) for slot in slots])
        took = plain_torch.captured_ms(torch, model.graph, images, setting.runs)
        what = "torch, half, CUDA graph: prepared input to score"
        outcome.rows.append({**model.row, "what": what, **measure.quantiles(took)})
        engine, ours = model.opened(), []
        for run in range(setting.runs):
            t_start_ns = clock.now_ns()
            engine.score_prepared(images[run % len(images)])
            ours.append((clock.now_ns() - t_start_ns) / NS_PER_MS)
        what = "this engine: prepared input to score"
        outcome.rows.append({**model.row, "what": what, **measure.quantiles(ours)})


def roofline(outcome: Outcome, setting: Setting) -> None:
    """Say what the plan cannot be quicker than here."""
    for model, precision in itertools.product(setting.models, _PRECISIONS):
        work = work_of(model.graph, half=precision == "half")
        outcome.rows.append({**model.row, "precision": precision, **work})
    if _needs_gpu(outcome):
        outcome.why += "; the work is that of the graph, the bounds are not known"
        return
    bandwidth, tflops = measure.copies(setting.models[0].opened()), None
    try:
        tflops = plain_torch.product_tflops(plain_torch.load_torch())
    except (
        ImportError,
        RuntimeError,
        AssertionError,
    ) as error:  # torch raises the last two without a GPU of its own
        outcome.why = f"no bound of the sums: {type(error).__name__}"
    for row in outcome.rows:
        work = {name: row[name] for name in ("gmac", "weights_mb", "handed_on_mb")}
        peak = tflops if row["precision"] == "half" else None
        row |= {"bandwidth_gb_s": bandwidth, "tflops": peak, **bounds(work, bandwidth, peak)}


Part = tuple[str, Callable[[Outcome, Setting], None]]
BEFORE: tuple[Part, ...] = (
    ("plans built", plans),
    ("kernel compiled", kernel),
    ("kernel against references", kernel_values),
    ("times without TensorRT", preparing),
)
AFTER: tuple[Part, ...] = (
    ("scores against float32", scores),
    ("scores against float64", exact_scores),
    ("times", times),
    ("plain framework", plain),
    ("roofline", roofline),
)


def _capability_here() -> str | None:
    """Return the compute capability of the GPU that can be used here, if any."""
    try:
        _, cuda = require_device()
    except EngineUnavailableError:
        return None
    return "sm{}{}".format(*cuda.Device(0).compute_capability())


def _why_no_gpu() -> str:
    try:
        require_device()
    except EngineUnavailableError as error:
        return str(error)
    return ""


def _needs_gpu(outcome: Outcome) -> bool:
    """Return whether there is none, and say so."""
    if _capability_here() is not None:
        return False
    outcome.status, outcome.why = "not run", _why_no_gpu()
    return True


def _notices_stale_input(gpu: Gpu, raw: RawFrames, frame: NDArray[np.uint8], pixel_format: str) -> bool:
    """Return whether a frame is refused that came up but was not prepared."""
    with gpu.current():
        raw.upload(frame, pixel_format)
        gpu.wait()
    try:
        raw.check(frame, pixel_format)
    except EngineError:
        return True
    return False


def _launcher(gpu: Gpu, folder: Path) -> references.Launch:
    """Return a function that runs the kernel on the GPU over one frame, with memory of its own each time."""
    cuda = gpu.cuda
    with gpu.current():
        function = cuda.module_from_buffer(kernel_for(folder, gpu.capability)).get_function("prepare")
        function.prepare(ARGUMENTS)

    def launch(how: Preparation, frame: NDArray[Any]) -> NDArray[np.uint8]:
        width, height, channels, _ = (int(v) for v in how.parameters[0, -4:])
        out = np.zeros((how.views, height, width, channels), np.uint8)
        inputs = [
            frame[slice(*how.lines)],
            how.parameters,
            how.first_x,
            how.weights_x,
            how.first_y,
            how.weights_y,
            np.zeros(2, np.float32),
            np.zeros(how.views, np.uint32),
        ]
        with gpu.current():
            memory = [cuda.mem_alloc(array.nbytes) for array in (*inputs, out)]
            for allocation, array in zip(memory, inputs, strict=False):
                cuda.memcpy_htod(allocation, np.ascontiguousarray(array))
            function.prepared_async_call(how.grid, (*BLOCK, 1), gpu.stream, *map(int, memory))
            gpu.wait()
            cuda.memcpy_dtoh(out, memory[-1])
            for allocation in memory:
                allocation.free()
        return out

    return launch
