"""The command `tools/bench/modbus`: how long one verdict takes over Modbus, against libmodbus and beside a plain socket.

    client role    Inspector writes a slot (function 16) into libmodbus's server, and has its acknowledgement
    server role    libmodbus's client reads a slot (function 3) of Inspector's server

The plain socket sends and answers the very same bytes, and does nothing else. Both sides of a comparison take turns, a few hundred
calls at a time, so that a machine that is busy for a while is busy for both.
"""

import argparse
import socket
import struct
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import cycle
from pathlib import Path
from typing import Any, cast

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from inspector.clock import SystemClock
from inspector.config.schema import PlcConfig
from inspector.part import PART_ID_MAX, Outcome, Reason, Verdict
from inspector.plc.base import Desk
from inspector.plc.client import PlcConnection
from inspector.plc.link import PlcLink
from inspector.plc.registers import Flag, RegisterMap, State, Status, encode_result
from inspector.plc.server_link import ServedLink
from tools.bench import peers
from tools.bench.machine import Machine, Quantiles, add_json, finish

TURN = 250  # calls of one side before it is the other's turn
FAR_MS = 3_600_000.0
TITLE = "One verdict over Modbus TCP, against libmodbus (at most 3 times a plain socket)"
COLUMNS = {
    "role": "role",
    "what": "by",
    "p50_us": "p50 us",
    "p99_us": "p99 us",
    "p999_us": "p99.9 us",
    "times_plain": "x plain socket",
}
MOST_TIMES_PLAIN = 3.0  # what is asked of the p50
clock = SystemClock()


class QuietDesk:
    """A desk with nothing to decide: verdicts come from `file`, all else is let go by (plc.base.Desk says what it is)."""

    def __init__(self) -> None:
        self.link_up = threading.Event()
        self.done = threading.Event()
        self._verdicts: list[Verdict] = []

    def on_link_up(self) -> None:
        """Let the measuring begin."""
        self.link_up.set()

    def take_verdicts(self) -> list[Verdict]:
        """Return what was filed."""
        taken, self._verdicts = self._verdicts, []
        return taken

    def on_written(self, *_: object) -> None:
        """Tell who waits."""
        self.done.set()

    def flags(self) -> Flag:
        """Return none."""
        return Flag(0)

    def status(self, heartbeat: int) -> Status:
        """Return a status of a station that is ready."""
        return Status(heartbeat, State.ONLINE | State.READY, 0, 1, 0, 0, 0, 0)

    def __getattr__(self, name: str) -> Callable[..., None]:
        """Let every other report and question go by."""
        return lambda *_, **__: None

    def file(self, verdict: Verdict) -> None:
        """Let a verdict become final."""
        self.done.clear()
        self._verdicts = [verdict]


def quiet_desk() -> tuple[QuietDesk, Desk]:
    """Return a desk, and the same for the PLC thread."""
    desk = QuietDesk()
    return desk, cast("Desk", desk)


