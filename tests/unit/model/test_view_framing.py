"""What is decided of several views before a model is fitted, and what is refused."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from inspector.errors import ImagesError, ModelError
from inspector.model.images import Survey
from inspector.model.options import FitOptions, FrameOptions, ViewOptions
from inspector.model.view_framing import MOST_VIEWS, plan_frames, settled_views
from tests.support.plates import write
from tests.unit.model.test_framing import found

PINS, LABEL = ViewOptions("pins", (100, 50, 400, 200)), ViewOptions("label", (600, 300, 200, 400))
BOTH = FitOptions(views=(PINS, LABEL))
SEEN: Survey = found((1000, 800))


def test_views_share_one_input_and_keep_their_shape() -> None:
    framing = plan_frames(BOTH, SEEN, [])
    assert framing.sizes == ((256, 256),)  # between 2 : 1 and 1 : 2
    assert framing.geometry.roi is None
    assert framing.geometry.frame == (1000, 800)
    pins, label = framing.views
    assert (pins.geometry.roi, pins.geometry.filled) == (PINS.roi, (256, 128))
    assert (label.geometry.roi, label.geometry.filled) == (LABEL.roi, (128, 256))
    assert pins.geometry.input_shape == label.geometry.input_shape == framing.geometry.input_shape
    assert pins.watched is not None
    assert pins.watched[:128].all()
    assert not pins.watched[128:].any()


def test_a_view_of_the_inputs_shape_fills_it() -> None:
    same = tuple(ViewOptions(name, (0, 0, 300, 300)) for name in ("a", "b"))
    for view in plan_frames(FitOptions(views=same, sizes=(96, 192)), SEEN, []).views:
        assert view.geometry.picture is None
        assert view.watched is None
        assert view.sizes == ((96, 96), (192, 192))


def test_a_scale_is_the_same_for_all_views() -> None:
    framing = plan_frames(replace(BOTH, frame=FrameOptions(scale=0.5)), SEEN, [])
    assert framing.sizes == ((224, 224),)  # the widest and the highest, in steps of 32
    assert [view.geometry.filled for view in framing.views] == [(200, 100), (100, 200)]
    with pytest.raises(ModelError, match="million pixels in all views, got 2 of 8000 x 8000"):
        plan_frames(replace(BOTH, frame=FrameOptions(scale=20.0)), SEEN, [])


def test_a_mask_is_of_the_frame_and_counts_in_each_view(tmp_path: Path) -> None:
    mask = tmp_path / "mask.json"
    mask.write_text(json.dumps([[[100, 50], [300, 50], [300, 250], [100, 250]]]))
    masked = replace(BOTH, frame=FrameOptions(mask=mask))
    pins, label = plan_frames(masked, SEEN, []).views
    assert pins.watched is not None
    assert label.watched is not None
    assert not pins.watched[:, :120].any()
    assert pins.watched[:128, 136:256].all()
    assert label.watched[:, :128].all()
    mask.write_text(json.dumps([[[90, 40], [520, 40], [520, 260], [90, 260]]]))
    with pytest.raises(ModelError, match="view pins: the mask leaves nothing of the region"):
        plan_frames(masked, SEEN, [])


def test_a_pose_is_one_for_all_views(tmp_path: Path) -> None:
    reference = tmp_path / "reference.png"
    write(reference, np.random.default_rng(0).uniform(0, 255, (800, 1000)))
    aligned = replace(BOTH, frame=FrameOptions(align=(20, 5), reference=reference))
    pins, label = plan_frames(aligned, SEEN, []).views
    assert pins.geometry.alignment is not None
    assert pins.geometry.alignment is label.geometry.alignment  # so that it is looked for once


def test_a_view_that_is_enlarged_is_named_with_the_size_that_would_do() -> None:
    small = tuple(ViewOptions(name, (x, 0, 150, 150)) for name, x in (("left", 0), ("right", 200)))
    [said] = plan_frames(FitOptions(views=small), SEEN, []).warnings()
    assert said == (
        "each view is scaled to the area of --size 256, which enlarges left 1.7 times, right 1.7 times: "
        "this takes time and adds no detail; --size 160 would do"
    )
    assert not list(plan_frames(FitOptions(views=small, sizes=(160,)), SEEN, []).warnings())
    assert not list(plan_frames(FitOptions(views=small, frame=FrameOptions(scale=2.0)), SEEN, []).warnings())
    tiny = ViewOptions("tiny", (0, 0, 20, 20)), ViewOptions("large", (0, 0, 300, 300))
    [said] = plan_frames(FitOptions(views=tiny), SEEN, []).warnings()
    assert "enlarges tiny 12.8 times:" in said
    assert said.endswith("; draw larger regions, or leave the smallest view out")


def test_a_single_view_outside_the_frame_is_named() -> None:
    alone = settled_views(FitOptions(views=(ViewOptions("odd", (700, 0, 400, 300)),)))
    with pytest.raises(
        ModelError, match=r"region \[700, 0, 400, 300\] .* 1000 x 800 pixels; correct --view odd$"
    ):
        plan_frames(alone, SEEN, [])
    with pytest.raises(ImagesError, match="one size with --view odd, found 3 sizes"):
        plan_frames(alone, found(None, sizes="3 sizes"), [])


@pytest.mark.parametrize("region", [(700, 0, 400, 100), (0, 700, 100, 101), (-1, 0, 10, 10), (0, 0, 0, 5)])
def test_a_view_outside_the_frame_is_named(region: tuple[int, int, int, int]) -> None:
    with pytest.raises(ModelError, match=r"view odd: the region .* images of 1000 x 800 pixels; correct"):
        plan_frames(FitOptions(views=(PINS, ViewOptions("odd", region))), SEEN, [])


def test_frames_of_several_sizes_have_no_views() -> None:
    with pytest.raises(ImagesError, match="one size with --view, found 3 sizes; fit on"):
        plan_frames(BOTH, found(None, sizes="3 sizes"), [])


def test_a_single_view_is_a_region() -> None:
    settled = settled_views(replace(BOTH, views=(PINS,)), defects=True, tuning=True)
    assert settled == FitOptions(frame=FrameOptions(roi=PINS.roi, view="pins"))
    assert settled_views(BOTH) == BOTH
    assert settled_views(FitOptions(), defects=True, tuning=True) == FitOptions()


@pytest.mark.parametrize(
    ("options", "asked", "told"),
    [
        (FitOptions(views=(PINS, PINS)), {}, "a name for each view, got pins twice"),
        (FitOptions(views=(PINS, replace(LABEL, name="../x"))), {}, r"letters, digits, .* got '../x'"),
        (FitOptions(views=(replace(PINS, name=""),)), {}, "got ''"),
        (
            FitOptions(views=tuple(replace(PINS, name=f"v{number}") for number in range(MOST_VIEWS + 1))),
            {},
            "at most 16 views, got 17",
        ),
        (FitOptions(views=(PINS, replace(LABEL, name="Pins"))), {}, "more than capitals, got pins and Pins"),
        (FitOptions(views=(PINS, replace(PINS, name="label"))), {}, "of its own .* for pins and label"),
        (replace(BOTH, frame=FrameOptions(roi=(0, 0, 9, 9))), {}, "--view or --roi, got both"),
        (replace(BOTH, frame=FrameOptions(tile=(512, 64))), {}, "no --tiles beside 2 views: .* --scale 1"),
        (replace(BOTH, method="imported"), {}, "no --method imported beside 2 views: its network takes one"),
        (replace(BOTH, precision="int8"), {}, "no --precision int8 beside 2 views: .* always .* in float32"),
        (replace(BOTH, precision="auto"), {}, "no --precision auto beside 2 views"),
        (BOTH, {"defects": True}, "no --defects beside 2 views: an example does not say in which view"),
        (BOTH, {"tuning": True}, "no --tune beside 2 views: .* tune with one of them as --roi"),
    ],
)
def test_what_does_not_go_together_is_one_line(
    options: FitOptions, asked: dict[str, bool], told: str
) -> None:
    with pytest.raises(ModelError, match=told) as caught:
        settled_views(options, **asked)
    assert "\n" not in str(caught.value)
    assert "; " in str(caught.value)  # what to do next
