"""Bad input, as a user meets it: one line that says what is wrong and what to do, exit status 2, never a traceback."""

import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from numpy.random import bit_generator

from tests.conftest import Stand
from tests.support.daemon import environment, free_port, inspector, write_config
from tests.support.line import LINESIM
from tests.support.plc import PlainPlc
from tests.support.waiting import wait_for

FAILED, BAD_INPUT = 1, 2


def refused(*arguments: object, status: int = BAD_INPUT) -> str:
    """Run a command that must fail with one line on stderr; return that line."""
    done = inspector(*arguments)
    assert done.returncode == status, done.stderr
    (said,) = done.stderr.splitlines()
    assert "Traceback" not in said
    return said


# -- images ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("content", [b"", b"this is no picture", b"half"], ids=["empty", "text", "cut off"])
def test_an_unreadable_image(tmp_path: Path, good_plates: Path, content: bytes) -> None:
    folder = tmp_path / "good"
    shutil.copytree(good_plates, folder)
    bad = folder / "monday" / "5.png"
    bad.write_bytes(bad.read_bytes()[:2000] if content == b"half" else content)
    said = refused("fit", "--good", folder, "--out", tmp_path / "pack")
    assert said.startswith(f"MOD-003: {bad}: ")
    assert "remove or replace the file" in said
    assert not (tmp_path / "pack").exists()


def test_an_empty_folder(tmp_path: Path) -> None:
    assert "found none; correct the path" in refused("fit", "--good", tmp_path, "--out", tmp_path / "pack")


@pytest.mark.parametrize(
    "option", ["--seed=-1", "--bank=3", "--size=1", "--false-reject-rate=nan", "--taps=99"]
)
def test_an_option_out_of_its_range(tmp_path: Path, good_plates: Path, option: str) -> None:
    said = refused("fit", "--good", good_plates, "--out", tmp_path / "pack", option)
    assert said.startswith("MOD-001: expected a")


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    said = refused("fit", "--good", tmp_path / "nowhere", "--out", tmp_path / "pack")
    assert f"{tmp_path / 'nowhere'}: expected a folder of images, there is none" in said


def test_too_few_good_images(tmp_path: Path, good_plates: Path) -> None:
    folder = tmp_path / "good"
    folder.mkdir()
    for path in sorted(good_plates.rglob("*.png"))[:5]:
        shutil.copy(path, folder / f"{path.parent.name}-{path.name}")
    said = refused("fit", "--good", folder, "--out", tmp_path / "pack")
    assert said.startswith("MOD-003: ")
    assert re.search(r"expected at least \d+ .*, found 5; add images of good parts", said)


# -- the model pack ----------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["run", "check", "evaluate"])
@pytest.mark.parametrize(
    ("file", "damage", "words"),
    [
        ("graph.onnx", lambda data: data[:-1000], "truncated or altered, restore the pack"),
        (
            "graph.onnx",
            lambda data: data[:-1] + bytes([data[-1] ^ 1]),
            "the file was altered, restore the pack",
        ),
        ("manifest.json", lambda data: data[:200], "truncated or damaged"),
        ("manifest.json", lambda data: data.replace(b'"seed": 0', b'"seed": 1'), "it was altered"),
    ],
    ids=["truncated graph", "altered graph", "truncated manifest", "altered manifest"],
)
def test_a_damaged_model_pack(
    stand: Stand, command: str, file: str, damage: Callable[[bytes], bytes], words: str
) -> None:
    stand.pack = shutil.copytree(stand.pack, stand.folder / "pack")
    victim = stand.pack / file
    damaged = damage(victim.read_bytes())
    assert damaged != victim.read_bytes()
    victim.write_bytes(damaged)
    if command == "evaluate":
        said = refused("evaluate", stand.pack, "--good", stand.folder, "--bad", stand.folder)
    else:
        said = refused(command, stand.configured(free_port()).config)
    assert f"{'model.pack' if command == 'check' else 'MOD-004'}: {victim}: expected" in said
    assert words in said


# -- the camera --------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["run", "check"])
def test_a_missing_producer(tmp_path: Path, pack: Path, command: str) -> None:
    config = write_config(tmp_path, producer=tmp_path / "none.cti", pack=pack, port=free_port())
    said = refused(command, config)
    assert re.fullmatch(
        rf"{config}:\d+:\d+: camera.producer: expected a GenTL producer \(.cti file\), "
        rf"but there is no file {tmp_path / 'none.cti'}",
        said,
    )


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"no library at all", "does not load"),
        (None, "is a library but no GenTL producer: correct camera.producer"),
    ],
    ids=["no library", "another library"],
)
def test_a_file_that_is_no_producer(stand: Stand, content: bytes | None, words: str) -> None:
    producer = stand.folder / "camera.cti"
    if content is None:
        shutil.copy(bit_generator.__file__, producer)  # modules of Python itself may be built into it
    else:
        producer.write_bytes(content)
    assert words in said_about_the_camera(stand, camera={"producer": str(producer)})


