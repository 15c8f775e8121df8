"""The server's sockets: peers that send no Modbus, too little, too much, or that do not listen. Nobody else suffers."""

import os
import random
import socket
import struct

import pytest

from inspector.clock import SystemClock
from inspector.plc.server import Listening, ModbusServer, Peer
from tests.unit.plc.link_rig import FakeDesk
from tests.unit.plc.scripted import PATIENCE_S
from tests.unit.plc.served_rig import BareClient, serving

READ = struct.pack(">BHH", 3, 0, 8)


@pytest.mark.parametrize(
    "sent",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        struct.pack(">HHHB", 1, 1, 6, 1) + READ,  # another protocol
        struct.pack(">HHHB", 1, 0, 1, 1),  # no request at all
        struct.pack(">HHHB", 1, 0, 0, 1) + READ,
        struct.pack(">HHHB", 1, 0, 255, 1) + bytes(254),  # longer than any request
        bytes(300),
    ],
)
def test_who_sends_no_modbus_is_dropped(desk: FakeDesk, sent: bytes) -> None:
    with serving(desk) as link, BareClient(link.port) as plc, BareClient(link.port) as other:
        other.socket.sendall(sent)
        assert other.is_dropped()
        assert plc.slot(1) == [0] * 8


def test_half_a_request_is_waited_for_only_so_long(desk: FakeDesk) -> None:
    with serving(desk, timeout_ms=40, status_ms=10.0) as link, BareClient(link.port) as other:
        other.socket.sendall(struct.pack(">HHHB", 1, 0, 6, 1) + READ[:3])
        assert other.is_dropped()


def test_a_request_in_drips_has_no_more_time_than_another(desk: FakeDesk) -> None:
    with serving(desk, timeout_ms=60, status_ms=10.0) as link, BareClient(link.port) as other:
        frame = struct.pack(">HHHB", 1, 0, 254, 1) + bytes(253)  # five seconds' worth of drips
        other.socket.settimeout(0.02)
        dropped, sent = False, 0
        while not dropped and sent < len(frame):
            other.socket.sendall(frame[sent : sent + 1])
            sent += 1
            try:
                dropped = other.socket.recv(1) == b""
            except TimeoutError:
                continue
            except ConnectionResetError:
                dropped = True
        assert dropped


def test_a_request_in_two_pieces_is_one(desk: FakeDesk) -> None:
    with serving(desk) as link, BareClient(link.port) as plc:
        frame = struct.pack(">HHHB", 1, 0, 6, 1) + READ
        plc.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        plc.socket.sendall(frame[:5])
        with BareClient(link.port) as other:
            assert other.slot(1) == [0] * 8  # by now the first piece was taken
        plc.socket.sendall(frame[5:])
        assert plc.answer()[:2] == bytes([3, 16])


def test_each_answer_bears_the_transaction_and_the_unit_of_its_request(desk: FakeDesk) -> None:
    with serving(desk) as link, BareClient(link.port) as plc:
        for transaction, unit in ((7, 1), (65_535, 0), (7, 255)):
            plc.socket.sendall(struct.pack(">HHHB", transaction, 0, 6, unit) + READ)
            assert struct.unpack(">HHHB", plc._exactly(7)) == (transaction, 0, 19, unit)
            plc._exactly(18)


def test_who_does_not_take_its_answers_is_dropped_and_the_others_are_served(desk: FakeDesk) -> None:
    with serving(desk) as link, BareClient(link.port) as plc, BareClient(link.port) as flood:
        flood.socket.setblocking(False)
        requests = (struct.pack(">HHHB", 1, 0, 6, 1) + struct.pack(">BHH", 3, 0, 120)) * 200
        dropped = False
        while not dropped:
            try:
                flood.socket.send(requests)
            except BlockingIOError:
                assert plc.slot(1) == [0] * 8
            except OSError:
                dropped = True
        assert plc.slot(1) == [0] * 8


