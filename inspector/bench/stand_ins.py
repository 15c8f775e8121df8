"""Stand-ins for what a measurement must not touch, each a process of its own as on the line: the camera process and the PLC.

    python -m inspector.bench.stand_ins camera RING DOORBELL FRAME PRIORITY    (descriptors, and the priority of SCHED_FIFO)
    python -m inspector.bench.stand_ins plc                                    (says its port; answers on this machine alone)

The camera does what the acquisition thread does once a frame came: stamp, copy into the ring, ring the doorbell. The exposure and the
way through the cable are not in it.
"""

import os
import sys
import threading
from collections.abc import Sequence

import numpy as np

from inspector.clock import SystemClock, sleep_ms
from inspector.plc.modbus import ExceptionCode, Refusal, answer
from inspector.plc.server import Listening, ModbusServer, Peer
from inspector.ring import RingWriter
from inspector.service.realtime import stop_garbage_collection, use_fifo

PAUSE_MS = 1.0  # before each frame: whoever waits for it has gone to sleep
_WAIT_MS = 1000.0
_WORDS = 65536


def main() -> int:
    """Be one of the two until stdin ends."""
    stop_garbage_collection()
    return _camera(*map(int, sys.argv[2:])) if sys.argv[1] == "camera" else _plc()


def _camera(ring_fd: int, doorbell_fd: int, frame_fd: int, priority: int) -> int:
    ring, clock = RingWriter(ring_fd), SystemClock()
    frame = np.frombuffer(os.pread(frame_fd, os.fstat(frame_fd).st_size, 0), np.uint8)
    if priority:
        use_fifo(priority)
    _say("ready")
    number = 0
    while os.read(sys.stdin.fileno(), 1):  # a byte for each frame
        sleep_ms(PAUSE_MS)
        number += 1
        ring.put(number, clock.now_ns(), frame)
        os.eventfd_write(doorbell_fd, 1)
    return 0


def _plc() -> int:
    wake_fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
    listening = Listening("127.0.0.1", 0, 1, ["127.0.0.1"], connections=2, idle_ms=600_000, frame_ms=1000)
    server = ModbusServer(listening, _Registers(), SystemClock(), wake_fd)
    server.open()
    _say(str(server.port))
    over = threading.Event()

    def watch() -> None:
        sys.stdin.buffer.read()
        over.set()
        os.eventfd_write(wake_fd, 1)

    watcher = threading.Thread(target=watch, name="stdin")
    watcher.start()
    while not over.is_set():
        server.serve(_WAIT_MS)
    server.close()
    watcher.join()
    return 0


class _Registers:
    """Holding registers that anybody may read and write (plc.modbus.Memory, plc.server.Handler)."""

    def __init__(self) -> None:
        self._words = [0] * _WORDS

    def on_request(self, peer: Peer, pdu: bytes, t_received_ns: int) -> bytes:  # noqa: ARG002 - of the protocol
        return answer(pdu, self)

    def on_closed(self, peer: Peer, why: str) -> None:
        """Nobody else waits."""

    def read_words(self, address: int, count: int) -> Sequence[int]:
        return self._words[address : address + count]

    def write_words(self, address: int, words: Sequence[int]) -> None:
        self._words[address : address + len(words)] = words

    def read_coils(self, address: int, count: int) -> Sequence[bool]:  # noqa: ARG002 - of the protocol
        raise Refusal(ExceptionCode.ILLEGAL_DATA_ADDRESS)

    read_inputs = read_coils

    def write_coils(self, address: int, bits: Sequence[bool]) -> None:  # noqa: ARG002 - of the protocol
        raise Refusal(ExceptionCode.ILLEGAL_DATA_ADDRESS)


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
