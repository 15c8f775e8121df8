"""config/station.example.yaml is right, complete, and says what the defaults are."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from pydantic import BaseModel

from inspector.config import document
from inspector.config.checks import contradictions
from inspector.config.document import KeyPath, dotted, kinds
from inspector.config.loading import load
from inspector.config.schema import Config, RecipeConfig

EXAMPLE = Path(__file__).parents[3] / "config" / "station.example.yaml"
NEEDED_OR_NOT_DEFAULT = {
    "station.simulated",  # the example is a rehearsal
    "camera.device.serial_number",
    "camera.device.model",
    "camera.device.user_defined_name",
    "camera.features",
    "camera.latency_ms.max",  # computed from the budget
    "camera.silence_ms",
    "plc.timeout_ms",
    "plc.direct.coil",  # by default the PLC moves the gate
    "plc.direct.delay_ms",
    "plc.direct.width_ms",
    "plc.direct.delay_counts",
    "plc.direct.width_counts",
    "plc.direct.encoder_address",
    "plc.direct.confirm_input",
}


def keys(schema: type[BaseModel], path: KeyPath = ()) -> Iterator[KeyPath]:
    """Yield the path of every key of the schema."""
    for name, field in schema.model_fields.items():
        yield (*path, name)
        for kind in kinds(field.annotation):
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                yield from keys(kind, (*path, name))


def shown() -> document.Document:
    """Return the example with the keys in comments switched on."""
    return document.read(re.sub(r"(?m)^( +)# (\w+: \w+ +# )", r"\1\2", EXAMPLE.read_text()), Config)


def test_the_example_loads() -> None:
    assert load(EXAMPLE, check_files=False).config.station.name == "cell-1"


@pytest.mark.parametrize("path", list(keys(Config)), ids=dotted)
def test_the_example_shows_the_key_with_a_comment(path: KeyPath) -> None:
    marks = shown().marks
    assert path in marks
    line = EXAMPLE.read_text().splitlines()[marks[path][0] - 1]
    section = line.rstrip().endswith(":") and any(
        len(other) > len(path) and other[: len(path)] == path for other in marks
    )
    assert section or "  # " in line


def test_the_example_shows_every_key_of_a_recipe() -> None:
    written = re.sub(r"(?m)^# {3}", "  ", EXAMPLE.read_text()).replace("recipes: []", "recipes:")
    found = document.read(written, Config)
    assert not found.problems
    assert not list(contradictions(Config.model_validate(found.data)))
    (recipe,) = found.data["recipes"]
    assert set(recipe) == set(RecipeConfig.model_fields)
    for name in recipe:
        assert "  # " in written.splitlines()[found.marks["recipes", 0, name][0] - 1]


@pytest.mark.parametrize("path", list(keys(Config)), ids=dotted)
def test_the_example_shows_the_default(path: KeyPath) -> None:
    """What the file says is what holds when the key is left out."""
    schema: type[BaseModel] = Config
    for name in path[:-1]:
        schema = next(k for k in kinds(schema.model_fields[str(name)].annotation) if issubclass(k, BaseModel))
    field = schema.model_fields[str(path[-1])]
    if field.is_required() or isinstance(field.default, BaseModel) or dotted(path) in NEEDED_OR_NOT_DEFAULT:
        return
    value = yaml.safe_load(EXAMPLE.read_text())
    for name in path:
        value = value[name]
    assert value == field.default
