"""The list of faults."""

import importlib
import os
import socket
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
        "plc bin full",
        "plc unconfirmed",
        "challenge bad good bad",
        "challenge good",
        "recipe 2",
        "recipe 0 now",
    ],
)
def test_what_a_line_can_play_beside_faults(do: str) -> None:
    (fault,) = parse_faults([{"at_part": 1, "do": do}], "list")
    assert fault.text == do


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
        "plc bin",
        "plc unconfirmed 1",
        "challenge",
        "challenge bad ugly",
        "recipe",
        "recipe two",
        "recipe 65536",
        "recipe 2 soon",
    ],
)
def test_an_unknown_fault_is_refused_by_entry(do: str) -> None:
    with pytest.raises(InputError, match=r"list: entry 1: expected camera TEXT.* got: "):
        parse_faults([{"at_part": 1, "do": do}], "list")


def test_all_wrong_entries_are_named_at_once_as_they_were_written() -> None:
    entries = [
        {"at_part": 1, "do": "camera vanish"},
        {"at_part": 2, "do": "camera lose 2"},
        {"at_part": 3, "do": "camera lose many"},
        {"at": 4, "do": "kill camera"},
        {"at_part": 500, "do": "camera lose 1"},
    ]
    with pytest.raises(InputError) as error:
        parse_faults(entries, "list", 100)
    said = str(error.value)
    assert said.startswith("list: entry 1: expected camera lose|incomplete|twice|swap [N], ")
    assert "got: camera vanish; entry 3: expected camera lose" in said
    assert "entry 4: expected the keys at_part and do, got: {at: 4, do: kill camera};" in said
    assert said.endswith("; entry 5: at_part 500, but only 100 parts pass")
    assert "entry 2" not in said
    assert "\n" not in said


@pytest.mark.parametrize(
    "text", ["late", "late 0", "late 5 1 1", "lose -1", "silent", "device gone", "width 0", "pulse a"]
)
def test_what_the_camera_would_refuse_is_refused_before(text: str) -> None:
    with pytest.raises(InputError, match="expected camera lose"):
        parse_faults([{"at_part": 1, "do": f"camera {text}"}], "list")


@pytest.mark.parametrize(
    "text",
    [
        "late 5",
        "late 5 2",
        "lose 0",
        "silent on",
        "device back",
        "width 64",
        "pulse image=a b",
        "image good/a b",
    ],
)
def test_what_the_camera_takes_is_taken(text: str) -> None:
    assert len(parse_faults([{"at_part": 1, "do": f"camera {text}"}], "list")) == 1


@pytest.mark.parametrize("entries", [None, {}, [1], [{"at_part": 1}], [{"at_part": 0, "do": "line pause 5"}]])
def test_what_is_no_list_of_faults_is_refused(entries: object) -> None:
    with pytest.raises(InputError, match="list: "):
        parse_faults(entries, "list")


@pytest.mark.parametrize("content", [b"- {at_part: 1", b"\xff\xfe-"])
def test_what_is_no_yaml_is_refused_in_one_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "faults.yaml").write_bytes(content)
    with pytest.raises(InputError) as failure:
        read_faults(tmp_path / "faults.yaml")
    assert "\n" not in str(failure.value)


def test_pulses_that_find_no_camera_are_counted(tmp_path: Path) -> None:
    camera = CameraSocket(tmp_path / "nobody.sock")
    try:
        camera.send("pulse image=a")
        assert camera.failures == 1
        with pytest.raises(InputError, match="is the camera open"):
            camera.check()
    finally:
        camera.close()


def test_an_images_name_reaches_the_camera_byte_for_byte(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "camera.sock"))
        camera = CameraSocket(tmp_path / "camera.sock")
        try:
            for name in ("größe 7".encode(), "größe 7".encode("latin-1")):
                camera.send(f"pulse image={os.fsdecode(name)}")
                assert listener.recv(100) == b"pulse image=" + name
        finally:
            camera.close()


def test_the_first_refusal_of_the_camera_is_heard(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "camera.sock"))
        camera = CameraSocket(tmp_path / "camera.sock")
        try:
            camera.check()
            camera.send("pulse image=nobody")
            said, sender = listener.recvfrom(100)
            assert said == b"pulse image=nobody"
            assert camera.refusal() is None
            for answer in (b"ok", b"error no image of this name", b"ok"):
                listener.sendto(answer, sender)
            assert camera.refusal() == "error no image of this name"
        finally:
            camera.close()


@pytest.mark.parametrize("tool", ["rehearsal", "linesim"])
def test_the_help_lists_what_can_be_done(tool: str, capsys: pytest.CaptureFixture[str]) -> None:
    command = importlib.import_module(f"tools.{tool}.cli")
    with pytest.raises(SystemExit):
        command.main(["--help"])
    said = capsys.readouterr().out
    for words in (
        "challenge bad good bad",
        "plc bin full",
        "plc unconfirmed",
        "recipe N now",
        "say TEXT",
        "silent on|off",
    ):
        assert words in said
    assert "faults.py" not in said


def test_the_help_of_the_proxy_lists_its_faults(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        importlib.import_module("tools.faultproxy.cli").main(["--help"])
    said = capsys.readouterr().out
    assert "{at_s: 2.5, do: refuse}" in said
    assert "delay ms=50.0 of=reply" in said
    assert "schedule.py" not in said
