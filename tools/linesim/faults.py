"""Faults on demand: a list of what happens at which part. `LIST` says what can be done."""

import math
import os
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

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
    def is_outage(self) -> bool:
        """Whether the PLC loses power."""
        return self.target == "plc" and self.words[0] in ("down", "restart")

    @property
    def ms(self) -> float:
        """How long a plc or line fault lasts."""
        return float(self.words[1])


LIST = """\
A YAML (or JSON) list of {at_part: N, do: "..."}; N counts the parts of the run from 1. What can be done:

    camera TEXT          TEXT goes to the simulated camera: lose|incomplete|twice|swap [N], late MS [N], silent on|off,
                         device lost|back, width N, pulse [image=NAME], image NAME
    plc down MS          the PLC loses power for MS milliseconds, its memory is retained
    plc restart MS       the same, and its memory is zero afterwards, the part count too
    plc restart MS keep  the same, but the part count is retained
    plc bin full         its input says that the bin of rejected parts is full
    plc unconfirmed      it counts a rejected part that no sensor saw fall into the bin
    recipe N             on an empty line the PLC asks for recipe N, and waits until the station confirms or refuses it
    recipe N now         it asks, and lets the parts come all the same
    line pause MS        no part for MS milliseconds: the line runs empty
    challenge TRUTH ...  when the line is empty, a challenge begins; its parts really are as said: "challenge bad good bad"
    say TEXT             nothing: it is only told to who watches the run (--live), for faults that others make"""
EXPECTED = (
    "camera TEXT, plc down MS, plc restart MS [keep], plc bin full, plc unconfirmed, recipe N [now], line pause MS, "
    "challenge TRUTH... or say TEXT"
)
CAMERA = (
    "camera lose|incomplete|twice|swap [N], camera late MS [N], camera silent on|off, camera device lost|back, camera width N, "
    "camera pulse [image=NAME], camera image NAME or camera status"
)


def as_written(do: str) -> str:
    """Return what linesim is to do for the words of an entry: just them."""
    return do


def parse_faults(
    entries: object, source: str, parts: int | None = None, translated: Callable[[str], str] = as_written
) -> list[Fault]:
    """Return the faults of a list read from `source`, for a run of `parts`. Raises InputError that names all wrong entries, in one line.

    `translated` returns linesim's words for what an entry says, and raises InputError where they are wrong.
    """
    if not isinstance(entries, list):
        raise InputError(
            f"{source}: expected a list of {{at_part: N, do: ...}}, got {type(entries).__name__}"
        )
    faults, wrong = [], []
    for number, entry in enumerate(entries, 1):
        try:
            faults.append(_parse(entry, parts, translated))
        except InputError as error:
            wrong.append(f"entry {number}: {error}")
    if wrong:
        raise InputError(f"{source}: {'; '.join(wrong)}")
    return faults


def read_faults(path: Path, parts: int | None = None) -> list[Fault]:
    """Return the faults that the file `path` lists, for a run of `parts`."""
    return parse_faults(read_entries(path, "list of faults", InputError), str(path), parts)


def _parse(entry: object, parts: int | None, translated: Callable[[str], str]) -> Fault:
    if not isinstance(entry, dict) or set(entry) != {"at_part", "do"}:
        written = yaml.safe_dump(entry, default_flow_style=True, width=math.inf, sort_keys=False)
        raise InputError(f"expected the keys at_part and do, got: {written.splitlines()[0]}")
    at_part, do = entry["at_part"], str(entry["do"])
    if not isinstance(at_part, int) or isinstance(at_part, bool) or at_part < 1:
        raise InputError(f"expected at_part to be a whole number from 1, got: {at_part}")
    if parts is not None and at_part > parts:
        raise InputError(f"at_part {at_part}, but only {parts} parts pass")
    words = translated(do).split()
    fault = Fault(at_part, words[0] if words else "", tuple(words[1:]))
    if not _is_known(fault):
        expected = CAMERA if fault.target == "camera" and fault.words else EXPECTED
        raise InputError(f"expected {expected}, got: {do}")
    return fault


def _is_known(fault: Fault) -> bool:
    match fault.target, fault.words:
        case "say", (_, *_):
            return True
        case "camera", (_, *_) as words:
            return _camera_takes(words)
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


def _camera_takes(words: Sequence[str]) -> bool:
    """Return whether the camera knows such a line (tools/simcam/README.md): it would refuse it only when the part is there."""
    match words:
        case (("lose" | "incomplete" | "twice" | "swap" | "pulse" | "status"),):
            return True
        case (("lose" | "incomplete" | "twice" | "swap"), number):
            return _is_count(number)
        case ("late", ms, *number) if len(number) <= 1:
            return _is_count(ms) and int(ms) > 0 and all(map(_is_count, number))
        case ("width", number):
            return _is_count(number) and int(number) > 0
        case ("silent", "on" | "off") | ("device", "lost" | "back") | ("image", _, *_):
            return True
        case ("pulse", image, *_):
            return image.startswith("image=")
        case _:
            return False


def _is_count(text: str) -> bool:
    return text.isascii() and text.isdecimal() and int(text) < 1 << 32


def _is_ms(text: str) -> bool:
    return text.replace(".", "", 1).isdigit() and 0 < float(text) <= 3_600_000


class CameraSocket:
    """The camera's local datagram socket: pulses and faults go there; what it refuses comes back."""

    def __init__(self, path: Path | None) -> None:
        self.failures = (
            0  # pulses that found no camera: for the station to notice, here they are only counted
        )
        self._path = path
        self._address = str(path)
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
            self._socket.sendto(os.fsencode(text), self._address)  # a file's name may be no UTF-8
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
