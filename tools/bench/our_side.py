"""Inspector's side of `tools/bench/peer`: a process of its own, so that its memory is its own. Speaks as anomalib_side.py does.

Arguments: the seed, and which of ours: a precision (float32, auto) of the default method, or another method.

The answer to a fit tells apart what the model took, as the peer has one, and what its threshold took, which the peer has none of:
`seconds` and `calibration_seconds`, `peak_rss_mb` and `calibrated_peak_rss_mb`, of both together.
"""

import json
import os
import resource
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np

from inspector.clock import NS_PER_MS, NS_PER_S, SystemClock
from inspector.engine.base import Engine
from inspector.engine.openvino import core
from inspector.model.batches import find_batches
from inspector.model.calibrate import choose_threshold
from inspector.model.detector import fit_detector
from inspector.model.folds import choose_folds
from inspector.model.framing import plan
from inspector.model.graph import fused_graph
from inspector.model.images import read_frame, survey
from inspector.model.int8_gate import settled_precision
from inspector.model.lite import lite0
from inspector.model.methods.choice import method_for
from inspector.model.options import METHODS, FitOptions
from inspector.model.patches import fit_patches, spec_for
from inspector.model.progress import silent, uncounted
from inspector.model.scoring import compiled


def main() -> int:
    """Serve until stdin ends."""
    seed, which = int(sys.argv[1]), sys.argv[2]
    options = (
        FitOptions(seed=seed, method=which) if which in METHODS else FitOptions(seed=seed, precision=which)
    )
    core(), lite0()  # runtime and weights are loaded before the clock starts, as the peer's are
    with ExitStack() as stack:
        fitted: _Fitted | None = None
        for line in sys.stdin:
            order = json.loads(line)
            if "fit" in order:
                fitted = _Fitted([Path(path) for path in order["fit"]], options, stack)
                answer: dict[str, object] = fitted.facts
            elif fitted is not None:
                answer = fitted.score([Path(path) for path in order["score"]])
            print(json.dumps(answer), flush=True)
    return 0


class _Fitted:
    """The model, its threshold, and an engine."""

    def __init__(self, paths: list[Path], options: FitOptions, stack: ExitStack) -> None:
        """Fit. The engine lasts as long as the stack."""
        self._clock, self._took_s = SystemClock(), {"model": 0.0, "calibration": 0.0}
        with self._timed("model"):
            found = survey(paths)
            framing = plan(options.frame, found, paths, options.sizes)
            spec = spec_for(options, framing)
        with self._timed("calibration"):
            batches = find_batches(paths, Path(os.path.commonpath(paths)), found.thumbnails)
            folds = choose_folds(batches, np.random.default_rng(options.seed))
        with self._timed("model"):
            settled = settled_precision(spec, options, paths, folds, framing, progress=silent)
            method = method_for(options, settled.spec)
            model = fit_patches(settled.spec, method, paths, folds, seed=options.seed, progress=silent)
            detector = fit_detector(settled.spec, method, model.collected.without(None), uncounted)
            graph = fused_graph(settled.spec, detector)
            geometry = replace(spec.geometry, aspect=None)
            self._engine: Engine = stack.enter_context(compiled(graph, geometry))
        peak_rss_mb = _peak_rss_mb()
        with self._timed("calibration"):
            choose_threshold(model.held_out(paths, folds, silent).scores, options.false_reject_rate, batches)
        self._channels = spec.channels
        self.facts: dict[str, object] = {
            "seconds": self._took_s["model"],
            "calibration_seconds": self._took_s["calibration"],
            "peak_rss_mb": peak_rss_mb,
            "calibrated_peak_rss_mb": _peak_rss_mb(),
            "precision": settled.precision,
        }

    def score(self, paths: list[Path]) -> dict[str, object]:
        """Score images; timed as the peer's are: a frame in memory in, a score out. The first is scored twice."""
        images = [read_frame(path, self._channels) for path in paths]
        self._engine.score(images[0])
        scores, times = [], []
        for image in images:
            started_ns = self._clock.now_ns()
            scores.append(self._engine.score(image).value)
            times.append((self._clock.now_ns() - started_ns) / NS_PER_MS)
        return {"scores": scores, "ms": times}

    @contextmanager
    def _timed(self, what: str) -> Iterator[None]:
        started_ns = self._clock.now_ns()
        yield
        self._took_s[what] += (self._clock.now_ns() - started_ns) / NS_PER_S


def _peak_rss_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    raise SystemExit(main())
