"""Maps between coordinates."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inspector.engine.place import IDENTITY, Affine, apply, compose, invert, shift, stretch
from inspector.errors import EngineInputError

NUMBERS = st.floats(-100, 100)
MAPS = st.tuples(*[NUMBERS] * 6).filter(lambda m: abs(m[0] * m[4] - m[1] * m[3]) > 1e-2)


@given(outer=MAPS, inner=MAPS, x=NUMBERS, y=NUMBERS)
def test_composing_is_one_after_the_other(outer: Affine, inner: Affine, x: float, y: float) -> None:
    assert apply(compose(outer, inner), x, y) == pytest.approx(
        apply(outer, *apply(inner, x, y)), rel=1e-6, abs=1e-3
    )


@given(to=MAPS, x=NUMBERS, y=NUMBERS)
def test_the_way_back_leads_back(to: Affine, x: float, y: float) -> None:
    assert apply(invert(to), *apply(to, x, y)) == pytest.approx((x, y), rel=1e-6, abs=1e-3)


def test_plain_maps() -> None:
    assert apply(IDENTITY, 3, 4) == (3, 4)
    assert apply(shift(1, -2), 3, 4) == (4, 2)
    assert apply(stretch((10, 20), (30, 20)), 5, 5) == (15, 5)


def test_a_map_onto_a_line_has_no_way_back() -> None:
    with pytest.raises(EngineInputError, match="no way back"):
        invert((1, 2, 0, 2, 4, 0))
