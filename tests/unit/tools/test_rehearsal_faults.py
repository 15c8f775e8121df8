"""The faults of a rehearsal: what a list may say, what a seed draws, and what is put down to which fault."""

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from inspector.errors import ServiceError
from tools.faultproxy.faults import FAULTS, make_fault
from tools.linesim.faults import parse_faults
from tools.rehearsal.faults import (
    DRAWN,
    cost_table,
    costs,
    draw_faults,
    kind_of,
    link_words,
    plan_faults,
    read_faults,
)


def test_what_linesim_cannot_do_it_only_says(tmp_path: Path) -> None:
    file = tmp_path / "faults.yaml"
    file.write_text(
        "- {at_part: 9, do: link delay ms=40 of=request}\n- {at_part: 3, do: kill camera}\n- {at_part: 4, do: plc down 20}\n"
    )
    plan = read_faults(file)
    assert [(entry["at_part"], entry["do"]) for entry in plan.entries] == [
        (3, "say kill camera"),
        (4, "plc down 20"),
        (9, "say link delay ms=40 of=request"),
    ]
    assert plan.strikes_link
    assert plan.held_ms == 90, "a PASS may come so much later than it was sent"
    assert link_words("link delay ms=40 of=request") == ("delay", {"ms": 40, "of": "request"})


@pytest.mark.parametrize(
    ("do", "said"),
    [
        ("link", "expected camera TEXT"),
        ("link tease", "entry 1: link: expected do to be one of delay, black_hole"),
        ("link delay ms=soon", "entry 1: link: expected ms to be a number"),
        ("link delay ms", "entry 1: link: expected ms to be a number in 0..3600000, got: None"),
        ("link delay [=1", "entry 1: link: expected args with ms, of for delay"),
        ("link delay ms=[", "entry 1: expected link FAULT [NAME=VALUE ...], got: link delay ms=["),
    ],
)
def test_a_link_fault_that_nobody_knows_is_refused_by_its_entry(tmp_path: Path, do: str, said: str) -> None:
    file = tmp_path / "faults.yaml"
    file.write_text(json.dumps([{"at_part": 1, "do": do}]))
    with pytest.raises(ServiceError) as error:
        read_faults(file)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_wrong_entries_are_shown_as_they_were_written(tmp_path: Path) -> None:
    file = tmp_path / "faults.yaml"
    file.write_text(
        "- {at: 500, do: kill camera}\n- {at_part: 500, do: link delay}\n- {at_part: 1, do: kill camera}\n"
    )
    with pytest.raises(ServiceError) as error:
        plan_faults(str(file), 100)
    assert str(error.value) == (
        f"{file}: entry 1: expected the keys at_part and do, got: {{at: 500, do: kill camera}}; "
        "entry 2: at_part 500, but only 100 parts pass"
    )


def test_a_seed_draws_every_kind_again_and_again(tmp_path: Path) -> None:
    plan = plan_faults("random:7", 10_000)
    assert plan.entries == draw_faults(7, 10_000).entries != draw_faults(8, 10_000).entries
    assert {kind_of(entry["do"]) for entry in plan.entries} == set(DRAWN)
    assert {f"link {kind}" for kind in FAULTS} < set(DRAWN)
    parse_faults(plan.entries, "drawn")
    for entry in plan.entries:
        if entry["do"].startswith("say link"):
            name, arguments = link_words(entry["do"].removeprefix("say "))
            make_fault(name, arguments, "drawn")
    assert all(1 <= entry["at_part"] <= 10_000 for entry in plan.entries)
    assert read_faults(plan.write(tmp_path)) == plan, "what was drawn can be rehearsed again"


@pytest.mark.parametrize("wanted", ["random:", "random:x", "random:-1"])
def test_a_seed_is_a_number(wanted: str) -> None:
    with pytest.raises(
        ServiceError, match=r"expected --faults random:SEED with a whole number, got: random:"
    ):
        plan_faults(wanted, 10)


def test_a_part_is_lost_to_the_last_fault_before_it_unless_its_score_rejected_it() -> None:
    def part(index: int, reason: str = "NONE", truth: str = "good") -> dict[str, object]:
        return {"index": index, "reason": reason, "released": reason == "NONE", "truth": truth}

    entries = [{"at_part": 3, "do": "say kill camera"}, {"at_part": 6, "do": "camera lose 1"}]
    outcomes = [
        part(1, "LATE"),
        part(2),
        part(3, "CAMERA"),
        part(4, "CAMERA", "bad"),
        part(5, "SCORE"),
        part(6, "FRAME_LOST"),
        part(7),
    ]
    assert costs(entries, outcomes) == {
        "camera lose": {"times": 1, "good_lost": 1, "parts_lost": 1},
        "kill camera": {"times": 1, "good_lost": 1, "parts_lost": 2},
        "none": {"times": 0, "good_lost": 1, "parts_lost": 1},
    }


def test_what_was_lost_to_no_fault_has_no_times() -> None:
    text = io.StringIO()
    table = {
        "kill camera": {"times": 2, "good_lost": 3, "parts_lost": 4},
        "none": {"times": 0, "good_lost": 1, "parts_lost": 1},
    }
    Console(file=text, width=100).print(cost_table(table))
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in text.getvalue().splitlines()]
    assert ["kill camera", "2", "3", "1.5"] in rows
    assert ["lost to no fault", "", "1", ""] in rows
