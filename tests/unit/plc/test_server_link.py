"""The server role: what the PLC sees, and what the desk hears, with the real clock and real connections."""

import socket
import struct
from contextlib import suppress
from dataclasses import replace

import pytest

from inspector.part import Outcome, Reason
from inspector.plc.registers import Control, State, VisionControl, VisionStatus, encode_control
from inspector.plc.server import Peer
from tests.unit.plc.link_rig import FAR_MS, FakeDesk, clock, verdict
from tests.unit.plc.scripted import PATIENCE_S
from tests.unit.plc.served_rig import (
    CONTROL_AT,
    SIGNALS_AT,
    STATUS_AT,
    VISION_AT,
    BareClient,
    Refused,
    Served,
    configured,
    serving,
    writing,
)

ENABLED = Control(enable=True, part_count=3, plc_heartbeat=1)


def publish(desk: FakeDesk, link: Served, *verdicts: object) -> None:
    """Let verdicts become final, and wait until the PLC could read them."""
    goal = len(desk.written) + len(verdicts)
    desk.file(*verdicts)  # type: ignore[arg-type]
    link.wake()
    desk.wait_for(lambda: len(desk.written) == goal)


# -- verdicts -------------------------------------------------------------------------------------


def test_a_verdict_stands_in_the_slot_of_its_part(desk: FakeDesk) -> None:
    with serving(desk) as link, BareClient(link.port) as plc:
        plc.set_control(ENABLED)
        final = verdict(3)
        publish(desk, link, final)
        assert plc.slot(3)[:3] == [3, Outcome.PASS, Reason.NONE]
        assert plc.slot(3)[7] == 3
        assert plc.read(3 * 8, 8, function=4) == plc.slot(3)
    written, t_written_ns = desk.written[0]
    assert written is final
    assert t_written_ns is not None
    assert t_written_ns > final.t_decided_ns


def test_a_pass_after_its_deadline_is_a_reject(desk: FakeDesk) -> None:
    with serving(desk) as link, BareClient(link.port) as plc:
        plc.set_control(ENABLED)
        publish(desk, link, verdict(3, deadline_ms=0), verdict(2, passed=False, deadline_ms=0))
        assert plc.slot(3)[:3] == [3, Outcome.REJECT, Reason.LATE]
        assert plc.slot(2)[:3] == [2, Outcome.REJECT, Reason.SCORE]


def test_counting_a_part_clears_its_slot_before_it_is_acknowledged(desk: FakeDesk) -> None:
    with serving(desk) as link, BareClient(link.port) as plc:
        plc.set_control(ENABLED)
        publish(desk, link, verdict(3), verdict(2), verdict(65_535 - 65_535 % 16 + 4 - 16))
        plc.set_control(replace(ENABLED, part_count=3 + 16))
        assert plc.slot(3) == [0] * 8
        assert plc.slot(2) == [0] * 8  # 18, counted with it


def test_counting_a_part_leaves_the_others_verdicts(desk: FakeDesk) -> None:
    with serving(desk) as link, BareClient(link.port) as plc:
        plc.set_control(ENABLED)
        publish(desk, link, verdict(3), verdict(2))
        plc.set_control(replace(ENABLED, part_count=4))
        plc.set_control(replace(ENABLED, part_count=4, plc_heartbeat=2))
        assert [plc.slot(part_id)[0] for part_id in (2, 3, 4)] == [2, 3, 0]


@pytest.mark.parametrize("count", [0, 1, 40_000])
def test_a_count_that_makes_no_sense_clears_all(desk: FakeDesk, count: int) -> None:
    with serving(desk) as link, BareClient(link.port) as plc:
        plc.set_control(ENABLED)
        publish(desk, link, verdict(3), verdict(2))
        plc.set_control(replace(ENABLED, part_count=count))
        assert plc.read(0, 120) == [0] * 120


def test_a_round_of_parts_clears_all_slots_also_where_the_ids_go_round(desk: FakeDesk) -> None:
    """Behind part 65535 comes part 1, so that sixteen parts in a row there have fifteen slots."""
    with serving(desk) as link, BareClient(link.port) as plc:
        plc.set_control(replace(ENABLED, part_count=65_530))
        publish(desk, link, verdict(65_520))
        assert plc.slot(65_520)[0] == 65_520
        plc.set_control(replace(ENABLED, part_count=12))
        assert plc.slot(65_520) == [0] * 8


