"""Graphs like that of a pack for other image sizes and banks, to be timed without being fitted.

They have the pack's backbone, taps and method, and their features are those of the pack's reference images. A bank is made of such
features and noise: what it would say of a part is of no use, what it costs is. Known defects and masks, which cost next to nothing,
are left out.
"""

import math
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from inspector.bench.frames import CameraFrame
from inspector.clock import NS_PER_S, SystemClock
from inspector.engine.base import Engine, open_engine
from inspector.engine.preprocess import Geometry
from inspector.engine.settings import read_probed
from inspector.errors import ModelError
from inspector.model.backbone import Backbone, open_backbone
from inspector.model.bank import Bank
from inspector.model.graph import features_graph, fused_graph, split_features
from inspector.model.images import input_size, read_image
from inspector.model.int8 import quantised
from inspector.model.methods.base import Detector, Scale
from inspector.model.methods.nearest import NearestHead
from inspector.model.options import BACKBONES
from inspector.model.pack import Pack
from inspector.model.scoring import compiled, graph_file
from inspector.model.spec import Branch, ModelSpec, model_spec
from inspector.model.whitening import Moments, whitening

SIDES = (96, 128, 160, 192, 224, 256, 288, 320, 384, 448, 512, 640, 768, 896, 1024)
BANKS = (500, 1000, 2000, 3000, 5000, 7000, 10_000, 15_000, 20_000, 30_000, 50_000, 100_000)
RUNS = 40  # of a candidate
_LOOKS = 5  # runs after which one that is far too slow is given up
_NOISE = 0.3  # in units of the whitened features' deviation
_SEED = 0


@dataclass(frozen=True, slots=True)
class Timed:
    """A candidate: `side` of a square of the image's area, entries of each branch's bank, and what it takes: `times` the pack's own."""

    side: int
    height: int
    width: int
    bank: int
    times: float
    runs: int


