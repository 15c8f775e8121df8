"""Joins what linesim saw from outside with what the daemon recorded, and says it in one JSON object and in plain words."""

import json
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inspector.clock import NS_PER_MS
from inspector.model.proportions import clopper_pearson
from inspector.model.wording import counted
from inspector.part import Reason
from tools.linesim.report import percentile_ms
from tools.rehearsal.causes import causes, said_of_challenges, said_of_good, said_of_refused, said_of_stops

LIVE_KEYS = ("event",)
OUTAGES = {"link_down": "link", "plc_down": "PLC"}
BY_THE_PLC = {  # its own reasons, and the one of the station that is easily taken for them
    "link_down": "had no verdict because the link was down (the PLC rejected them by itself).",
    "plc_down": "came to the gate while the PLC was down (it rejects what it does not know).",
    "no_verdict": "had no verdict though the link was up (the PLC rejected them by itself).",
    "gate_shut": "had a PASS, but the gate was not opened in time (plc.direct).",
    Reason.LINK.name: "were rejected by the station itself, as it could not reach the PLC before their deadline (LINK).",
}
BY_SCORE = (Reason.NONE.name, Reason.SCORE.name)


@dataclass(frozen=True, slots=True)
class PartOutcome:
    """One part as linesim saw it, and the verdict that the daemon recorded of it, if any."""

    seen: dict[str, Any]
    verdict: dict[str, Any] | None

    @property
    def slot_ms(self) -> float | None:
        """Trigger to slot, by linesim's clock."""
        if self.seen["t_slot_ns"] is None:
            return None
        return float(self.seen["t_slot_ns"] - self.seen["t_trigger_ns"]) / NS_PER_MS

    @property
    def score(self) -> float | None:
        """The score that decided; None where something else did, be it doubt whether the score is this part's."""
        if self.verdict is None or self.verdict["reason"] not in BY_SCORE:
            return None
        score = self.verdict["score"]
        return None if score is None else float(score)

    @property
    def engine_ms(self) -> float | None:
        """What the engine took, by the daemon's record; None where no score was made."""
        return None if self.verdict is None else self.verdict.get("engine_ms")

    @property
    def overhead_ms(self) -> float | None:
        """Everything but the engine, of this part."""
        if self.slot_ms is None or self.engine_ms is None:
            return None
        return self.slot_ms - self.engine_ms


def read_lines(files: Iterable[Path]) -> list[dict[str, Any]]:
    """Return the objects of JSON-lines files, in order; a line cut off by a crash is left out."""
    entries = []
    for file in files:
        for line in file.read_text(encoding="utf-8").splitlines():
            try:
                entries.append(json.loads(line))
            except ValueError:
                continue  # the daemon was killed while it wrote
    return entries


def join(parts: Sequence[dict[str, Any]], log: Sequence[dict[str, Any]]) -> list[PartOutcome]:
    """Return each part with its verdict. Ids come again (they wrap, and a PLC may begin anew), so the times tell which part.

    A verdict is of the last part of its id that was triggered before it; both use the machine's monotonic clock.
    """
    triggers: dict[int, list[int]] = {}
    for part in parts:
        triggers.setdefault(part["part_id"], []).append(part["t_trigger_ns"])
    verdicts: dict[tuple[int, int], dict[str, Any]] = {}
    for entry in log:
        if entry["event"] == "verdict":
            known = triggers.get(entry["part_id"], [])
            last = bisect_right(known, entry["t_decided_ns"]) - 1
            if last >= 0:
                verdicts.setdefault((entry["part_id"], known[last]), entry)
    return [PartOutcome(part, verdicts.get((part["part_id"], part["t_trigger_ns"]))) for part in parts]


def assemble(
    line: dict[str, Any],
    outcomes: Sequence[PartOutcome],
    log: Sequence[dict[str, Any]] = (),
    *,
    starts: int,
    seconds: float,
) -> dict[str, Any]:
    """Return the published result: linesim's, with the engine's share of the time and what the daemon's `log` says."""
    result = {key: value for key, value in line.items() if key not in LIVE_KEYS}
    result["engine_ms"] = _spread(outcome.engine_ms for outcome in outcomes)
    result["overhead_ms"] = _spread(outcome.overhead_ms for outcome in outcomes)
    result["without_verdict"] = dict(Counter(filter(None, map(_why_without_verdict, outcomes))))
    result["rejects_by_view"] = dict(Counter(filter(None, map(_rejecting_view, outcomes))))
    result |= causes(line, outcomes, log)
    result["recorded"] = sum(outcome.verdict is not None for outcome in outcomes)
    result["station_starts"] = starts
    result["seconds"] = round(seconds, 1)
    return result


def _rejecting_view(outcome: PartOutcome) -> str:
    """Return which view of a part with several rejected it by its score; "" where none did."""
    verdict = outcome.verdict or {}
    by_score = outcome.seen["reason"] == Reason.SCORE.name
    return str(verdict.get("view") or "") if by_score else ""


def _why_without_verdict(outcome: PartOutcome) -> str:
    """Return why no verdict was in the slot by the deadline: link_down, plc_down or station; "" where one was."""
    seen = outcome.seen
    if seen["t_slot_ns"] is not None and seen["t_slot_ns"] <= seen["t_deadline_ns"]:
        return ""
    if seen["reason"] == "plc_down":
        return "plc_down"
    return "link_down" if seen["link_lost"] else "station"


