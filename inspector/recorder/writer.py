"""From the pipe's bytes to the log: numbers that are missing become one `dropped` entry (I8)."""

import json
from collections.abc import Callable
from typing import Final

from inspector.clock import Clock
from inspector.recorder import line, people
from inspector.recorder.files import LogFiles

DROPPED: Final = "dropped"


class Writer:
    """Writes entries in their order. Whatever cost an entry (a full pipe, a full disk, a crash), the next one tells."""

    def __init__(self, files: LogFiles, clock: Clock, say: Callable[[str], None]) -> None:
        self._files, self._clock, self._say = files, clock, say
        self._rest = b""  # an entry whose end has not been read yet
        self._next_seq = _following(files.last_whole_line())
        self._disk_fails = False
        self._last_event = ""  # of the station, in this process' time

    def feed(self, data: bytes) -> None:
        """Write the entries that `data` completes. A disk that takes none costs their lines, never their count."""
        *complete, self._rest = (self._rest + data).split(b"\n")
        entries = [entry for entry in map(line.decode, complete) if entry is not None]
        if not entries:
            return
        now_ns, next_seq, lines, gaps = self._clock.now_ns(), self._next_seq, [], 0
        for seq, event, t_ns, fields in entries:
            if seq > next_seq:
                gap = {"level": "WARNING", "count": seq - next_seq}
                lines.append(line.written(next_seq, DROPPED, t_ns, now_ns, gap))
                gaps += seq - next_seq
            lines.append(line.written(seq, event, t_ns, now_ns, fields))
            next_seq = seq + 1
            self._last_event = event
            self._show(event, fields)
        if self._append(b"".join(lines)):
            self._next_seq = next_seq
            if gaps:
                self._show(DROPPED, {"level": "WARNING", "count": gaps})

    def sync(self) -> None:
        """Have the disk keep what was written, against a loss of power."""
        self._attempt(self._files.sync)

    def end(self) -> None:
        """Close the log after the pipe's end; without a goodbye the station died, which is an entry of its own."""
        if self._last_event != line.GOODBYE:
            last = (
                f"the last event was {self._last_event}"
                if self._last_event
                else "no event came since the recorder began"
            )
            why = f"the station ended without saying so (killed, crashed, or a second signal to stop); {last}"
            now_ns, fields = self._clock.now_ns(), {"level": "ERROR", "why": why}
            self._show("station_died", fields)
            self._append(line.written(self._next_seq, "station_died", now_ns, now_ns, fields))
        self._attempt(self._files.close)

    @property
    def next_seq(self) -> int:
        """The number that the next entry should have."""
        return self._next_seq

    def _show(self, event: str, fields: line.Fields) -> None:
        text = people.shown(event, fields)
        if text is not None:
            self._say(text)

    def _append(self, lines: bytes) -> bool:
        return self._attempt(lambda: self._files.append(lines))

    def _attempt(self, action: Callable[[], None]) -> bool:
        """Do something with the disk; say once that it fails, and once that it works again."""
        try:
            action()
        except OSError as error:
            if not self._disk_fails:
                fields = {"level": "ERROR", "error": error.strerror, "file": error.filename or "the log"}
                self._say(line.for_people("recorder_disk_fails", fields))
            self._disk_fails = True
            return False
        if self._disk_fails:
            self._say(line.for_people("recorder_disk_works", {"level": "WARNING"}))
        self._disk_fails = False
        return True


def _following(last: bytes) -> int:
    """Return the number after the log's last line; 0 for an empty log, or one that somebody else wrote into."""
    try:
        entry = json.loads(last)
        return int(entry["seq"]) + int(entry["count"] if entry["event"] == DROPPED else 1)
    except (ValueError, KeyError, TypeError):
        return 0
