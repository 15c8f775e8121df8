"""A YAML file as plain data, with the line and column of every key and every problem of the writing.

The document is read along the schema, so that a value means what its key expects: where text is expected, `On`, `0012` and
`1.10` stay the text that was written. Elsewhere YAML 1.2's core schema holds: only `true` and `false` are truth values.
Nothing in the file is executed or constructed beyond text, numbers, truth values, lists and mappings.
"""

import difflib
import re
import types
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import yaml
from pydantic import BaseModel

from inspector.config import slips

KeyPath = tuple[str | int, ...]
Data = Any  # what YAML can hold: dict, list, str, int, float, bool, None

_TAG = "tag:yaml.org,2002:"


class _CoreLoader(yaml.SafeLoader):
    """PyYAML's parser with the scalars of YAML 1.2: `On`, `yes`, `1:30` and `2026-11-22` are text, `1e3` is a number."""


_CoreLoader.yaml_implicit_resolvers = {}
for _kind, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", list("-+0123456789")),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", list("-+.0123456789")),
    ("float", r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)", list("-+.")),
):
    _CoreLoader.add_implicit_resolver(f"{_TAG}{_kind}", re.compile(rf"^(?:{_pattern})$"), _first)


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One fault and where it stands; line and column count from 1. An empty key means the whole file."""

    line: int
    column: int
    key: str
    text: str


@dataclass
class Document:
    """What a file says: `data` for the schema, where each key stands, and what is wrong with the writing."""

    schema: type[BaseModel]
    data: dict[str, Data] = field(default_factory=dict)
    marks: dict[KeyPath, tuple[int, int]] = field(default_factory=lambda: {(): (1, 1)})
    problems: list[Problem] = field(default_factory=list)
    faulty: set[KeyPath] = field(
        default_factory=set
    )  # keys with a problem: the schema need not complain again

    def report(self, path: KeyPath, text: str, mark: tuple[int, int] | None = None) -> None:
        """Note a problem of the key `path`, at its own place or the nearest section that the file has."""
        found = path
        while mark is None:
            mark = self.marks.get(found)
            found = found[:-1]
        self.faulty.add(path)
        self.problems.append(Problem(*mark, dotted(path), text))


def read(text: str, schema: type[BaseModel]) -> Document:
    """Return what `text` says, as far as it is of `schema`'s shape; all else is in `problems`."""
    document = Document(schema)
    try:
        root = yaml.compose(text, Loader=_CoreLoader)
    except yaml.MarkedYAMLError as error:
        slip = slips.diagnosed(text, error)
        document.report((), slip.text, (slip.line, slip.column))
        return document
    except yaml.reader.ReaderError as error:
        before = text[: error.position]
        place = before.count("\n") + 1, error.position - before.rfind("\n")
        document.report((), f"no valid YAML: the character {chr(error.character)!r} is not allowed", place)
        return document
    except RecursionError:
        document.report((), "no valid configuration: nested too deeply")
        return document
    if root is None:
        needed = [name for name, known in schema.model_fields.items() if known.is_required()]
        document.report((), f"expected the sections {', '.join(needed)} at least, came an empty file")
    elif (data := _mapping(document, root, (), schema)) is not None:
        document.data = data
    return document


def dotted(path: KeyPath) -> str:
    """Return a key's path as people write it: `camera.features.Gain`, `realtime.cpus[1]`."""
    return "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in path).removeprefix(".")


def closest(word: str, known: Iterable[str]) -> str:
    """Return a hint at the known word that was probably meant, or nothing."""
    meant = nearest(word, known)
    return f"; did you mean {meant}?" if meant else ""


def nearest(word: str, known: Iterable[str]) -> str:
    """Return the known word that was probably meant, or ""."""
    return next(iter(difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)), "")


def kinds(annotation: Data) -> set[Data]:
    """Return the plain types that an annotation allows: `Annotated[float, ...] | None` gives float and NoneType."""
    origin: Data = get_origin(annotation)
    if origin is Annotated:
        return kinds(get_args(annotation)[0])
    if origin in (Union, types.UnionType):
        return set().union(*(kinds(a) for a in get_args(annotation)))
    if origin is Literal:
        return {type(value) for value in get_args(annotation)}
    return {annotation}


def shown(value: Data) -> str:
    """Return a value as a message quotes it."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f"the text {value if len(value) <= 60 else value[:57] + '...'!r}"
    return str(value)


def _value(document: Document, node: yaml.Node, path: KeyPath, annotation: Data) -> Data:
    """Return the node's value as `annotation` wants it read. A faulty one is reported and replaced by None."""
    allowed = kinds(annotation)
    sections = [k for k in allowed if isinstance(k, type) and issubclass(k, BaseModel)]
    if sections:
        return _mapping(document, node, path, sections[0])
    containers: dict[Data, tuple[Data, ...]] = {get_origin(k): get_args(k) for k in allowed}
    if dict in containers:
        return _free_mapping(document, node, path, containers[dict][1])
    if list in containers:
        return _sequence(document, node, path, containers[list][0])
    if not isinstance(node, yaml.ScalarNode):
        came = "a section" if isinstance(node, yaml.MappingNode) else "a list"
        document.report(path, f"expected one value, came {came}")
        return None
    return _scalar(document, node, path, as_text=allowed <= {str, type(None)})


