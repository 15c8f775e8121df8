"""Grows the bank of a pack by new good images, without the old ones: `inspector fit --add DIR --pack OLD --out NEW`.

What the old pack compares with stays: how frames become its input, its whitening, every entry of its bank with its spacing, what it
knows of defects. Patches of the new parts are added that lie farther from the bank than its own entries lie from each other.

Comparing with more entries can only bring a patch nearer to one. So what an old image scored when it was held out, which the old pack
still has, is at least what it would score now, and the threshold is chosen from these scores and those of the new images: each
of them by a model that has the old bank and the other batches of the new images. It holds what it promises on the safe side: too few good
parts are rejected rather than too many. A fit on all images together finds a lower threshold, and a defect or two more.
"""

import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from inspector.clock import SystemClock
from inspector.errors import ImagesError, PackError
from inspector.model.bank import Bank, farthest_first, projected, squared_to_nearest
from inspector.model.batches import Batches, Source, find_batches
from inspector.model.calibrate import MINIMUM_IMAGES, check_rate, choose_threshold
from inspector.model.collect import collect
from inspector.model.fit import FitResult, finished
from inspector.model.fitted import FITTED, from_file
from inspector.model.folds import Folds, choose_folds, hold_out_families
from inspector.model.graph import fused_graph
from inspector.model.images import Survey, list_images, survey
from inspector.model.int8 import Int8Backbone
from inspector.model.learning import learning_curve
from inspector.model.likeness import ALIKE, copies, from_sheet
from inspector.model.methods.base import Detector
from inspector.model.methods.nearest import Nearest, NearestHead
from inspector.model.outgrown import settled_again, slower
from inspector.model.pack import CALIBRATION, THUMBNAILS, Pack, check_target, load_pack
from inspector.model.progress import FEATURES, HELD_OUT, IMAGES, MODEL, Advance, Progress, counter, silent
from inspector.model.regrown import Grown, require_same, spec_of, write_grown
from inspector.model.score_nodes import Exposure
from inspector.model.scoring import score_all
from inspector.model.search_check import check_search
from inspector.model.spacing import local_spacing
from inspector.model.spec import ModelSpec
from inspector.model.training import Collected

STAGES = IMAGES, FEATURES, HELD_OUT, MODEL


def grow(
    added: Path,
    old: Path,
    out: Path,
    progress: Progress = silent,
    *,
    bank: int | None = None,
    false_reject_rate: float | None = None,
    backbone: str | None = None,
) -> FitResult:
    """Add all images below `added` to the pack `old` and write the pack `out`. Raises ImagesError, ModelError, PackError.

    `bank`: patches to keep at most; None: as many for each new image as the old bank has for an old one. `false_reject_rate`: None for the
    old pack's. `backbone`: the ONNX file of the old pack's, where it has no name.
    """
    started_ns = SystemClock().now_ns()
    check_target(out)
    before = _opened(old)
    rate = before.manifest.false_reject_rate if false_reject_rate is None else false_reject_rate
    check_rate(rate)
    spec, detector = spec_of(before, backbone), from_file(old / FITTED)
    require_same(before, spec, detector)
    news = _look_at(added, before, progress)
    precision = settled_again(before, spec, detector, news.paths)
    growth = _growth(spec, detector, news, before, bank=bank, progress=progress)
    collected = growth.collected
    new_scores = _held_out(growth, news, progress)
    scores, batches = _together(before, news, new_scores)
    threshold = choose_threshold(scores, rate, batches)
    exposure = _exposure(before, collected.grey, threshold.value)
    detector = growth.detector(None, counter(progress, MODEL, growth.room))
    graph = fused_graph(spec, detector, exposure)
    grown = Grown(
        graph=graph,
        detector=detector,
        exposure=exposure,
        scores=scores,
        batches=batches,
        threshold=threshold,
        curve=learning_curve(scores, rate, batches, threshold.next_images),
        rate=rate,
        search=check_search(detector.heads, collected.without(None)),
        folds=news.folds.count,
        fold_of=news.folds.fold_of[~news.seen],
        thumbnails=news.found.thumbnails,
        added=len(news.paths),
        warnings=(
            *news.warnings,
            *growth.warnings(detector),
            *_rejected(new_scores, threshold.value),
            *slower(before, graph),
        ),
        ranges=spec.backbone.ranges if isinstance(spec.backbone, Int8Backbone) else {},
        precision=precision,
    )
    pack = write_grown(out, before, grown)
    return finished(pack, detector.size, started_ns)


