"""Whatever the bank and the patches: the search finds no less than the nearest entry's distance, and no more than its bound."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from inspector.model.bank import Bank
from inspector.model.search import bounds
from tests.support.search import Case

SPREADS = st.sampled_from([0.0, 0.01, 1.0, 30.0])


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Clusters, copies, dimensions that say nothing and ones that say all, patches on entries, between them and far from all."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    entries, depth = draw(st.integers(1, 90)), draw(st.integers(1, 40))
    scale = np.exp(draw(SPREADS) / 10 * rng.normal(size=depth))
    centres = draw(SPREADS) * rng.normal(size=(1 + entries // 4, depth))
    bank = (
        centres[rng.integers(len(centres), size=entries)] + draw(SPREADS) * rng.normal(size=(entries, depth))
    ) * scale
    spacing = np.exp(rng.normal(size=entries) * draw(st.sampled_from([0.0, 0.5, 1.0])))
    start = bank[rng.integers(entries, size=12)]
    other = bank[rng.integers(entries, size=12)]
    patches = start + rng.choice([0, 0, 0.5, 1], (12, 1)) * (other - start)
    patches += rng.choice([0, 0.01, 1, 100], (12, 1)) * rng.normal(size=(12, depth)) * scale
    return Case(Bank(bank.astype(np.float32), spacing.astype(np.float32)), patches.astype(np.float32))


@settings(max_examples=settings().max_examples // 3)  # each is compiled
@given(cases())
def test_what_is_found_keeps_to_the_bounds(case: Case) -> None:
    values = case.found()
    least, most = bounds(case.bank, case.patches)
    rounding = case.rounding()
    assert (least <= most).all()
    assert (values >= least - rounding).all()
    assert (values <= most + rounding).all()
