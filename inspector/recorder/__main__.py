"""`python -m inspector.recorder`: the recorder process, started by the station with the reading end of a pipe.

It ends when the pipe does: after `Recorder.stop`, or when the station died.
"""

import argparse
import contextlib
import os
import select
import signal
import sys
from pathlib import Path
from typing import Final

from inspector.clock import NS_PER_S, SystemClock, sleep_ms
from inspector.errors import ServiceError
from inspector.recorder.files import LogFiles
from inspector.recorder.writer import Writer

BATCH_MS: Final = (
    20.0  # entries are collected for so long: fifty wake-ups a second beside the engine, not thousands
)
SYNC_NS: Final = NS_PER_S
READ_BYTES: Final = 1 << 16


def main() -> int:
    """Write what comes through the pipe until it ends; return the exit status."""
    args = _arguments()
    _step_back()
    files = LogFiles(args.folder, args.stem, args.station, file_bytes=args.file_bytes, files=args.files)
    try:
        writer = Writer(files, SystemClock(), _say)
    except (OSError, ServiceError) as error:
        _say(f"<3>ERROR recorder_cannot_continue {error}")
        return 1
    _follow(args.fd, writer)
    return 0


def _follow(fd: int, writer: Writer) -> None:
    """Hand the pipe's bytes to the writer, in batches, and have the disk keep them once a second."""
    clock = SystemClock()
    ready = select.poll()
    ready.register(fd, select.POLLIN)
    unsynced, t_synced_ns = False, clock.now_ns()
    while True:
        waiting = ready.poll(1000 if unsynced else None)
        if waiting:
            data = os.read(fd, READ_BYTES)
            if not data:
                break
            writer.feed(data)
            unsynced = True
        if unsynced and clock.now_ns() - t_synced_ns >= SYNC_NS:
            writer.sync()
            unsynced, t_synced_ns = False, clock.now_ns()
        if waiting and len(data) < READ_BYTES:
            sleep_ms(BATCH_MS)
    writer.end()


def _step_back() -> None:
    """Be the least important process: no real-time priority inherited, nice, and deaf to the station's signals."""
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(
            signum, signal.SIG_IGN
        )  # a service manager signals all processes; the last words come after it
    os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    os.nice(10)


def _say(text: str) -> None:
    """Write a line for people to stderr; its severity `<4>` is for the journal alone."""
    if "JOURNAL_STREAM" not in os.environ:
        text = text.partition(">")[2]
    with contextlib.suppress(OSError):  # nobody reads stderr any more: the log file still has it
        os.write(sys.stderr.fileno(), f"{text}\n".encode("utf-8", "replace"))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m inspector.recorder", description=__doc__)
    parser.add_argument("--fd", type=int, required=True, help="reading end of the pipe, inherited")
    parser.add_argument("--folder", type=Path, required=True, help="where the log files go")
    parser.add_argument("--stem", required=True, help="start of the files' names: station and start")
    parser.add_argument("--station", required=True, help="name of the station, whose old files are removed")
    parser.add_argument("--file-bytes", type=int, required=True, help="a file is closed at this size")
    parser.add_argument("--files", type=int, required=True, help="so many full files are kept")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