def _exposure(before: Pack, grey: NDArray[np.float64], limit: float) -> Exposure:
    """Return that of the old and the new images, whose mean grey levels are `grey`."""
    darkest, brightest = before.manifest.grey
    return Exposure(min(darkest, float(grey.min())), max(brightest, float(grey.max())), limit=limit)


def _opened(path: Path) -> Pack:
    """Return the pack, if it is one that can grow."""
    pack = load_pack(path)
    manifest = pack.manifest
    if manifest.method != "nearest":
        raise PackError(
            f"{path}: expected a pack of the method nearest, whose bank can grow, this one is of {manifest.method}; "
            "fit the model again on all images"
        )
    if pack.views:
        raise PackError(
            f"{path}: expected a pack without views, this one has {', '.join(pack.views)}, whose banks cannot grow by --add; "
            "fit it again, with --good on the old and the new images together and the same --view"
        )
    if FITTED not in manifest.files:
        raise PackError(
            f"{path}: expected a pack that can grow, this one lacks {FITTED}: an earlier Inspector wrote it; "
            "fit the model again on all images"
        )
    return pack


def _rejected(scores: NDArray[np.float64], limit: float) -> tuple[str, ...]:
    """Say where the new images' like would not pass: none of their batch was known when they were scored."""
    judged = scores[~np.isnan(scores)]
    above = int((judged > limit).sum())
    if above * 4 <= len(judged):
        return ()
    return (
        (
            f"{above} of {len(judged)} new images lie above the threshold as long as nothing of their own batch is in the bank: "
            "parts of the next such batch are rejected; add images of more batches"
        ),
    )


@dataclass(frozen=True, slots=True)
class _News:
    """The new good images. `seen` bool (n,): as alike as copies to old ones, so that no model here can hold them out."""

    root: Path
    paths: list[Path]
    found: Survey
    batches: Batches
    folds: Folds
    seen: NDArray[np.bool_]

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the user should know of them."""
        if not self.seen.any():
            return self.found.warnings
        return (
            *self.found.warnings,
            (
                f"{int(self.seen.sum())} of {len(self.paths)} new images are as alike as copies to old ones: "
                "they are added, but say nothing of the threshold"
            ),
        )


def _look_at(added: Path, before: Pack, progress: Progress) -> _News:
    paths = list_images(added)
    found = survey(paths, counter(progress, IMAGES, len(paths)))
    batches = find_batches(paths, added, found.thumbnails)
    if len(paths) >= MINIMUM_IMAGES:
        folds = choose_folds(batches, np.random.default_rng(before.manifest.seed))
    else:
        folds = hold_out_families(batches)
    old = from_sheet((before.path / THUMBNAILS).read_bytes())
    return _News(added, paths, found, batches, folds, copies(found.thumbnails, old, ALIKE))


@dataclass(frozen=True, slots=True)
class _Growth:
    """How the old detector grows by what one pass over the new images left; `most` entries of each branch's bank."""

    spec: ModelSpec
    old: Detector
    collected: Collected
    seed: int
    most: tuple[int, ...]

    @property
    def room(self) -> int:
        """Entries that may be added, in all branches together."""
        return sum(self.most) - self.old.size

    def detector(self, barred: NDArray[np.bool_] | None, advance: Advance) -> Detector:
        """Return the detector that also has the new images but those of the groups where `barred` (groups,) is true."""
        trainings = self.collected.without(barred)
        heads = [
            _grown(head, training.candidates, most, self.seed, advance)
            for head, training, most in zip(_banks(self.old), trainings, self.most, strict=True)
        ]
        return replace(self.old, heads=tuple(heads))

    def warnings(self, grown: Detector) -> tuple[str, ...]:
        """Return what the user should know of the bank."""
        if not any(head.size == most for head, most in zip(grown.heads, self.most, strict=True)):
            return ()
        return (
            (
                f"the bank is full at {grown.size} patches before it covers the new parts as tightly as the old ones; "
                "choose a larger --bank if too many good parts are rejected"
            ),
        )


