"""How long a frame takes on the GPU: each step by the GPU's own events, the whole by the host's clock, on inputs that rotate."""

import mmap
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inspector.bench.quantiles import Quantiles
from inspector.clock import NS_PER_MS, SystemClock
from inspector.engine.gpu import Gpu
from inspector.engine.raw_frames import RawFrames
from inspector.engine.tensorrt import TensorRTEngine

STEPS = ("upload", "prepare", "infer", "download")
SLOTS = 16  # frames that rotate: no cache holds them all at 2.3 MP
TARGETS_MS = {"whole, by the host": 1.0, "all but the plan": 0.25}  # p50, on a data-centre GPU


def frames(width: int, height: int, seed: int) -> NDArray[np.uint8]:
    """Return SLOTS random raw frames in shared memory, as a ring holds them, each from a page boundary."""
    stride = -(-width * height // mmap.PAGESIZE) * mmap.PAGESIZE
    memory = np.frombuffer(mmap.mmap(-1, SLOTS * stride), np.uint8).reshape(SLOTS, stride)
    slots = memory[:, : width * height].reshape(SLOTS, height, width)
    rng = np.random.default_rng(seed)
    for slot in slots:
        slot[...] = rng.integers(0, 256, (height, width), np.uint8)
    return slots


def by_events(
    engine: TensorRTEngine, slots: NDArray[np.uint8], pixel_format: str, runs: int
) -> list[dict[str, Any]]:
    """Return a row for each step and for all of them, as the GPU itself saw it."""
    with engine.gpu.current():
        events = {step: engine.gpu.cuda.Event() for step in ("start", *STEPS)}
    recorded: list[str] = []

    def mark(step: str) -> None:
        events[step].record(engine.gpu.stream)
        recorded.append(step)

    took: dict[str, list[float]] = {step: [] for step in STEPS}
    took["upload to download"], took["all but the plan"] = [], []
    engine.mark = mark
    try:
        for run in range(runs):
            with engine.gpu.current():
                mark("start")
            recorded.clear()
            engine.score(slots[run % len(slots)], pixel_format)
            with engine.gpu.current():
                ended = ["start", *recorded]
                each = {
                    to: float(events[to].time_since(events[at]))
                    for at, to in zip(ended, recorded, strict=False)
                }
            for step, ms in each.items():
                took[step].append(ms)
            took["upload to download"].append(sum(each.values()))
            took["all but the plan"].append(sum(ms for step, ms in each.items() if step != "infer"))
    finally:
        engine.mark = lambda _step: None
    return [_row(f"{step}, by events", times) for step, times in took.items() if times]


def by_clock(
    engine: TensorRTEngine, slots: NDArray[np.uint8], pixel_format: str, runs: int
) -> dict[str, Any]:
    """Return the row of the whole: from a frame in the ring to a score in this process."""
    clock, times = SystemClock(), []
    for run in range(runs):
        t_start_ns = clock.now_ns()
        engine.score(slots[run % len(slots)], pixel_format)
        times.append((clock.now_ns() - t_start_ns) / NS_PER_MS)
    return _row("whole, by the host", times)


def preparing(
    gpu: Gpu,
    raw: RawFrames,
    target: Any,
    made: NDArray[np.uint8],
    slots: NDArray[np.uint8],
    *,
    pixel_format: str,
    runs: int,
) -> list[dict[str, Any]]:
    """Return rows for upload, kernel and the input's way down into `made`, by events, and for all by the host's clock."""
    clock, whole = SystemClock(), []
    names = ("upload", "prepare", "download of the input")
    took: dict[str, list[float]] = {name: [] for name in names}
    with gpu.current():
        events = [gpu.cuda.Event() for _ in range(len(names) + 1)]
        for run in range(runs):
            t_start_ns = clock.now_ns()
            events[0].record(gpu.stream)
            raw.upload(slots[run % len(slots)], pixel_format)
            events[1].record(gpu.stream)
            raw.launch()
            events[2].record(gpu.stream)
            gpu.cuda.memcpy_dtoh_async(made, target, gpu.stream)
            events[3].record(gpu.stream)
            gpu.wait()
            raw.check(slots[run % len(slots)], pixel_format)
            whole.append((clock.now_ns() - t_start_ns) / NS_PER_MS)
            for name, start, end in zip(names, events, events[1:], strict=False):
                took[name].append(float(end.time_since(start)))
    rows = [_row(f"{name}, by events", times) for name, times in took.items()]
    return [*rows, _row("frame in the ring to input, by the host", whole)]


def after_idle(
    engine: TensorRTEngine, slots: NDArray[np.uint8], pixel_format: str, runs: int
) -> list[dict[str, Any]]:
    """Return the whole at 5 parts a second, without and with the engine being kept warm in between."""
    import threading

    pause, clock, rows = threading.Event(), SystemClock(), []
    for kept in (False, True):
        times = []
        for run in range(runs):
            for _ in range(2):
                pause.wait(0.1)
                if kept:
                    engine.keep_warm()
            t_start_ns = clock.now_ns()
            engine.score(slots[run % len(slots)], pixel_format)
            times.append((clock.now_ns() - t_start_ns) / NS_PER_MS)
        rows.append(_row(f"whole after 0.2 s of nothing, {'kept warm' if kept else 'left alone'}", times))
    return rows


def copies(engine: TensorRTEngine, megabytes: int = 256) -> float:
    """Return the bandwidth of the GPU's memory in GB/s: the best of ten copies within it, read and write counted."""
    cuda, size = engine.gpu.cuda, megabytes << 20
    best = 0.0
    with engine.gpu.current():
        source, target = cuda.mem_alloc(size), cuda.mem_alloc(size)
        start, end = cuda.Event(), cuda.Event()
        for _ in range(10):
            start.record(engine.gpu.stream)
            cuda.memcpy_dtod_async(target, source, size, engine.gpu.stream)
            end.record(engine.gpu.stream)
            engine.gpu.wait()
            best = max(best, 2 * size / float(end.time_since(start)) / 1e6)
        source.free()
        target.free()
    return best


def verdicts(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return whether each target is held; a target that nothing was measured of is left out."""
    p50 = {row["what"].removesuffix(", by events"): row["p50_ms"] for row in rows}
    return [
        {
            "what": f"{what}: p50 <= {limit:g} ms",
            "p50_ms": p50[what],
            "held": "yes" if p50[what] <= limit else "no",
        }
        for what, limit in TARGETS_MS.items()
        if what in p50
    ]


def quantiles(times_ms: list[float]) -> dict[str, Any]:
    """Return p50, p99 and so on as fields of a row."""
    return dict(Quantiles.of(times_ms).fields())


def _row(what: str, times_ms: list[float]) -> dict[str, Any]:
    return {"what": what, **quantiles(times_ms)}
