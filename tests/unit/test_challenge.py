"""Challenges: which parts belong to one, how it ends, when one is due."""

import pytest

from inspector.challenge import PLC, Challenge, ChallengeRules, Report, Result
from inspector.part import Expected, Finding, Outcome, Reason, Verdict

HOUR = 3_600_000_000_000
BAD, GOOD = Expected.BAD, Expected.GOOD
RIGHT = {BAD: Reason.SCORE, GOOD: Reason.NONE}


class Bench:
    """A challenge and the ledger's part of the work: count, ask what is expected, decide."""

    def __init__(self, rules: ChallengeRules | None = None) -> None:
        self.challenge = Challenge(rules or ChallengeRules())
        self.expected: dict[int, Expected | None] = {}
        self.count = 0

    def read(self, *, mode: bool = False, new: int = 0) -> list[int]:
        """Read the control block, which shows so many parts more; return their ids."""
        self.challenge.on_control(challenge_mode=mode)
        parts = list(range(self.count + 1, self.count + new + 1))
        self.count += new
        self.expected |= {part_id: self.challenge.expectation(part_id) for part_id in parts}
        self.challenge.on_counted()
        return parts

    def decide(
        self, part_id: int, reason: Reason | None = None, *, acknowledged: bool = True, t_ns: int = 1
    ) -> str:
        """Decide a part, as it must come out unless told otherwise."""
        expected = self.expected[part_id]
        if reason is None:
            reason = RIGHT[expected] if expected else Reason.NONE
        outcome = Outcome.REJECT if reason else Outcome.PASS
        verdict = Verdict(
            part_id, outcome, reason, 0, 1, t_ns, finding=Finding(1.5, 1.5, 1.0), expected=expected
        )
        return self.challenge.on_verdict(verdict, acknowledged=acknowledged)

    def wants(self, *part_ids: int) -> list[Expected | None]:
        return [self.expected[part_id] for part_id in part_ids]

    def report(self) -> Report:
        (report,) = self.challenge.reports()
        return report

    def events(self) -> list[str]:
        return [note.event for note in self.challenge.notes()]

    def begin(self) -> None:
        self.read()
        self.read(mode=True)
        assert self.challenge.running


def passed(bench: Bench) -> Report:
    bench.begin()
    for part_id in bench.read(mode=True, new=3):
        bench.decide(part_id, t_ns=HOUR)
    bench.read()
    return bench.report()


def test_the_plcs_signal_makes_the_next_parts_a_challenge() -> None:
    bench = Bench()
    bench.read()
    before = bench.read(new=2)
    bench.begin()
    (bad,) = bench.read(mode=True, new=1)
    good, other = bench.read(mode=True, new=2)
    assert not bench.challenge.running
    bench.read()
    (after,) = bench.read(new=1)
    assert bench.wants(*before, bad, good, other, after) == [None, None, BAD, GOOD, BAD, None]
    assert [bench.decide(part_id) for part_id in (*before, bad, good, other, after)] == [""] * 6
    report = bench.report()
    assert (report.asked_by, report.result, report.why) == (PLC, Result.PASSED, "")
    assert [(part.verdict.part_id, part.right) for part in report.parts] == [
        (3, True),
        (4, True),
        (5, True),
    ]


def test_parts_that_the_first_read_with_the_signal_shows_are_rejected_and_no_challenge_parts() -> None:
    bench = Bench()
    bench.read()
    doubtful = bench.read(mode=True, new=2)
    assert bench.wants(*doubtful) == [BAD, BAD]
    assert bench.wants(*bench.read(mode=True, new=3)) == [BAD, GOOD, BAD]
    assert [bench.decide(part_id, Reason.CHALLENGE) for part_id in doubtful] == ["", ""]


def test_parts_that_the_read_without_the_signal_shows_still_belong_to_it() -> None:
    bench = Bench()
    bench.begin()
    assert bench.wants(*bench.read(new=4)) == [BAD, GOOD, BAD, BAD]
    assert bench.wants(*bench.read(new=1)) == [None]
    for part_id in (1, 2, 3):
        bench.decide(part_id)
    assert bench.report().result is Result.PASSED


