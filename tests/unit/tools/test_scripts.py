"""The set-up scripts: any shell reads them, a second run does nothing, and what is missing is named."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tools.demo_images import lay_out

ROOT = Path(__file__).parents[3]
SCRIPTS = [
    path
    for path in sorted([*ROOT.glob("tools/*"), *ROOT.glob("tools/*/*"), ROOT / ".ci" / "run"])
    if path.is_file() and path.read_bytes().startswith(b"#!/bin/sh")
]

# Stands for a Python: notes what it is asked, "makes" a virtual environment by copying itself.
STAND_IN = """#!/bin/sh
echo "$@" >>"{folder}/asked.log"
case "$1 $2" in
"-m venv") for folder; do :; done; mkdir -p "$folder/bin"; cp "$0" "$folder/bin/python" ;;
"-c import ensurepip") [ ! -e "{folder}/no-ensurepip" ] ;;
"-m pip")
    case $3 in
    --version) [ ! -e "{folder}/no-pip" ] || [ "$0" != "{folder}/stand-in" ] ;;
    install) echo "pip has a word" >&2; [ ! -e "{folder}/no-network" ] ;;
    esac
    ;;
esac
"""


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_any_shell_can_read_the_script(script: Path) -> None:
    done = subprocess.run(["sh", "-n", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert os.access(script, os.X_OK)


def test_the_scripts_are_found() -> None:
    names = {str(path.relative_to(ROOT)) for path in SCRIPTS}
    assert {"tools/setup", "tools/test", "tools/demo", "tools/simcam/build", ".ci/run"} <= names


class Checkout:
    """A checkout with nothing but the set-up, and a stand-in for Python."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "tools").mkdir(parents=True)
        shutil.copy(ROOT / "tools" / "setup", folder / "tools" / "setup")
        (folder / "pyproject.toml").write_text("[project]\n")
        self.add_python()

    def add_python(self) -> None:
        self.python = self.folder / "stand-in"
        self.python.write_text(STAND_IN.format(folder=self.folder))
        self.python.chmod(0o755)

    def set_up(self, *extras: str, python: str = "") -> "subprocess.CompletedProcess[str]":
        environment = os.environ | {"PYTHON": python or str(self.python)}
        command = ["sh", str(self.folder / "tools" / "setup"), *extras]
        return subprocess.run(command, env=environment, cwd="/", capture_output=True, text=True, check=False)

    def installs(self) -> list[str]:
        """Return what was installed since the last call."""
        return [words.split("--editable ")[1] for words in self.asked() if "--editable" in words]

    def asked(self) -> list[str]:
        """Return what the stand-ins were asked since the last call."""
        log = self.folder / "asked.log"
        asked = log.read_text().splitlines() if log.exists() else []
        log.unlink(missing_ok=True)
        return asked


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path / "a checkout")


def test_an_extra_that_nobody_knows_is_refused(tmp_path: Path) -> None:
    checkout = Checkout(tmp_path / "new")
    done = checkout.set_up("demo", "dmo")
    assert done.returncode == 2
    assert done.stderr == "set-up expected the extras build, demo, dev or gpu, got: dmo\n"
    assert checkout.asked() == []


def test_a_second_set_up_does_nothing(checkout: Checkout) -> None:
    assert checkout.set_up("dev", "demo").returncode == 0
    assert checkout.installs() == [f"{checkout.folder}[dev,demo]"]
    for extras in (("dev", "demo"), ("demo",), ()):
        done = checkout.set_up(*extras)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        assert checkout.installs() == []


def test_without_extras_the_package_alone_is_installed(checkout: Checkout) -> None:
    assert checkout.set_up().returncode == 0
    assert checkout.installs() == [str(checkout.folder)]


def test_another_extra_is_added(checkout: Checkout) -> None:
    checkout.set_up("demo")
    checkout.installs()
    checkout.set_up("dev")
    assert checkout.installs() == [f"{checkout.folder}[dev]"]


def test_changed_dependencies_are_installed(checkout: Checkout) -> None:
    checkout.set_up("dev")
    checkout.installs()
    (checkout.folder / "pyproject.toml").write_text('[project]\nname = "x"\n')
    checkout.set_up("dev")
    assert checkout.installs() == [f"{checkout.folder}[dev]"]


