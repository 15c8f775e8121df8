"""systemd understands the unit and its drop-in without a word of complaint, and finds it well shut in."""

import configparser
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

from inspector.config.commands import EXIT_PROBLEMS

ROOT = Path(__file__).parents[2]
UNIT = "inspector@.service"
INSTALLED_COMMAND = "/opt/inspector/.venv/bin/inspector"

needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed"
)


@pytest.fixture
def units(tmp_path: Path) -> Path:
    """A copy of the units whose command exists on this machine: `verify` complains about a missing one."""
    folder = tmp_path / "units"
    shutil.copytree(ROOT / "systemd", folder)
    unit = folder / UNIT
    text = unit.read_text()
    assert text.count(f"ExecStart={INSTALLED_COMMAND} ") == 1
    unit.write_text(text.replace(INSTALLED_COMMAND, "/bin/true"))
    return folder


def verify(folder: Path) -> str:
    """Return what systemd has to say about the unit: nothing, if all is well. Its exit status is 0 in any case."""
    done = subprocess.run(
        ["systemd-analyze", "verify", folder / UNIT], capture_output=True, text=True, check=False, timeout=60
    )
    return done.stdout + done.stderr


def service() -> configparser.SectionProxy:
    unit = configparser.ConfigParser(interpolation=None, strict=False)
    unit.optionxform = str  # type: ignore[assignment, method-assign]
    unit.read(ROOT / "systemd" / UNIT)
    return unit["Service"]


@needs_systemd
def test_systemd_understands_every_line(units: Path) -> None:
    assert verify(units) == ""


@needs_systemd
@pytest.mark.parametrize("file", [UNIT, f"{UNIT}.d/gpu.conf", f"{UNIT}.d/server.conf"])
def test_systemd_would_complain_about_a_wrong_line(units: Path, file: str) -> None:
    with (units / file).open("a") as unit:
        unit.write("\n[Service]\nWatchdocSec=5\n")
    assert "WatchdocSec" in verify(units)


@needs_systemd
def test_the_service_is_shut_in() -> None:
    """Exposure at most 2.5 of 10; a service without any restriction has 9.6."""
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=yes", "--threshold=25", ROOT / "systemd" / UNIT],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout[-300:] + done.stderr


def test_the_unit_starts_the_command_that_the_package_installs() -> None:
    package = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert Path(INSTALLED_COMMAND).name in package["scripts"]
    assert service()["ExecStart"] == f"{INSTALLED_COMMAND} run /etc/inspector/%i.yaml"


def test_a_wrong_configuration_is_not_tried_again() -> None:
    assert service()["RestartPreventExitStatus"] == str(EXIT_PROBLEMS)


def test_every_setting_is_given_once() -> None:
    for unit in (ROOT / "systemd").rglob("*.*"):
        if unit.is_dir():
            continue
        settings = re.findall(r"(?m)^(\w+)=", unit.read_text())
        repeated = {name for name in settings if settings.count(name) > 1}
        assert repeated <= {"DeviceAllow"}
