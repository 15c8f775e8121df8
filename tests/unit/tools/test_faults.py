"""The list of faults."""

from pathlib import Path

import pytest

from tools.linesim.conveyor import InputError
from tools.linesim.faults import CameraSocket, Fault, by_part, parse_faults, read_faults


def test_faults_are_read_in_order(tmp_path: Path) -> None:
    file = tmp_path / "faults.yaml"
    file.write_text("- {at_part: 5, do: plc restart 500 keep}\n- {at_part: 2, do: camera lose 1}\n")
    faults = read_faults(file)
    assert faults == [Fault(5, "plc", ("restart", "500", "keep")), Fault(2, "camera", ("lose", "1"))]
    assert (faults[0].ms, faults[1].text) == (500.0, "camera lose 1")
    assert by_part(faults) == {5: [faults[0]], 2: [faults[1]]}


@pytest.mark.parametrize(
    "do",
    [
        "",
        "camera",
        "plc",
        "plc down",
        "plc down soon",
        "plc explode 5",
        "line pause 0",
        "plc down 5 keep",
        "moon fall 1",
    ],
)
def test_an_unknown_fault_is_refused_by_entry(do: str) -> None:
    with pytest.raises(InputError, match=r"list: entry 1: expected camera TEXT.* got: "):
        parse_faults([{"at_part": 1, "do": do}], "list")


@pytest.mark.parametrize("entries", [None, {}, [1], [{"at_part": 1}], [{"at_part": 0, "do": "line pause 5"}]])
def test_what_is_no_list_of_faults_is_refused(entries: object) -> None:
    with pytest.raises(InputError, match="list: "):
        parse_faults(entries, "list")


def test_broken_yaml_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "faults.yaml").write_text("- {at_part: 1")
    with pytest.raises(InputError) as failure:
        read_faults(tmp_path / "faults.yaml")
    assert "\n" not in str(failure.value)


def test_a_camera_that_went_away_is_told_not_raised(tmp_path: Path) -> None:
    failures: list[str] = []
    camera = CameraSocket(tmp_path / "nobody.sock", failures.append)
    camera.send("pulse image=a")
    assert failures == ["No such file or directory"]
    with pytest.raises(InputError, match="is the camera open"):
        camera.check()
    camera.close()
