"""What a pack says of known defects is no more than its examples can tell."""

import numpy as np
import pytest

from inspector.model.defects import DefectImages
from inspector.model.evidence import Evidence, Settled
from inspector.model.examples import Looked
from inspector.model.known import Known
from inspector.model.settling import Shown

KINDS = np.array([0, 0, 0, 1, 1, 1])
SETTLED = Settled(np.array([5.0, 5.0], np.float32), 1.0, 1.0, 0.0)


def known(
    broad: list[float], settled: Settled | None = SETTLED, scores: tuple[float, ...] = (2.0,) * 6
) -> Known:
    names, nothing = ("dent", "scratch"), np.zeros(6)
    evidence = Evidence(names, (), (), np.zeros(2, np.float32), np.ones(2, np.float32), settled)
    looked = Looked(names, nothing, (), KINDS, np.arange(6))
    return Known(
        DefectImages(names, ()), looked, Shown(np.array(scores), np.zeros((6, 2))), evidence, np.array(broad)
    )


@pytest.mark.parametrize("broad", [[1, 1, 1, 1, 1, 1], [1, 1, 9, 1, 9, 1]])
def test_defects_in_a_place_of_the_picture_are_believed(broad: list[float]) -> None:
    assert list(known(broad).warnings(1.5)) == []


def test_examples_that_differ_all_over_are_told_as_perhaps_another_lot() -> None:
    """Defects photographed on another day than the good parts teach the day: new good parts of that day were rejected, 6 in 10."""
    (warning,) = known([1, 1, 1, 9, 9, 1]).warnings(1.5)
    assert warning.startswith("most examples of scratch count as scratch over a fifth of the picture")
    assert "\n" not in warning
    assert list(known([9] * 6, settled=None).warnings(1.5)) == []


def test_a_defect_that_is_hardly_found_is_named() -> None:
    hardly = known([1] * 6, scores=(2.0, 2.0, 1.0, 2.0, 1.5, 1.0))
    (warning,) = hardly.warnings(1.5)
    assert warning.startswith("scratch is hardly found: 1 of 3 held-out examples rejected")
    assert "--defect-masks" in warning
    assert [text.split()[0] for text in hardly.warnings(3.0)] == ["dent", "scratch"]
    assert list(known([1] * 6, settled=None).warnings(3.0)) == []
