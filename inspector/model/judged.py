"""Runs a pack over image files as the line would, and keeps what evaluating needs: scores, maps, times, thumbnails."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from inspector.clock import NS_PER_MS, SystemClock
from inspector.engine.base import Engine, Score, open_engine
from inspector.engine.decoding import Samples
from inspector.engine.preprocess import Geometry, input_shape_of, prepare_views
from inspector.errors import EngineInputError, ImagesError, PoseError
from inspector.model.images import read_frame, refused, require_readable
from inspector.model.likeness import SIDE, thumbnail
from inspector.model.pack import Pack
from inspector.model.progress import Advance, Progress, counter


@dataclass(frozen=True, slots=True)
class Judged:
    """Good and bad images as a pack scored them, the good ones first.

    `values` float64 (n,): inf where the part lay beyond the pose that the pack allows, and `scores` None. `sizes`: (width, height) of
    each image. `thumbnails` uint8 (n, SIDE, SIDE). `times_ms`: of each stage by name, for as many images as were timed.
    """

    good: int
    values: NDArray[np.float64]
    scores: tuple[Score | None, ...]
    sizes: tuple[tuple[int, int], ...]
    thumbnails: NDArray[np.uint8]
    times_ms: dict[str, list[float]]
    engine: str

    @property
    def bad(self) -> NDArray[np.bool_]:
        """Which images are bad, bool (n,)."""
        return np.arange(len(self.values)) >= self.good


def judge(
    pack: Pack, good: Sequence[Path], bad: Sequence[Path], *, engine: str, progress: Progress
) -> Judged:
    """Score every image. Raises ImagesError that names the unreadable ones, EngineError."""
    # A folder may hold photographs of several shapes where a line may not: they are stretched, as fitting did.
    geometries = tuple(replace(geometry, aspect=None) for geometry in pack.geometries)
    opened = open_engine(engine, pack.graph, geometries)
    run = _Run(opened, geometries, len(good) + len(bad))
    try:
        opened.warm_up()
        run.add(good, counter(progress, "good", len(good)))
        run.add(bad, counter(progress, "bad", len(bad)))
    finally:
        opened.close()
    require_readable(run.unreadable, len(good) + len(bad))
    return Judged(
        len(good), run.values, tuple(run.scores), tuple(run.sizes), run.thumbnails, run.times_ms, opened.name
    )


class _Run:
    """One pass over all images with an open engine."""

    def __init__(self, engine: Engine, geometries: tuple[Geometry, ...], total: int) -> None:
        self._engine, self._geometries, self._clock = engine, geometries, SystemClock()
        self._input = np.empty(input_shape_of(geometries), np.uint8)
        self.values = np.full(total, np.nan)
        self.thumbnails = np.zeros((total, SIDE, SIDE), np.uint8)
        self.scores: list[Score | None] = []
        self.sizes: list[tuple[int, int]] = []
        self.times_ms: dict[str, list[float]] = {"read": [], "preprocess": [], "graph": [], "engine": []}
        self.unreadable: list[ImagesError] = []

    def add(self, paths: Sequence[Path], advance: Advance) -> None:
        """Score these images after the ones before."""
        for path in paths:
            try:
                self._one(path)
            except EngineInputError as error:  # of all images of this camera, most likely: no need to read on
                raise refused(path, error) from error
            except ImagesError as error:
                self.unreadable.append(error)
                self.scores.append(None)
                self.sizes.append((1, 1))
            advance(1)

    def _one(self, path: Path) -> None:
        index = len(self.scores)
        start_ns = self._clock.now_ns()
        frame = self._geometries[0]  # all views are of one frame
        image = read_frame(path, frame.channels)
        self._time("read", start_ns)
        deeper = frame.bits - 8 if image.dtype == np.uint16 else 0
        view: NDArray[np.uint8] = np.minimum(image >> deeper, 255).astype(np.uint8)
        self.thumbnails[index] = thumbnail(view)
        try:
            score: Score | None = self._timed(image)
        except PoseError:  # the line rejects such a part without a score
            score = None
        self.values[index] = math.inf if score is None else score.value
        self.scores.append(score)
        self.sizes.append((image.shape[1], image.shape[0]))

    def _timed(self, image: Samples) -> Score:
        """Score as the line does, in one call; before that, the image's preprocessing alone, to tell the stages apart.

        Of every image, so that the whole and its stages are quantiles over the same ones: the whole is never less than the model's part.
        """
        start_ns = self._clock.now_ns()
        prepare_views(image, self._geometries, self._input)
        staged_ms = self._time("preprocess", start_ns)
        start_ns = self._clock.now_ns()
        score = self._engine.score(image)
        whole_ms = self._time("engine", start_ns)
        self.times_ms["graph"].append(max(0.0, whole_ms - staged_ms))
        return score

    def _time(self, stage: str, start_ns: int) -> float:
        took_ms = (self._clock.now_ns() - start_ns) / NS_PER_MS
        self.times_ms[stage].append(took_ms)
        return took_ms
