"""The learning curve: what the same kind of images would give in other numbers."""

from inspector.model.learning import learning_curve
from tests.unit.model.test_calibrate import drawn, rng, strangers


def test_the_curve_leads_from_a_part_through_all_to_more() -> None:
    scores = drawn(rng(), 12, 40, 0.5)
    curve = learning_curve(scores, 0.02, strangers(480, 12, "folders"), 40)
    assert [(point.images, point.batches, point.foreseen) for point in curve] == [
        (120, 3, False),
        (240, 6, False),
        (480, 12, False),
        (960, 24, True),
        (1920, 48, True),
    ]
    spans = [high - low for point in curve for low, high in [point.threshold]]
    assert spans[0] > spans[1] > spans[2] == 0
    rates = [point.highest_rate for point in curve]
    assert all(rate is not None for rate in rates)
    assert (rates[0] or 0) >= (rates[-1] or 0)


def test_few_images_have_no_smaller_part() -> None:
    curve = learning_curve(rng().lognormal(size=30), 0.05, strangers(30), 100)
    assert [(point.images, point.highest_rate) for point in curve] == [(30, None), (60, None), (120, None)]


def test_the_same_scores_give_the_same_curve() -> None:
    scores = drawn(rng(), 8, 20, 0.5)
    first, second = (learning_curve(scores, 0.02, strangers(160, 8, "folders"), 20) for _ in range(2))
    assert first == second
