"""The threshold, and what it says of the next batch."""

import numpy as np
import pytest
from numpy.typing import NDArray

from inspector.errors import ImagesError, ModelError
from inspector.model.batches import Batches, Source
from inspector.model.calibrate import check_number, choose_threshold
from inspector.model.next_batch import outlook, rate_interval

Scores = NDArray[np.float64]


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def strangers(count: int, batches: int = 1, source: Source = "none") -> Batches:
    """Return batches of equal size whose images are all different."""
    batch_of = np.sort(np.arange(count) % batches)
    return Batches(batch_of, tuple(f"day {number}" for number in range(batches)), np.arange(count), source)


def drawn(generator: np.random.Generator, batches: int, images: int, spread: float) -> Scores:
    """Return scores whose level differs from batch to batch, as on a line."""
    levels = generator.normal(0, spread, batches)
    return np.exp(0.08 * (np.repeat(levels, images) + generator.normal(size=batches * images)))


def test_the_threshold_lets_the_stated_share_through() -> None:
    scores = np.arange(1.0, 1001.0)
    rng().shuffle(scores)
    threshold = choose_threshold(scores, 0.01, strangers(1000))
    assert threshold.value == pytest.approx(991.0)  # rank ceil(1001 x 0.99)
    assert threshold.rate == pytest.approx(0.009)


def test_new_scores_of_the_same_batch_are_rejected_at_the_stated_rate() -> None:
    """Split conformal prediction promises the rate on average over calibrations."""
    generator = rng()
    rates = []
    for _ in range(100):
        threshold = choose_threshold(generator.lognormal(size=199), 0.05, strangers(199))
        rates.append(float((generator.lognormal(size=2000) > threshold.value).mean()))
    assert np.mean(rates) == pytest.approx(0.05, abs=0.004)


@pytest.mark.parametrize(("spread", "most"), [(0.0, 0.022), (0.5, 0.022), (1.0, 0.035)])
def test_new_batches_are_rejected_at_about_the_stated_rate(spread: float, most: float) -> None:
    """Where batches differ as much as the images within them, the limit ends at the highest score; the pooled one lies lower still."""
    generator = rng()
    pooled, held = [], []
    for _ in range(40):
        scores, new = drawn(generator, 6, 60, spread), drawn(generator, 40, 60, spread)
        threshold = choose_threshold(scores, 0.02, strangers(360, 6, "folders"))
        held.append((new > threshold.value).mean())
        pooled.append((new > choose_threshold(scores, 0.02, strangers(360)).value).mean())
    assert np.mean(held) < most
    if spread == 1.0:
        assert np.mean(pooled) > 1.2 * np.mean(held)


@pytest.mark.parametrize("batches", [3, 6, 15])
@pytest.mark.parametrize("spread", [0.0, 1.0])
def test_the_interval_holds_the_next_batchs_rate(batches: int, spread: float) -> None:
    generator = rng()
    inside, width = [], []
    for _ in range(20):
        scores, new = drawn(generator, batches, 60, spread), drawn(generator, 40, 60, spread)
        threshold = choose_threshold(scores, 0.02, strangers(60 * batches, batches, "folders"))
        assert threshold.next_images == 60
        low, high = threshold.interval or (1, 0)
        rates = (new.reshape(40, 60) > threshold.value).mean(axis=1)
        inside.append(((rates >= low) & (rates <= high)).mean())
        width.append(high - low)
    assert np.mean(inside) >= 0.94
    assert np.median(width) < (1.0 if batches == 3 else 0.25)  # three batches hardly tell a spread


def test_more_batches_make_the_interval_narrower() -> None:
    generator = rng()
    highs = []
    for batches in (3, 6, 24):
        scores = drawn(generator, batches, 40, 0.7)
        interval = rate_interval(
            outlook(scores, strangers(40 * batches, batches, "folders")), float(scores.max()), 100
        )
        assert interval is not None
        highs.append(interval[1])
    assert highs == sorted(highs, reverse=True)
    assert highs[0] > 2 * highs[2]