def a_verdict(part_id: int = 21) -> Verdict:
    """Return a PASS whose deadline is far."""
    now_ns = clock.now_ns()
    return Verdict(part_id, Outcome.PASS, Reason.NONE, now_ns, now_ns + round(FAR_MS * 1e6), now_ns)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print the table, return 1 where a p50 is more than three times the plain socket's."""
    parser = argparse.ArgumentParser(
        prog="tools/bench/modbus", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--calls", type=int, default=5000, help="of each kind (default: %(default)s)")
    add_json(parser)
    arguments = parser.parse_args(argv)
    with Machine() as machine:
        try:
            rows = [*_client_role(arguments.calls), *_server_role(arguments.calls)]
        except peers.MissingPeer as missing:
            print(f"bench: {missing}", file=sys.stderr)
            return 2
    finish(arguments.json, TITLE, rows, machine, COLUMNS, calls=arguments.calls)
    return int(any(row["times_plain"] > MOST_TIMES_PLAIN for row in rows if row["bound"]))


# -- client role --------------------------------------------------------------------------------


def _client_role(calls: int) -> list[dict[str, Any]]:
    with ExitStack() as held:
        server = held.enter_context(peers.libmodbus("server", 1, 400))
        port = int(server.first.split()[1])
        plain = socket.create_connection(("127.0.0.1", port))
        held.callback(plain.close)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection = PlcConnection("127.0.0.1", port, unit_id=1, timeout_ms=1000, register_map=RegisterMap())
        held.callback(connection.close)
        words = encode_result(a_verdict(), Flag(0))
        request = struct.pack(">HHHBBHHB8H", 1, 0, 23, 1, 16, 40, 8, 16, *words)
        link, desk = held.enter_context(_linked(port))

        def by_plain_socket() -> None:
            plain.sendall(request)
            plain.recv(260)

        def by_our_client() -> None:
            connection.write_slot(21, words)

        parts = cycle(
            range(22, PART_ID_MAX)
        )  # a part's verdict that stands there already would be another writer's

        def by_the_thread() -> None:
            desk.file(a_verdict(next(parts)))
            link.wake()
            desk.done.wait()

        times = _take_turns({"plain": by_plain_socket, "ours": by_our_client, "thread": by_the_thread}, calls)
    return [
        _row("client", "plain socket", times["plain"], times["plain"]),
        _row("client", "Inspector's connection", times["ours"], times["plain"], bound=True),
        _row("client", "and its PLC thread woken from another", times["thread"], times["plain"]),
    ]


@contextmanager
def _linked(port: int) -> Iterator[tuple[PlcLink, QuietDesk]]:
    config = PlcConfig(port=port, poll_ms=FAR_MS, status_ms=FAR_MS, heartbeat_timeout_ms=FAR_MS)
    desk, for_link = quiet_desk()
    link = PlcLink(config, 1000, for_link, clock)
    link.start()
    try:
        desk.link_up.wait()
        yield link, desk
    finally:
        link.stop()


def _take_turns(kinds: dict[str, Callable[[], None]], calls: int) -> dict[str, list[int]]:
    times: dict[str, list[int]] = {name: [] for name in kinds}
    for _ in range(max(1, calls // TURN)):
        for name, call in kinds.items():
            for _ in range(TURN):
                t_start_ns = clock.now_ns()
                call()
                times[name].append(clock.now_ns() - t_start_ns)
    return times


# -- server role --------------------------------------------------------------------------------


def _server_role(calls: int) -> list[dict[str, Any]]:
    with ExitStack() as held:
        desk, for_link = quiet_desk()
        config = PlcConfig(role="server", status_ms=FAR_MS).model_copy(update={"port": 0})
        link = ServedLink(config, 1000, for_link, clock)
        link.start()
        held.callback(link.stop)
        while not link.port:
            pass
        plain_port = held.enter_context(_plain_server())
        clients = {
            name: held.enter_context(peers.libmodbus("client", "127.0.0.1", port, 1))
            for name, port in (("plain", plain_port), ("ours", link.port))
        }
        clients["ours"].ask("fc16", 300, 1, 0, 0, 0, 21, 1)
        desk.file(a_verdict())
        link.wake()
        desk.done.wait()
        times: dict[str, list[int]] = {name: [] for name in clients}
        for _ in range(max(1, calls // TURN)):
            for name, client in clients.items():
                times[name] += client.ask("time3", TURN, 40, 8)
    return [
        _row("server", "plain socket", times["plain"], times["plain"]),
        _row("server", "Inspector's PLC thread", times["ours"], times["plain"], bound=True),
    ]


@contextmanager
def _plain_server() -> Iterator[int]:
    """Answer each packet with eight words, without a look at what it asks."""

    def serve() -> None:
        peer, _ = listener.accept()
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with peer:
            while asked := peer.recv(260):
                peer.sendall(asked[:4] + answer)

    answer = struct.pack(">HBBB8H", 19, 1, 3, 16, *encode_result(a_verdict(), Flag(0)))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
    thread.join()


# -- figures ------------------------------------------------------------------------------------


def _row(
    role: str, what: str, times_ns: Sequence[int], plain_ns: Sequence[int], *, bound: bool = False
) -> dict[str, Any]:
    ours, plain = (Quantiles.of([t_ns / 1000 for t_ns in times]) for times in (times_ns, plain_ns))
    return {
        "role": role,
        "what": what,
        **ours.fields("us"),
        "times_plain": round(ours.p50 / plain.p50, 2),
        "bound": bound,
    }


if __name__ == "__main__":
    sys.exit(main())
