"""Inspector's side of `tools/bench/peer`: a process of its own, so that its memory is its own. Speaks as anomalib_side.py does."""

import json
import resource
import sys
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np

from inspector.clock import NS_PER_MS, NS_PER_S, SystemClock
from inspector.engine.base import Engine
from inspector.model.collect import collect
from inspector.model.detector import fit_detector
from inspector.model.framing import plan
from inspector.model.graph import fused_graph
from inspector.model.images import read_frame, survey
from inspector.model.methods.base import method_named
from inspector.model.options import FitOptions
from inspector.model.patches import spec_for
from inspector.model.progress import uncounted
from inspector.model.scoring import compiled


def main() -> int:
    """Serve until stdin ends."""
    options, clock = FitOptions(seed=int(sys.argv[1])), SystemClock()
    with ExitStack() as stack:
        engine: Engine | None = None
        channels = 1
        for line in sys.stdin:
            order = json.loads(line)
            started_ns = clock.now_ns()
            if "fit" in order:
                engine, channels = _fit([Path(path) for path in order["fit"]], options, stack)
                seconds = (clock.now_ns() - started_ns) / NS_PER_S
                peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
                answer = {"seconds": seconds, "peak_rss_mb": peak}
            elif engine is not None:
                image = read_frame(Path(order["score"]), channels)
                started_ns = clock.now_ns()
                value = engine.score(image).value
                answer = {"score": value, "ms": (clock.now_ns() - started_ns) / NS_PER_MS}
            print(json.dumps(answer), flush=True)
    return 0


def _fit(paths: list[Path], options: FitOptions, stack: ExitStack) -> tuple[Engine, int]:
    """Fit the default model, without its threshold: the peer has none either."""
    found = survey(paths)
    spec = spec_for(options, plan(options.frame, found, paths, options.sizes))
    method = method_named(options.method, bank=options.bank, seed=options.seed)
    groups = np.zeros(len(paths), np.int64)
    kept = collect(spec, paths, groups, seed=options.seed, positions=method.positions, advance=uncounted)
    graph = fused_graph(spec, fit_detector(spec, method, kept.without(None), uncounted))
    return stack.enter_context(compiled(graph, replace(spec.geometry, aspect=None))), spec.channels


if __name__ == "__main__":
    raise SystemExit(main())
