"""What fits into a budget, and what is said where it does not."""

from dataclasses import replace

import pytest

from inspector.bench.reckoning import Budget, Found, Largest, advice, last_that

BUDGET = Budget(budget_ms=50, camera_ms=20, camera_is_stated=True, write_margin_ms=2, margin=0.1)
OWN = Largest(own_side=256, own_bank=3000)
CALM: dict[str, object] = {
    "busy_before": 0.02,
    "stolen_share": 0.0,
    "governor": None,
    "stall_longest_ms": 0.0,
    "stalls_are_the_machines": True,
    "virtual": False,
}


def found(engine_ms: float, *, handed: float = 0.1, prepared: float = 0.3, written: float = 0.1) -> Found:
    return Found.of([(handed, prepared, engine_ms, 0.1, written)] * 300)


def said(
    what: Found,
    machine: dict[str, object] | None = None,
    *,
    budget: Budget = BUDGET,
    largest: Largest = OWN,
    fifo: int = 50,
) -> str:
    return "\n".join(advice(budget, what, largest, CALM | (machine or {}), fifo_priority=fifo))


def test_the_pc_gets_what_camera_and_margin_leave() -> None:
    assert BUDGET.left_ms == pytest.approx(25)


@pytest.mark.parametrize(("engine_ms", "fits"), [(22.5, True), (22.7, False)])
def test_what_is_kept_for_the_write_is_not_the_engines(engine_ms: float, fits: bool) -> None:
    assert found(engine_ms).fits(BUDGET) is fits


def test_a_write_that_takes_longer_than_what_is_kept_for_it_counts_in_full() -> None:
    assert found(22.5, written=2.5).fits(BUDGET) is False


def test_a_real_plc_that_answers_late_counts() -> None:
    parts = [(0.1, 0.3, 10.0, 0.1, 0.1)] * 300
    assert Found.of(parts, [1.0] * 300).needed[1] == pytest.approx(1.1)
    assert Found.of(parts, [0.01] * 300).needed[1] == pytest.approx(0.2)
    assert not Found.of(parts, [15.0] * 300).fits(BUDGET)


def test_the_sum_is_that_of_each_part_not_of_the_quantiles() -> None:
    parts = [(5.0, 0.0, 1.0, 0.0, 0.0), (0.0, 5.0, 1.0, 0.0, 0.0)] * 150
    assert Found.of(parts).until_scored.p99 == 6.0
    assert Found.of(parts).stages["handed"].p99 == 5.0


def test_p99_decides_and_the_worst_where_parts_are_few() -> None:
    parts = [(0.0, 0.0, 10.0, 0.0, 0.0)] * 298 + [(0.0, 0.0, 90.0, 0.0, 0.0)]
    assert Found.of(parts).fits(BUDGET)
    assert not Found.of(parts[1:]).fits(BUDGET)


def test_a_candidate_keeps_the_unevenness_of_the_pc() -> None:
    uneven = Found.of([(0.1, 0.0, ms, 0.0, 0.0) for ms in [10.0] * 290 + [20.0] * 10])
    assert uneven.with_engine(1.0) == pytest.approx(20.1)
    assert uneven.with_engine(0.5) == pytest.approx(10.1)


@pytest.mark.parametrize("limit", [0, 1, 4, 7, 8])
def test_the_largest_is_found_in_few_steps(limit: int) -> None:
    asked: list[int] = []

    def holds(choice: int) -> bool:
        asked.append(choice)
        return choice <= limit

    assert last_that(range(1, 9), holds) == (limit or None)
    assert len(asked) == len(set(asked)) <= 4


def test_a_pack_that_fits_on_a_calm_pc_needs_no_word() -> None:
    assert said(found(10)) == ""


def test_a_pack_that_does_not_fit_is_told_what_would() -> None:
    text = said(found(30), largest=replace(OWN, side=192, bank=500))
    assert "inspector fit --size 192 (now 256)" in text
    assert "inspector fit --bank 500 (now 3000)" in text
    assert "a GPU" in text


def test_an_engine_that_is_not_the_cause_is_not_blamed() -> None:
    text = said(found(5), budget=replace(BUDGET, budget_ms=24, camera_ms=20))
    assert "station.budget_ms" in text
    assert "GPU" not in text


def test_an_engine_that_is_slow_only_now_and_then_is_the_cause_all_the_same() -> None:
    uneven = Found.of([(0.1, 0.1, ms, 0.1, 0.1) for ms in [5.0] * 290 + [90.0] * 10])
    assert "a GPU" in said(uneven)


def test_sizes_of_several_branches_stay_in_proportion() -> None:
    two = Largest(256, 1000, side=192, shares=(0.375, 1.0))
    assert "inspector fit --size 72,192 (now 256)" in said(found(30), largest=two)


def test_a_camera_of_which_nothing_is_stated_comes_first() -> None:
    assert said(found(30), budget=replace(BUDGET, camera_is_stated=False)).startswith(
        "state camera.latency_ms.max"
    )


def test_a_slow_cut_is_told() -> None:
    assert "inspector fit --roi" in said(found(5, prepared=12))
    assert "--roi" not in said(found(5))


@pytest.mark.parametrize(
    ("machine", "text"),
    [
        ({"busy_before": 0.6}, "it was 60% busy"),
        ({"governor": "powersave"}, "governor to performance (it is powersave)"),
        ({"stall_longest_ms": 12.0, "virtual": True}, "a virtual machine shares its cores"),
        ({"stall_longest_ms": 12.0}, "BIOS power saving"),
        ({"stolen_share": 0.05}, "5% of the CPU went to other virtual machines"),
    ],
)
def test_what_the_pc_does_is_told(machine: dict[str, object], text: str) -> None:
    assert text in said(found(10), machine)


def test_stalls_that_other_programs_may_have_caused_are_not_blamed_on_the_machine() -> None:
    assert said(found(10), {"stall_longest_ms": 12.0, "stalls_are_the_machines": False}) == ""


def test_slow_hops_ask_for_a_priority_unless_there_is_one() -> None:
    slow = found(10, handed=3.0)
    assert "realtime.fifo_priority" in said(slow, fifo=0)
    assert "realtime.fifo_priority" not in said(slow, fifo=50)