def test_a_verdict_that_was_final_when_the_count_fell_back_never_reaches_the_new_part(desk: FakeDesk) -> None:
    with serving(desk) as link, BareClient(link.port) as plc:
        plc.set_control(replace(ENABLED, part_count=5))
        on_request = link.on_request

        def file_first(peer: Peer, pdu: bytes, t_received_ns: int) -> bytes:
            link.on_request = on_request  # type: ignore[method-assign]
            desk.file(verdict(2))
            return on_request(peer, pdu, t_received_ns)

        link.on_request = file_first  # type: ignore[method-assign]
        plc.set_control(replace(ENABLED, part_count=2))
        assert plc.slot(2) == [0] * 8
    assert [(v.part_id, v.outcome, t_ns) for v, t_ns in desk.written] == [(2, Outcome.REJECT, None)]


def test_a_verdict_never_takes_the_slot_of_a_later_part(desk: FakeDesk) -> None:
    with serving(desk) as link, BareClient(link.port) as plc:
        plc.set_control(replace(ENABLED, part_count=19))
        publish(desk, link, verdict(3))
        assert plc.slot(3) == [0] * 8
    assert desk.unwritten == [3]
    assert desk.written[0][0].outcome is Outcome.REJECT, "a PASS that nobody reads is none in the counters"


def test_nor_where_ids_go_round_and_slots_come_again_one_part_sooner(desk: FakeDesk) -> None:
    """Parts 65521 and 1 have slot 1, and only 15 parts lie between."""
    with serving(desk) as link, BareClient(link.port) as plc:
        plc.set_control(replace(ENABLED, part_count=65_535))
        plc.set_control(replace(ENABLED, part_count=1))
        publish(desk, link, verdict(1))
        publish(desk, link, verdict(65_521, passed=False))
        assert plc.slot(1)[:2] == [1, Outcome.PASS]


def test_when_the_plcs_connection_ends_nothing_is_left_to_release_by(desk: FakeDesk) -> None:
    with serving(desk) as link:
        with BareClient(link.port) as plc:
            plc.set_control(ENABLED)
            publish(desk, link, verdict(3))
        desk.wait_for(lambda: bool(desk.downs))
        publish(desk, link, verdict(2))
        with BareClient(link.port) as reader:
            assert reader.slot(3) == [0] * 8
            assert reader.read(CONTROL_AT, 6) == [0, 0, 0, 0, 3, 0]
    assert desk.downs == ["PLC 127.0.0.1: closed by the peer"]
    assert desk.written[-1][0].reason is Reason.LINK
    assert desk.unwritten == [2]


# -- who may do what ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "address", [0, 8, 127, STATUS_AT, CONTROL_AT - 1, CONTROL_AT + 20, VISION_AT, 60_000]
)
def test_a_write_outside_the_control_blocks_is_refused(desk: FakeDesk, address: int) -> None:
    with serving(desk) as link, BareClient(link.port) as plc:
        with pytest.raises(Refused, match="2"):
            plc.write(address, [0x5A5A])
        with pytest.raises(Refused, match="2"):
            plc.ask(struct.pack(">BHH", 6, address, 0x5A5A))
        assert set(plc.read(0, 120)) == {0}


def test_a_write_that_begins_inside_and_ends_outside_changes_nothing(desk: FakeDesk) -> None:
    with serving(desk) as link, BareClient(link.port) as plc:
        with pytest.raises(Refused, match="2"):
            plc.write(SIGNALS_AT, [1, 1])
        assert plc.read(SIGNALS_AT, 1) == [0]


def test_what_is_beyond_the_blocks_cannot_be_read(desk: FakeDesk) -> None:
    with serving(desk) as link, BareClient(link.port) as plc:
        assert plc.read(VISION_AT, 5)
        with pytest.raises(Refused, match="2"):
            plc.read(VISION_AT, 6)


def test_who_is_not_among_the_peers_is_not_heard(desk: FakeDesk) -> None:
    with serving(desk, server={"peers": ["127.0.0.2"]}) as link:
        with BareClient(link.port) as stranger:
            assert stranger.is_dropped()
        with BareClient(link.port, source="127.0.0.2") as plc:
            assert plc.slot(1) == [0] * 8
    assert link._server.refused == 1


