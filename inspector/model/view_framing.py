"""How the places of a part become one input: a region for each view, all at the same size, and what else holds for all of them.

A view is scaled by the same factor both ways, so that its defects keep their shape; what is left of the common input repeats its
edge and is not watched. The input's shape is the views' mean shape, in the logarithm, its area that of `--size`.
"""

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from inspector.engine.preprocess import Geometry
from inspector.errors import ImagesError, ModelError
from inspector.model.framing import LARGEST, Framing, by_scale, fitted_in, plan
from inspector.model.images import STEP, Survey, input_size
from inspector.model.masking import filled_only, project
from inspector.model.options import FLOAT32, IMPORTED, LEAST_SIZE, FitOptions, ViewOptions

MOST_VIEWS = 16  # each has a bank of its own: 16 of 3,000 patches take a hundred milliseconds on two cores
_ENLARGED = 1.25  # times: the input's sides come in steps, so that a little is chance
# Letters, digits, - and _, as of a defect: names go into logs and files.
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,31}")


def settled_views(options: FitOptions, *, defects: bool = False, tuning: bool = False) -> FitOptions:
    """Return the options as they are fitted: a single view is a region. Raises ModelError for what does not go together.

    `defects` and `tuning`: whether these are asked for too.
    """
    if not options.views:
        return options
    _check_names(options.views)
    if options.frame.roi is not None:
        raise ModelError(
            f"expected --view or --roi, got both; name the region {list(options.frame.roi)} as a --view too, or leave it out"
        )
    if len(options.views) == 1:
        only = replace(options.frame, roi=options.views[0].roi, view=options.views[0].name)
        return replace(options, frame=only, views=())
    for what, why in _refused(options, defects=defects, tuning=tuning):
        raise ModelError(f"expected no {what} beside {len(options.views)} views: {why}")
    return options


def _refused(options: FitOptions, *, defects: bool, tuning: bool) -> Iterator[tuple[str, str]]:
    """Yield each argument that does not go with several views, why, and what to do instead."""
    alone = "or fit a pack for that region alone, with --roi in the place of --view"
    if options.frame.tile is not None:
        yield "--tiles", f"a view is looked at as a whole; choose --scale 1 to keep every pixel, {alone}"
    if tuning:
        yield (
            "--tune",
            "tuning tries settings on a single region; tune with one of them as --roi, then give --view with the settings that it chose",
        )
    if defects:
        yield "--defects", f"an example does not say in which view its defect lies; leave it out, {alone}"
    if options.method == IMPORTED:
        yield (
            f"--method {IMPORTED}",
            f"its network takes one image of a part, not several; choose another method, {alone}",
        )
    if options.precision != FLOAT32:
        yield (
            f"--precision {options.precision}",
            f"several views are always computed in {FLOAT32}; leave it out, {alone}",
        )


def plan_frames(options: FitOptions, found: Survey, paths: Sequence[Path]) -> Framing:
    """Decide how frames become the input, in one place or in each view: see framing.plan. Raises ModelError, ImagesError."""
    if not options.views:
        return plan(options.frame, found, paths, options.sizes)
    if found.size is None:
        raise ImagesError(
            f"expected images of one size with --view, found {found.sizes}; fit on the files of one size, "
            "or crop all files to one size beforehand"
        )
    for view in options.views:
        _check_inside(view, found.size)
    # What holds for all: mask, pose, depth. The scale is of a view, not of the frame.
    common = plan(replace(options.frame, scale=None), found, paths, options.sizes)
    areas, filled = _sizes(options)
    height, width = max(areas, key=math.prod)
    geometry = replace(
        common.geometry, height=height, width=width, picture=None, frame=found.size, aspect=None
    )
    views = tuple(
        _view(common, geometry, areas, view, picture)
        for view, picture in zip(options.views, filled, strict=True)
    )
    notes = () if options.frame.scale is not None else tuple(_enlarged(options.views, max(options.sizes)))
    return replace(common, geometry=geometry, sizes=areas, watched=None, views=views, notes=notes)


