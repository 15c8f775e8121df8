"""What happens on the line of `world.py`, part by part: written down by a test, or drawn by hypothesis."""

from dataclasses import dataclass

from hypothesis import strategies as st

from inspector.changeover import Recipe
from inspector.part import Deciding

MS = 1_000_000
BUDGET = 60 * MS
LATENCY_MIN, LATENCY_MAX = 1 * MS, 10 * MS
VIEW = (
    2 * LATENCY_MAX
)  # a part stands before the camera for so long after it is counted, or until the next one comes
LOAD_MS, CAMERA_MS = 30, 15  # to open an engine, and to set the camera for a recipe
SCALE = 1000  # a score is that of the model of recipe score // SCALE
UNKNOWN_RECIPE = 99
RECIPE_FAULTS = [
    "recipe 1",
    "recipe 2",
    "recipe 3",
    "recipe 1",
    "recipe 2",
    "recipe 0",
    f"recipe {UNKNOWN_RECIPE}",
]

PART_FAULTS = ["none"] * 16 + [
    "missed",
    "lost",
    "doubled",
    "incomplete",
    "extra",
    "bounce",
    "overtaken",
    "stuck",
    "engine_late",
    "engine_fails",
    "engine_hangs",
]
# A PLC that counts anew past its old count before anybody reads it cannot be told from one that goes on.
SOON_COUNTED_AGAIN = 100
LINE_FAULTS = ["none"] * 45 + [
    "camera",
    "link",
    "plc_restart",
    "disable",
    "stall",
    "stall",
    "frame_ids",
    "kill",
    "kill",
    "challenge",
    "challenge",
    "challenge",
]


@dataclass
class PartScript:
    gap_ms: float
    latency_ms: float
    good: bool
    fault: str
    line_fault: str
    engine_ms: float


def scripts_with(line_faults: list[str]) -> st.SearchStrategy[PartScript]:
    return st.builds(
        PartScript,
        gap_ms=st.one_of(st.floats(3, 30), st.floats(30, 140)),
        latency_ms=st.floats(1, 9.9),
        good=st.booleans(),
        fault=st.sampled_from(PART_FAULTS),
        line_fault=st.sampled_from(line_faults),
        engine_ms=st.floats(0.5, 15),
    )


part_scripts = scripts_with(LINE_FAULTS)
part_scripts_with_recipes = scripts_with(LINE_FAULTS + RECIPE_FAULTS)


def recipes(*, own_features: bool) -> dict[int, Recipe]:
    """Return three recipes; with `own_features` the camera is set for each."""
    return {
        number: Recipe(
            Deciding(1.0, number, f"{number:064x}", "config"), {"ExposureTime": number if own_features else 0}
        )
        for number in (1, 2, 3)
    }


def good_part(gap_ms: float = 100.0, **changes: object) -> PartScript:
    script = PartScript(gap_ms, 2.0, good=True, fault="none", line_fault="none", engine_ms=5.0)
    for name, value in changes.items():
        setattr(script, name, value)
    return script