def _mapping(
    document: Document, node: yaml.Node, path: KeyPath, schema: type[BaseModel]
) -> dict[str, Data] | None:
    data = {}
    for key, value in _items(document, node, path):
        known = schema.model_fields.get(key)
        if known is None:
            _report_unknown(document, path, key, schema)
            continue
        data[key] = _value(document, value, (*path, key), known.annotation)
    return data


def _report_unknown(document: Document, path: KeyPath, key: str, schema: type[BaseModel]) -> None:
    where = f"in {dotted(path)}" if path else "at the top"
    if meant := nearest(key, schema.model_fields):
        document.faulty.add((*path, meant))  # which is not missing
        hint = f"; did you mean {meant}?"
    elif said := slips.foreign(key):
        hint = f"; {said}"
    elif homes := [home for home in _homes(key, document.schema) if home != path]:
        named = " or ".join(f"of {dotted(home)}" if home else "at the top" for home in homes)
        document.faulty.update((*home, key) for home in homes)
        hint = f"; it is a key {named}: see the indentation"
    else:
        hint = f"; known: {', '.join(schema.model_fields)}"
    document.report((*path, key), f"unknown key {where}{hint}")


def _homes(key: str, schema: type[BaseModel], path: KeyPath = ()) -> list[KeyPath]:
    """Return the sections that know this key."""
    homes = [path] if key in schema.model_fields else []
    for name, known in schema.model_fields.items():
        for kind in kinds(known.annotation):
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                homes += _homes(key, kind, (*path, name))
    return homes


def _free_mapping(document: Document, node: yaml.Node, path: KeyPath, annotation: Data) -> dict[str, Data]:
    data = {}
    for key, value_node in _items(document, node, path):
        value = _value(document, value_node, (*path, key), annotation)
        if value is not None:
            data[key] = value
        elif (*path, key) not in document.faulty:
            document.report((*path, key), "expected a value, came nothing")
    return data


def _sequence(document: Document, node: yaml.Node, path: KeyPath, annotation: Data) -> list[Data]:
    if _is_null(node):
        return []
    if not isinstance(node, yaml.SequenceNode):
        if isinstance(node, yaml.ScalarNode):
            text = f"expected a list, as in [{node.value.strip('[]')}], came {shown(node.value)}"
        else:
            text = "expected a list, each entry begun by a dash, came a section without one"
        document.report(path, text)
        return []
    for i, item in enumerate(node.value):
        document.marks[*path, i] = _position(item.start_mark)
    return [_value(document, item, (*path, i), annotation) for i, item in enumerate(node.value)]


def _items(document: Document, node: yaml.Node, path: KeyPath) -> list[tuple[str, yaml.Node]]:
    """Return a mapping's keys and value nodes, each key once; a section left empty is one without keys."""
    if _is_null(node):
        return []
    if not isinstance(node, yaml.MappingNode):
        _report_no_section(document, node, path)
        return []
    items: dict[str, yaml.Node] = {}
    for key_node, value_node in node.value:
        mark = _position(key_node.start_mark)
        if not isinstance(key_node, yaml.ScalarNode):
            document.report(path, "expected a word as a key, came a list or section", mark)
            continue
        key = key_node.value
        if key in items:
            line, column = document.marks[*path, key]
            document.report((*path, key), f"given twice, first in line {line}, column {column}", mark)
            continue
        document.marks[*path, key] = mark
        items[key] = value_node
    return list(items.items())


def _report_no_section(document: Document, node: yaml.Node, path: KeyPath) -> None:
    """Note that there is no section: its one line may lack the colon, or the space behind it."""
    if isinstance(node, yaml.SequenceNode):
        document.report(path, "expected a section of `key: value` lines without dashes, came a list")
    elif path and re.search(r"[\s:]", node.value) and (meant := slips.unwritten(node.value)):
        document.report(path, meant, _position(node.start_mark))
    else:
        document.report(path, f"expected a section of `key: value` lines, came {shown(node.value)}")


def _scalar(document: Document, node: yaml.ScalarNode, path: KeyPath, *, as_text: bool) -> Data:
    text, plain, kind = node.value, node.style is None, node.tag.removeprefix(_TAG)
    if kind == "null":
        return None
    if as_text and plain and kind in ("bool", "int", "float"):
        return text
    try:
        match kind:
            case "str":
                return text
            case "bool":
                return text.lower() == "true"
            case "int":
                return int(text, 0) if text[:2] in ("0x", "0o") else int(text)
            case "float" if text.lower().lstrip("+-") in (".inf", ".nan"):
                document.report(path, f"expected a finite number, came {text}")
                return None
            case "float":
                return float(text)
    except ValueError:  # an explicit tag, as in `!!int twelve`, or a number of thousands of digits
        document.report(path, f"expected a value of the tag !!{kind}, came {shown(text)}")
        return None
    document.report(path, f"the tag {node.tag} is not used here: write the plain value")
    return None


def _is_null(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.tag == f"{_TAG}null"


def _position(mark: yaml.Mark) -> tuple[int, int]:
    return mark.line + 1, mark.column + 1