def _view(
    common: Framing,
    geometry: Geometry,
    areas: tuple[tuple[int, int], ...],
    view: ViewOptions,
    picture: tuple[int, int],
) -> Framing:
    """Return the decision for one view, whose region is a picture of (width, height) in the common input."""
    full = geometry.width, geometry.height
    seen = replace(geometry, roi=view.roi, picture=None if picture == full else picture)
    try:
        watched = filled_only(seen) if common.mask is None else project(common.mask, seen)
    except ModelError as error:
        raise ModelError(f"view {view.name}: {error}") from error
    return Framing(seen, areas, watched)


def _sizes(options: FitOptions) -> tuple[tuple[tuple[int, int], ...], list[tuple[int, int]]]:
    """Return the branches' (height, width), the same for all views, and the (width, height) of each view's picture in the largest."""
    regions = [view.roi[2:] for view in options.views]
    if options.frame.scale is not None:
        found = [by_scale(region, options.frame) for region in regions]
        height, width = (max(areas[0][side] for areas, _, _ in found) for side in (0, 1))
        if len(regions) * height * width > LARGEST:
            raise ModelError(
                f"expected at most {LARGEST // 1_000_000} million pixels in all views, got {len(regions)} of {width} x {height}; "
                "choose a smaller --scale"
            )
        return ((height, width),), [picture for _, picture, _ in found]
    areas = tuple(input_size(_shape(options.views), size) for size in options.sizes)
    height, width = max(areas, key=math.prod)
    return areas, [fitted_in(region, (width, height)) for region in regions]


def _shape(views: Sequence[ViewOptions]) -> float:
    """Return the views' mean ratio of width and height, in the logarithm."""
    return math.exp(
        sum(math.log(width / height) for _, _, width, height in (view.roi for view in views)) / len(views)
    )


def _factors(views: Sequence[ViewOptions], size: int) -> dict[str, float]:
    """Return by how much each view is scaled for a --size, by its name."""
    height, width = input_size(_shape(views), size)
    return {view.name: min(width / view.roi[2], height / view.roi[3]) for view in views}


def _enlarged(views: Sequence[ViewOptions], size: int) -> Iterator[str]:
    """Yield one line that names the views which are enlarged, how far, and the largest --size at which none is."""
    factors = {name: factor for name, factor in _factors(views, size).items() if factor > _ENLARGED}
    if not factors:
        return
    named = ", ".join(f"{name} {factor:.1f} times" for name, factor in factors.items())
    smaller = range(size // STEP * STEP, LEAST_SIZE - 1, -STEP)
    enough = next((side for side in smaller if max(_factors(views, side).values()) <= _ENLARGED), None)
    yield (
        f"each view is scaled to the area of --size {size}, which enlarges {named}: this takes time and adds no detail; "
        + (f"--size {enough} would do" if enough else "draw larger regions, or leave the smallest view out")
    )


def _check_names(views: Sequence[ViewOptions]) -> None:
    if len(views) > MOST_VIEWS:
        raise ModelError(
            f"expected at most {MOST_VIEWS} views, got {len(views)}; join regions that look alike, or split them over two packs"
        )
    for number, view in enumerate(views):
        if not _NAME.fullmatch(view.name):
            raise ModelError(
                f"expected the name of a view of letters, digits, '-' and '_', at most 32 and a letter first, got {view.name!r}; rename it"
            )
        for other in views[:number]:
            _check_apart(other, view)


def _check_apart(one: ViewOptions, other: ViewOptions) -> None:
    if other.name == one.name:
        raise ModelError(f"expected a name for each view, got {other.name} twice; rename one of them")
    if other.name.lower() == one.name.lower():
        raise ModelError(
            f"expected names of views that differ in more than capitals, got {one.name} and {other.name}; rename one of them"
        )
    if other.roi == one.roi:
        raise ModelError(
            f"expected a region of its own for each view, got {list(one.roi)} for {one.name} and {other.name}; correct or leave out one"
        )


def _check_inside(view: ViewOptions, frame: tuple[int, int]) -> None:
    x, y, width, height = view.roi
    if min(x, y) < 0 or min(width, height) < 1 or x + width > frame[0] or y + height > frame[1]:
        raise ModelError(
            f"view {view.name}: the region {list(view.roi)} does not fit in images of {frame[0]} x {frame[1]} pixels; "
            f"correct --view {view.name}=X,Y,W,H"
        )
