"""Measures a pack on labelled images: how well it tells bad from good, what its threshold does, and how sure that is.

images -> scores (judged.py) -> figures (metrics.py, located.py, confusion.py) with intervals (compare.py, proportions.py)
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from inspector.model.compare import bootstrap, delong, mcnemar
from inspector.model.confusion import confusion
from inspector.model.evaluate_views import by_view
from inspector.model.images import batch_of, find_mask, list_images
from inspector.model.judged import Judged, judge
from inspector.model.likeness import copies, from_sheet
from inspector.model.located import pixel_scores
from inspector.model.metrics import auroc, percentiles
from inspector.model.pack import THUMBNAILS, Pack
from inspector.model.progress import Progress, silent
from inspector.model.proportions import clopper_pearson


def evaluate(
    pack: Pack,
    good: Path,
    bad: Path,
    masks: Path | None = None,
    *,
    against: Pack | None = None,
    engine: str = "auto",
    progress: Progress = silent,
) -> dict[str, object]:
    """Return the figures under their published names. Raises ImagesError, EngineError.

    A part is rejected when its score is above the pack's threshold. `recall_by_defect` goes by the sub-folders of `bad`.
    `auroc_pixel` and `aupro` come only with `masks`, `confusion` only where the pack knows defects. Each share has an exact
    interval and each area a bootstrap one, 95 %. `named_right` is a share of `named_right_of` rejected parts of known kinds.
    Of a part with several views `by_view` has what each does, and how many rejected parts it decided.
    `against`: another pack, whose figures and differences stand under that name.
    """
    good_paths, bad_paths = list_images(good), list_images(bad)
    mask_paths = [find_mask(path, bad, masks) for path in bad_paths] if masks else []
    kinds = [batch_of(path, bad) for path in bad_paths]
    judged = judge(pack, good_paths, bad_paths, engine=engine, progress=progress)
    result = _figures(pack, judged, kinds, mask_paths)
    if against is not None:
        other = judge(against, good_paths, bad_paths, engine=engine, progress=progress)
        result["against"] = {
            "pack": str(against.path),
            **_figures(against, other, kinds, mask_paths),
            **_difference(judged, other, judged.values > pack.threshold, other.values > against.threshold),
        }
    return result


def _figures(pack: Pack, judged: Judged, kinds: Sequence[str], masks: Sequence[Path]) -> dict[str, object]:
    strata = _strata(judged, kinds)
    rejected = judged.values > pack.threshold
    of_bad = rejected[judged.bad]
    by_kind = {kind: of_bad[[own == kind for own in kinds]] for kind in sorted(set(kinds))}
    result: dict[str, object] = {
        "auroc": auroc(judged.values[~judged.bad], judged.values[judged.bad]),
        "auroc_interval": bootstrap(_auroc_of(judged), strata),
        "false_reject_rate": float(rejected[~judged.bad].mean()),
        "false_reject_rate_interval": _share(rejected[~judged.bad]),
        "recall": float(of_bad.mean()),
        "recall_interval": _share(of_bad),
        "recall_by_defect": {kind: float(group.mean()) for kind, group in by_kind.items()},
        "recall_by_defect_interval": {kind: _share(group) for kind, group in by_kind.items()},
        "images": {"good": judged.good, "bad": len(kinds)},
        "engine_ms": percentiles(judged.times_ms["engine"]),
        "stage_ms": {stage: percentiles(judged.times_ms[stage]) for stage in ("read", "preprocess", "graph")},
        "engine": judged.engine,
    }
    if masks:
        result |= _found(judged, masks, strata)
    if pack.views:
        result["by_view"] = by_view(pack, judged, kinds)
    if pack.defects:
        result |= _named(pack, judged, kinds, rejected)
    return result | _known(pack, judged)


def _strata(judged: Judged, kinds: Sequence[str]) -> NDArray[np.int64]:
    """Return numbers of what is drawn from separately: the good images, and each kind of defect."""
    names = sorted(set(kinds))
    return np.array([0] * judged.good + [1 + names.index(kind) for kind in kinds])


def _share(happened: NDArray[np.bool_]) -> tuple[float, float]:
    return clopper_pearson(int(happened.sum()), len(happened))


def _auroc_of(judged: Judged) -> Callable[[NDArray[np.int64]], float]:
    def figure(drawn: NDArray[np.int64]) -> float:
        values, bad = np.repeat(judged.values, drawn), np.repeat(judged.bad, drawn)
        return auroc(values[~bad], values[bad])

    return figure


def _found(judged: Judged, masks: Sequence[Path], strata: NDArray[np.int64]) -> dict[str, object]:
    counted = pixel_scores(judged, masks)
    return {
        "auroc_pixel": counted.auroc(),
        "auroc_pixel_interval": bootstrap(lambda drawn: counted.auroc(drawn.astype(np.float64)), strata),
        "aupro": counted.aupro(),
        "aupro_interval": bootstrap(lambda drawn: counted.aupro(drawn.astype(np.float64)), strata),
    }


def _named(
    pack: Pack, judged: Judged, kinds: Sequence[str], rejected: NDArray[np.bool_]
) -> dict[str, object]:
    """Compare the names that rejected bad parts were given with the folders they came from."""
    truths, named = [], []
    for index, kind in enumerate(kinds, start=judged.good):
        score = judged.scores[index]
        if rejected[index] and score is not None:
            truths.append(kind)
            named.append(score.named(pack.defects)[0])
    table = confusion(truths, named, pack.defects)
    result: dict[str, object] = {"confusion": table.as_json(), "named_right": None}
    if table.of_known:
        result["named_right"] = table.right / table.of_known
        result["named_right_interval"] = clopper_pearson(table.right, table.of_known)
        result["named_right_of"] = table.of_known
    return result


def _known(pack: Pack, judged: Judged) -> dict[str, object]:
    """Say how many images are near-copies of fitted ones, which makes every figure too good."""
    if THUMBNAILS not in pack.manifest.files:
        return {"warnings": []}
    found = copies(judged.thumbnails, from_sheet((pack.path / THUMBNAILS).read_bytes()))
    good, bad = int(found[~judged.bad].sum()), int(found[judged.bad].sum())
    return {"near_copies": {"good": good, "bad": bad}, "warnings": list(_warnings(pack, judged, good, bad))}


def _warnings(pack: Pack, judged: Judged, copied_good: int, copied_bad: int) -> Iterator[str]:
    if copied_good:
        yield (
            f"{copied_good} of {judged.good} good images are near-copies of images that the model was fitted on: good parts will "
            "be rejected more often than here; evaluate on images of other parts"
        )
    if copied_bad:
        yield (
            f"{copied_bad} of {len(judged.values) - judged.good} bad images are near-copies of good ones that the model was fitted on: "
            "either they show the same parts with a small defect, or one of the two folders holds parts that are not what it says"
        )
    interval = pack.manifest.held_out.interval
    rejected = float((judged.values[: judged.good] > pack.threshold).mean())
    if interval is not None and rejected > interval[1]:
        yield (
            f"{rejected:.1%} of the good images are rejected, more than the {interval[1]:.1%} that the pack foresaw for a next "
            "batch: these parts or their images differ from those fitted on; add some of them to the good images"
        )
    posed = sum(score is None for score in judged.scores)
    if posed:
        yield f"{posed} of {len(judged.scores)} images show the part beyond the pose that the pack allows, and count as rejected"


def _difference(
    one: Judged, other: Judged, first: NDArray[np.bool_], second: NDArray[np.bool_]
) -> dict[str, object]:
    """Compare two packs on the same images: DeLong's test of the AUROC, McNemar's of the decisions."""
    difference = delong(
        (one.values[~one.bad], one.values[one.bad]), (other.values[~other.bad], other.values[other.bad])
    )
    result: dict[str, object] = {
        "auroc_difference": difference.value,
        "auroc_difference_interval": difference.interval,
        "auroc_difference_p": difference.p,
    }
    for name, which in (("false_rejects", ~one.bad), ("recalled", one.bad)):
        only_first, only_second, p = mcnemar(first[which], second[which])
        result[name] = {"only_this": only_first, "only_other": only_second, "p": p}
    return result
