"""The camera process: `python -m inspector.camera CONTROL_FD [DOORBELL_FD]`, started by the station, never by hand.

It is expected to be killed at any moment: what it owns is gone with it, and the station starts another one. It ends by itself
when the station does, even where the binding hangs (the kernel kills it with its parent).
"""

import ctypes
import dataclasses
import faulthandler
import gc
import logging
import os
import select
import signal
import sys
import traceback
from types import FrameType
from typing import NoReturn

from inspector.camera.acquisition import Acquisition
from inspector.camera.base import CameraSettings, list_backend_devices, make_camera
from inspector.camera.link import Link, Message
from inspector.clock import NS_PER_MS, SystemClock
from inspector.errors import CameraError, InspectorError
from inspector.ring import RingWriter

_log = logging.getLogger(__name__)

ALIVE_MS = 100
EXIT_REFUSED = 3  # told the station why
_PR_SET_PDEATHSIG = 1
_MCL_CURRENT, _MCL_FUTURE = 1, 2  # <sys/mman.h>
libc = ctypes.CDLL(None, use_errno=True)


class _LinkHandler(logging.Handler):
    """Log lines go to the station, which has the log file."""

    def __init__(self, link: Link) -> None:
        super().__init__(logging.INFO)
        self._link = link

    def emit(self, record: logging.LogRecord) -> None:
        """Send the line; dropped and counted where the station does not read."""
        fields = dict(getattr(record, "fields", {}))
        if record.exc_info and record.exc_info[1]:
            fields["error"] = " ".join(str(record.exc_info[1]).split())
        self._link.send(
            "log",
            level=record.levelname.lower(),
            logger=record.name,
            event=record.getMessage(),
            fields=fields,
        )


class _Station:
    """What the loop asks between frames: go on, and trigger? It also says to the station that we live."""

    def __init__(self, link: Link, clock: SystemClock) -> None:
        self._link = link
        self._clock = clock
        self._t_alive_ns = 0
        self._stopping = False
        self._triggers = 0  # asked for and not made yet
        self._poll = select.poll()
        self._poll.register(link.fileno(), select.POLLIN)
        self.change: Message | None = None  # asked for and not made yet
        self.acquisition: Acquisition
        signal.signal(signal.SIGTERM, self._on_signal)

    def _on_signal(self, _signum: int, _frame: FrameType | None) -> None:
        self._stopping = True

    def keep_on(self) -> bool:
        """Take what the station said, and send `alive` at most every ALIVE_MS; between frames this costs microseconds."""
        now_ns = self._clock.now_ns()
        if now_ns - self._t_alive_ns >= ALIVE_MS * NS_PER_MS:
            self._t_alive_ns = now_ns
            self._link.send(
                "alive",
                dropped_logs=self._link.dropped,
                counters=dataclasses.asdict(self.acquisition.counters),
            )
        self._hear()
        return not self._stopping and self.change is None

    def wait_for_trigger(self, timeout_ms: int) -> bool:
        """Wait at most so long for the station to say something; return whether it wants the camera triggered."""
        if not self._triggers and self._poll.poll(timeout_ms):
            self._hear()
        wanted = self._triggers > 0
        self._triggers -= wanted
        return wanted

    def _hear(self) -> None:
        """Take what the station said, up to a change of features: the rest is for the camera as it will be."""
        while self.change is None and not self._stopping:
            try:
                message = self._link.receive()
            except EOFError:  # the station is gone
                self._stopping = True
                return
            match message.kind if message is not None else None:
                case None:
                    return
                case "stop":
                    self._stopping = True
                case "trigger":
                    self._triggers += 1
                case "change":
                    self.change = message


def _serve(link: Link, doorbell_fd: int) -> None:
    """Do what the station's first message asks: run a camera, or list devices."""
    message = link.receive(wait=True)
    if message is None:
        return
    if message.kind == "list":
        devices = list_backend_devices(message.fields["backend"], message.fields["producer"])
        link.send("devices", devices=[dataclasses.asdict(device) for device in devices])
        return
    _run(link, doorbell_fd, CameraSettings(**message.fields["settings"]), message.fields["generation"])


def _run(link: Link, doorbell_fd: int, settings: CameraSettings, generation: int) -> None:
    clock = SystemClock()
    camera = make_camera(settings)
    _prefer(settings.fifo_priority)
    if settings.lock_memory:
        _lock_memory()
    info = camera.open()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # harvesters has taken the handler in `open`
    gc.collect()
    gc.freeze()
    gc.disable()  # a collection is a pause of milliseconds; the loop makes no cycles
    station = _Station(link, clock)
    trigger = station.wait_for_trigger if settings.software_trigger else None
    started = False
    while True:
        ring = RingWriter.create(
            info.width, info.height, info.pixel_format, slots=settings.ring_slots, generation=generation
        )
        if not started:
            camera.start()
            started = True
        station.acquisition = Acquisition(
            camera,
            info,
            ring,
            doorbell_fd=doorbell_fd,
            silence_ms=settings.silence_ms,
            clock=clock,
            rehearse=settings.stay_awake,
        )
        link.send("opened", fds=(ring.fd,), generation=generation, info=dataclasses.asdict(info))
        station.acquisition.run(station.keep_on, trigger)
        os.close(ring.fd)  # the station keeps its own
        if station.change is None:
            break
        change, station.change = station.change, None
        info, generation = camera.change(change.fields["features"]), change.fields["generation"]
    camera.close()


def _prefer(fifo_priority: int) -> None:
    """Let this process run before ordinary ones, with the threads that the producer starts when the camera is opened.

    With those at ordinary priority the 99th percentile from trigger to ring was five times as long.
    """
    if fifo_priority:
        try:
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(fifo_priority))
        except PermissionError as e:
            _log.warning(
                "camera_priority_refused", extra={"fields": {"fifo_priority": fifo_priority, "error": str(e)}}
            )


def _lock_memory() -> None:
    """Keep this process, and the ring that it fills, out of swap: the station's own way is in a room that this one does not know."""
    if libc.mlockall(_MCL_CURRENT | _MCL_FUTURE):
        error = os.strerror(ctypes.get_errno())
        _log.warning("camera_memory_not_locked", extra={"fields": {"error": error}})


def main(arguments: list[str]) -> NoReturn:
    """Serve the station and end. Never returns: interpreter shutdown would run the producer's destructors, which may crash."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the station's
    faulthandler.enable()  # the last words of a crashing producer; the station reads them
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    link = Link.from_fd(int(arguments[0]))
    doorbell_fd = int(arguments[1]) if len(arguments) > 1 else -1
    logging.basicConfig(level=logging.INFO, handlers=[_LinkHandler(link)])
    logging.getLogger("harvesters").setLevel(logging.WARNING)
    status = 0
    try:
        _serve(link, doorbell_fd)
    except InspectorError as e:
        link.send("error", code=e.code, message=str(e))
        status = EXIT_REFUSED
    except EOFError:
        pass  # the station ended before it asked for anything
    except Exception as e:  # noqa: BLE001 - the last resort of a process: told to the station, which starts another
        traceback.print_exc()  # the station reads it line by line
        link.send(
            "error", code=CameraError.code, message=f"the camera process failed: {type(e).__name__}: {e}"
        )
        status = EXIT_REFUSED
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    main(sys.argv[1:])
