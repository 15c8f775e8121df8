"""What a rehearsal says where there is no terminal."""

import io

from rich.console import Console

from inspector.plc.registers import State
from tools.rehearsal.live import Display, Event


def said(*events: Event) -> list[str]:
    text = io.StringIO()
    with Display(Console(file=text, width=200)) as display:
        for event in events:
            display.show(event)
    return text.getvalue().splitlines()


def progress(**fields: object) -> Event:
    counts = dict.fromkeys(("parts", "good", "bad", "released", "released_bad", "rejected_good", "late"), 3)
    state = int(State.READY | State.ONLINE)
    return (
        {
            "event": "progress",
            "state": state,
            "planned": 9,
            "rejects": {"SCORE": 2},
            "p50_ms": 4.0,
            "p99_ms": 5.0,
        }
        | counts
        | fields
    )


def test_faults_and_restarts_are_said_at_once() -> None:
    assert said(
        {"event": "fault", "at_part": 5, "do": "say kill camera"},
        {"event": "fault", "at_part": 60, "part_id": 53, "do": "camera lose 1"},
        {"event": "restarted"},
        {"event": "plc_back"},
    ) == [
        "Fault before part 5: kill camera",
        "Fault before part 60 (part_id 53): camera lose 1",
        "The station died and is started again.",
        "The PLC is back.",
    ]


def test_progress_is_said_now_and_then_and_only_while_the_line_runs() -> None:
    lines = said(progress(), {"event": "ready"}, progress(), progress(parts=4))
    assert lines == [
        "The station is ready: the line runs.",
        "3 of 9 parts: 3 released, 2 rejected, 3 late, p50 4.0 ms, p99 5.0 ms",
    ]


def test_a_station_that_does_not_start_is_quoted() -> None:
    assert said({"event": "said", "words": "no such camera"}) == ["The station says: no such camera"]


def test_a_terminal_gets_a_live_table() -> None:
    text = io.StringIO()
    with Display(Console(file=text, width=100, force_terminal=True)) as display:
        display.show({"event": "ready"})
        display.show(progress())
    assert "ONLINE READY" in text.getvalue()
    assert "SCORE 2" in text.getvalue()
