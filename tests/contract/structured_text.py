"""An interpreter of the little Structured Text that the PLC sample uses, so that the very file runs in every test.

It knows BOOL, integers, one-dimensional arrays from 0, IF, FOR, calls of blocks, and TON; it stops at anything else.
matiec.py beside it runs the same file by a real compiler, and both have to do the same.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

BITS = {"UINT": 16, "WORD": 16, "UDINT": 32}
TOKEN = re.compile(r"T#\w+|(?:WORD#)?16#[0-9A-F]+|\d+|[A-Za-z_]\w*(?:\.\w+)?|:=|<>|>=|<=|[-+*=<>()\[\],;]|\S")
POU = re.compile(
    r"(?:FUNCTION_BLOCK|PROGRAM) (?P<name>\w+)(?P<inside>.*?)END_(?:FUNCTION_BLOCK|PROGRAM)", re.DOTALL
)
SECTION = re.compile(r"\bVAR\w*(?: CONSTANT)?\b(.*?)END_VAR", re.DOTALL)
DECLARATION = re.compile(
    r"(?P<name>\w+) : (?:ARRAY \[(?P<first>\d+)\.\.(?P<last>\d+)\] OF )?(?P<kind>\w+)(?: := (?P<value>[^;]+))?;"
)
OPERATORS: list[dict[str, Callable[[Any, Any], Any]]] = [  # from weak to strong, IEC 61131-3 table 71
    {"OR": lambda a, b: a | b},
    {"AND": lambda a, b: a & b},
    {"=": lambda a, b: a == b, "<>": lambda a, b: a != b},
    {"<": lambda a, b: a < b, ">": lambda a, b: a > b, "<=": lambda a, b: a <= b, ">=": lambda a, b: a >= b},
    {"+": lambda a, b: a + b, "-": lambda a, b: (a - b) & 0xFFFF_FFFF},  # only UDINT go below zero
    {"*": lambda a, b: a * b, "MOD": lambda a, b: a % b},
]


class Scanned(Protocol):
    """A program or block that is called once in every scan."""

    def scan(self, ms: int = 1, **inputs: int) -> None:
        """Let so many milliseconds pass, set the inputs given, run once."""

    def get(self, name: str) -> int:
        """Return a variable."""

    def put(self, name: str, value: int) -> None:
        """Set a variable, or as block.variable one of a block inside."""

    def read(self, address: int) -> int:
        """Return a register."""

    def write(self, address: int, words: Sequence[int]) -> None:
        """Write registers, as Inspector does."""


# -- the interpreter ------------------------------------------------------------------------------


@dataclass
class Clock:
    """The PLC's time."""

    ms: int = 0


@dataclass
class Ton:
    """The standard's on-delay timer (IEC 61131-3, table 46)."""

    clock: Clock
    values: dict[str, Any] = field(default_factory=lambda: {"IN": False, "PT": 0, "Q": False})
    since_ms: int | None = None

    def run(self) -> None:
        """Take IN and PT, set Q."""
        if not self.values["IN"]:
            self.since_ms = None
        elif self.since_ms is None:
            self.since_ms = self.clock.ms
        self.values["Q"] = self.since_ms is not None and self.clock.ms - self.since_ms >= self.values["PT"]