def test_images_that_come_in_clutches_count_for_fewer() -> None:
    """Ten tiles six times each tell less than sixty tiles."""
    generator = rng()
    tiles = np.repeat(generator.normal(size=(5, 10)), 6, axis=1).reshape(-1)
    scores = np.exp(0.08 * tiles)
    apart = strangers(300, 5, "folders")
    together = Batches(apart.batch_of, apart.names, np.arange(300) // 6, "folders")
    limit = float(np.quantile(scores, 0.98))
    known, fewer = (rate_interval(outlook(scores, some), limit, 60) for some in (apart, together))
    assert known is not None
    assert fewer is not None
    assert fewer[1] > 1.1 * known[1]


@pytest.mark.parametrize(
    ("batches", "source", "words"),
    [
        (1, "none", "all good images are of one"),
        (2, "folders", "2 batches of at least 5 good images cannot tell"),
    ],
)
def test_from_too_few_batches_nothing_is_promised(batches: int, source: Source, words: str) -> None:
    threshold = choose_threshold(rng().lognormal(size=200), 0.01, strangers(200, batches, source))
    assert threshold.interval is None
    assert not threshold.promised
    assert any(
        "no false-reject rate is promised" in warning and words in warning for warning in threshold.warnings
    )


def test_groups_of_like_images_promise_nothing_of_another_day() -> None:
    threshold = choose_threshold(rng().lognormal(size=200), 0.01, strangers(200, 8, "likeness"))
    assert threshold.interval is not None
    assert not threshold.promised


def test_copies_of_few_parts_are_said_to_count_for_few() -> None:
    some = Batches(np.zeros(60, np.int64), ("only",), np.arange(60) // 10, "none")
    threshold = choose_threshold(rng().lognormal(size=60), 0.05, some)
    assert any("near-copies" in warning for warning in threshold.warnings)


def test_a_batch_that_pushes_the_threshold_up_is_named() -> None:
    scores = np.concatenate([rng().lognormal(0, 0.05, 192), np.full(8, 2.0)])
    threshold = choose_threshold(scores, 0.01, strangers(200, 10, "folders"))
    named = [warning for warning in threshold.warnings if "alone raises the threshold" in warning]
    # The last batch of 20 holds the odd ones.
    assert len(named) == 1
    assert named[0].startswith("batch day 9 ")


def with_a_stranger(source: Source, sizes: tuple[int, int] = (160, 40)) -> tuple[Scores, Batches]:
    """Return scores of usual images and of a family that no model without it would let pass."""
    usual, odd = sizes
    scores = np.concatenate([rng().lognormal(0, 0.05, usual), rng().lognormal(0.7, 0.02, odd)])
    family_of = np.concatenate([np.arange(usual) // 4, np.full(odd, usual)])
    numbers = np.unique(family_of, return_inverse=True)[1].astype(np.int64)
    names = tuple(f"{number}.png" for number in range(usual + odd))
    batch_of = np.concatenate([np.arange(usual) % 4, np.full(odd, 4)])
    return scores, Batches(batch_of, tuple("abcde"), numbers, source, names)


@pytest.mark.parametrize("source", ["folders", "likeness"])
def test_a_kind_of_its_own_does_not_set_the_threshold(source: Source) -> None:
    """Else one odd family lets every bad part pass that is less odd."""
    scores, some = with_a_stranger(source)
    threshold = choose_threshold(scores, 0.01, some)
    assert threshold.value <= scores[:160].max()
    assert threshold.rate >= 0.2, "that such a batch is rejected stays in the figure"
    assert threshold.interval is not None
    assert threshold.interval[1] > 0.9, "and in the interval"
    assert not threshold.promised, "from nothing to everything is no promise"
    unlike = [warning for warning in threshold.warnings if "unlike all others" in warning]
    assert len(unlike) == 1
    assert unlike[0].startswith("40 images (")
    assert "e.g. 160.png" in unlike[0]


def test_more_than_a_third_are_no_kind_of_their_own() -> None:
    scores, some = with_a_stranger("likeness", (120, 80))
    threshold = choose_threshold(scores, 0.01, some)
    assert threshold.value > scores[:120].max()
    assert not any("unlike" in warning for warning in threshold.warnings)


def test_two_odd_kinds_are_taken_out_one_after_the_other() -> None:
    scores, some = with_a_stranger("likeness")
    family_of = some.family_of.copy()
    scores[:20], family_of[:20] = 1.6, family_of.max() + 1
    both = Batches(some.batch_of, some.names, family_of, some.source)
    threshold = choose_threshold(scores, 0.01, both)
    assert threshold.value < 1.5
    assert sum("unlike all others" in warning for warning in threshold.warnings) == 2


def test_the_threshold_never_lies_above_every_good_score() -> None:
    scores = drawn(rng(), 4, 30, 2.0)
    threshold = choose_threshold(scores, 0.01, strangers(120, 4, "folders"))
    assert threshold.value <= scores.max()


def test_batches_that_differ_much_are_said_to() -> None:
    scores = np.exp(0.05 * rng().normal(size=90) + np.repeat([0.0, 0.3, 0.8], 30))
    threshold = choose_threshold(scores, 0.01, strangers(90, 3, "folders"))
    assert threshold.interval is not None
    assert threshold.interval[1] > 0.1
    assert any("3 batches differ so much" in warning for warning in threshold.warnings)


def test_too_few_for_the_rate_is_said() -> None:
    threshold = choose_threshold(np.linspace(1, 2, 50), 0.01, strangers(50))
    assert threshold.value == 2.0
    assert threshold.rate == 0.0
    assert "50 held-out images cannot show" in threshold.warnings[0]
    assert "about 100 are needed" in threshold.warnings[0]


def test_equal_scores_pass() -> None:
    threshold = choose_threshold(np.full(200, 1.5), 0.01, strangers(200, 4, "folders"))
    assert threshold.value == pytest.approx(1.5)
    assert threshold.rate == 0.0


@pytest.mark.parametrize("scores", [[1.0, float("nan")], [1.0, float("inf")], [0.0, 0.0]])
def test_a_threshold_is_never_a_guess(scores: list[float]) -> None:
    with pytest.raises(ModelError, match="positive finite score"):
        choose_threshold(np.array(scores), 0.01, strangers(2))


@pytest.mark.parametrize("rate", [0.0, -0.1, 0.5, float("nan")])
def test_a_rate_must_be_one(rate: float) -> None:
    with pytest.raises(ModelError, match="false-reject rate"):
        choose_threshold(np.arange(1.0, 100.0), rate, strangers(99))


def test_too_few_images_are_refused() -> None:
    with pytest.raises(ImagesError, match="at least 20 different good images, found 19"):
        check_number(19)
