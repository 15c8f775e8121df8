"""The interlock: what latches, what counts, what clears, what outlives a restart."""

import pytest

from inspector.errors import LineError
from inspector.interlock import COUNT_MAX, ERRORS, LONGEST_RATE, Cause, Interlock, Memory, StopRules
from inspector.part import Expected, Outcome, Reason, Verdict

S = 1_000_000_000
ALL = frozenset(reason for reason in Reason if reason)


def verdict(reason: Reason = Reason.NONE, *, expected: Expected | None = None) -> Verdict:
    outcome = Outcome.REJECT if reason else Outcome.PASS
    return Verdict(7, outcome, reason, 0, 1, 1, expected=expected)


def play(interlock: Interlock, letters: str) -> None:
    """P passes, S is rejected by its score, L too late, C is a challenge part that was rejected."""
    kinds = {
        "P": verdict(),
        "S": verdict(Reason.SCORE),
        "L": verdict(Reason.LATE),
        "C": verdict(Reason.SCORE, expected=Expected.BAD),
    }
    for letter in letters:
        interlock.on_verdict(kinds[letter])


def control(
    interlock: Interlock, *, clear: bool = False, bin_full: bool = False, unconfirmed: int = 0
) -> None:
    interlock.on_control(clear_fault=clear, bin_full=bin_full, unconfirmed_rejects=unconfirmed)


def press_clear(interlock: Interlock, *, bin_full: bool = False) -> None:
    control(interlock, bin_full=bin_full)
    control(interlock, clear=True, bin_full=bin_full)


def latched(interlock: Interlock) -> list[Cause]:
    return list(interlock.latched)


def events(interlock: Interlock) -> list[str]:
    return [note.event for note in interlock.notes()]


@pytest.mark.parametrize(
    ("letters", "stops"),
    [
        ("SSS", True),
        ("SS", False),
        ("SSPS", False),
        ("SPSPSPSP", False),
        ("PPSSS", True),
        ("SSLS", True),  # a part that was never judged neither counts nor ends the row
        ("LLLL", False),
        ("SSCS", True),
        ("CCCC", False),
    ],
)
def test_rejects_in_a_row(letters: str, stops: bool) -> None:
    interlock = Interlock(StopRules(rejects_in_a_row=3))
    play(interlock, letters)
    assert interlock.line_stop == stops
    assert latched(interlock) == ([Cause.REJECTS_IN_A_ROW] if stops else [])


@pytest.mark.parametrize(
    ("letters", "stops"),
    [
        ("SPS", True),
        ("SPPPS", False),
        ("SPPLCS", True),  # of the last four that count
        ("SPPPPPSS", True),
        ("S", False),
    ],
)
def test_reject_rate(letters: str, stops: bool) -> None:
    interlock = Interlock(StopRules(rate_rejects=2, rate_parts=4))
    play(interlock, letters)
    assert latched(interlock) == ([Cause.REJECT_RATE] if stops else [])


def test_other_reasons_count_where_they_are_named() -> None:
    interlock = Interlock(StopRules(rejects_in_a_row=3, reasons=ALL))
    play(interlock, "LSL")
    assert interlock.line_stop


def test_nothing_counted_stops_nothing() -> None:
    interlock = Interlock(StopRules())
    play(interlock, "S" * 2000)
    assert not interlock.line_stop
    assert interlock.memory.window.bit_count() == LONGEST_RATE


def test_a_stop_is_told_once_and_stays_until_clear_fault_rises() -> None:
    interlock = Interlock(StopRules(rejects_in_a_row=2))
    play(interlock, "SSSSPPPP")
    (note,) = interlock.notes()
    assert note.event == "fault_latched"
    assert (note.fields["cause"], note.fields["code"], note.fields["line_stop"]) == (
        "REJECTS_IN_A_ROW",
        "LIN-002",
        True,
    )
    control(interlock, clear=True)  # up at the first read: nobody knows since when
    assert interlock.line_stop
    press_clear(interlock)
    assert not interlock.line_stop
    (note,) = interlock.notes()
    assert (note.event, note.fields) == ("fault_cleared", {"causes": "REJECTS_IN_A_ROW"})
    play(interlock, "S")
    assert not interlock.line_stop  # every count began anew
    play(interlock, "S")
    assert interlock.line_stop
    control(interlock, clear=True)  # still up: no edge
    assert interlock.line_stop


def test_clearing_nothing_is_not_told_but_begins_the_counts_anew() -> None:
    interlock = Interlock(StopRules(rejects_in_a_row=2, rate_rejects=2, rate_parts=9))
    play(interlock, "S")
    press_clear(interlock)
    play(interlock, "S")
    assert (events(interlock), latched(interlock)) == ([], [])


