import numpy as np
import pytest

from inspector.errors import ImagesError, ModelError
from inspector.model.calibrate import choose_folds, choose_threshold, clopper_pearson


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def test_whole_batches_are_held_out() -> None:
    batches = ["mon"] * 30 + ["tue"] * 20 + ["wed"] * 25
    folds = choose_folds(batches, rng())
    assert folds.by_batch
    assert folds.count == 3
    assert folds.warnings == ()
    for batch in set(batches):
        assert (
            len({int(fold) for fold, name in zip(folds.fold_of, batches, strict=True) if name == batch}) == 1
        )
    assert set(folds.fold_of.tolist()) == {0, 1, 2}


def test_many_batches_share_folds_of_about_equal_size() -> None:
    batches = [f"day{index:02d}" for index in range(12) for _ in range(index + 2)]
    folds = choose_folds(batches, rng())
    sizes = np.bincount(folds.fold_of)
    assert len(sizes) == folds.count == 5
    assert sizes.max() - sizes.min() <= 13


@pytest.mark.parametrize("batches", [["only"] * 40, ["big"] * 38 + ["tiny"] * 2])
def test_one_batch_is_split_at_random_and_said_to_say_little(batches: list[str]) -> None:
    folds = choose_folds(batches, rng())
    assert not folds.by_batch
    assert np.bincount(folds.fold_of).tolist() == [8] * 5
    assert "says little about the next" in folds.warnings[0]


def test_too_few_images_are_refused() -> None:
    with pytest.raises(ImagesError, match="at least 20 different good images, found 19"):
        choose_folds(["a"] * 10 + ["b"] * 9, rng())


def test_the_threshold_lets_the_stated_share_through() -> None:
    scores = np.arange(1.0, 1001.0)
    rng().shuffle(scores)
    threshold = choose_threshold(scores, 0.01)
    assert threshold.value == 991.0  # rank ceil(1001 x 0.99)
    assert threshold.rate == pytest.approx(0.009)
    assert threshold.interval[0] < 0.009 < threshold.interval[1]
    assert threshold.warnings == ()


def test_new_scores_of_the_same_kind_are_rejected_at_the_stated_rate() -> None:
    """Split conformal prediction promises the rate on average over calibrations."""
    generator = rng()
    rates = []
    for _ in range(300):
        threshold = choose_threshold(generator.lognormal(size=199), 0.05)
        rates.append(float((generator.lognormal(size=2000) > threshold.value).mean()))
    assert np.mean(rates) == pytest.approx(0.05, abs=0.003)


def test_too_few_for_the_rate_is_said() -> None:
    threshold = choose_threshold(np.linspace(1, 2, 50), 0.01)
    assert threshold.value == 2.0
    assert threshold.rate == 0.0
    assert "50 held-out images cannot show" in threshold.warnings[0]
    assert "about 100 are needed" in threshold.warnings[0]


def test_equal_scores_pass() -> None:
    threshold = choose_threshold(np.full(200, 1.5), 0.01)
    assert (threshold.value, threshold.rate) == (1.5, 0.0)


@pytest.mark.parametrize("scores", [[1.0, float("nan")], [1.0, float("inf")], [0.0, 0.0]])
def test_a_threshold_is_never_a_guess(scores: list[float]) -> None:
    with pytest.raises(ModelError, match="positive finite score"):
        choose_threshold(np.array(scores), 0.01)


@pytest.mark.parametrize("rate", [0.0, -0.1, 0.5, float("nan")])
def test_a_rate_must_be_one(rate: float) -> None:
    with pytest.raises(ModelError, match="false-reject rate"):
        choose_threshold(np.arange(1.0, 100.0), rate)


@pytest.mark.parametrize(
    ("events", "trials", "expected"),
    [
        (0, 100, (0.0, 0.036217)),
        (5, 100, (0.016432, 0.112835)),
        (100, 100, (0.963783, 1.0)),
        (30, 3000, (0.006757, 0.014245)),
    ],
)
def test_the_interval_is_that_of_clopper_and_pearson(
    events: int, trials: int, expected: tuple[float, float]
) -> None:
    """Expected: quantiles of the beta distribution, from scipy.stats.beta.ppf."""
    assert clopper_pearson(events, trials) == pytest.approx(expected, abs=1e-6)
