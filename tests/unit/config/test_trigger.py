"""Who triggers the camera, and what that demands of its features."""

import pytest

from tests.unit.config.smallest import SMALLEST, Write, problems, read

SOFTWARE = "TriggerMode: On, TriggerSource: Software"
LINE = "TriggerMode: On, TriggerSource: Line0"


def station(features: str, *camera: str, recipe: str = "") -> str:
    keys = "".join(f"  {key}\n" for key in (f"features: {{{features}}}", *camera))
    text = SMALLEST.replace("camera:\n", f"camera:\n{keys}")
    return text + (f"recipes: [{{number: 2, pack: pack, features: {{{recipe}}}}}]\n" if recipe else "")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (station(LINE, "trigger: software"), "expected TriggerSource: Software in camera.features"),
        (station("TriggerSource: Software", "trigger: software"), "expected TriggerMode: On in camera.features"),
        (
            station(SOFTWARE, "trigger: software", recipe="TriggerSource: Line1"),
            "expected TriggerSource: Software in camera.features with trigger: software, came Line1",
        ),
        (
            station(SOFTWARE, "trigger: software").replace("  name:", "  part_source: frame_id\n  name:"),
            "camera.trigger: expected line, since without a part count",
        ),
        (station(SOFTWARE, "trigger: software", "silence_ms: 500"), "camera.silence_ms: expected none with trigger"),
        (station(SOFTWARE), "camera.trigger: expected software with TriggerSource: Software"),
        (station(LINE, recipe="TriggerSource: Software"), "camera.trigger: expected software with TriggerSource"),
    ],
)  # fmt: skip
def test_a_trigger_that_does_not_fit_is_a_problem(write: Write, text: str, problem: str) -> None:
    found = problems(write(text))
    assert any(problem in each for each in found), found


@pytest.mark.parametrize(
    "text",
    [
        station(SOFTWARE, "trigger: software"),
        station(LINE),
        station("TriggerMode: Off, TriggerSource: Software"),  # the source means nothing then
        station("Gain: 1", "trigger: software", "backend: replay"),
    ],
)
def test_one_that_fits_is_none(write: Write, text: str) -> None:
    read(write(text))
