"""Each fault of the link, between our own PLC client and pymodbus' server: its effect, and nothing beside it."""

import asyncio
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from inspector.errors import PlcError, PlcTimeoutError
from inspector.plc.registers import Control, RegisterMap
from tests.fault.faultproxy_bench import PATIENT_MS, SHORT_MS, SLOT, WITHIN_S, Bench
from tools.faultproxy.proxy import Proxy

RAW_WRITE = struct.pack(">HHHBBHHB8H", 1, 0, 23, 1, 16, RegisterMap().slot_address(7), 8, 16, *SLOT)


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    made.close()


def test_without_faults_nothing_stands_between(bench: Bench) -> None:
    bench.fault()
    bench.set_control(Control(enable=True, part_count=7))
    connection = bench.connect()
    assert connection.read_control() == Control(enable=True, part_count=7)
    connection.write_slot(7, SLOT)
    connection.close()
    bench.settle()
    assert bench.writes == [tuple(SLOT)]
    report = bench.proxy.report()
    assert (report["connections"], report["requests"], report["replies"]) == (1, 2, 2)
    assert (report["faults"], report["waiting"]) == ({}, [])


@pytest.mark.parametrize(
    ("do", "args", "writes"),
    [
        ("delay", {"ms": 20, "of": "request"}, 2),
        ("delay", {"ms": 20, "of": "reply"}, 2),
        ("slow_drip", {"ms": 1}, 2),
        ("stale_reply", {"id": "new"}, 2),
        ("duplicate_write", {}, 3),
    ],
)
def test_faults_within_the_time_out(bench: Bench, do: str, args: dict[str, Any], writes: int) -> None:
    """Late, slow, doubled and repeated answers to a write are answers."""
    bench.fault(do, at_request=2, **args)
    connection = bench.connect()
    connection.write_slot(7, SLOT)
    connection.write_slot(7, SLOT)
    connection.read_control()
    connection.close()
    bench.settle()
    assert bench.writes == [tuple(SLOT)] * writes
    assert bench.proxy.counts["requests"] == 3
    assert bench.proxy.report()["struck"] == [{"at_request": 2, "do": do, "args": args}]


@pytest.mark.parametrize(
    ("do", "args", "error", "writes"),
    [
        ("delay", {"ms": 4 * SHORT_MS, "of": "reply"}, PlcTimeoutError, 1),
        (
            "delay",
            {"ms": 2 * SHORT_MS, "of": "request"},
            PlcTimeoutError,
            1,
        ),  # it comes when nobody waits any more
        ("black_hole", {}, PlcTimeoutError, 0),
        ("black_hole", {"of": "reply"}, PlcTimeoutError, 1),
        ("half_reply", {}, PlcTimeoutError, 1),
        ("half_reply", {"keep_bytes": 11}, PlcTimeoutError, 1),
        ("half_reply", {"keep_bytes": 259}, PlcTimeoutError, 1),  # never whole
        ("half_reply", {"then": "close"}, PlcError, 1),
        ("half_reply", {"keep_bytes": 0, "then": "close"}, PlcError, 1),
        ("reset", {}, PlcError, 0),
        ("reset", {"of": "reply"}, PlcError, 1),
        ("wrong_id", {"by": 1}, PlcTimeoutError, 1),
        ("exception", {"code": 4}, PlcError, 0),
        ("exception", {"code": 6}, PlcError, 0),
        ("slow_drip", {"ms": SHORT_MS}, PlcTimeoutError, 1),
        ("refuse", {"ms": 60_000}, PlcError, 0),
    ],
)
def test_faults_that_end_the_connection(
    bench: Bench, do: str, args: dict[str, Any], error: type[PlcError], writes: int
) -> None:
    """The client gives up with one error, never writes a second time by itself, and is of no use afterwards."""
    bench.fault(do, **args)
    connection = bench.connect(SHORT_MS if error is PlcTimeoutError else PATIENT_MS)
    with pytest.raises(error) as raised:
        connection.write_slot(7, SLOT)
    assert type(raised.value) is error
    assert "\n" not in str(raised.value)
    with pytest.raises(PlcError, match="the connection is closed"):
        connection.write_slot(7, SLOT)
    bench.settle()
    assert bench.writes == [tuple(SLOT)] * writes
    assert bench.proxy.counts["requests"] == 1
    assert [entry["do"] for entry in bench.proxy.struck] == [do]


def test_a_repeated_answer_with_its_old_id_is_not_taken(bench: Bench) -> None:
    bench.script([{"at_request": 2, "do": "stale_reply", "args": {"id": "old"}}])
    connection = bench.connect(SHORT_MS)
    connection.read_control()
    with pytest.raises(PlcTimeoutError):
        connection.read_control()


def test_a_repeated_answer_with_the_new_id_cannot_be_told_from_a_true_one(bench: Bench) -> None:
    """The client believes it: so that is what heartbeats and part counts are for."""
    bench.script([{"at_request": 1, "do": "stale_reply", "args": {"id": "new"}}])
    bench.set_control(Control(part_count=7, plc_heartbeat=1))
    connection = bench.connect()
    connection.read_control()
    bench.set_control(Control(part_count=8, plc_heartbeat=2))
    assert connection.read_control() == Control(part_count=7, plc_heartbeat=1)
    assert connection.read_control() == Control(part_count=8, plc_heartbeat=2)
    connection.close()
    assert [entry["at_request"] for entry in bench.proxy.struck] == [2]  # the first had nothing to repeat


