"""Probes with which settings the CPU engine is quickest here, on the pack's own graph and images, before a station is ready.

Once for a pack and a machine, and at most once in a process, at its start: a change of recipes is no time to experiment. What is
quicker alone may be far slower beside a busy thread, so each choice is timed both ways. Another precision must give the scores that
float32 gives.
"""

import contextlib
import logging
import math
import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from inspector.clock import NS_PER_MS, SystemClock
from inspector.engine.base import Engine, one_line
from inspector.engine.settings import FALLBACK, Probed, Settings, Tried, here, read_probed, write_probed
from inspector.errors import EngineUnavailableError, ScoreError
from inspector.model.agreement import agreement
from inspector.model.pack import Pack

log = logging.getLogger(__name__)

COMPILING_MS = 600.0  # in which choices are compiled; what is begun before is finished
SCORES_BOUND = 0.002  # of the threshold: a tenth of what the self-test allows, so that the threshold still is what was calibrated
WORTH = 0.9  # of the time of what is known to be safe: less gained is chance
_RUNS, _RUNS_MS = (
    3,
    200.0,
)  # alone, and again beside a busy thread: rounds of all choices, and how long they go on
_STOP_S = 5.0
_probed_here = threading.Event()


def probe(kind: str, pack: Pack) -> None:
    """Find the settings for a pack whose engine `kind` runs on this CPU, unless they are known or the process has probed already.

    What cannot be kept is probed again at the next start. Raises GraphError and EngineError as opening the engine does.
    """
    if not _on_cpu(kind) or _probed_here.is_set() or read_probed(pack.graph) is not None:
        return
    _probed_here.set()
    inputs = [prepared for _, prepared in pack.references()]
    if not inputs:
        return
    tried = tuple(_tried(pack, inputs))
    probed = Probed(here=here(pack.graph), taken=best(tried), tried=tried)
    log.info("engine_probed", extra=probed.model_dump())
    try:
        write_probed(pack.graph, probed)
    except OSError as error:
        log.warning(
            "probe_not_kept", extra={"why": one_line(error), "next": "probing again at the next start"}
        )


def candidates(capabilities: Sequence[str], cpus: int) -> list[Settings]:
    """Return what is worth a try on such a CPU, the most promising first, behind what is known to be safe."""
    other: list[Settings] = []
    if "FP16" in capabilities:
        other = [Settings(precision="f16")]
    elif "BF16" in capabilities:
        other = [Settings(precision="bf16")]
    return [
        FALLBACK,
        *other,
        *([Settings(threads=cpus // 2)] if cpus >= 4 else []),
        Settings(pinned=True),
    ]


def best(tried: Sequence[Tried]) -> Settings:
    """Return the quickest, alone and beside a busy thread taken together, if it scores as the first one and is much quicker.

    What is slower than the first in one of the two is not taken, however quick it is in the other.
    """
    first, *others = tried
    usable = [
        each
        for each in others
        if (each.worst is None or each.worst <= SCORES_BOUND)
        and each.alone_ms <= first.alone_ms
        and each.beside_ms <= first.beside_ms
    ]
    quickest = min([first, *usable], key=_cost)
    return quickest.settings if _cost(quickest) <= WORTH * _cost(first) else first.settings


def _cost(tried: Tried) -> float:
    return tried.alone_ms + tried.beside_ms


def _tried(pack: Pack, inputs: Sequence[NDArray[np.uint8]]) -> list[Tried]:
    """Return what each choice takes: the first in any case, the others as far as there is time to compile them.

    They run in turn, so that what else the machine does meets all of them.
    """
    from inspector.engine.openvino import OpenVinoEngine, capabilities  # late: a station on a GPU loads none

    clock = SystemClock()
    t_end_ns = clock.now_ns() + round(COMPILING_MS * NS_PER_MS)
    with contextlib.ExitStack() as stack:
        engines: dict[Settings, Engine] = {}
        for settings in candidates(capabilities(), len(os.sched_getaffinity(0))):
            if engines and clock.now_ns() > t_end_ns:
                log.info("probe_out_of_time", extra={"untried": settings.model_dump()})
                continue
            engine = OpenVinoEngine(pack.graph, pack.geometries, settings=settings)
            stack.callback(engine.close)
            engine.warm_up()
            engines[settings] = engine
        scores = [_scores(engine, inputs) for engine in engines.values()]
        alone = _medians_ms(list(engines.values()), inputs[0])
        with _busy_neighbour():
            beside = _medians_ms(list(engines.values()), inputs[0])
    return [
        Tried(
            settings=settings,
            alone_ms=alone[index],
            beside_ms=beside[index],
            worst=_worst(scores[0], scores[index], pack.threshold) if settings.precision != "f32" else None,
        )
        for index, settings in enumerate(engines)
    ]


def _scores(engine: Engine, inputs: Sequence[NDArray[np.uint8]]) -> NDArray[np.float64]:
    """Return the scores of all inputs (n,), NaN where an engine of little precision gives none."""
    scores = np.full(len(inputs), np.nan)
    with contextlib.suppress(ScoreError):
        for index, image in enumerate(inputs):
            scores[index] = engine.score_prepared(image).value
    return scores


def _worst(exact: NDArray[np.float64], other: NDArray[np.float64], threshold: float) -> float:
    worst = agreement(exact, other, threshold).worst
    return worst if math.isfinite(worst) else 1e9  # JSON has no infinity


def _medians_ms(engines: Sequence[Engine], image: NDArray[np.uint8]) -> list[float]:
    """Run all engines in turn, and return the median of each."""
    clock = SystemClock()
    rounds: list[list[float]] = []
    t_end_ns = clock.now_ns() + round(_RUNS_MS * NS_PER_MS)
    while len(rounds) < _RUNS or clock.now_ns() < t_end_ns:
        took = []
        for engine in engines:
            t_start_ns = clock.now_ns()
            with contextlib.suppress(ScoreError):  # refused for that already
                engine.score_prepared(image)
            took.append((clock.now_ns() - t_start_ns) / NS_PER_MS)
        rounds.append(took)
    return [float(value) for value in np.median(rounds, axis=0)]


@contextmanager
def _busy_neighbour() -> Iterator[int]:
    """Keep one CPU busy in the block, without the interpreter's lock; yield the Linux id of the thread that does."""
    ordinary, stop = threading.Event(), threading.Event()
    numbers = np.random.default_rng(0).random(100_000)

    def work() -> None:
        # A thread begins with the priority of the one that starts it. In real time this one would keep its core for itself.
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
        ordinary.set()
        while not stop.is_set():
            np.sort(numbers)

    thread = threading.Thread(target=work, name="probe neighbour")
    thread.start()
    ordinary.wait(_STOP_S)
    try:
        yield thread.native_id or 0
    finally:
        stop.set()
        thread.join(_STOP_S)


def _on_cpu(kind: str) -> bool:
    """Whether an engine of this kind runs on the CPU here."""
    if kind != "auto":
        return kind == "openvino"
    from inspector.engine.gpu import require_device

    try:
        require_device()
    except EngineUnavailableError:
        return True
    return False