def test_a_full_bin_latches_again_as_long_as_it_is_full() -> None:
    interlock = Interlock(StopRules())
    control(interlock, bin_full=True)
    control(interlock)
    assert latched(interlock) == [Cause.BIN_FULL]  # emptied, and nobody has cleared yet
    press_clear(interlock, bin_full=True)
    assert latched(interlock) == [Cause.BIN_FULL]
    press_clear(interlock)
    assert latched(interlock) == []
    assert events(interlock) == ["fault_latched", "fault_cleared", "fault_latched", "fault_cleared"]


@pytest.mark.parametrize(
    ("counts", "stops"),
    [
        ((5,), False),  # what it was before this station
        ((5, 5, 5), False),
        ((5, 6), True),
        ((5, 0), False),  # a PLC that lost its memory
        ((5, 0, 1), True),
        ((COUNT_MAX, 0), True),  # round
        ((5, 3), True),
    ],
)
def test_unconfirmed_rejects_by_the_plcs_count(counts: tuple[int, ...], stops: bool) -> None:
    interlock = Interlock(StopRules())
    for count in counts:
        control(interlock, unconfirmed=count)
    assert latched(interlock) == ([Cause.UNCONFIRMED_REJECT] if stops else [])


def test_an_unconfirmed_reject_by_the_stations_own_input() -> None:
    interlock = Interlock(StopRules())
    interlock.on_unconfirmed(12)
    assert latched(interlock) == [Cause.UNCONFIRMED_REJECT]
    assert "part 12" in str(interlock.notes()[0].fields["why"])


def test_a_fault_that_lasts() -> None:
    interlock = Interlock(StopRules(fault_ns=2 * S))
    for t_s, present in [(0, True), (1, True), (2, False), (3, True), (4, True)]:
        interlock.on_faults(present=present, t_ns=t_s * S)
    assert latched(interlock) == []
    interlock.on_faults(present=True, t_ns=5 * S)
    assert latched(interlock) == [Cause.LASTING_FAULT]
    press_clear(interlock)
    assert latched(interlock) == []
    interlock.on_faults(present=True, t_ns=5 * S)
    assert latched(interlock) == [Cause.LASTING_FAULT]  # still there
    interlock.on_faults(present=False, t_ns=6 * S)
    assert latched(interlock) == [Cause.LASTING_FAULT]
    press_clear(interlock)
    interlock.on_faults(present=False, t_ns=7 * S)
    assert latched(interlock) == []


def test_what_is_turned_off_stops_nothing() -> None:
    interlock = Interlock(StopRules(unconfirmed_reject=False, bin_full=False, failed_challenge=False))
    control(interlock)
    control(interlock, bin_full=True, unconfirmed=1)
    interlock.on_unconfirmed(3)
    interlock.on_faults(present=True, t_ns=0)
    interlock.on_faults(present=True, t_ns=10**18)
    assert latched(interlock) == []
    interlock.on_failed_challenge("part 3 passed")
    assert latched(interlock) == [Cause.FAILED_CHALLENGE]
    assert not interlock.line_stop


def test_a_failed_challenge_stops_the_line() -> None:
    interlock = Interlock(StopRules())
    interlock.on_failed_challenge("part 3 came out good, expected bad")
    assert interlock.line_stop


def test_everything_goes_on_after_a_restart() -> None:
    rules = StopRules(rejects_in_a_row=3, rate_rejects=3, rate_parts=10)
    first = Interlock(rules)
    control(first, unconfirmed=4)
    play(first, "SPSS")
    assert latched(first) == [Cause.REJECT_RATE]
    again = Interlock(rules, first.memory)
    assert again.line_stop
    assert events(again) == []
    play(again, "S")
    assert latched(again) == [Cause.REJECT_RATE, Cause.REJECTS_IN_A_ROW]
    control(again, unconfirmed=5)  # counted while nobody was here
    assert latched(again)[-1] is Cause.UNCONFIRMED_REJECT


def test_a_memory_of_other_rules_is_kept_as_far_as_it_goes() -> None:
    memory = Memory((Cause.BIN_FULL,), 2, 0b110000)
    again = Interlock(StopRules(bin_full=False, rate_rejects=1, rate_parts=4), memory)
    assert latched(again) == [Cause.BIN_FULL]
    assert again.memory.window == 0


def test_each_cause_has_an_error_of_its_own() -> None:
    codes = [ERRORS[cause].code for cause in Cause]
    assert len(set(codes)) == len(Cause)
    assert all(issubclass(error, LineError) for error in ERRORS.values())