def test_a_flood_of_requests_leaves_the_others_their_turn(desk: FakeDesk) -> None:
    with serving(desk) as link, BareClient(link.port) as plc, BareClient(link.port) as flood:
        flood.send(*[READ] * 2000)
        assert plc.slot(1) == [0] * 8
        for _ in range(2000):
            assert flood.answer()[:2] == bytes([3, 16])


def test_whatever_a_peer_sends_the_server_goes_on(desk: FakeDesk) -> None:
    dice = random.Random(1)
    with serving(desk, server={"connections": 3}) as link, BareClient(link.port) as plc:
        for _ in range(150):
            with BareClient(link.port) as other:
                frame = bytearray(struct.pack(">HHHB", 1, 0, 6, 1) + READ)
                for _ in range(dice.randint(0, 4)):
                    frame[dice.randrange(len(frame))] = dice.randrange(256)
                other.socket.sendall(bytes(frame) + dice.randbytes(dice.choice([0, 0, 3, 40, 400])))
            assert plc.slot(1) == [0] * 8
    assert desk.downs == []


def test_a_peer_that_resets_is_gone(desk: FakeDesk) -> None:
    with serving(desk) as link, BareClient(link.port) as plc:
        with BareClient(link.port) as other:
            other.write_field("plc_heartbeat", 1)
            other.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        desk.wait_for(lambda: bool(desk.downs))
        assert plc.slot(1) == [0] * 8
    assert "PLC 127.0.0.1: " in desk.downs[0]


def test_an_interface_is_named_or_addressed() -> None:
    from inspector.plc.server import address_of

    assert address_of("lo") == "127.0.0.1"
    assert address_of("::1") == "::1"
    with pytest.raises(OSError, match="No such device"):
        address_of("no-such-if")


def test_the_stranger_is_told_once(desk: FakeDesk, caplog: pytest.LogCaptureFixture) -> None:
    with serving(desk, server={"peers": ["127.0.0.2"]}) as link:
        for _ in range(3):
            with socket.create_connection(("127.0.0.1", link.port), PATIENCE_S) as stranger:
                assert stranger.recv(1) == b""
    assert [record.msg for record in caplog.records if record.levelname == "WARNING"] == ["peer_refused"]


class Hasty:
    """A handler whose client sends its second request while the first one is being answered."""

    def __init__(self) -> None:
        self.clock = SystemClock()
        self.client: socket.socket | None = None
        self.t_sent_ns = 0
        self.t_answered_ns: list[int] = []

    def send(self, transaction: int) -> None:
        assert self.client is not None
        self.t_sent_ns = self.clock.now_ns()
        self.client.sendall(struct.pack(">HHHB", transaction, 0, 6, 1) + READ)

    def on_request(self, peer: Peer, pdu: bytes, t_received_ns: int) -> bytes:
        self.t_answered_ns.append(peer.t_answered_ns)
        if len(self.t_answered_ns) == 1:
            self.send(2)
        return pdu

    def on_closed(self, peer: Peer, why: str) -> None:
        pass


def test_a_request_that_did_not_wait_for_its_answer_is_not_taken_for_one_begun_after_it() -> None:
    """The count in it may be as old as that: the part's deadline would be put too late."""
    hasty, wake_fd = Hasty(), os.eventfd(0, os.EFD_NONBLOCK)
    listening = Listening("127.0.0.1", 0, 1, ["127.0.0.1"], connections=2, idle_ms=5000, frame_ms=500)
    server = ModbusServer(listening, hasty, hasty.clock, wake_fd)
    server.open()
    try:
        with socket.create_connection(("127.0.0.1", server.port)) as hasty.client:
            hasty.send(1)
            while len(hasty.t_answered_ns) < 2:
                server.serve(100)
            assert hasty.t_answered_ns[1] <= hasty.t_sent_ns
    finally:
        server.close()
        os.close(wake_fd)