def test_a_duplicate_waits_for_a_write(bench: Bench) -> None:
    bench.fault("duplicate_write")
    connection = bench.connect()
    connection.read_control()
    connection.write_slot(7, SLOT)
    connection.close()
    bench.settle()
    assert bench.writes == [tuple(SLOT)] * 2
    assert [entry["at_request"] for entry in bench.proxy.struck] == [2]


def test_an_exception_is_named(bench: Bench) -> None:
    bench.fault("exception", code=2)
    connection = bench.connect()
    with pytest.raises(PlcError, match=r"Modbus exception 2 \(illegal data address\)"):
        connection.write_slot(7, SLOT)


def test_a_black_hole_swallows_every_connection_and_then_ends(bench: Bench) -> None:
    bench.fault("black_hole", ms=4 * SHORT_MS)
    connection = bench.connect(SHORT_MS)
    with pytest.raises(PlcTimeoutError):
        connection.write_slot(7, SLOT)
    other = bench.connect(SHORT_MS)
    with pytest.raises(PlcTimeoutError):
        other.write_slot(7, SLOT)
    until(lambda: try_to_write(bench))
    bench.settle()
    assert bench.writes == [tuple(SLOT)]
    assert bench.proxy.counts["swallowed"] >= 2


def test_a_black_hole_for_replies_lets_requests_through(bench: Bench) -> None:
    bench.fault("black_hole", ms=60_000, of="reply")
    for _ in range(2):
        with pytest.raises(PlcTimeoutError):
            bench.connect(SHORT_MS).write_slot(7, SLOT)
    bench.settle()
    assert bench.writes == [tuple(SLOT)] * 2
    assert bench.proxy.counts["swallowed"] == 2


def test_refused_connections_are_taken_again(bench: Bench) -> None:
    bench.fault("refuse", ms=2 * SHORT_MS)
    bystander, connection = bench.connect(), bench.connect()
    with pytest.raises(PlcError):
        connection.read_control()
    with pytest.raises(PlcError):
        bystander.read_control()
    with pytest.raises(PlcError, match="no connection"):
        bench.connect()
    until(lambda: try_to_write(bench))


def test_a_port_that_was_taken_meanwhile_ends_the_proxy(bench: Bench) -> None:
    bench.fault("refuse", ms=4 * SHORT_MS)
    with pytest.raises(PlcError):
        bench.connect().read_control()
    with socket.create_server(("127.0.0.1", bench.proxy.port)):
        ended = asyncio.wait_for(bench.proxy.ended.wait(), WITHIN_S)
        asyncio.run_coroutine_threadsafe(ended, bench.loop).result(WITHIN_S)
    assert f"expected a free port at 127.0.0.1:{bench.proxy.port}, got: " in str(bench.proxy.failure)


def test_a_peer_that_is_not_there_closes_the_connection(bench: Bench) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        nobody = taken.getsockname()[1]
    bench.proxy = Proxy(("127.0.0.1", nobody))
    asyncio.run_coroutine_threadsafe(bench.proxy.start(), bench.loop).result(WITHIN_S)
    connection = bench.connect()
    with pytest.raises(PlcError):
        connection.read_control()
    assert bench.proxy.counts["peer_unreachable"] == 1


def until(done: Callable[[], bool]) -> None:
    """Try again until it is done, a hundred times at most; each try waits for its own answer."""
    assert any(done() for _ in range(100))


def try_to_write(bench: Bench) -> bool:
    """Return whether a write on a new connection is acknowledged."""
    try:
        connection = bench.connect(SHORT_MS / 3)
        connection.write_slot(7, SLOT)
    except PlcError:
        threading.Event().wait(0.02)  # a refused connection is told at once
        return False
    connection.close()
    return True


def raw_write(bench: Bench) -> socket.socket:
    """Send a write without our client, and return the connection."""
    connection = socket.create_connection(("127.0.0.1", bench.proxy.port), WITHIN_S)
    connection.sendall(RAW_WRITE)
    return connection


def test_after_half_an_answer_nothing_comes_nor_goes(bench: Bench) -> None:
    bench.fault("half_reply", keep_bytes=3)
    with raw_write(bench) as connection:
        assert connection.recv(100) == RAW_WRITE[:3]
        connection.sendall(RAW_WRITE)
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(100) == b""
    bench.settle()
    assert bench.writes == [tuple(SLOT)]


@pytest.mark.parametrize("of", ["request", "reply"])
def test_a_reset_is_a_reset(bench: Bench, of: str) -> None:
    bench.fault("reset", of=of)
    with raw_write(bench) as connection, pytest.raises(ConnectionResetError):
        connection.recv(100)


def test_what_is_not_modbus_is_hung_up_on_and_counted(bench: Bench) -> None:
    bench.fault()
    with socket.create_connection(("127.0.0.1", bench.proxy.port), WITHIN_S) as connection:
        connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(100) == b""
    assert bench.proxy.counts["not_modbus"] == 1