def mistakes(outcomes: Sequence[PartOutcome]) -> tuple[list[PartOutcome], list[PartOutcome]]:
    """Return the escapes and the false rejects by score, each image once, the clearest mistakes first."""
    escapes: dict[str, PartOutcome] = {}
    rejects: dict[str, PartOutcome] = {}
    for outcome in outcomes:
        seen = outcome.seen
        if seen["truth"] == "bad" and seen["released"]:
            escapes.setdefault(seen["image"], outcome)
        elif seen["truth"] == "good" and seen["reason"] == Reason.SCORE.name:
            rejects.setdefault(seen["image"], outcome)
    return sorted(escapes.values(), key=_relative), sorted(rejects.values(), key=_relative, reverse=True)


def held(result: dict[str, Any]) -> bool:
    """Return whether parts passed, and none of them broke a promise: a line without parts has shown nothing."""
    return bool(result["parts"]) and not result["broken_promises"]


def promises(result: dict[str, Any]) -> list[str]:
    """Return what there is to say about the promises."""
    if not result["parts"]:
        return ["No part passed the camera: nothing was seen of any promise."]
    broken = [f"BROKEN PROMISE  {line}" for line in result["broken_promises"]]
    return broken or [
        (
            "Every promise held: I1 to I5, seen from outside. They are about the handshake: each part got exactly one verdict, in time, "
            "and none was released without its own PASS. Whether a defect is seen is up to the model."
        )
    ]


def of_the_model(outcomes: Sequence[PartOutcome]) -> list[str]:
    """Return what the escapes say of the model, and what to do about them; nothing where no bad part was scored."""
    bad = [each for each in outcomes if each.seen["truth"] == "bad" and each.score is not None]
    images = {each.seen["image"] for each in bad}
    missed = {each.seen["image"] for each in bad if each.seen["released"]}
    if not images:
        return []
    found = len(images) - len(missed)
    low, high = clopper_pearson(found, len(images))
    lines = [
        (
            f"The model found {found} of the {len(images)} bad images that it scored, a recall of {found / len(images):.0%} "
            f"(on others like these {low:.0%} to {high:.0%}, at 95 %): so many escapes are usual for this model."
        )
    ]
    if missed:
        lines.append(
            "An escape is a bad part whose score lay below the threshold. To let fewer through: see in the pictures what was missed, "
            "and fit again with --tune, with examples of such defects (--defects), or with a higher --false-reject-rate; "
            "`inspector evaluate` measures what it brings."
        )
    return lines


def words(result: dict[str, Any], budget_ms: float) -> list[str]:
    """Return the result in plain words."""
    rejected = Counter[str](result["rejects"])
    others = ", ".join(f"{n} {name}" for name, n in rejected.most_common())
    lines = [
        f"{result['parts']} parts passed the camera: {result['good']} good and {result['bad']} bad ones.",
        f"{result['released']} were released, {rejected.total()} rejected ({others or 'none'}).",
        *_by_view(result["rejects_by_view"]),
        *(f"{rejected[name]} {text}" for name, text in BY_THE_PLC.items() if rejected[name]),
        f"{counted(result['released_bad'], 'bad part')} escaped.",
        said_of_good(result),
        *said_of_refused(result),
        *said_of_challenges(result),
    ]
    slot, engine, overhead = result["trigger_to_slot_ms"], result["engine_ms"], result["overhead_ms"]
    if slot["p50"] is not None:
        lines.append(
            f"From trigger to verdict in the PLC: p50 {slot['p50']:.1f} ms, p99 {slot['p99']:.1f} ms, at most "
            f"{slot['max']:.1f} ms; the budget is {budget_ms:g} ms. {_late(result)}"
        )
    if engine["p50"] is not None and overhead["p50"] is not None:
        lines.append(
            f"Of that the engine p50 {engine['p50']:.1f} ms, p99 {engine['p99']:.1f} ms; "
            f"all else p50 {overhead['p50']:.1f} ms, p99 {overhead['p99']:.1f} ms."
        )
    if result["uncounted"]:
        lines.append(
            f"{result['uncounted']} more parts passed while the PLC was down: its gate rejected them."
        )
    lines += said_of_stops(result)
    if result["challenge_due"]:
        lines.append(
            "At the end a challenge was due (`challenge bad good bad` in a list of faults runs one)."
        )
    if result["station_starts"] > 1:
        lines.append(f"The station was started {result['station_starts']} times.")
    return lines


def _by_view(rejects: Mapping[str, int]) -> Iterator[str]:
    """Yield which views the rejects by score came from, where the part has several."""
    if rejects:
        counts = [f"{count} by the view {name}" for name, count in rejects.items()]
        yield f"Of the rejects by SCORE: {', '.join(counts)}."


def _late(result: dict[str, Any]) -> str:
    """Say which parts had no verdict in time, and whose delay it was."""
    without, by_reason = Counter[str](result["without_verdict"]), result["rejects"].get(Reason.LATE.name, 0)
    said = []
    if without:
        outages = [
            f"{without[why]} while the {name} was down" for why, name in OUTAGES.items() if without[why]
        ]
        own = f"{without['station'] or 'none'} by the station's own delay"
        said.append(
            f"{without.total()} without a verdict in time: {'; '.join(filter(None, (', '.join(outages), own)))}."
        )
    if by_reason:
        said.append(
            f"Late: {counted(by_reason, 'part')}. One that has no score shortly before its deadline is rejected as LATE, "
            "so that the PLC has a verdict in time."
        )
    return " ".join(said) or "No part was late."


def _relative(outcome: PartOutcome) -> float:
    return float((outcome.verdict or {}).get("relative_score") or 0.0)


def _spread(values: Iterable[float | None]) -> dict[str, float | None]:
    """Return p50 and p99 as linesim does."""
    known_ns = [round(value * NS_PER_MS) for value in values if value is not None]
    return {"p50": percentile_ms(known_ns, 0.5), "p99": percentile_ms(known_ns, 0.99)}
