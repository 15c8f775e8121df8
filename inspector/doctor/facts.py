"""One thing that was looked at, in words to be read aloud, and what to do about it."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class Fact:
    """`what` was found to be `value`; `advice` says what to change, and is empty where nothing needs to be."""

    what: str
    value: str
    advice: str = ""


Section = tuple[str, list[Fact]]  # heading, facts


def as_json(sections: Iterable[Section]) -> dict[str, object]:
    """Return the sections as one object: a list of facts by heading, and all advice in one list."""
    found = list(sections)
    return {
        **{heading: [asdict(fact) for fact in facts] for heading, facts in found},
        "advice": [f"{fact.what}: {fact.advice}" for _, facts in found for fact in facts if fact.advice],
    }