def test_as_long_as_the_signal_stands_no_part_is_released() -> None:
    bench = Bench()
    bench.begin()
    bench.read(mode=True, new=3)
    assert bench.wants(*bench.read(mode=True, new=2)) == [BAD, BAD]
    assert bench.wants(*bench.read(new=1), *bench.read(new=1)) == [BAD, None]


def test_a_signal_that_stood_at_the_start_begins_no_challenge() -> None:
    bench = Bench()
    assert bench.wants(*bench.read(mode=True, new=1), *bench.read(mode=True, new=1)) == [BAD, BAD]
    assert not bench.challenge.running
    assert bench.events() == ["challenge_not_begun"]
    bench.begin()
    assert bench.events() == ["challenge_begun"]


@pytest.mark.parametrize(
    ("part", "reason", "said"),
    [
        (1, Reason.CHALLENGE, "part 1, a bad one, looked good"),
        (1, Reason.LATE, "part 1, a bad one, was rejected for LATE"),
        (1, Reason.FRAME_LOST, "part 1, a bad one, was rejected for FRAME_LOST"),
        (1, Reason.NONE, "part 1, a bad one, was passed"),
        (2, Reason.SCORE, "part 2, a good one, looked bad"),
        (2, Reason.NOT_READY, "part 2, a good one, was rejected for NOT_READY"),
    ],
)
def test_a_part_that_comes_out_wrong_fails_it_and_the_rest_is_still_guarded(
    part: int, reason: Reason, said: str
) -> None:
    bench = Bench()
    bench.begin()
    parts = bench.read(mode=True, new=3)
    told = [bench.decide(part_id, reason if part_id == part else None) for part_id in parts]
    assert told == [said if part_id == part else "" for part_id in parts]
    assert bench.wants(*parts) == [BAD, GOOD, BAD]
    report = bench.report()
    assert (report.result, report.why) == (Result.FAILED, said)
    assert [one.right for one in report.parts] == [part_id != part for part_id in parts]


def test_all_parts_that_came_out_wrong_are_named() -> None:
    bench = Bench()
    bench.begin()
    for part_id in bench.read(mode=True, new=3):
        bench.decide(part_id, Reason.CHALLENGE if part_id != 2 else None)
    assert bench.report().why == "part 1, a bad one, looked good; part 3, a bad one, looked good"


@pytest.mark.parametrize(("part", "fails"), [(1, False), (2, True), (3, False)])
def test_a_good_part_must_be_known_to_the_plc(part: int, fails: bool) -> None:
    bench = Bench()
    bench.begin()
    for part_id in bench.read(mode=True, new=3):
        bench.decide(part_id, acknowledged=part_id != part)
    assert bench.report().result is (Result.FAILED if fails else Result.PASSED)


@pytest.mark.parametrize(("reason", "result"), [(None, Result.VOID), (Reason.CHALLENGE, Result.FAILED)])
def test_a_signal_that_falls_early_ends_it(reason: Reason | None, result: Result) -> None:
    bench = Bench()
    bench.begin()
    (part_id,) = bench.read(mode=True, new=1)
    bench.read()
    assert not bench.challenge.running
    assert bench.challenge.reports() == []  # its part is still open
    bench.decide(part_id, reason)
    report = bench.report()
    assert report.result is result
    assert reason or report.why == "the PLC took challenge_mode back after 1 of 3 parts"
    assert bench.wants(*bench.read(new=1)) == [None]


def test_a_command_begins_one_behind_the_parts_of_the_next_read() -> None:
    bench = Bench()
    bench.read()
    ticket = bench.challenge.ask("anna")
    assert ticket is not None
    assert bench.challenge.ask("ben") is None
    assert not bench.challenge.running
    assert bench.wants(*bench.read(new=1)) == [None]
    assert bench.challenge.running
    assert bench.challenge.ask("ben") is None
    parts = bench.read(new=4)
    assert bench.wants(*parts) == [BAD, GOOD, BAD, None]
    for part_id in parts:
        bench.decide(part_id)
    report = bench.report()
    assert (report.ticket, report.asked_by, report.result) == (ticket, "anna", Result.PASSED)
    assert bench.challenge.ask("ben") == ticket + 1