def _growth(
    spec: ModelSpec, old: Detector, news: _News, before: Pack, *, bank: int | None, progress: Progress
) -> _Growth:
    """Pass once over the new images, for banks of `bank` entries, or of so many more as there are more images."""
    images, known = len(news.paths), before.manifest.images
    sizes = [head.size for head in _banks(old)]
    most = [size + -(-size * images // known) if bank is None else max(bank, size) for size in sizes]
    room = max(after - size for after, size in zip(most, sizes, strict=True))
    collected = collect(
        spec,
        news.paths,
        news.folds.group_of,
        seed=before.manifest.seed,
        positions=False,
        advance=counter(progress, FEATURES, images),
        candidates=Nearest(room, before.manifest.seed).candidates,
        samples=0,  # what makes branches comparable stays
    )
    return _Growth(spec, old, collected, before.manifest.seed, tuple(most))


def _banks(detector: Detector) -> list[NearestHead]:
    return [head for head in detector.heads if isinstance(head, NearestHead)]


def _grown(
    head: NearestHead, candidates: NDArray[np.float32], most: int, seed: int, advance: Advance
) -> NearestHead:
    """Return the head with the entries and spacings it has, and those of `candidates` (n, d) that it leaves far off."""
    if not len(candidates) or most <= head.size:
        return head
    # The seed of the old fit, and so the very space in which its bank was chosen.
    known = projected(head.bank.entries, np.random.default_rng(seed))
    rows = projected(candidates, np.random.default_rng(seed), head.whitening)
    apart = float(local_spacing(known, 1).min())
    taken = farthest_first(
        rows, squared_to_nearest(rows, known), most - head.size, until=apart**2, advance=advance
    )
    entries = np.concatenate([head.bank.entries, head.whitening.apply(candidates[taken])])
    spacing = np.concatenate([head.bank.spacing, local_spacing(entries)[head.size :]])
    return replace(head, bank=Bank(entries, spacing))


def _held_out(growth: _Growth, news: _News, progress: Progress) -> NDArray[np.float64]:
    """Return the score of each new image, float64 (n,), by a model that saw nothing of its fold; NaN for those that were seen before."""
    folds, spec = news.folds, growth.spec
    scores = np.full(len(news.paths), np.nan)
    advance = counter(progress, HELD_OUT, folds.count * growth.room + len(scores))
    for fold in range(folds.count):
        index_of = np.flatnonzero((folds.fold_of == fold) & ~news.seen).tolist()
        if index_of:
            graph = fused_graph(spec, growth.detector(folds.barred[fold], advance))
            files = [news.paths[index] for index in index_of]
            for index, answer in zip(
                index_of, score_all(graph, spec.geometry, files, spec.channels), strict=True
            ):
                scores[index] = answer.value
                advance(1)
    return scores


def _together(
    before: Pack, news: _News, new_scores: NDArray[np.float64]
) -> tuple[NDArray[np.float64], Batches]:
    """Return the held-out scores of the old images and of the new ones that count, and the batches of both.

    Images that are added come from another day than those before: where nothing else tells batches apart, this does.
    """
    old = json.loads((before.path / CALIBRATION).read_bytes())["held_out"]
    if not old:
        raise ImagesError(f"{before.path}: expected held-out scores in {CALIBRATION}; fit the model again")
    by = before.manifest.held_out.by
    dated = by in ("folders", "times")
    source: Source = by if dated else "times"
    new_named = news.batches.source in ("folders", "times")
    names = [entry["batch"] if dated else "before" for entry in old]
    known = set(names)
    for label in news.batches.part(~news.seen).labels():
        name = label if new_named else news.root.name
        names.append(f"{name} (added)" if name in known else name)
    families = [int(entry["family"]) for entry in old]
    families += [max(families) + 1 + int(family) for family in news.batches.family_of[~news.seen]]
    different, batch_of = np.unique(np.array(names), return_inverse=True)
    _, family_of = np.unique(np.array(families), return_inverse=True)
    files = (*(entry["image"] for entry in old), *news.batches.part(~news.seen).files)
    scores = np.array([*(float(entry["score"]) for entry in old), *new_scores[~news.seen]])
    batches = Batches(
        batch_of.reshape(-1).astype(np.int64),
        tuple(str(name) for name in different),
        family_of.reshape(-1).astype(np.int64),
        source,
        files,
    )
    return scores, batches
