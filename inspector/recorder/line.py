"""An entry on its way from the station to the recorder, and as it stands in the log file: one JSON object a line.

In the file each line holds `seq`, `t_ns` (monotonic), `utc` (a label), `event`, then the event's own fields. The line
`{"seq": n, "event": "dropped", "count": k, ...}` stands for the numbers n to n + k - 1; the next line has n + k.
"""

import contextlib
import json
import math
from typing import Any, Final

from inspector.clock import NS_PER_S, utc_label

Fields = dict[str, Any]

LONGEST: Final = (
    4096  # bytes of an entry on its way: Linux writes so many (PIPE_BUF) to a pipe whole or not at all
)
_LONGEST_EXCERPT: Final = 1500  # characters; quoting doubles them at most
GOODBYE: Final = "recorder_stopped"  # the station's last entry: without it, the station died
RESERVED: Final = frozenset({"seq", "t_ns", "utc", "event"})


def encode(event: str, t_ns: int, fields: Fields) -> str:
    """Return the entry without its number, to be completed by `numbered`. Called by the station: kept cheap.

    Values may be anything: what JSON has no word for (a path, a numpy number) becomes a plain value or its text.
    An entry that would be too long keeps the start of its fields as `excerpt` and names its full length.
    """
    body = _ENCODER.encode([event, t_ns, fields])
    if len(body) > LONGEST - 32:
        level = str(fields.get("level", "INFO"))[:20]
        excerpt = {"level": level, "length": len(body), "excerpt": body[:_LONGEST_EXCERPT]}
        body = _ENCODER.encode([event[:100], t_ns, excerpt])
    return body


def numbered(seq: int, body: str) -> bytes:
    """Return the entry as it goes into the pipe: one line, at most LONGEST bytes, ASCII."""
    return f"[{seq},{body}]\n".encode("ascii")


def decode(line: bytes) -> tuple[int, str, int, Fields] | None:
    """Return number, event, monotonic time and fields of a line of the pipe; None for a torn one."""
    try:
        seq, (event, t_ns, fields) = json.loads(line)
    except (ValueError, TypeError):
        return None
    if not (isinstance(seq, int) and isinstance(t_ns, int) and isinstance(fields, dict)):
        return None
    return seq, str(event), t_ns, fields


def written(seq: int, event: str, t_ns: int, now_ns: int, fields: Fields) -> bytes:
    """Return the line of the log file. `now_ns` is the present, so that the label tells the entry's time."""
    entry: Fields = {"seq": seq, "t_ns": t_ns, "utc": utc_label(now_ns - t_ns), "event": event}
    for name, value in fields.items():
        entry[f"{name}_" if name in RESERVED else name] = _finite(value)
    return json.dumps(entry, ensure_ascii=False, allow_nan=False).encode("utf-8", "backslashreplace") + b"\n"


def for_people(event: str, fields: Fields) -> str:
    """Return a warning or error as one line for the service manager's journal; `<4>` tells it the severity."""
    level = str(fields.get("level", "WARNING"))
    severity = {"WARNING": 4, "ERROR": 3, "CRITICAL": 2}.get(level, 5)
    shown = (f"{name}={value}" for name, value in fields.items() if name not in ("level", "traceback"))
    return f"<{severity}>{level} {event} {' '.join(shown)}".rstrip().replace("\n", " ")


def seconds(ns: int) -> float:
    """Return nanoseconds as seconds."""
    return ns / NS_PER_S


def _finite(value: object) -> object:
    """Return `value` with null for what is no finite number: JSON has no NaN, and a reader must not choke on one."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {name: _finite(v) for name, v in value.items()}
    if isinstance(value, list):
        return [_finite(v) for v in value]
    return value


def _plain(value: object) -> object:
    item = getattr(value, "item", None)  # numpy's scalars
    if callable(item):
        with contextlib.suppress(TypeError, ValueError):  # an array of several numbers has no one item
            return item()
    return str(value)


_ENCODER: Final = json.JSONEncoder(separators=(",", ":"), default=_plain, skipkeys=True)