def test_a_checkout_that_was_moved_is_set_up_anew(checkout: Checkout, tmp_path: Path) -> None:
    checkout.set_up("dev")
    checkout.installs()
    checkout.folder = checkout.folder.rename(tmp_path / "moved")
    checkout.add_python()
    assert checkout.set_up("dev").returncode == 0
    asked = checkout.asked()
    assert f"-m venv --clear {checkout.folder}/.venv" in asked
    assert [words for words in asked if words.endswith(f"--editable {checkout.folder}[dev]")]


def test_what_pip_says_is_shown_only_where_it_fails(checkout: Checkout) -> None:
    (checkout.folder / "no-network").touch()
    failed = checkout.set_up("dev")
    assert (failed.returncode, failed.stderr) == (1, "pip has a word\n")
    (checkout.folder / "no-network").unlink()
    done = checkout.set_up("dev")
    assert (done.returncode, done.stderr) == (0, "")
    first, last = done.stdout.splitlines()
    assert first.startswith("setting up ")
    assert f". {checkout.folder}/.venv/bin/activate" in last


def test_an_install_that_failed_is_tried_again(checkout: Checkout) -> None:
    (checkout.folder / "no-network").touch()
    assert checkout.set_up("dev").returncode != 0
    (checkout.folder / "no-network").unlink()
    checkout.installs()
    assert checkout.set_up("dev").returncode == 0
    assert checkout.installs() == [f"{checkout.folder}[dev]"]


def test_a_python_without_ensurepip_borrows_the_pip_of_the_system(checkout: Checkout) -> None:
    """As on Debian without python3-venv, but with python3-pip."""
    (checkout.folder / "no-ensurepip").touch()
    assert checkout.set_up("dev").returncode == 0
    borrowed = f"-m pip --python {checkout.folder}/.venv/bin/python install"
    assert [words for words in checkout.asked() if words.startswith(borrowed)]


def test_a_python_without_any_pip_says_what_to_install(checkout: Checkout) -> None:
    (checkout.folder / "no-ensurepip").touch()
    (checkout.folder / "no-pip").touch()
    done = checkout.set_up("dev")
    assert done.returncode == 1
    assert done.stderr.startswith(f"set-up needs the venv module of {checkout.python}: apt install python")


def test_without_python_the_set_up_says_what_to_install(checkout: Checkout) -> None:
    done = checkout.set_up(python="no-such-python")
    assert done.returncode == 1
    assert done.stderr == (
        "set-up needs Python 3.11 to 3.14, and found none: apt install python3 python3-venv, or set PYTHON=...\n"
    )
    assert not (checkout.folder / ".venv").exists()


def test_a_virtual_environment_that_was_only_begun_is_made_anew(checkout: Checkout) -> None:
    (checkout.folder / ".venv" / "bin").mkdir(parents=True)
    assert checkout.set_up("dev").returncode == 0
    assert f"-m venv --clear {checkout.folder}/.venv" in checkout.asked()


def test_a_rehearsal_without_set_up_says_what_to_do() -> None:
    script = ROOT / "tools" / "rehearsal"
    done = subprocess.run(
        [sys.executable, "-S", "-E", script, "--help"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr == "rehearse: expected the package rich; run `sh tools/setup` first\n"


def test_the_demo_shows_what_is_certain(tmp_path: Path) -> None:
    data = tmp_path / "data"
    (data / "images").mkdir(parents=True)
    cells = [
        ("1", "0.0", "mono"),
        ("2", "1.0", "mono"),
        ("3", "0.0", "poly"),
        ("4", "0.3333333333333333", "mono"),
    ]
    for number, _, _ in cells:
        (data / "images" / f"cell{number}.png").write_text(number)
    lines = [f"images/cell{number}.png  {probability}   {kind}\n" for number, probability, kind in cells]
    (data / "labels.csv").write_text("".join(lines))
    for _ in range(2):  # a second run makes the same
        assert lay_out(data, tmp_path / "out") == {"good": 1, "bad": 1}
    assert [path.read_text() for path in (tmp_path / "out" / "good").iterdir()] == ["1"]
    assert [path.read_text() for path in (tmp_path / "out" / "bad").iterdir()] == ["2"]


def test_the_demo_without_its_images_says_what_to_do() -> None:
    script = ROOT / "tools" / "demo_images.py"
    done = subprocess.run(
        [sys.executable, "-S", "-E", script, "x"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr == "demo_images: expected the package elpv-dataset; run `sh tools/setup demo` first\n"