class Candidates:
    """The candidates of one pack, timed on the engine `kind` with the station's frames, in turn with the pack's own graph."""

    def __init__(self, pack: Pack, frame: CameraFrame, kind: str) -> None:
        self.pack = pack
        self._frame, self._kind = frame, kind
        self._kept: dict[int, list[NDArray[np.float32]]] = {}  # features by side

    @property
    def refusal(self) -> str:
        """Why the pack has none, in words; empty where it has."""
        manifest = self.pack.manifest
        if manifest.method != "nearest" or manifest.backbone is None:
            return f"the method {manifest.method} has no other sizes and banks to try"
        if self.pack.views:
            return "a pack with several views is timed as it is; fit it with another --size, --bank or fewer views, and time that pack"
        if manifest.frame.tile is not None:
            return "a model in tiles keeps the scale it was fitted at"
        if self._backbone is None:
            return f"the backbone {manifest.backbone.name} is not on this PC"
        return ""

    @property
    def own_side(self) -> int:
        """Of the pack's largest branch."""
        return max(round(math.sqrt(each.height * each.width)) for each in self.pack.manifest.branches)

    @property
    def shares(self) -> tuple[float, ...]:
        """The sides of all branches over that of the largest."""
        sides = (math.sqrt(each.height * each.width) for each in self.pack.manifest.branches)
        return tuple(side / self.own_side for side in sides)

    @property
    def own_bank(self) -> int:
        """Entries of the pack's bank, of one branch."""
        return self.pack.manifest.bank // len(self.pack.manifest.branches) // len(self.pack.geometries)

    @property
    def sides(self) -> list[int]:
        """What can be tried: no larger than the part of the frame that is looked at."""
        region = self.pack.geometry.roi or (0, 0, self._frame.width, self._frame.height)
        most = math.sqrt(region[2] * region[3])
        return [side for side in SIDES if side <= max(most, SIDES[0])]

    def time(self, side: int, bank: int, *, times_max: float, seconds: float) -> Timed:
        """Time one; given up early where it takes far more than `times_max` times the pack's. Raises EngineError, ModelError."""
        spec = self._spec(side)
        geometry = replace(self.pack.geometry, height=spec.height, width=spec.width, picture=None)
        with graph_file(fused_graph(spec, self._detector(spec, bank))) as path:
            own = open_engine(self._kind, self.pack.graph, self.pack.geometry)
            try:
                other = self._opened(path, geometry)
                try:
                    pairs = self._in_turn(own, other, times_max, seconds)
                finally:
                    other.close()
            finally:
                own.close()
        medians = np.median(np.array(pairs), axis=0)
        return Timed(side, spec.height, spec.width, bank, float(medians[1] / medians[0]), len(pairs))

    def _opened(self, graph: Path, geometry: Geometry) -> Engine:
        """Open a candidate as the pack's own graph is opened here: with the settings that were probed for that one."""
        probed = read_probed(self.pack.graph)
        if self._kind != "openvino" or probed is None:
            return open_engine(self._kind, graph, geometry)
        from inspector.engine.openvino import OpenVinoEngine  # late: a station on a GPU loads none

        return OpenVinoEngine(graph, geometry, settings=probed.taken)

    def _in_turn(self, own: Engine, other: Engine, times_max: float, seconds: float) -> list[list[int]]:
        """Return the nanoseconds of both, run for run, so that what else the PC does is shared by both."""
        frame, clock = self._frame, SystemClock()
        lines = frame.data.reshape(frame.height, *((frame.width, 3) if frame.form.channels == 3 else (-1,)))
        pairs: list[list[int]] = []
        for engine in (own, other):
            engine.warm_up()
        t_end_ns = clock.now_ns() + round(seconds * NS_PER_S)
        while len(pairs) < RUNS and (not pairs or clock.now_ns() < t_end_ns):
            pair = []
            for engine in (own, other):
                t_start_ns = clock.now_ns()
                engine.score(lines, frame.form.name)
                pair.append(clock.now_ns() - t_start_ns)
            pairs.append(pair)
            if len(pairs) == _LOOKS and min(o for _, o in pairs) > 2 * times_max * max(m for m, _ in pairs):
                break
        return pairs

    def _spec(self, side: int) -> ModelSpec:
        """Return the pack's spec at another size: all branches larger or smaller in proportion. In int8 where the pack is."""
        manifest, (width, height) = self.pack.manifest, self.pack.geometry.filled
        sizes = [input_size(width / height, round(share * side)) for share in self.shares]
        taps = [each.taps for each in manifest.branches]
        if self._backbone is None:
            raise ModelError(f"{self.pack.path}: {self.refusal}; evaluate the pack instead")
        spec = model_spec(self._backbone, manifest.input.channels, sizes, taps, _pooling(manifest.pooling))
        precision = manifest.precision
        return (
            quantised(spec, self._inputs(spec))
            if precision is not None and precision.taken == "int8"
            else spec
        )

    @cached_property
    def _backbone(self) -> Backbone | None:
        """The network that the pack was fitted with, None where this PC has it no more."""
        named = self.pack.manifest.backbone
        if named is None:
            return None
        for option in BACKBONES:
            try:
                backbone = open_backbone(option)
            except ModelError:  # an extra that was not installed
                continue
            if (backbone.name, backbone.sha256) == (named.name, named.sha256):
                return backbone
        return None

    @cached_property
    def _references(self) -> list[NDArray[np.uint8]]:
        """The reference images without what only fills the input up."""
        width, height = self.pack.geometry.filled
        channels = self.pack.geometry.channels
        files = (self.pack.path / reference.file for reference in self.pack.manifest.references)
        return [read_image(path, channels)[:height, :width] for path in files]

    def _inputs(self, spec: ModelSpec) -> list[NDArray[np.uint8]]:
        """Return the reference images as inputs of this spec's graph, uint8 [1, H, W, C]."""
        shape = (1, spec.height, spec.width, spec.channels)
        return [cv2.resize(image, (spec.width, spec.height)).reshape(shape) for image in self._references]

    def _detector(self, spec: ModelSpec, bank: int) -> Detector:
        heads = tuple(
            _head(features, branch, bank)
            for features, branch in zip(self._features(spec), spec.branches, strict=True)
        )
        return Detector(heads, tuple(Scale(0.0, 1.0) for _ in heads) if len(heads) > 1 else ())

    def _features(self, spec: ModelSpec) -> list[NDArray[np.float32]]:
        """Return the feature vectors (n, depth) of the reference images, of each branch."""
        key = spec.height * spec.width
        if key in self._kept:
            return self._kept[key]
        with compiled(features_graph(spec), Geometry(spec.channels, spec.height, spec.width)) as engine:
            rows = [engine.score_prepared(image).heatmap for image in self._inputs(spec)]
        split = [split_features(spec, row) for row in rows]
        self._kept[key] = [np.concatenate(parts) for parts in zip(*split, strict=True)]
        return self._kept[key]


def _head(features: NDArray[np.float32], branch: Branch, bank: int) -> NearestHead:
    rng = np.random.default_rng(_SEED)
    white = whitening(Moments.of(features))
    entries = white.apply(features[rng.integers(len(features), size=bank)])
    entries += np.float32(_NOISE) * rng.standard_normal((bank, branch.depth), np.float32)
    return NearestHead(white, Bank(entries, np.full(bank, math.sqrt(branch.depth), np.float32)))


def _pooling(stated: str | float) -> float:
    return math.inf if isinstance(stated, str) else stated
