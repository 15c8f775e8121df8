"""Why the line stood, parts that were not judged had no score, and which parts were known ones: what the station's own log says."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from inspector.model.wording import counted

BY_SCORE = ("NONE", "SCORE")


def causes(line: dict[str, Any], parts: Iterable[Any], log: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the figures that linesim cannot know. `parts`: each with what linesim saw (`seen`) and the `verdict` that was recorded.

    `challenge_parts`: also those of a challenge that a command asked for, by the daemon's record. `line_stop_causes`: each latched fault
    that stopped the line, as often as it did. `good_rejected_for`: reasons other than the score, by number. `refused`: why frames had no
    score, by number.
    """
    known = list(parts)
    challenged = sum(
        bool(each.seen.get("challenge") or (each.verdict or {}).get("expected")) for each in known
    )
    stops = [each for each in log if each.get("event") == "fault_latched" and each.get("line_stop")]
    refused = [each for each in log if each.get("event") == "score_refused"]
    good = Counter(str(each.seen["reason"]) for each in known if _rejected_good(each.seen))
    return {
        "challenge_parts": max(line.get("challenge_parts", 0), challenged),
        "line_stop_causes": dict(Counter(f"{each['cause']} ({each['code']})" for each in stops)),
        "good_rejected_for": dict(good),
        "refused": dict(Counter(f"{each['code']}: {each['why']}" for each in refused)),
    }


def said_of_good(result: dict[str, Any]) -> str:
    """Return what became of good parts, and why where that was not their score."""
    others = Counter[str](result["good_rejected_for"])
    because = ", ".join(f"{number} {reason}" for reason, number in others.most_common())
    told = f"{counted(result['rejected_good'], 'good part')} rejected, {result['rejected_good_by_score']} by their score"
    return f"{told}{', ' * bool(because)}{because}."


def said_of_refused(result: dict[str, Any]) -> list[str]:
    """Return why most frames without a score had none; nothing where each had one."""
    refused = Counter[str](result["refused"])
    if not refused:
        return []
    (why, number), *others = refused.most_common()
    more = f" {counted(sum(n for _, n in others), 'frame')} for other reasons, see the log." if others else ""
    return [f"{counted(number, 'frame')} had no score: {why}.{more}"]


def said_of_stops(result: dict[str, Any]) -> list[str]:
    """Return how often the line was stopped, and by what."""
    if not result["line_stops"]:
        return []
    by = ", ".join(f"{number} by {cause}" for cause, number in result["line_stop_causes"].items())
    return [f"The station stopped the line {counted(result['line_stops'], 'time')}{': ' * bool(by)}{by}."]


def said_of_challenges(result: dict[str, Any]) -> list[str]:
    """Return how many of the parts were known ones, which came in the place of others."""
    number = result["challenge_parts"]
    if not number:
        return []
    told = (
        f"{counted(number, 'part')} of these came for a challenge, known ones in the place of others: "
        "so as many more or fewer may be good than were to be shown."
    )
    return [told]


def _rejected_good(seen: dict[str, Any]) -> bool:
    return seen["truth"] == "good" and not seen["released"] and seen["reason"] not in BY_SCORE
