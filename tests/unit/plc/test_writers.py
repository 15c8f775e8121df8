"""Another station at our addresses: who looks and when, what is found, and when it has gone."""

from dataclasses import replace
from functools import partial

import pytest

from inspector.part import Outcome, Reason
from inspector.plc.writers import CHECK_NS, CLEAN, FIRST_CHECKS, ForeignWriter
from tests.unit.plc.link_rig import ENABLED, FakeDesk, linked, verdict, words
from tests.unit.plc.scripted import Bend, Request, ScriptedPlc, honest


def test_another_writer_of_the_status_block_disables_until_it_has_gone(
    plc: ScriptedPlc, desk: FakeDesk
) -> None:
    with linked(plc, desk, poll_ms=2.0, status_ms=3.0):
        plc.wait_for(lambda: len(plc.writes(200)) > FIRST_CHECKS)
        assert (desk.foreign, desk.controls[-1]["enabled"]) == ([], True)
        plc.bend = overwritten(plc)
        desk.wait_for(lambda: desk.foreign == [True])
        desk.wait_for(lambda: not desk.controls[-1]["enabled"])
        plc.bend = honest
        desk.wait_for(lambda: desk.foreign == [True, False])
        desk.wait_for(lambda: desk.controls[-1]["enabled"])


@pytest.mark.parametrize("cleared", [False, True])
def test_another_writer_of_the_slots_alone_disables_until_a_verdict_of_ours_stands_or_somebody_has_looked(
    plc: ScriptedPlc, desk: FakeDesk, *, cleared: bool
) -> None:
    """Else the PASS of the one would release what the other rejected."""
    theirs = verdict(21)

    def bend(request: Request, answer: bytes) -> bytes:
        if request.words and request.address == plc.map.slot_address(21):
            plc.words[request.address : request.address + 8] = words(theirs)
        return answer

    with linked(plc, desk, poll_ms=2.0, status_ms=3.0) as link:
        plc.wait_for(lambda: len(plc.writes(200)) > FIRST_CHECKS)
        desk.file(verdict(20))
        link.wake()
        desk.wait_for(lambda: len(desk.written) == 1)
        plc.bend = bend
        desk.file(verdict(21, passed=False))
        link.wake()
        desk.wait_for(lambda: desk.foreign == [True])
        desk.wait_for(lambda: not desk.controls[-1]["enabled"])
        if cleared:
            plc.set_control(replace(ENABLED, clear_fault=True))
        else:
            desk.file(verdict(22, passed=False))
            link.wake()
        desk.wait_for(lambda: desk.foreign == [True, False])


def test_who_decides_later_finds_the_other_and_passes_none_of_its_parts(
    plc: ScriptedPlc, desk: FakeDesk
) -> None:
    """It finds its own verdicts whenever it looks behind itself."""
    with linked(plc, desk, poll_ms=2.0, status_ms=3.0) as link:
        plc.wait_for(lambda: len(plc.writes(200)) > FIRST_CHECKS)
        for n, part_id in enumerate((21, 22, 23), start=1):
            address = plc.map.slot_address(part_id)
            plc.words[address : address + 8] = words(verdict(part_id, passed=False))
            desk.file(verdict(part_id))
            link.deliver()
            desk.wait_for(partial(lambda wanted: len(desk.written) == wanted, n))
            assert plc.slot(part_id)[1] == Outcome.REJECT
        desk.wait_for(lambda: desk.foreign == [True])
        desk.wait_for(lambda: not desk.controls[-1]["enabled"])
        plc.set_control(replace(ENABLED, clear_fault=True))
        desk.wait_for(lambda: desk.foreign == [True, False])
        desk.file(verdict(24))
        link.deliver()
        desk.wait_for(lambda: len(desk.written) == 4)
        assert plc.slot(24)[1] == Outcome.PASS
    assert [v.reason for v, _ in desk.written] == [*[Reason.NOT_READY] * 3, Reason.NONE]