def test_the_signal_neither_begins_a_second_one_nor_ends_the_commands() -> None:
    bench = Bench()
    bench.read()
    bench.challenge.ask("anna")
    bench.read()
    bench.read(mode=True)
    assert bench.events() == ["challenge_begun", "challenge_not_begun"]
    assert bench.wants(*bench.read(mode=True, new=1)) == [BAD]
    bench.read()
    assert bench.challenge.running
    assert bench.wants(*bench.read(new=2)) == [GOOD, BAD]


def test_a_command_that_goes_ends_its_own_challenge_only() -> None:
    bench = Bench()
    bench.read()
    ticket = bench.challenge.ask("anna")
    assert ticket is not None
    bench.challenge.withdraw(ticket + 1, "the command ended")
    bench.read()
    assert bench.challenge.running
    (part_id,) = bench.read(new=1)
    bench.challenge.withdraw(ticket, "the command ended")
    assert bench.challenge.reports() == []
    bench.decide(part_id, Reason.CHALLENGE)
    assert bench.report().result is Result.FAILED


def test_a_command_that_goes_before_it_began() -> None:
    bench = Bench()
    ticket = bench.challenge.ask("anna")
    assert ticket is not None
    bench.challenge.withdraw(ticket, "the command ended")
    report = bench.report()
    assert (report.result, report.asked_by, bench.challenge.running) == (Result.VOID, "anna", False)
    assert report.why == "the command ended before the challenge began"
    bench.read()
    assert (bench.events(), bench.challenge.running) == ([], False)  # what has ended does not begin


def test_a_station_that_stops_before_it_began() -> None:
    bench = Bench()
    bench.challenge.ask("anna")
    bench.challenge.stop("the station stopped")
    assert (bench.report().why, bench.events()) == ("the station stopped before the challenge began", [])


@pytest.mark.parametrize("new", [0, 1, 3])
def test_a_station_that_stops_waits_for_no_part(new: int) -> None:
    bench = Bench()
    bench.begin()
    bench.read(mode=True, new=new)
    bench.challenge.stop("the station stopped")
    report = bench.report()
    assert (report.result, report.why) == (Result.VOID, f"the station stopped after {new} of 3 parts")
    bench.challenge.stop("again")
    assert bench.challenge.reports() == []


# -- when one is due -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rules", "due"),
    [
        (ChallengeRules(), False),
        (ChallengeRules(at_start=True), True),
        (ChallengeRules(every_parts=5), True),
        (ChallengeRules(every_ns=HOUR), True),
    ],
)
def test_from_the_start_one_is_due_where_it_ever_is(rules: ChallengeRules, due: bool) -> None:
    assert Challenge(rules).due == due


def test_only_one_that_passes_ends_that_one_is_due() -> None:
    bench = Bench(ChallengeRules(at_start=True))
    bench.begin()
    for part_id in bench.read(mode=True, new=3):
        bench.decide(part_id, Reason.LATE)
    bench.begin()
    bench.read()  # void
    assert bench.challenge.due
    bench.challenge.reports()
    assert passed(bench).result is Result.PASSED
    assert not bench.challenge.due
    bench.challenge.on_recipe()
    assert bench.challenge.due
    assert bench.events()[-1] == "challenge_due"


def test_a_change_of_recipe_alone_makes_none_due_unless_asked_for() -> None:
    bench = Bench()
    bench.challenge.on_recipe()
    assert not bench.challenge.due


def test_due_after_so_many_ordinary_parts() -> None:
    bench = Bench(ChallengeRules(every_parts=2))
    passed(bench)
    assert not bench.challenge.due
    first, second = bench.read(new=2)
    bench.decide(first, Reason.LATE)
    assert not bench.challenge.due
    bench.decide(second)
    assert bench.challenge.due


def test_due_after_so_long() -> None:
    bench = Bench(ChallengeRules(every_ns=2 * HOUR))
    passed(bench)  # at one o'clock
    bench.challenge.on_tick(3 * HOUR - 1)
    assert not bench.challenge.due
    bench.challenge.on_tick(3 * HOUR)
    assert bench.challenge.due
    bench.challenge.on_tick(4 * HOUR)
    assert bench.events().count("challenge_due") == 1
