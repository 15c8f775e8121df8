"""Pydantic's errors in our words: what was expected, what came."""

import re
from typing import Any, Final, get_args, get_origin

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from inspector.config.document import KeyPath, closest, kinds, shown
from inspector.config.doubts import on_the_wire

_TYPES: Final = {
    "bool_type": "true or false",
    "int_type": "a whole number",
    "float_type": "a number",
    "string_type": "text",
    "finite_number": "a finite number",
}
_BOUNDS: Final = {
    "greater_than": ("more than", "gt"),
    "greater_than_equal": ("at least", "ge"),
    "less_than": ("less than", "lt"),
    "less_than_equal": ("at most", "le"),
}
_PATTERNS: Final[dict[KeyPath, str]] = {
    ("station", "name"): "1 to 32 letters, digits, - or _, a letter or digit first",
}


def key_of(fault: ErrorDetails) -> KeyPath:
    """Return the path of the key that the fault is about."""
    return tuple(fault["loc"])


def text_of(fault: ErrorDetails, schema: type[BaseModel]) -> str:
    """Return one line on the fault: what was expected, what came."""
    kind, context, value = fault["type"], fault.get("ctx", {}), fault["input"]
    if kind == "missing":
        return f"expected {_wanted(key_of(fault), schema)}, came nothing; config/station.example.yaml shows every key"
    if kind == "value_error":
        return str(context["error"])
    if kind == "literal_error":
        return f"expected {context['expected']}, came {shown(value)}{closest(str(value), _choices(key_of(fault), schema))}"
    if kind == "string_pattern_mismatch":
        return (
            f"expected {_PATTERNS.get(key_of(fault), 'text like ' + context['pattern'])}, came {shown(value)}"
        )
    if kind in _BOUNDS:
        words, bound = _BOUNDS[kind]
        hint = _on_the_wire(key_of(fault), value)
        return f"expected {words} {context[bound]:g}, came {shown(value)}{hint}"
    if kind in _TYPES:
        hint = _number_in(value) if kind in ("int_type", "float_type") else ""
        return f"expected {_TYPES[kind]}, came {shown(value)}{hint}"
    return f"{fault['msg']}, came {shown(value)}"


def _on_the_wire(key: KeyPath, value: object) -> str:
    """Return a hint at the address that is meant by register 400301, or nothing."""
    meant = on_the_wire(value) if str(key[-1]).endswith("_address") and isinstance(value, int) else ""
    return f"; addresses count from 0 here: for register {value} write {meant}" if meant else ""


def _number_in(value: object) -> str:
    """Return a hint at the number that a text begins with, or nothing: decimal commas, units and quotes are not understood."""
    match = re.match(r"[-+]?[0-9]+([.,][0-9]+)?", value) if isinstance(value, str) else None
    return f"; write {match[0].replace(',', '.')}, without anything else" if match else ""


def _annotation(path: KeyPath, schema: type[BaseModel]) -> Any:
    """Return the annotation of the key `path`: a name is a section's key, a number an item of a list."""
    annotation: Any = schema
    for name in path:
        allowed = kinds(annotation)
        if isinstance(name, int):
            annotation = next(get_args(kind)[0] for kind in allowed if get_args(kind))
        else:
            section = next(k for k in allowed if isinstance(k, type) and issubclass(k, BaseModel))
            annotation = section.model_fields[name].annotation
    return annotation


def _wanted(path: KeyPath, schema: type[BaseModel]) -> str:
    for kind, words in ((bool, "true or false"), (str, "text"), (float, "a number"), (int, "a whole number")):
        if kind in kinds(_annotation(path, schema)):
            return words
    return "this section"


def _choices(path: KeyPath, schema: type[BaseModel]) -> tuple[str, ...]:
    annotation = _annotation(path, schema)
    return get_args(annotation) if get_origin(annotation) is not None else ()
