"""Faults on demand: a list of what happens at which part.

A YAML (or JSON) list of {at_part: N, do: "..."}; N counts the parts of the run from 1. What can be done:

    camera TEXT          TEXT goes to the camera's socket as it is, e.g. "camera lose 1"
    plc down MS          the PLC loses power for MS milliseconds, its memory is retained
    plc restart MS       the same, and its memory is zero afterwards, the part count too
    plc restart MS keep  the same, but the part count is retained
    plc bin full         its input says that the bin of rejected parts is full
    plc unconfirmed      it counts a rejected part that no sensor saw fall into the bin
    recipe N             on an empty line the PLC asks for recipe N, and waits until the station confirms or refuses it
    recipe N now         it asks, and lets the parts come all the same
    line pause MS        no part for MS milliseconds: the line runs empty
    challenge TRUTH ...  when the line is empty, a challenge begins; its parts really are as said: "challenge bad good bad"
    say TEXT             nothing: it is only told to who watches the run (--live), for faults that others make
"""

import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tools.entries import read_entries
from tools.linesim.conveyor import InputError


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong just before part `at_part` reaches the sensor."""

    at_part: int
    target: str  # camera, plc, recipe, line, challenge, say
    words: tuple[str, ...]  # what follows the target

    @property
    def text(self) -> str:
        """The fault as it was written."""
        return " ".join((self.target, *self.words))

    @property
    def ms(self) -> float:
        """How long a plc or line fault lasts."""
        return float(self.words[1])


def parse_faults(entries: object, source: str) -> list[Fault]:
    """Return the faults of a list read from `source`. Raises InputError that names the entry that is wrong."""
    if not isinstance(entries, list):
        raise InputError(
            f"{source}: expected a list of {{at_part: N, do: ...}}, got {type(entries).__name__}"
        )
    return [_parse(entry, f"{source}: entry {number}") for number, entry in enumerate(entries, 1)]


def read_faults(path: Path) -> list[Fault]:
    """Return the faults that the file `path` lists."""
    return parse_faults(read_entries(path, "list of faults", InputError), str(path))


def _parse(entry: object, where: str) -> Fault:
    if not isinstance(entry, dict) or set(entry) != {"at_part", "do"}:
        raise InputError(f"{where}: expected the keys at_part and do, got: {entry}")
    at_part, do = entry["at_part"], entry["do"]
    if not isinstance(at_part, int) or at_part < 1:
        raise InputError(f"{where}: expected at_part to be a whole number from 1, got: {at_part}")
    words = str(do).split()
    fault = Fault(at_part, words[0] if words else "", tuple(words[1:]))
    if not _is_known(fault):
        raise InputError(
            f"{where}: expected camera TEXT, plc down MS, plc restart MS [keep], plc bin full, plc unconfirmed, recipe N [now], "
            f"line pause MS, challenge TRUTH... or say TEXT, got: {do}"
        )
    return fault


def _is_known(fault: Fault) -> bool:
    match fault.target, fault.words:
        case "camera" | "say", (_, *_):
            return True
        case ("plc", ("down", ms)) | ("plc", ("restart", ms)) | ("plc", ("restart", ms, "keep")):
            return _is_ms(ms)
        case "plc", ("bin", "full") | ("unconfirmed",):
            return True
        case "challenge", (_, *_) as truths:
            return set(truths) <= {"good", "bad"}
        case ("recipe", (number,)) | ("recipe", (number, "now")):
            return number.isdecimal() and int(number) <= 65535
        case "line", ("pause", ms):
            return _is_ms(ms)
        case _:
            return False


def _is_ms(text: str) -> bool:
    return text.replace(".", "", 1).isdigit() and 0 < float(text) <= 3_600_000


class CameraSocket:
    """The camera's local datagram socket: pulses and faults go there; what it refuses comes back."""

    def __init__(self, path: Path | None) -> None:
        self.failures = (
            0  # pulses that found no camera: for the station to notice, here they are only counted
        )
        self._path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind("")  # Linux gives it a name of its own, so that the camera can answer
        self._socket.setblocking(False)

    def check(self) -> None:
        """Raise InputError unless something listens at the path."""
        if self._path is None:
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as probe:
            try:
                probe.connect(str(self._path))
            except OSError as error:
                raise InputError(
                    f"{self._path}: expected the camera's trigger socket, got: {error.strerror}; is the camera open?"
                ) from error

    def send(self, text: str) -> None:
        """Send without waiting."""
        if self._path is None:
            return
        try:
            self._socket.sendto(os.fsencode(text), str(self._path))  # a file's name may be no UTF-8
        except OSError:
            self.failures += 1

    def refusal(self) -> str | None:
        """Return the first refusal among the answers that have come, None where there is none. Does not wait."""
        while True:
            try:
                answer = self._socket.recv(4096).decode(errors="replace")
            except BlockingIOError:
                return None
            if answer.startswith("error"):
                return answer

    def close(self) -> None:
        """Close our end."""
        self._socket.close()


def by_part(faults: Sequence[Fault]) -> dict[int, list[Fault]]:
    """Return the faults by the part they come before, in their order."""
    table: dict[int, list[Fault]] = {}
    for fault in faults:
        table.setdefault(fault.at_part, []).append(fault)
    return table
