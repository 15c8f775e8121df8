"""The benchmark `tools/bench/views`: the time of a part with several views, in one execution and by an engine for each view.

Each view has a bank of its own, random patches of good images, and sees an image of its own. The engines run in turn, so that what else
the machine does meets all of them. `max_error` is the largest difference between the two of a view's score, in shares of it.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from inspector.clock import NS_PER_MS, SystemClock
from inspector.engine.base import Engine
from inspector.errors import InspectorError
from inspector.model.graph import ViewHead, fused_graph, views_graph
from inspector.model.methods.base import Detector
from inspector.model.scoring import compiled
from tools.bench.arguments import add_good, at_least, spaced
from tools.bench.bank import IN_TURN, Patches
from tools.bench.machine import Machine, Quantiles, add_json, finish

COUNTS = (2, 4)
COLUMNS = {
    "views": "views",
    "form": "by",
    "p50_ms": "p50 ms",
    "p99_ms": "p99 ms",
    "of_each": "of an engine each",
    "max_error": "max error",
}


@dataclass(frozen=True, slots=True)
class Part:
    """A part's views: one engine for all of them, and one for each; the times of both so far."""

    images: NDArray[np.uint8]
    together: Engine
    each: Sequence[Engine]
    together_ms: list[float] = field(default_factory=list)
    each_ms: list[float] = field(default_factory=list)

    def run(self, clock: SystemClock) -> None:
        """Score the part some times in either way; the first of each fetches its banks into the caches and is not counted."""
        for score, times_ms in ((self.at_once, self.together_ms), (self.one_by_one, self.each_ms)):
            score()
            for _ in range(IN_TURN):
                start_ns = clock.now_ns()
                score()
                times_ms.append((clock.now_ns() - start_ns) / NS_PER_MS)

    def at_once(self) -> list[float]:
        """Return the views' scores by the one engine."""
        score = self.together.score_prepared(self.images)
        return [view.value for view in score.views]

    def one_by_one(self) -> list[float]:
        """Return the views' scores by an engine for each."""
        return [
            engine.score_prepared(self.images[number : number + 1]).value
            for number, engine in enumerate(self.each)
        ]


def opened(patches: Patches, count: int, bank: int, stack: ExitStack) -> Part:
    """Open the engines of a part of so many views."""
    spec = patches.spec
    # Of slightly different sizes: equal banks would be one constant of the graph.
    detectors = [Detector((patches.head(bank - number),)) for number in range(count)]
    graph = views_graph([ViewHead(spec, detector, limit=1.0) for detector in detectors])
    together = stack.enter_context(compiled(graph, [spec.geometry] * count))
    each = [
        stack.enter_context(compiled(fused_graph(spec, detector), spec.geometry)) for detector in detectors
    ]
    images = np.concatenate([patches.shown[number % len(patches.shown)] for number in range(count)])
    return Part(images, together, each)


def rows_of(parts: Sequence[Part]) -> Iterator[dict[str, object]]:
    """Yield two rows for each part."""
    for part in parts:
        apart = np.abs(np.divide(part.at_once(), part.one_by_one()) - 1).max()
        reference = Quantiles.of(part.each_ms)
        for form, times_ms in (("one execution", part.together_ms), ("an engine each", part.each_ms)):
            times = Quantiles.of(times_ms)
            yield {
                "views": len(part.images),
                "form": form,
                **times.fields(),
                "of_each": round(times.p50 / reference.p50, 3),
                "max_error": float(apart),
            }


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, show, write."""
    parser = argparse.ArgumentParser(
        prog="tools/bench/views", description="Measure the time of a part by the number of its views."
    )
    add_good(parser, area="each view's", turn=f"{IN_TURN} parts")
    parser.add_argument(
        "--bank",
        type=at_least(max(COUNTS)),
        default=3000,
        metavar="N",
        help="entries of each view (default: %(default)s)",
    )
    parser.add_argument(
        "--views",
        type=at_least(2),
        nargs="+",
        default=COUNTS,
        metavar="V",
        help=f"how many, 2 or more (default: {spaced(COUNTS)})",
    )
    add_json(parser)
    args = parser.parse_args(argv)
    try:
        patches = Patches.read(args.good, args.size)
        with ExitStack() as stack:
            parts = [opened(patches, count, args.bank, stack) for count in args.views]
            with Machine() as machine:
                for _ in range(args.turns):
                    for part in parts:
                        part.run(SystemClock())
            rows = list(rows_of(parts))
    except InspectorError as error:
        print(f"views: {error}", file=sys.stderr)
        return 1
    spec = patches.spec
    print(f"each view {spec.width} x {spec.height} pixels, a bank of {args.bank}")
    finish(args.json, "The time of a part by the number of its views", rows, machine, COLUMNS)
    return 0


if __name__ == "__main__":
    sys.exit(main())
