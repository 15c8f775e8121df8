"""Where YAML itself refuses a file: which slip of the writer it was, and in which line.

The parser names the place where it could not go on, often a line after the slip, in the words of its own trade. Here the lines
around that place are looked at as a person would: a colon that is missing, a quote that is not closed, an indentation.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import yaml

# Not where YAML breaks lines only: the numbers must be the parser's.
_LINE_END: Final = re.compile("\r\n|[\n\r\x85\u2028\u2029]")
_KEY: Final = r"[A-Za-z_][\w.-]*"
_FOREIGN: Final = {
    "\u00a0": "a no-break space",
    "\u2007": "a no-break space",
    "\u202f": "a no-break space",
    "\u3000": "a wide space",
    "\uff1a": "a wide colon",
}
_CLOSES: Final = {"[": "]", "{": "}"}
_MERGE: Final = ("<<<<<<<", "=======", ">>>>>>>")


@dataclass(frozen=True, slots=True)
class Slip:
    """What was probably meant, and where; line and column count from 1."""

    line: int
    column: int
    text: str


def diagnosed(text: str, error: yaml.MarkedYAMLError) -> Slip:
    """Return the slip behind what the parser says of `text`; its own words where none is recognised."""
    lines = _LINE_END.split(text)
    mark = error.problem_mark or error.context_mark
    at, column = (mark.line, mark.column) if mark else (0, 0)
    if "'\\t'" in (error.problem or ""):
        return Slip(
            at + 1, column + 1, "expected spaces, came a tab: YAML indents and separates with spaces only"
        )
    if slip := _deeper_than_the_rest(lines, at) or _emptied(lines, at):
        return slip
    for number in _suspects(lines, at, error):
        if found := _slip(lines[number]):
            return Slip(number + 1, len(_indent(lines[number])) + 1, found)
    if found := _misplaced(lines, at):
        return Slip(at + 1, len(_indent(lines[at])) + 1, found)
    said = ", ".join(part for part in (error.context, error.problem) if part)
    return Slip(at + 1, column + 1, f"no valid YAML: {said}")


def foreign(text: str) -> str:
    """Return what is said of the first character that only looks like a space or a colon, "" where there is none."""
    came = next((_FOREIGN[character] for character in text if character in _FOREIGN), "")
    return f"expected ordinary spaces and colons, came {came}: type it anew" if came else ""


def unwritten(text: str) -> str:
    """Return what is said of a line without its colon, or without the space behind it; "" of any other."""
    body = text.strip()
    if match := re.fullmatch(rf"({_KEY}):(\S.*)", body):
        return f"expected a space behind the colon, as in `{match[1]}: {match[2]}`, came `{body}`"
    if match := re.fullmatch(rf"({_KEY})(?:\s*=\s*|\s+)([^:=]*|[^:=]*:\S.*)", body):
        return f"expected a colon and a space behind the key, as in `{match[1]}: {match[2]}`, came `{body}`"
    if re.fullmatch(_KEY, body):
        return f"expected a colon behind the key, as in `{body}:`, came `{body}`"
    return ""


def _suspects(lines: list[str], at: int, error: yaml.MarkedYAMLError) -> Iterator[int]:
    """Yield the lines that may hold the slip: where the parser began what it could not end, the line above, and its own."""
    began = error.context_mark
    if began is not None and began.line < at and "block" not in (error.context or ""):
        yield began.line
    above = _above(lines, at)
    if above is not None:
        yield above
    if at < len(lines):
        yield at


def _above(lines: list[str], at: int) -> int | None:
    """Return the last line before `at` that says anything."""
    return next((i for i in range(min(at, len(lines)) - 1, -1, -1) if _bare(lines[i])), None)


def _below(lines: list[str], at: int) -> int | None:
    """Return the first line behind `at` that says anything."""
    return next((i for i in range(at + 1, len(lines)) if _bare(lines[i])), None)


def _slip(line: str) -> str:
    """Return what is wrong with this line by itself, "" where nothing is seen."""
    if line.startswith(_MERGE):
        return (
            f"expected a file without leftovers of a merge, came `{line[:7]}`: keep one of the two versions"
        )
    body = _bare(line)
    if said := foreign(body):
        return said
    if re.match(r"-[A-Za-z_]", body):
        return f"expected a space behind the dash, as in `- {body[1:]}`, came `{body}`"
    entry = re.sub(r"^(- +)+", "", body)
    # An entry of a list may be a bare word.
    if (entry == body or re.search(r"[\s:=]", entry)) and (said := unwritten(entry)):
        return said
    match = re.fullmatch(rf"(?:({_KEY})\s*:\s+|)(.*)", entry)
    return _value_slip(match[1] or "", match[2]) if match and match[2] else ""


def _value_slip(key: str, value: str) -> str:
    """Return what is wrong with a key's value, "" where nothing is seen."""
    first, before = value[0], f"{key}: " if key else ""
    if first in "\"'":
        if value.count(first) % 2:
            return f"expected a closing {first}, came `{before}{value}`"
        if first == '"' and "\\" in value:
            return f"expected no \\ between double quotes, came `{value}`: write it between single quotes"
        return ""
    if first in _CLOSES:
        if value.count(first) > value.count(_CLOSES[first]):
            return f"expected a closing {_CLOSES[first]}, came `{before}{value}`"
        return ""
    if first in "%@`*&!|>" or (key and (": " in value or value.endswith(":"))):
        return f"expected quotes around such a value, as in `{before}'{value}'`, came `{before}{value}`"
    if not key and first in "]}":
        return f"expected no {first} here: nothing is open that it could close"
    if value in ("---", "..."):
        return f"expected one document, came a line `{value}`, which begins or ends another"
    return ""