def test_two_addresses_cannot_both_count(desk: FakeDesk) -> None:
    with (
        serving(desk, server={"peers": ["127.0.0.0/8"]}) as link,
        BareClient(link.port) as plc,
        BareClient(link.port, source="127.0.0.2") as panel,
    ):
        plc.set_control(ENABLED)
        with pytest.raises(Refused, match="6"):
            panel.set_control(replace(ENABLED, part_count=9))
        with pytest.raises(Refused, match="6"):
            panel.write(SIGNALS_AT, [1])
        panel.write_field("recipe_request", 2)
        assert plc.read(CONTROL_AT, 6) == [1, 0, 0, 2, 3, 1]
    assert {each["control"].part_count for each in desk.controls} == {3}


def test_a_plc_that_connects_again_ends_its_old_connection_and_what_stood_there(desk: FakeDesk) -> None:
    with serving(desk) as link, BareClient(link.port) as old, BareClient(link.port) as new:
        old.set_control(ENABLED)
        publish(desk, link, verdict(3))
        new.set_control(replace(ENABLED, plc_heartbeat=7))
        assert old.is_dropped()
        assert new.slot(3) == [0] * 8
        desk.wait_for(lambda: desk.ups == 2)
    assert "took its place" in desk.downs[0]


def test_a_verdict_that_was_on_its_way_does_not_reach_the_next_connection(desk: FakeDesk) -> None:
    """The PLC may have restarted, and its part 3 be another one."""

    def lost(why: str) -> None:
        desk.file(verdict(3))

    with serving(desk) as link, BareClient(link.port) as old, BareClient(link.port) as new:
        old.set_control(ENABLED)
        desk.on_link_down = lost  # type: ignore[method-assign]
        new.set_control(ENABLED)
        desk.wait_for(lambda: len(desk.written) == 1)
        assert new.slot(3) == [0] * 8
        assert desk.unwritten == [3]
        assert desk.written[0][0].reason is Reason.LINK


def test_one_connection_too_many_ends_the_one_that_is_silent_longest(desk: FakeDesk) -> None:
    with (
        serving(desk, server={"connections": 2}) as link,
        BareClient(link.port) as first,
        BareClient(link.port) as second,
    ):
        second.slot(1)
        first.slot(1)
        with BareClient(link.port) as third:
            assert third.slot(1) == [0] * 8
            assert second.is_dropped()
            assert first.slot(1) == [0] * 8


def test_a_peer_that_asks_nothing_is_dropped(desk: FakeDesk) -> None:
    with serving(desk, server={"idle_ms": 50.0}, status_ms=20.0) as link, BareClient(link.port) as plc:
        plc.set_control(ENABLED)
        assert plc.is_dropped()
    assert "no request for 50 ms" in desk.downs[0]


def test_a_port_that_is_taken_is_tried_again(desk: FakeDesk) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        link = Served(
            configured(port=port, reconnect_first_ms=1.0, reconnect_max_ms=10.0), FAR_MS, desk, clock
        )
        link.start()
        desk.wait_for(lambda: len(desk.downs) >= 2)
        assert "PLC-004" in desk.downs[0]
    desk.wait_for(lambda: link.port == port)
    link.stop(PATIENCE_S)


# -- what the desk hears --------------------------------------------------------------------------


def test_a_write_began_after_the_answer_before_it(desk: FakeDesk) -> None:
    with serving(desk) as link, BareClient(link.port) as plc:
        plc.set_control(ENABLED)
        plc.slot(1)
        t_before_ns = clock.now_ns()
        plc.set_control(replace(ENABLED, part_count=4))
        t_after_ns = clock.now_ns()
    heard = desk.controls[-1]
    assert heard["control"].part_count == 4
    assert heard["t_sent_ns"] < t_before_ns <= heard["t_received_ns"] <= t_after_ns
    assert heard["t_sent_ns"] > desk.controls[0]["t_received_ns"]


def test_the_first_write_may_have_begun_before_the_peer_was_let_in(desk: FakeDesk) -> None:
    with serving(desk) as link:
        with link.standing_still():
            t_before_ns = clock.now_ns()
            plc = BareClient(link.port)
            plc.send(writing(CONTROL_AT, encode_control(ENABLED)))
        with plc:
            plc.answer()
    assert desk.controls[0]["t_sent_ns"] < t_before_ns


