"""Draws the handshake of some parts over time, from the record of a run: `python tools/handshake.py RECORD --out FILE`.

RECORD is what linesim writes with `--record` (`parts.jsonl` of a rehearsal): what stood in the PLC's registers, by the PLC's
clock. One row a part: when it was counted and its slot cleared, when its verdict came, what the gate did. SVG.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

PASS = 0x5A5A
NS_PER_MS = 1e6
WIDTH, LEFT, RIGHT, TOP, ROW = 900, 110, 240, 74, 36  # pixels
BAR = 22
GREY, GREEN, RED, INK = "#c9ced6", "#2e9e5b", "#d0433b", "#1f2430"


class InputError(Exception):
    """What the user gave cannot be used; the message is one line and says what to do."""


def read_record(path: Path, first: int, count: int) -> list[dict[str, Any]]:
    """Return the parts numbered `first` and on of the record. Raises InputError."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        parts = [part for part in map(json.loads, lines) if first <= part["index"] < first + count]
    except OSError as error:
        raise InputError(f"{path}: expected a readable record, got: {error.strerror}") from error
    except (ValueError, TypeError, KeyError) as error:
        raise InputError(
            f"{path}: expected linesim's record, one JSON object a line, got: {error}"
        ) from error
    if not parts:
        raise InputError(f"{path}: expected parts from number {first} on, got {len(lines)} lines without one")
    return sorted(parts, key=lambda part: int(part["index"]))


def draw(parts: Sequence[dict[str, Any]], slots: int) -> str:
    """Return the picture of these parts."""
    t_first = parts[0]["t_trigger_ns"]
    t_last = max(part["t_deadline_ns"] for part in parts)
    height = TOP + ROW * len(parts) + 40
    scale = (WIDTH - LEFT - RIGHT) / (t_last - t_first)

    def x(t_ns: int) -> float:
        return float(round(LEFT + (t_ns - t_first) * scale, 1))

    size = f'viewBox="0 0 {WIDTH} {height}"'
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" fill="{INK}">',
        f'<rect width="{WIDTH}" height="{height}" fill="white"/>',
        _text(LEFT, 20, "What stood in each part's slot, from a recorded run (linesim, PLC clock)", size=14),
    ]
    lines += _legend()
    lines += _axis((t_last - t_first) / NS_PER_MS, scale * NS_PER_MS, height)
    for number, part in enumerate(parts):
        y = TOP + ROW * number
        t_trigger, t_slot, t_gate = (part[name] for name in ("t_trigger_ns", "t_slot_ns", "t_deadline_ns"))
        t_verdict = t_slot if t_slot is not None and t_slot < t_gate else t_gate
        colour = GREEN if part["words"] and part["words"][1] == PASS else RED
        lines += [
            _text(8, y + 16, f"part {part['part_id']}, slot {part['part_id'] % slots}"),
            _bar(x(t_trigger), x(t_verdict), y, GREY),
            _bar(x(t_verdict), x(t_gate), y, colour),
            f'<path d="M{x(t_trigger)} {y - 6}v{BAR + 12}" stroke="{INK}" stroke-width="2"/>',
            f'<path d="M{x(t_gate) - 5} {y - 8}h10l-5 8z"/>',
            _text(x(t_gate) + 10, y + 16, _outcome(part, in_time=t_verdict < t_gate)),
        ]
    return "\n".join([*lines, "</svg>"]) + "\n"


def _axis(span_ms: float, per_ms: float, height: int) -> list[str]:
    step = next(step for step in (10, 20, 50, 100, 200, 500, 1000, 10_000, 10**9) if span_ms / step <= 10)
    lines = []
    for n in range(int(span_ms / step) + 1):
        x = round(LEFT + n * step * per_ms, 1)
        lines += [f'<path d="M{x} {TOP - 12}V{height - 26}" stroke="{GREY}" stroke-dasharray="2 4"/>']
        lines += [_text(x, height - 10, f"{n * step} ms")]
    return lines


def _legend() -> list[str]:
    lines = [_text(LEFT, 44, "| counted, camera triggered"), _text(LEFT + 520, 44, "▼ part at the gate")]
    for x, colour, said in ((180, GREY, "cleared by the PLC"), (320, GREEN, "PASS"), (390, RED, "REJECT")):
        lines += [f'<rect x="{LEFT + x}" y="33" width="12" height="12" fill="{colour}"/>']
        lines += [_text(LEFT + x + 17, 44, said)]
    return lines


def _outcome(part: dict[str, Any], *, in_time: bool) -> str:
    done = "released" if part["released"] else "rejected"
    if not in_time:
        return f"{done}: no verdict in time"
    name = "PASS" if part["released"] else part["reason"]
    return f"{done}: {name} after {(part['t_slot_ns'] - part['t_trigger_ns']) / NS_PER_MS:.1f} ms"


def _bar(left: float, right: float, y: int, colour: str) -> str:
    return f'<rect x="{left}" y="{y}" width="{round(right - left, 1)}" height="{BAR}" fill="{colour}"/>'


def _text(x: float, y: float, said: str, *, size: int = 12, ink: str = INK) -> str:
    return f'<text x="{x}" y="{y}" font-size="{size}" fill="{ink}">{escape(said)}</text>'


def main(argv: Sequence[str] | None = None) -> int:
    """Draw what the arguments describe. Exit status 0, or 2 for bad input."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("record", type=Path, help="linesim's record, one JSON object a part")
    parser.add_argument("--first", type=int, default=1, help="number of the first part drawn (default 1)")
    parser.add_argument("--parts", type=int, default=8, help="how many parts are drawn (default 8)")
    parser.add_argument("--slots", type=int, default=16, help="result slots of the run (default 16)")
    parser.add_argument("--out", type=Path, required=True, help="the SVG file to write")
    arguments = parser.parse_args(argv)
    try:
        picture = draw(read_record(arguments.record, arguments.first, arguments.parts), arguments.slots)
        arguments.out.write_text(picture, encoding="utf-8")
    except InputError as error:
        print(f"handshake: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(
            f"handshake: {arguments.out}: expected a place to write, got: {error.strerror}", file=sys.stderr
        )
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
