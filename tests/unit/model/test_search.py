"""The search in a large bank finds the nearest entry, in the engine that decides, and says how far it may be off."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from inspector.errors import ScoreError
from inspector.model.backbone import Tap
from inspector.model.bank import Bank
from inspector.model.evidence import Evidence
from inspector.model.graph import head_graph
from inspector.model.lite import lite0
from inspector.model.methods.base import Detector
from inspector.model.methods.nearest import NearestHead
from inspector.model.scoring import compiled_head
from inspector.model.search import bounds
from inspector.model.search_check import SearchChecked, check_search
from inspector.model.spec import Branch, ModelSpec
from inspector.model.training import Training
from inspector.model.whitening import Moments, Whitening
from tests.support.search import Case

DEPTH, ROWS, COLUMNS = 48, 12, 16
CELLS = ROWS * COLUMNS
BRANCH = Branch(16 * ROWS, 16 * COLUMNS, (Tap("any", DEPTH, ROWS, COLUMNS),))
SPEC = ModelSpec(1, BRANCH.height, BRANCH.width, (BRANCH,), lite0())


def random_case(seed: int = 0, entries: int = 5000, patches: int = CELLS) -> Case:
    rng = np.random.default_rng(seed)
    bank = Bank(
        rng.normal(size=(entries, DEPTH)).astype(np.float32), rng.uniform(0.5, 2, entries).astype(np.float32)
    )
    return Case(bank, rng.normal(size=(patches, DEPTH)).astype(np.float32))


def tied_case() -> Case:
    """Each entry thrice, once with a wider spacing, and patches in the middle between two entries."""
    case = random_case(1, 2000)
    entries = np.repeat(case.bank.entries, 3, axis=0)
    spacing = np.repeat(case.bank.spacing, 3) * np.tile([1, 1, 1.5], 2000).astype(np.float32)
    middle = (case.bank.entries[:CELLS] + case.bank.entries[CELLS : 2 * CELLS]) / 2
    return Case(Bank(entries, spacing), middle.astype(np.float32))


def equal_case() -> Case:
    """Every patch is an entry."""
    case = random_case(2)
    return replace(case, patches=case.bank.entries[1000 : 1000 + CELLS])


def lopsided_case() -> Case:
    """One dimension a hundred times as large as the others, so that a step is larger than all that these say; patches far off, and zero."""
    case = random_case(3)
    entries, patches = case.bank.entries.copy(), case.patches.copy()
    entries[:, 0] *= 100
    patches[:, 0] *= 100
    patches[::3] *= 1000
    patches[1] = 0
    return Case(Bank(entries, case.bank.spacing), patches)


CASES = {case.__name__: case() for case in (random_case, tied_case, equal_case, lopsided_case)}


def squared(case: Case) -> NDArray[np.float64]:
    """Return all squared distances over squared spacings, float64 (patches, entries), by definition."""
    entries = case.bank.entries.astype(np.float64)
    spacing = np.square(case.bank.spacing.astype(np.float64))
    return np.stack([np.square(entries - patch).sum(axis=1) / spacing for patch in case.patches])


@pytest.mark.parametrize("name", CASES)
def test_what_is_found_is_not_below_the_nearest_entry_nor_above_the_bound(name: str) -> None:
    case = CASES[name]
    exact = squared(case).min(axis=1)
    least, most = bounds(case.bank, case.patches)
    np.testing.assert_allclose(least, exact, rtol=1e-9, atol=1e-9 * case.rounding().max())
    values, rounding = case.found(), case.rounding()
    assert (values >= least - rounding).all()
    assert (values <= most + rounding).all()


def test_nearly_all_distances_are_exact_and_the_score_is() -> None:
    case = CASES["random_case"]
    exact, values = squared(case).min(axis=1), case.found()
    assert np.mean(values > exact * (1 + 1e-4)) < 0.03
    np.testing.assert_allclose(np.sqrt(values), np.sqrt(exact), rtol=0.02)
    assert values.max() == pytest.approx(exact.max(), rel=1e-5)


def test_the_bound_says_something() -> None:
    least, most = bounds(CASES["random_case"].bank, CASES["random_case"].patches)
    assert np.median(np.sqrt(most / least)) < 1.2


@pytest.mark.parametrize("most", [1, 2, 4])
def test_the_same_is_found_in_parts_of_blocks(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    case = CASES["tied_case"]
    whole = case.found()
    monkeypatch.setattr("inspector.model.search._MOST_LOOKED_AT", most)
    in_parts = case.found()
    assert (in_parts >= whole).all()
    assert np.mean(in_parts == whole) > 0.9
    assert (in_parts <= bounds(case.bank, case.patches)[1] + case.rounding()).all()


@pytest.mark.parametrize("coded", ["patch", "entries"])
def test_the_bound_counts_what_patch_and_entries_each_lose_to_their_codes(coded: str) -> None:
    """Two entries are about equally far. Vectors of 1 and -1 lose nothing, so that only the other side can have them confused."""
    rng = np.random.default_rng(10)
    exact, rough = np.sign(rng.normal(size=(2, DEPTH))), rng.normal(size=(2, DEPTH))
    patch, entries = (exact[0], rough) if coded == "patch" else (rough[0], exact)
    lengths = np.linalg.norm(entries - patch, axis=1)
    bank = Bank(entries.astype(np.float32), (lengths * [1, 0.9999]).astype(np.float32))
    least, most = bounds(bank, patch[None].astype(np.float32))
    assert least.item() == pytest.approx(1, rel=1e-6)
    assert most.item() == pytest.approx(1 / 0.9999**2, rel=1e-6)


@pytest.mark.parametrize(("entries", "patches"), [(1, 3), (15, 1), (4001, 40), (300, 2500)])
def test_any_number_of_entries_and_patches_will_do(entries: int, patches: int) -> None:
    case = random_case(4, entries, patches)
    np.testing.assert_allclose(np.sqrt(case.found()), np.sqrt(squared(case).min(axis=1)), rtol=0.03)


@pytest.fixture
def heads() -> tuple[NearestHead, NearestHead]:
    """The same head with every entry compared, and searched."""
    case = random_case(5, 5000)
    head = NearestHead(Whitening(np.zeros(DEPTH, np.float32), np.eye(DEPTH, dtype=np.float32)), case.bank)
    every = replace(head, searched_from=5001)
    assert head.searched
    assert not every.searched
    return every, head


def evidence(rng: np.random.Generator) -> Evidence:
    return Evidence(
        ("scratch", "spot"),
        (rng.normal(size=(DEPTH, 2)).astype(np.float32),),
        (np.zeros(2, np.float32),),
        np.zeros(2, np.float32),
        np.ones(2, np.float32),
    )


@pytest.mark.parametrize("pooling", [float("inf"), 32])
@pytest.mark.parametrize("masked", [False, True])
def test_heat_map_score_and_defects_are_those_of_the_plain_comparison(
    heads: tuple[NearestHead, NearestHead], masked: bool, pooling: float
) -> None:
    rng = np.random.default_rng(6)
    watched = np.ones((SPEC.height, SPEC.width), np.bool_)
    watched[:80, :90] = False
    spec = replace(SPEC, watched=watched if masked else None, pooling=pooling)
    features = rng.normal(size=(CELLS, DEPTH)).astype(np.float32)
    answers = []
    for head in heads:
        graph = head_graph(spec, Detector((head,), evidence=evidence(np.random.default_rng(7))))
        with compiled_head(graph) as engine:
            answers.append(engine.score(features))
    plain, searched = answers
    assert searched.value == pytest.approx(plain.value, rel=1e-3)
    np.testing.assert_allclose(searched.heatmap, plain.heatmap, rtol=0.02, atol=1e-6)
    assert plain.defects is not None
    np.testing.assert_array_equal(searched.defects, plain.defects)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 3e38])
@pytest.mark.parametrize("everywhere", [False, True])
@pytest.mark.parametrize("looked_at", [2, 24])
def test_features_that_are_no_numbers_are_refused(
    heads: tuple[NearestHead, NearestHead],
    value: float,
    everywhere: bool,
    looked_at: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        "inspector.model.search._MOST_LOOKED_AT", looked_at
    )  # blocks of one part, and of several
    features = np.random.default_rng(8).normal(size=(CELLS, DEPTH)).astype(np.float32)
    features[slice(None) if everywhere else 17, :5] = value
    for head in heads:
        with (
            compiled_head(head_graph(SPEC, Detector((head,)))) as engine,
            pytest.raises(ScoreError),
        ):
            engine.score(features)


def training_of(candidates: NDArray[np.float32]) -> Training:
    return Training(BRANCH, Moments.of(candidates), candidates, np.empty((0, CELLS, DEPTH), np.float32))


def test_what_the_search_costs_is_found_on_patches_that_are_no_entries() -> None:
    case = random_case(9, 5000)
    head = NearestHead(Whitening(np.zeros(DEPTH, np.float32), np.eye(DEPTH, dtype=np.float32)), case.bank)
    both = np.concatenate([case.bank.entries[:300], case.patches])
    checked = check_search([head], [training_of(both)])
    assert checked is not None
    assert checked.patches == CELLS
    assert checked.largest_error is not None
    assert checked.bound is not None
    assert 0 < checked.largest_error <= checked.bound < 1
    known = check_search([head], [training_of(case.bank.entries[:300])])
    assert known == SearchChecked(0, None, None)
    assert check_search([replace(head, searched_from=5001)], [training_of(both)]) is None


def test_a_confused_entry_costs_a_number() -> None:
    """Entries that one step of their codes cannot tell apart, and patches that equal them: a share of nothing would be infinite."""
    rng = np.random.default_rng(11)
    near = 1e-3 * rng.normal(size=(5000, DEPTH))
    near[:, 0] = 100
    bank = Bank(near.astype(np.float32), np.full(5000, 1e-3, np.float32))
    head = NearestHead(Whitening(np.zeros(DEPTH, np.float32), np.eye(DEPTH, dtype=np.float32)), bank)
    checked = check_search([head], [training_of(bank.entries[:100])])
    assert checked is not None
    assert checked.patches
    assert checked.largest_error is not None
    assert checked.bound is not None
    assert np.isfinite([checked.largest_error, checked.bound]).all()