def test_a_producer_without_devices(stand: Stand) -> None:
    (stand.folder / "empty").mkdir()
    said = said_about_the_camera(stand, environment={"SIMCAM_ROOT": str(stand.folder / "empty")})
    assert "offers no devices: check cable, power and network of the camera" in said


def test_a_camera_of_another_name(stand: Stand) -> None:
    said = said_about_the_camera(stand, camera={"device": {"user_defined_name": "com"}})
    assert (
        "no camera has user_defined_name 'com'; present: Inspector simcam (serial SIM-cam, name cam)" in said
    )


def said_about_the_camera(stand: Stand, **changes: Any) -> str:
    """Run a daemon whose camera cannot come up, and let it try three times; return what it says about it.

    It runs on, since a camera may be switched on later, and says once what is wrong.
    """
    daemon = stand.daemon(free_port(), **changes)
    daemon.wait_for("camera_down", after=2)
    assert daemon.end() == 0
    (said,) = [text for text in daemon.said.splitlines() if text.startswith("camera")]
    return said


def test_a_feature_that_the_camera_refuses(stand: Stand) -> None:
    daemon = stand.configured(free_port(), camera={"features": {"ExposureTime": -5.0}})
    done = inspector("run", daemon.config, more=daemon.more)
    assert done.returncode == BAD_INPUT
    assert "Traceback" not in done.stderr
    (said,) = [text for text in done.stderr.splitlines() if "ExposureTime" in text]
    assert said.startswith("CAM-004: ExposureTime: expected a number from ")
    assert "got -5.0; correct camera.features" in said
    (failed,) = daemon.events("station_failed")
    assert failed["code"] == "CAM-004"


# -- the PLC, ports and folders ----------------------------------------------------------------------


def test_a_plc_that_is_not_there_yet(stand: Stand) -> None:
    daemon = stand.daemon(free_port())
    (said,) = wait_for(
        lambda: [text for text in daemon.said.splitlines() if text.startswith("PLC down")],
        "words about the PLC",
    )
    assert said.endswith("is it on, and are plc.host and plc.port right?")
    port = yaml.safe_load(daemon.config.read_text())["plc"]["port"]
    with PlainPlc(port) as plc:
        daemon.wait_for("link_up")
        wait_for(lambda: plc.status.heartbeat > 1, "the station's heartbeat")
        assert daemon.end() == 0
    assert daemon.said.count("PLC down") == 1


def test_a_busy_port(tmp_path: Path) -> None:
    (tmp_path / "images.json").write_text('{"good": ["a"]}')
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = subprocess.run(
            [sys.executable, str(LINESIM), "--images", str(tmp_path / "images.json"), "--port", str(port)],
            capture_output=True, text=True, timeout=60, check=False, env=environment(),
        )  # fmt: skip
    assert done.returncode == BAD_INPUT
    (said,) = done.stderr.splitlines()
    assert f"expected a free port at 127.0.0.1:{port}, got none: stop what uses it, or take --port 0" in said


@pytest.mark.parametrize(
    ("sections", "key"),
    [
        ({"station": {"state_folder": "file/state"}}, "station.state_folder"),
        ({"recorder": {"folder": "file/logs"}}, "recorder.folder"),
    ],
    ids=["state", "logs"],
)
def test_a_folder_that_cannot_be_written(stand: Stand, sections: dict[str, Any], key: str) -> None:
    (stand.folder / "file").write_text("no folder")  # root may write where others may not, but not in here
    said = refused("run", stand.configured(free_port(), **sections).config, status=FAILED)
    assert said.startswith("SVC-001: expected to ")
    assert said.endswith(f"see {key}")


def test_all_problems_of_a_configuration_at_once(stand: Stand) -> None:
    config = stand.configured(
        free_port(), station={"budget": 5}, plc={"port": 70000, "unit_id": "one"}
    ).config
    done = inspector("run", config)
    assert (done.returncode, inspector("check", config).stderr) == (BAD_INPUT, done.stderr)
    keys = [text.split(": ")[1] for text in done.stderr.splitlines()]
    assert set(keys) == {"station.budget", "plc.port", "plc.unit_id"}
    assert all(re.match(rf"{config}:\d+:\d+: ", text) for text in done.stderr.splitlines())
