"""Products change on a whole line: the PLC asks by number, and each part is decided by the model of its own product."""

from collections.abc import Iterable
from typing import Any

from tests.conftest import Stand
from tests.support.line import STALLS

TRIGGERED = {"TriggerMode": "On", "TriggerSource": "Line0", "ExposureTime": 200.0}


def reasons(parts: Iterable[dict[str, Any]]) -> set[str]:
    return {part["reason"] for part in parts} - STALLS


def test_each_part_is_decided_by_the_recipe_that_the_plc_asked_for(stand: Stand) -> None:
    wishes = {11: 2, 21: 1, 31: 3, 41: 99, 46: 0}
    faults: list[dict[str, object]] = [{"at_part": at, "do": f"recipe {n}"} for at, n in wishes.items()]
    recipes: list[dict[str, object]] = [
        {"number": 2, "pack": str(stand.pack), "threshold_factor": 1e-3},  # rejects whatever it sees
        {"number": 3, "pack": str(stand.pack), "features": {"ExposureTime": 300.0}},
    ]
    with stand.line("--parts", 55, faults=faults) as line:
        daemon = stand.daemon(line.port, recipes=recipes)
        assert line.run() == 0, line.result
        assert line.result["broken_promises"] == []
        assert daemon.end() == 0
    changes = line.result["recipe_changes"]
    assert [(change["recipe"], change["ready_ms"] is not None) for change in changes] == [
        (2, True),
        (1, True),
        (3, True),
        (99, False),
        (0, True),
    ]
    parts = line.parts()
    good = [part for part in parts if part["truth"] == "good"]
    for first, last, recipe in ((1, 10, 1), (11, 20, 2), (21, 30, 1), (31, 40, 3), (46, 55, 3)):
        of_recipe = [part for part in good if first <= part["index"] <= last]
        assert {part["words"][5] for part in of_recipe if part["words"]} == {recipe}
        assert reasons(of_recipe) == ({"SCORE"} if recipe == 2 else {"NONE"})
    assert reasons(part for part in parts if 41 <= part["index"] <= 45) == {"NOT_READY"}
    told = {entry["part_id"]: entry for entry in daemon.events("verdict")}
    assert told[11]["threshold"] == 1e-3 * told[1]["threshold"]  # I6
    assert len(daemon.events("recipe_refused")) == 1
    exposures = [entry["features"]["ExposureTime"] for entry in daemon.events("camera_up")]
    assert exposures == [200.0, 300.0]


def test_parts_that_come_without_waiting_are_rejected_and_never_decided_by_the_wrong_model(
    stand: Stand,
) -> None:
    faults: list[dict[str, object]] = [
        {"at_part": at, "do": f"recipe {n} now"} for at, n in ((6, 2), (30, 1), (33, 2), (36, 1))
    ]
    recipes: list[dict[str, object]] = [{"number": 2, "pack": str(stand.pack)}]
    with stand.line("--parts", 45, faults=faults) as line:
        daemon = stand.daemon(line.port, recipes=recipes, model={"keep_warm": 2})
        assert line.run() == 0, line.result
        assert line.result["broken_promises"] == []
        assert daemon.end() == 0
    assert line.result["rejects"]["NOT_READY"] >= 1
    assert reasons(line.parts()) <= {"NONE", "SCORE", "NOT_READY"}


def test_a_station_that_was_killed_goes_on_with_the_recipe_whose_request_was_taken_back(stand: Stand) -> None:
    faults: list[dict[str, object]] = [
        {"at_part": 3, "do": "recipe 2"},
        {"at_part": 5, "do": "recipe 0"},
        {"at_part": 8, "do": "say kill"},
        {"at_part": 9, "do": "line pause 4000"},
    ]
    rejects_all: dict[str, object] = {"number": 2, "pack": str(stand.pack), "threshold_factor": 1e-3}
    bright: dict[str, object] = {"features": {"ExposureTime": 300.0}}
    with stand.line("--parts", 20, faults=faults) as line:
        daemon = stand.daemon(line.port, recipes=[rejects_all | bright])

        def kill() -> None:
            daemon.kill()
            daemon.start()

        assert line.run(kill=kill) == 0, line.result
        assert daemon.end() == 0
    late = [part for part in line.parts() if part["index"] >= 12 and part["words"]]
    assert {part["words"][5] for part in late} == {2}
    assert not any(part["released"] for part in line.parts() if part["index"] >= 3)
    assert daemon.events("camera_up")[-1]["features"]["ExposureTime"] == 300.0


def test_the_station_triggers_the_camera_where_the_plc_only_counts(stand: Stand) -> None:
    software: dict[str, object] = {
        "features": TRIGGERED | {"TriggerSource": "Software"},
        "trigger": "software",
    }
    with stand.line("--parts", 30, "--software-trigger", "--rate", 10, "--min-spacing-ms", 80) as line:
        daemon = stand.daemon(line.port, camera=software)
        assert line.run() == 0, line.result
        assert line.result["broken_promises"] == []
        assert daemon.end() == 0
    good = [part for part in line.parts() if part["truth"] == "good"]
    assert reasons(good) == {"NONE"}
    assert line.result["released"] > len(good) / 2
    assert line.result["released_bad"] == 0