def test_requests_in_one_packet_are_all_answered_and_began_before_the_first_answer(desk: FakeDesk) -> None:
    with serving(desk) as link, BareClient(link.port) as plc:
        plc.set_control(ENABLED)
        t_before_ns = clock.now_ns()
        counts = [writing(CONTROL_AT, encode_control(replace(ENABLED, part_count=n))) for n in range(4, 24)]
        plc.send(*counts)
        assert [plc.answer()[0] for _ in counts] == [16] * 20
    assert [each["control"].part_count for each in desk.controls] == list(range(3, 24))
    assert all(each["t_sent_ns"] < t_before_ns for each in desk.controls)


def test_a_write_of_something_else_is_no_evidence_of_the_count(desk: FakeDesk) -> None:
    with serving(desk) as link, BareClient(link.port) as plc:
        plc.set_control(ENABLED)
        plc.write_field("recipe_request", 5)
        plc.write_field("plc_heartbeat", 9)
    assert [each["control"].recipe_request for each in desk.controls] == [0, 5, 5]
    assert len({each["t_sent_ns"] for each in desk.controls}) == 1


def test_nothing_is_told_before_the_count_is_known(desk: FakeDesk) -> None:
    with serving(desk) as link, BareClient(link.port) as plc:
        plc.write_field("enable", 1)
        plc.write_field("plc_heartbeat", 1)
        assert desk.controls == []
        plc.write_field("part_count", 8)
    assert [each["control"].part_count for each in desk.controls] == [8]


def test_a_heartbeat_that_stands_still_disables(desk: FakeDesk) -> None:
    with serving(desk, heartbeat_timeout_ms=30.0, status_ms=10.0) as link, BareClient(link.port) as plc:
        plc.set_control(ENABLED)
        assert desk.controls[0]["enabled"]
        desk.wait_for(lambda: len(desk.controls) == 2)
        assert not desk.controls[1]["enabled"]
        plc.set_control(replace(ENABLED, plc_heartbeat=2))
        assert desk.controls[2]["enabled"]


# -- status and signals ---------------------------------------------------------------------------


def test_the_status_is_up_to_date_whenever_it_is_read(desk: FakeDesk) -> None:
    with serving(desk) as link, BareClient(link.port) as plc:
        assert plc.status().state == State.ONLINE | State.READY | State.BUSY | State.FAULT
        assert plc.status().parts == 10


def test_a_station_that_goes_says_so(desk: FakeDesk) -> None:
    with serving(desk) as link, BareClient(link.port) as plc:
        plc.set_control(ENABLED)
        link._stopping.set()
        link.wake()
        states = []
        with suppress(ConnectionError):
            while True:
                states.append(plc.status().state)
    assert State.FAULT in states  # the last words of a station that is not online any more


def test_trigger_and_results_shake_hands(desk: FakeDesk) -> None:
    c, s = VisionControl, VisionStatus
    with serving(desk) as link, BareClient(link.port) as plc:
        plc.set_control(ENABLED)
        plc.write(SIGNALS_AT, [c.TRIGGER_ENABLE | c.BUFFER_RESULTS_ENABLE])
        signals, acknowledged, *_ = plc.read(VISION_AT, 5)
        assert s(signals) == s.ONLINE | s.TRIGGER_READY | s.BUSY | s.ERROR
        plc.set_control(replace(ENABLED, part_count=4))
        plc.write(SIGNALS_AT, [c.TRIGGER_ENABLE | c.BUFFER_RESULTS_ENABLE | c.TRIGGER])
        signals, acknowledged, *_ = plc.read(VISION_AT, 5)
        assert (s.TRIGGER_ACK in s(signals), s.TRIGGER_READY in s(signals), acknowledged) == (True, False, 4)
        publish(desk, link, verdict(3), verdict(4))
        signals, _, part, waiting, lost = plc.read(VISION_AT, 5)
        assert (s.RESULTS_VALID in s(signals), part, waiting, lost) == (True, 3, 2, 0)
        plc.ask(struct.pack(">BHH", 5, 3, 0xFF00))  # RESULTS_ACK as a coil
        signals, _, part, waiting, _ = plc.read(VISION_AT, 5)
        assert (s.RESULTS_VALID in s(signals), part, waiting) == (False, 0, 1)
        plc.ask(struct.pack(">BHH", 5, 3, 0))
        assert plc.read(VISION_AT, 5)[2:4] == [4, 1]
        assert plc.ask(struct.pack(">BHH", 2, 0, 8))[2] & s.RESULTS_VALID
        assert plc.ask(struct.pack(">BHH", 1, 0, 5)) == bytes([1, 1, 0b00111])
