"""The command line: which commands there are, what an error becomes, and how it is started."""

import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from inspector import __version__, cli
from inspector.config import commands as config_commands
from inspector.errors import (
    CameraError,
    ConfigError,
    DeviceError,
    EngineUnavailableError,
    FeatureError,
    ImagesError,
    InspectorError,
    ModelError,
    PackError,
    PlcError,
    ProducerError,
    ServiceError,
    WeightsError,
)

FAILED, BAD_INPUT, INTERRUPTED = 1, 2, 130


def run_check_that(monkeypatch: pytest.MonkeyPatch, raised: BaseException | None) -> int:
    """Run `inspector check x`, whose work raises `raised`."""

    def check(_: object) -> int:
        if raised is not None:
            raise raised
        return 0

    monkeypatch.setattr(config_commands, "check", check)
    return cli.main(["check", "x.yaml"])


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (ImagesError, BAD_INPUT),
        (PackError, BAD_INPUT),
        (WeightsError, BAD_INPUT),
        (ModelError, BAD_INPUT),
        (ProducerError, BAD_INPUT),
        (FeatureError, BAD_INPUT),
        (DeviceError, FAILED),
        (CameraError, FAILED),
        (EngineUnavailableError, FAILED),
        (PlcError, FAILED),
        (ServiceError, FAILED),
    ],
)
def test_an_error_is_one_line_with_its_code_and_a_status(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: type[InspectorError],
    status: int,
) -> None:
    assert run_check_that(monkeypatch, error("expected this,\n got that; do so")) == status
    assert capsys.readouterr() == ("", f"{error.code}: expected this, got that; do so\n")


def test_a_thread_that_hangs_does_not_keep_the_command_from_ending() -> None:
    """Without an end at once the interpreter would wait for the thread for ever."""
    program = """
import sys, threading
from inspector import cli
from inspector.config import commands
from inspector.errors import HungError

def check(_):
    threading.Thread(target=threading.Event().wait).start()
    raise HungError("it hangs")

commands.check = check
sys.exit(cli.main(["check", "x.yaml"]))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stderr) == (FAILED, "SVC-002: it hangs\n")


def test_all_problems_of_a_configuration_are_lines(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_check_that(monkeypatch, ConfigError(["x.yaml:1:1: a", "x.yaml:2:1: b"])) == BAD_INPUT
    assert capsys.readouterr().err == "x.yaml:1:1: a\nx.yaml:2:1: b\n"


def test_an_unexpected_error_is_one_line_and_its_traceback_is_kept(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert run_check_that(monkeypatch, KeyError("lost")) == FAILED
    said = capsys.readouterr().err
    (kept,) = tmp_path.iterdir()
    assert said == f"XXX-000: unexpected KeyError: 'lost'; please report it, with {kept}\n"
    assert kept.read_text().startswith("Traceback")
    assert kept.read_text().endswith("KeyError: 'lost'\n")


def test_an_unexpected_error_is_one_line_also_where_nothing_can_be_kept(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "nowhere"))
    assert run_check_that(monkeypatch, KeyError("lost")) == FAILED
    assert re.fullmatch(
        r"XXX-000: unexpected KeyError: 'lost'; .*could not be kept.*\n", capsys.readouterr().err
    )


def test_ctrl_c_is_a_word_and_the_shells_status(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_check_that(monkeypatch, KeyboardInterrupt()) == INTERRUPTED == 128 + signal.SIGINT
    assert capsys.readouterr().err == "interrupted\n"


@pytest.mark.parametrize("arguments", [[], ["rnu"], ["run"], ["run", "x.yaml", "--fast"], ["fit", "--good"]])
def test_a_wrong_command_line_is_explained(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    assert ended.value.code == BAD_INPUT
    usage, *_, said = capsys.readouterr().err.splitlines()
    assert usage.startswith("usage: inspector")
    assert said.startswith("inspector")
    assert ": error: " in said


def test_an_unknown_command_names_the_known_ones(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["rnu", "x.yaml"])
    said = capsys.readouterr().err
    assert all(command in said for command in ("run", "check", "fit", "evaluate"))


def test_an_option_says_what_it_expects(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["fit", "--good", "x", "--size", "a,b"])
    assert capsys.readouterr().err.endswith("expected pixels as in 256 or 160,384, got 'a,b'\n")


def test_every_command_is_listed_with_what_it_does(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["--help"])
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    for command in ("run", "check", "fit", "evaluate"):
        assert re.search(rf"^ +{command} +\w+ \w+", shown, re.MULTILINE)


def test_the_package_is_the_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "inspector", "--version"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert (done.stdout, done.stderr) == (f"inspector {__version__}\n", "")


def test_a_command_that_needs_no_model_or_camera_loads_neither() -> None:
    code = (
        "import sys; from inspector import cli\n"
        "cli.main(['check', '/nowhere.yaml'])\n"
        "print(*({'openvino', 'harvesters', 'genicam', 'pymodbus', 'onnx', 'cv2'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == ""
