"""One trial of the tuning: models that saw nothing of one group of the sample score that group, with and without defects."""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from inspector.clock import NS_PER_MS, SystemClock
from inspector.engine.base import Score
from inspector.engine.decoding import Samples
from inspector.model.collect import gather
from inspector.model.detector import fit_detector
from inspector.model.graph import features_graph, fused_graph, head_graph, split_features
from inspector.model.methods.base import Method
from inspector.model.methods.choice import method_for
from inspector.model.options import FitOptions
from inspector.model.outcome import Outcome, outcome
from inspector.model.progress import Advance, uncounted
from inspector.model.sample import Sample
from inspector.model.scoring import compiled, compiled_head
from inspector.model.spec import ModelSpec
from inspector.model.training import Collected

BANK = 1000  # patches that a trial's models keep: they rank candidates as the full bank does, in a third of the time
_CANDIDATES = 10_000  # patches they are chosen from, likewise
TIMED = 30  # runs of the engine that a time is the median of

Features = NDArray[np.float16]


@dataclass(frozen=True, slots=True)
class Trial:
    """A candidate, the time from frame to score (p50, ms), and what it tells apart: None where it is over the budget."""

    candidate: FitOptions
    milliseconds: float
    outcome: Outcome | None


class Rig:
    """Runs trials on one sample, with the features of what it looked at last, for all taps at once. One thread."""

    def __init__(
        self, sample: Sample, frames: Sequence[Samples], spec_of: Callable[[FitOptions], ModelSpec]
    ) -> None:
        """`spec_of` plans a candidate for whole frames; the sample's images have been through roi and alignment already.

        `frames`: some as they come, for the time of an image, which begins with them.
        """
        self.sample = sample
        self._frames = frames
        self._spec_of = spec_of
        self._seen: tuple[ModelSpec, list[Features]]

    def look(self, candidates: Sequence[FitOptions], advance: Advance) -> None:
        """Extract the features that these candidates, all of the same sizes, need. Advances once for each image."""
        union = tuple(
            tuple(dict.fromkeys(name for candidate in candidates for name in candidate.taps[branch]))
            for branch in range(len(candidates[0].sizes))
        )
        spec = self._spec(replace(candidates[0], taps=union))
        rows = []
        with compiled(features_graph(spec), spec.geometry) as engine:
            for image in self.sample.images:
                rows.append(engine.score(image).heatmap.reshape(-1).astype(np.float16))
                advance(1)
        self._seen = spec, rows

    def run(self, candidate: FitOptions, budget_ms: float) -> Trial:
        """Measure a candidate that was looked at: its time and, unless that is over the budget, what it tells apart."""
        spec, rows, method, collected = self._gathered(candidate)
        milliseconds = self._time(spec, candidate, collected)
        if milliseconds > budget_ms:
            return Trial(candidate, milliseconds, None)
        scores = self._scores(spec, method, collected, rows)
        return Trial(candidate, milliseconds, outcome(scores, self.sample.kind_of))

    def scores(self, candidate: FitOptions) -> NDArray[np.float64]:
        """Return the score of each image of the sample that is judged, NaN for the others, by a candidate that was looked at."""
        spec, rows, method, collected = self._gathered(candidate)
        return self._scores(spec, method, collected, rows)

    def _gathered(
        self, candidate: FitOptions
    ) -> tuple[ModelSpec, list[NDArray[np.float32]], Method, Collected]:
        """Return what a candidate is fitted on, and the features of all images."""
        whole, kept = self._seen
        spec = self._spec(candidate)
        rows = [_narrow(row, whole, spec) for row in kept]
        method = method_for(replace(candidate, bank=BANK), spec)
        collected = gather(
            spec,
            (Score(0.0, row) for row in rows[: self.sample.good]),
            self.sample.group_of,
            seed=candidate.seed,
            positions=method.positions,
            advance=uncounted,
        )
        return spec, rows, method, collected

    def _spec(self, candidate: FitOptions) -> ModelSpec:
        spec = self._spec_of(candidate)
        seen = replace(spec.geometry, roi=None, frame=None, aspect=None, alignment=None)
        return replace(spec, framing=seen)

    def _scores(
        self, spec: ModelSpec, method: Method, collected: Collected, rows: Sequence[NDArray[np.float32]]
    ) -> NDArray[np.float64]:
        """Return each image's score by the model of its fold, NaN for those that are only fitted on."""
        scores = np.full(len(rows), np.nan)
        for fold, barred in enumerate(self.sample.barred):
            trainings = [
                replace(
                    training, candidates=training.candidates[:: 1 + len(training.candidates) // _CANDIDATES]
                )
                for training in collected.without(barred)
            ]
            detector = fit_detector(spec, method, trainings, uncounted)
            with compiled_head(head_graph(spec, detector)) as engine:
                for index in np.flatnonzero(self.sample.fold_of == fold).tolist():
                    scores[index] = engine.score(rows[index]).value
        return scores

    def _time(self, spec: ModelSpec, candidate: FitOptions, collected: Collected) -> float:
        """Return the median time from frame to score, the bank as large as the final one's but quickly chosen."""
        method = method_for(candidate, spec)
        trainings = [
            replace(training, candidates=training.candidates[: candidate.bank])
            for training in collected.without(None)
        ]
        detector = fit_detector(spec, method, trainings, uncounted)
        clock, took = SystemClock(), []
        with compiled(fused_graph(spec, detector), self._spec_of(candidate).geometry) as engine:
            for frame in itertools.islice(itertools.cycle(self._frames), TIMED):
                started_ns = clock.now_ns()
                engine.score(frame)
                took.append((clock.now_ns() - started_ns) / NS_PER_MS)
        return float(np.median(took))


def _narrow(row: Features, whole: ModelSpec, spec: ModelSpec) -> NDArray[np.float32]:
    """Return the features of `spec`, which has some of the taps of `whole`, float32 (n,)."""
    parts = []
    for features, of_whole, branch in zip(
        split_features(whole, row.astype(np.float32)), whole.branches, spec.branches, strict=True
    ):
        columns, start = {}, 0
        for tap in of_whole.taps:
            columns[tap.name] = np.arange(start, start + tap.channels)
            start += tap.channels
        wanted = np.concatenate([columns[tap.name] for tap in branch.taps])
        parts.append(features[:, wanted].reshape(-1))
    return np.concatenate(parts)
