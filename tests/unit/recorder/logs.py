"""Reading log files back, as any reader of them would."""

import json
from pathlib import Path
from typing import Any

Entries = list[dict[str, Any]]


def entries_of(folder: Path) -> Entries:
    """Return all entries in the folder's log files, in order. Every line must be whole and JSON."""
    found: Entries = []
    for path in sorted(folder.glob("*.jsonl")):
        content = path.read_text()
        assert content == "" or content.endswith("\n")
        found += [json.loads(text) for text in content.splitlines()]
    return found


def check_numbering(entries: Entries) -> int:
    """Check I8: each number stands once, or within one `dropped` entry. Return how many were dropped."""
    dropped, following = 0, 0
    for entry in entries:
        assert entry["seq"] == following
        if entry["event"] == "dropped":
            assert entry["count"] > 0
            dropped += entry["count"]
        following += entry.get("count", 1) if entry["event"] == "dropped" else 1
    return dropped
