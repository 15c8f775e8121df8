"""What people see of the log, at the terminal or in the service manager's journal: how the station is, warnings and errors.

Everything is in the log file; this is the part of it that someone who looks on wants to read.
"""

from typing import Final

from inspector.recorder import line

_SEVERITY: Final = {"INFO": 6, "WARNING": 4, "ERROR": 3, "CRITICAL": 2}
_LEAST: Final = (
    "WARNING",
    "ERROR",
    "CRITICAL",
)  # shown whatever they are; of the others those with a sentence
_SENTENCES: Final = {
    (
        "INFO",
        "station_starting",
    ): "station {station} starts, PLC {plc}, log files in {log}; Ctrl-C or SIGTERM stops it",
    ("INFO", "engine_ready"): "engine ready: {engine}",
    ("INFO", "camera_up"): (
        "camera up: {device[vendor]} {device[model]}, serial {device[serial_number]}, {width} x {height} {pixel_format}"
    ),
    ("INFO", "link_up"): "PLC up",
    ("INFO", "heartbeat_back"): "the PLC's heartbeat goes on, after {still_ms} ms",
    ("INFO", "plc_enabled"): "the PLC has enabled the station",
    ("INFO", "plc_disabled"): "the PLC has disabled the station: parts are rejected",
    ("INFO", "fault_cleared"): "cleared by the PLC: {causes}",
    ("INFO", "challenge_begun"): "a challenge begins, asked for by {asked_by}",
    ("INFO", "challenge"): "the challenge passed",
    ("INFO", "in_step"): "in step with the PLC: parts can pass",
    ("INFO", "station_stopped"): "station stopped: {parts} parts so far, {rejects} of them rejected",
    (
        "WARNING",
        "out_of_step",
    ): "out of step with the PLC, parts are rejected until the line was empty once: {why}",
    ("WARNING", "plc_restarted"): "the PLC restarted, its part count is {count}",
    ("WARNING", "camera_misfit"): "{code}: {why}",
    ("WARNING", "challenge_due"): "a challenge is due: {why}",
    ("WARNING", "challenge"): "the challenge is void: {why}",
    ("ERROR", "challenge"): "the challenge failed: {why}",
    ("ERROR", "fault_latched"): "{code}, until the PLC clears it: {why}",
    ("ERROR", "heartbeat_lost"): "{code}: {why}",
    ("ERROR", "foreign_writer"): "{code}: {why}",
    ("INFO", "foreign_writer_gone"): "the other writer of our blocks has gone",
    ("ERROR", "camera_down"): "camera down, it is started again until it comes up: {why}",
    ("ERROR", "link_down"): "PLC down, it is tried again until it answers: {why}",
    ("ERROR", "engine_failed"): "engine failed, it is opened again: {why}",
}
_SAID_BY_THE_COMMAND: Final = "station_failed"


def shown(event: str, fields: line.Fields) -> str | None:
    """Return an entry as one line, None where nobody needs it; `<4>` before it tells the journal the severity."""
    level = str(fields.get("level", ""))
    sentence = _SENTENCES.get((level, event))
    if event == _SAID_BY_THE_COMMAND or (sentence is None and level not in _LEAST):
        return None
    if sentence is None:
        return line.for_people(event, fields)
    try:
        text = sentence.format_map(fields)
    except (
        KeyError,
        TypeError,
    ):  # an entry without what the sentence tells, as when it was too long to be whole
        return line.for_people(event, fields)
    return f"<{_SEVERITY[level]}>{' '.join(text.split())}"