def _emptied(lines: list[str], at: int) -> Slip | None:
    """Return the [] that says a list is empty though its entries follow, None where there is none."""
    above = _above(lines, at)
    if above is None or at >= len(lines) or not re.match(r"-\s", _bare(lines[at])):
        return None
    match = re.fullmatch(rf"({_KEY}): *\[ *\]", _bare(lines[above]))
    if not match:
        return None
    text = f"expected `{match[1]}:` above its entries, came `{_bare(lines[above])}`: remove the []"
    return Slip(above + 1, len(_indent(lines[above])) + 1, text)


def _deeper_than_the_rest(lines: list[str], at: int) -> Slip | None:
    """Return the first line of a section where it is deeper than the two below it; None where that is not so."""
    above, below = _above(lines, at), _below(lines, at)
    if above is None or below is None:
        return None
    here, there, head = len(_indent(lines[at])), len(_indent(lines[above])), _above(lines, above)
    first = head is not None and _bare(lines[head]).endswith(":") and len(_indent(lines[head])) < here
    if not (first and here < there and len(_indent(lines[below])) == here):
        return None
    text = f"expected the indentation of the lines below it, {here} spaces, came {there}"
    return Slip(above + 1, there + 1, text)


def _misplaced(lines: list[str], at: int) -> str:
    """Return what is wrong with the indentation of the line `at`, "" where nothing is seen."""
    above = _above(lines, at)
    if above is None or at >= len(lines):
        return ""
    here, there = len(_indent(lines[at])), len(_indent(lines[above]))
    if here > there:
        if _bare(lines[above]).endswith(":"):
            return ""  # the first line of a section may be as deep as it likes
        return f"expected the indentation of the line above, {there} spaces, came {here}"
    open_levels = _open_levels(lines[:at])
    if here not in open_levels:
        levels = " or ".join(map(str, open_levels))
        return f"expected the indentation of a line above it, {levels} spaces, came {here}"
    return ""


def _open_levels(lines: list[str]) -> list[int]:
    """Return the indentations that a line behind these may have: of the last one, and of the sections that it is in."""
    levels: list[int] = []
    for line in reversed(lines):
        if _bare(line) and (not levels or len(_indent(line)) < levels[-1]):
            levels.append(len(_indent(line)))
    return levels[::-1]


def _indent(line: str) -> str:
    return line[: len(line) - len(line.lstrip(" "))]


def _bare(line: str) -> str:
    """Return the line without indentation and comment, which does not begin within quotes."""
    return re.sub(r"""("[^"]*"|'[^']*')|(?:^|\s)#.*$""", lambda found: found[1] or "", line).strip(" \t")