def test_before_a_pass_it_looks_once_a_second_and_after_each_find() -> None:
    watch, theirs = ForeignWriter(), [21, 0xA5A5, *SLOT[2:]]
    assert watch.look_due(0)
    assert not watch.met(21, [5, *theirs[1:7], 5], 0)
    assert not watch.met(21, [0] * 8, 0)
    assert not watch.look_due(CHECK_NS - 1)
    assert watch.look_due(CHECK_NS)
    assert watch.met(21, theirs, CHECK_NS)
    assert watch.look_due(CHECK_NS + 1)
    assert not watch.found(7, (7, 8), 0)
    assert watch.met(21, theirs, CHECK_NS)
    assert watch.found(7, (7, 8), 0)
    assert watch.present


SLOT = [21, 0x5A5A, 0, 500, 123, 3, 0, 21]


@pytest.mark.parametrize(
    ("stands", "foreign"),
    [
        (SLOT, False),
        ([5, *SLOT[1:7], 5], False),  # the one that was sent before: the newest has not come
        ([0] * 8, False),
        ([0, *SLOT[1:]], False),
        ([21, 0, *SLOT[2:]], False),
        ([21, 0xA5A5, *SLOT[2:]], True),
        ([21, 0x5A5A, 0, 501, *SLOT[4:]], True),
        ([37, *SLOT[1:7], 37], True),
    ],
)
def test_a_whole_verdict_that_was_never_sent_is_another_writers(stands: list[int], *, foreign: bool) -> None:
    """What a PLC has cleared, in whole or in part, is nobody's."""
    watch = ForeignWriter()
    for part_id in (53, 5, 21):
        watch.sends(40, [part_id, *SLOT[1:7], part_id])
    found = [watch.found(7, (7, 8), n, stands) for n in range(2)]
    assert (found, watch.present) == ([False, foreign], foreign)


def test_who_was_found_by_the_heartbeat_has_gone_when_ours_stands_whatever_is_left_in_the_slot() -> None:
    watch = ForeignWriter()
    watch.sends(40, SLOT)
    theirs = [21, 0xA5A5, *SLOT[2:]]
    for heartbeat in (99, 100):
        watch.found(heartbeat, (7, 8), 0, theirs)
    assert watch.present
    for _ in range(CLEAN):
        watch.found(8, (8, 9), 0, theirs)
    assert not watch.present


def test_who_was_found_by_a_slot_is_there_until_somebody_has_looked() -> None:
    watch = ForeignWriter()
    watch.sends(40, SLOT)
    theirs = [21, 0xA5A5, *SLOT[2:]]
    watch.heard(clear_fault=True)  # no edge: nobody knows how it was before
    for _ in range(2 * CLEAN):
        watch.found(7, (7, 8), 0, theirs)
    assert watch.present
    for clear_fault in (False, True):
        watch.heard(clear_fault=clear_fault)
    assert watch.address is None
    for _ in range(CLEAN):
        watch.found(8, (8, 9), 0)
    assert not watch.present


def test_after_an_outage_it_looks_closely_again(plc: ScriptedPlc, desk: FakeDesk) -> None:
    with linked(plc, desk, status_ms=3.0):
        plc.wait_for(lambda: len(plc.writes(200)) > 2 * FIRST_CHECKS)
        with plc.lock:
            before = len(plc.requests)
        plc.drop()
        desk.wait_for(lambda: desk.ups == 2)
        plc.wait_for(lambda: len(plc.writes(200)) > 4 * FIRST_CHECKS)
        with plc.lock:
            looks = [r for r in plc.requests[before:] if r.address == 200 and not r.words]
    assert len(looks) >= FIRST_CHECKS


def overwritten(plc: ScriptedPlc) -> Bend:
    """Return what another station does: right after our status comes its own."""

    def bend(request: Request, answer: bytes) -> bytes:
        if request.address == plc.map.status_address and request.words:
            plc.words[plc.map.status_address] = 40_000
        return answer

    return bend


def test_who_looks_and_when() -> None:
    foreign, s = ForeignWriter(), 1_000_000_000
    for n in range(FIRST_CHECKS):
        assert foreign.due(n)
        assert not foreign.found(7, (7, 8), n)
    assert not foreign.due(s // 2)
    assert foreign.due(2 * s)
    assert not foreign.found(9, (7, 8), 2 * s)  # a write that came twice, perhaps
    assert foreign.due(2 * s + 1)  # so look again at once
    assert not foreign.found(0, (7, 8), 2 * s + 1)  # a PLC that clears the word
    assert not foreign.due(2 * s + 2)
    foreign.connected()
    assert foreign.due(2 * s + 2)