class Block:
    """One instance of a function block or program of the source."""

    def __init__(self, source: "Source", name: str, clock: Clock) -> None:
        self.values: dict[str, Any] = {}
        self.kinds: dict[str, str] = {}
        self._really = True  # else a branch that is not taken is read past: its indices may be anything
        self._body = source.bodies[name]
        for match in DECLARATION.finditer(source.declarations[name]):
            kind = self.kinds[match["name"]] = match["kind"]
            if kind == "TON":
                value: Any = Ton(clock)
            elif kind in source.bodies:
                value = Block(source, kind, clock)
            elif match["last"] is not None:
                value = [0] * (int(match["last"]) + 1)
                assert match["first"] == "0"
            else:
                value = _literal(match["value"] or "0") if kind != "BOOL" else False
            self.values[match["name"]] = value

    def run(self) -> None:
        """Run the body once."""
        tokens = Tokens(self._body)
        self._statements(tokens, really=True)
        tokens.take("")

    def _statements(self, tokens: "Tokens", *, really: bool) -> None:
        before, self._really = self._really, really
        while tokens.next not in ("END_IF", "ELSE", "ELSIF", "END_FOR", ""):
            if tokens.next == "IF":
                self._if(tokens, really=really)
            elif tokens.next == "FOR":
                self._for(tokens, really=really)
            else:
                self._assign_or_call(tokens, really=really)
            tokens.take(";")
        self._really = before

    def _if(self, tokens: "Tokens", *, really: bool) -> None:
        done = False
        while tokens.next in ("IF", "ELSIF"):
            tokens.pop()
            holds = self._expression(tokens) and not done
            tokens.take("THEN")
            self._statements(tokens, really=really and holds)
            done = done or holds
        if tokens.next == "ELSE":
            tokens.pop()
            self._statements(tokens, really=really and not done)
        tokens.take("END_IF")

    def _for(self, tokens: "Tokens", *, really: bool) -> None:
        tokens.take("FOR")
        name = tokens.pop()
        tokens.take(":=")
        first = self._expression(tokens)
        tokens.take("TO")
        last = self._expression(tokens)
        tokens.take("DO")
        body = tokens.at
        self._statements(tokens, really=False)
        if really:
            for self.values[name] in range(first, last + 1):
                tokens.at = body
                self._statements(tokens, really=True)
        tokens.take("END_FOR")

    def _assign_or_call(self, tokens: "Tokens", *, really: bool) -> None:
        name = tokens.pop()
        if tokens.next == "(":
            self._call(self.values[name], tokens, really=really)
            return
        index = self._index(tokens) if tokens.next == "[" else None
        tokens.take(":=")
        value = self._expression(tokens)
        if not really:
            return
        if (kind := self.kinds[name]) != "BOOL":
            assert 0 <= value < 1 << BITS[kind], f"{name} := {value}"
        else:
            assert isinstance(value, bool), f"{name} := {value}"
        if index is None:
            self.values[name] = value
        else:
            self.values[name][index] = value

    def _call(self, block: "Block | Ton", tokens: "Tokens", *, really: bool) -> None:
        while tokens.pop() != ")":  # an opening bracket or a comma
            parameter = tokens.pop()
            assert parameter in block.values, parameter
            tokens.take(":=")
            value = self._expression(tokens)
            if really:
                block.values[parameter] = value  # an array as it is: in-out
            if tokens.next != ",":
                tokens.take(")")
                break
        if really:
            block.run()

    def _index(self, tokens: "Tokens") -> int:
        tokens.take("[")
        index = self._expression(tokens)
        tokens.take("]")
        return int(index)

    def _expression(self, tokens: "Tokens", level: int = 0) -> Any:
        if level == len(OPERATORS):
            return self._operand(tokens)
        value = self._expression(tokens, level + 1)
        while (operator := OPERATORS[level].get(tokens.next)) is not None:
            tokens.pop()
            value = operator(value, self._expression(tokens, level + 1))
        return value

    def _operand(self, tokens: "Tokens") -> Any:
        token = tokens.pop()
        if token == "NOT":  # noqa: S105  (no password)
            value = self._operand(tokens)
            assert isinstance(value, bool)
            return not value
        if token in ("(", "UINT_TO_WORD", "BOOL_TO_UINT"):
            if token != "(":  # noqa: S105
                tokens.take("(")
            value = self._expression(tokens)
            tokens.take(")")
            return int(value) if token == "BOOL_TO_UINT" else value  # noqa: S105
        if token in ("TRUE", "FALSE"):
            return token == "TRUE"  # noqa: S105
        if not token[0].isalpha() or "#" in token:
            return _literal(token)
        name, _, member = token.partition(".")
        if member:
            return self.values[name].values[member]
        if tokens.next != "[":
            return self.values[name]
        index = self._index(tokens)
        return self.values[name][index] if self._really else 0


class Tokens:
    """A body's tokens and how far it is read."""

    def __init__(self, tokens: list[str]) -> None:
        self._tokens, self.at = tokens, 0

    @property
    def next(self) -> str:
        """The next token, "" at the end."""
        return self._tokens[self.at] if self.at < len(self._tokens) else ""

    def pop(self) -> str:
        """Take it, whatever it is."""
        token, self.at = self.next, self.at + 1
        return token

    def take(self, wanted: str) -> None:
        """Take it if it is the one wanted."""
        token = self.pop()
        assert token == wanted, f"expected {wanted!r}, got {token!r}"


class Source:
    """Blocks and programs of a source text."""

    def __init__(self, text: str) -> None:
        self.declarations, self.bodies = {}, {}
        for match in POU.finditer(re.sub(r"\(\*.*?\*\)", "", text, flags=re.DOTALL)):
            inside = match["inside"]
            self.declarations[match["name"]] = "".join(SECTION.findall(inside))
            self.bodies[match["name"]] = TOKEN.findall(SECTION.sub("", inside))


class Interpreted:
    """A program or block of the source, interpreted."""

    def __init__(self, text: str, name: str) -> None:
        self._clock = Clock()
        self._block = Block(Source(text), name, self._clock)

    def scan(self, ms: int = 1, **inputs: int) -> None:
        """Let so many milliseconds pass, set the inputs given, run once."""
        self._clock.ms += ms
        for name, value in inputs.items():
            self.put(name, value)
        self._block.run()

    def get(self, name: str) -> int:
        """Return a variable."""
        return int(self._block.values[name])

    def put(self, name: str, value: int) -> None:
        """Set a variable, or one of a block inside."""
        inner, _, variable = name.rpartition(".")
        block = self._block.values[inner] if inner else self._block
        block.values[variable] = bool(value) if block.kinds[variable] == "BOOL" else value

    def read(self, address: int) -> int:
        """Return a register."""
        return int(self._block.values["registers"][address])

    def write(self, address: int, words: Sequence[int]) -> None:
        """Write registers."""
        self._block.values["registers"][address : address + len(words)] = words


def _literal(text: str) -> int:
    if text.startswith("T#"):
        number, unit = re.fullmatch(r"T#(\d+)(ms|s)", text).groups()  # type: ignore[union-attr]  # or the test fails
        return int(number) * (1000 if unit == "s" else 1)
    return int(text.rpartition("16#")[2], 16) if "16#" in text else int(text)
