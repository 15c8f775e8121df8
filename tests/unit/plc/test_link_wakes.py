"""Who wakes the PLC thread, and for what: against a scripted PLC and a scripted desk, with the real clock."""

import os
import select
import threading
from functools import partial
from pathlib import Path

import pytest

from inspector.plc.client import PlcConnection
from tests.unit.plc.link_rig import FAR_MS, FakeDesk, Link, clock, configured, linked, verdict, words
from tests.unit.plc.scripted import PATIENCE_S, Bend, CloseConnection, Request, ScriptedPlc, silent


def closed(request: Request, answer: bytes) -> bytes:
    raise CloseConnection


def test_a_delivery_writes_and_asks_for_nothing(plc: ScriptedPlc, desk: FakeDesk) -> None:
    with linked(plc, desk) as link:
        desk.wait_for(lambda: desk.ups == 1)
        reads = len(desk.controls)
        for part_id in (21, 22, 23):
            desk.file(verdict(part_id))
            link.deliver()
            desk.wait_for(partial(lambda wanted: len(desk.written) == wanted, part_id - 20))
        assert len(desk.controls) == reads
        link.wake()
        desk.wait_for(lambda: len(desk.controls) == reads + 1)


def test_where_the_thread_sleeps_who_delivers_sends(
    plc: ScriptedPlc, desk: FakeDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before it returns, and without a wake-up but that of the acknowledgement."""
    senders: list[int] = []
    send = PlcConnection.send_slot

    def noted(connection: PlcConnection, part_id: int, words: list[int]) -> None:
        senders.append(threading.get_ident())
        send(connection, part_id, words)

    monkeypatch.setattr(PlcConnection, "send_slot", noted)
    with linked(plc, desk) as link:
        desk.wait_for(lambda: desk.ups == 1)
        # Before the first PASS for a while its slot is looked at, which takes the thread; and that turns by itself now and then.
        for part_id in range(21, 31):
            wait_until_asleep(link._thread)
            desk.file(verdict(part_id))
            link.deliver()
            desk.wait_for(partial(lambda wanted: len(desk.written) == wanted, part_id - 20))
            if senders[-1] == threading.get_ident():
                break
        assert senders[0] == link._thread.ident
        assert senders[-1] == threading.get_ident()
        assert plc.slot(part_id) == words(desk.written[-1][0])
    assert desk.unwritten == []


def test_who_delivers_does_not_wait_for_a_call(plc: ScriptedPlc, desk: FakeDesk) -> None:
    delivered, asked = threading.Event(), threading.Event()

    def bend(request: Request, answer: bytes) -> bytes:
        if request.address == plc.map.control_address:
            asked.set()
            assert delivered.wait(PATIENCE_S)
        return answer

    with linked(plc, desk, timeout_ms=FAR_MS) as link:
        desk.wait_for(lambda: desk.ups == 1)
        plc.bend = bend
        link.wake()
        assert asked.wait(PATIENCE_S)
        desk.file(verdict(21, passed=False))
        link.deliver()
        delivered.set()
        desk.wait_for(lambda: len(desk.written) == 1)
        assert plc.requests[-1].address == plc.map.slot_address(21)
    assert desk.unwritten == []


@pytest.mark.parametrize("bend", [silent, closed])
def test_what_was_sent_at_once_and_not_acknowledged_is_written_on_the_next_connection(
    plc: ScriptedPlc, desk: FakeDesk, bend: Bend
) -> None:
    """Also where the thread would sleep on for an hour."""
    with linked(plc, desk, timeout_ms=400) as link:
        desk.wait_for(lambda: desk.ups == 1)
        wait_until_asleep(link._thread)
        plc.bend = lambda request, answer: answer if len(plc.writes(40)) else bend(request, answer)
        desk.file(verdict(5, passed=False))
        link.deliver()
        desk.wait_for(lambda: len(desk.written) == 1)
    assert len(plc.writes(40)) == 2
    assert plc.connections == 2
    assert desk.unwritten == []


def test_a_frame_does_not_wait_until_many_verdicts_are_written(plc: ScriptedPlc, desk: FakeDesk) -> None:
    with linked(plc, desk) as link:
        desk.wait_for(lambda: desk.ups == 1)
        requests = len(plc.requests)
        desk.file(*(verdict(part_id, passed=False) for part_id in (21, 22, 23)))
        link.wake()
        desk.wait_for(lambda: len(desk.written) == 3)
        addresses = [request.address for request in plc.requests[requests : requests + 4]]
    slots = [plc.map.slot_address(part_id) for part_id in (21, 22, 23)]
    assert addresses == [slots[0], plc.map.control_address, *slots[1:]]


def test_a_frame_is_heard_of_while_the_engine_scores_and_not_while_it_sleeps(
    plc: ScriptedPlc, desk: FakeDesk
) -> None:
    doorbell_fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
    engine = select.epoll()
    engine.register(doorbell_fd, select.EPOLLIN | select.EPOLLEXCLUSIVE)
    link = Link(configured(plc.port), 5000, desk, clock)
    link.hear(doorbell_fd)
    link.start()
    try:
        desk.wait_for(lambda: desk.ups == 1)
        turns = desk.turns
        os.eventfd_write(doorbell_fd, 1)  # nobody sleeps at the engine's end
        desk.wait_for(lambda: desk.turns > turns)
        os.eventfd_read(doorbell_fd)
        # Twice, since the thread also turns by itself now and then.
        assert any(rings_beside_a_sleeper(engine, doorbell_fd, desk) == 0 for _ in range(2))
    finally:
        link.stop(PATIENCE_S)
        engine.close()
        os.close(doorbell_fd)


def rings_beside_a_sleeper(engine: select.epoll, doorbell_fd: int, desk: FakeDesk) -> int:
    """Ring while a thread sleeps at the engine's end; return how often the PLC thread turned."""
    sleeper = threading.Thread(target=engine.poll, args=(PATIENCE_S,))
    sleeper.start()
    wait_until_asleep(sleeper)
    turns = desk.turns
    os.eventfd_write(doorbell_fd, 1)
    sleeper.join(PATIENCE_S)
    assert not sleeper.is_alive()
    os.eventfd_read(doorbell_fd)
    return desk.turns - turns


def wait_until_asleep(thread: threading.Thread) -> None:
    """Wait until the thread is in the system call that waits (232, epoll_wait, on x86-64), and has given the CPU away."""
    task = Path(f"/proc/self/task/{thread.native_id}")
    while not (task / "syscall").read_text().startswith("232 "):  # or "running"
        assert thread.is_alive()
