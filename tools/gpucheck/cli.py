"""The command `tools/gpu-check`. Exit status 0: all ran; 1: something failed; 2: bad input; 3: something could only be built here."""

import argparse
import importlib.util
import re
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from inspector.doctor.command import examine
from inspector.doctor.facts import as_json
from inspector.errors import InspectorError
from tools.gpucheck import parts
from tools.gpucheck.graph import random_graph, random_views
from tools.gpucheck.outcome import Outcome, Reasons, attempt, exit_status, write
from tools.gpucheck.setting import Checked, Setting

ROOT = Path(__file__).resolve().parents[2]
_FRAME = re.compile(r"(\d+)x(\d+)")
_CONTRACT_LIMIT_S = 300


def main(argv: Sequence[str] | None = None) -> int:
    """Check what the arguments ask for."""
    arguments = _parser().parse_args(argv)
    console = Console(highlight=False, soft_wrap=True)
    try:
        outcomes = _check(arguments, console)
    except InspectorError as error:
        print(f"gpu-check: {error}", file=sys.stderr)
        return 2
    return exit_status(outcomes)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tools/gpu-check",
        description="Check and measure the GPU path; say what could only be built. `--wheels DIR` as the first argument installs the "
        "packages from a folder into .venv-gpu before.",
        epilog="Exit status: 0 all ran; 1 something failed; 2 bad input; 3 nothing failed, but something could only be built, or not be run, "
        "here.",
    )
    parser.add_argument(
        "pack",
        type=Path,
        nargs="?",
        metavar="PACK",
        help="a model pack (default: Lite0 with a random bank of 3,000, and once more with four views of a part)",
    )
    parser.add_argument(
        "--frame", default="1920x1200", metavar="WxH", help="size of the raw frames (default: %(default)s)"
    )
    parser.add_argument(
        "--format",
        default="Mono8",
        metavar="NAME",
        help="their pixel format, of 8 bits (default: %(default)s)",
    )
    parser.add_argument(
        "--runs", type=int, default=10_000, metavar="N", help="of each measurement (default: %(default)s)"
    )
    parser.add_argument(
        "--seed", type=int, help="of the random inputs (default: a fresh one, which the two files name)"
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("gpu-check"),
        metavar="DIR",
        help="for the two files (default: %(default)s)",
    )
    return parser


def _check(arguments: argparse.Namespace, console: Console) -> list[Outcome]:
    sections = examine(None)
    outcomes: list[Outcome] = []
    told = Reasons()

    def tell(outcome: Outcome) -> None:
        outcomes.append(outcome)
        why = f": {told.short(outcome)}" if outcome.why else ""
        console.print(f"{outcome.part}: [bold]{outcome.status}[/bold]{escape(why)}")

    with tempfile.TemporaryDirectory(prefix="gpu-check-") as folder:
        setting = _setting(arguments, Path(folder))
        for name, work in parts.BEFORE:
            tell(attempt(name, lambda outcome, work=work: work(outcome, setting)))  # type: ignore[misc]
        tell(attempt("engine contract suite", _contract))
        for name, work in parts.AFTER:
            tell(attempt(name, lambda outcome, work=work: work(outcome, setting)))  # type: ignore[misc]
        setting.close()
        inputs = {"frame": arguments.frame, "format": setting.pixel_format, "runs": setting.runs}
    written = write(outcomes, as_json(sections), arguments.out, {**inputs, "seed": setting.seed})
    console.print("written: " + ", ".join(map(str, written)))
    return outcomes


def _setting(arguments: argparse.Namespace, folder: Path) -> Setting:
    found = _FRAME.fullmatch(arguments.frame)
    if found is None:
        raise InspectorError(f"--frame: expected a size like 1920x1200, got {arguments.frame!r}")
    size = int(found[1]), int(found[2])
    if arguments.pack is not None:
        from inspector.model.pack import load_pack

        pack = load_pack(arguments.pack)
        first, size = Checked(pack.graph, pack.geometries), pack.geometry.frame or size
    else:
        graph, geometry = random_graph(folder)
        first = Checked(graph, (geometry,))
    models = [first]
    if len(first.views) == 1:
        models.append(Checked(*random_views(folder, size)))
    seed = secrets.randbits(32) if arguments.seed is None else arguments.seed
    return Setting(tuple(models), size, arguments.format, arguments.runs, seed)


def _contract(outcome: Outcome) -> None:
    """Run the suite that the CPU engine passes, on the GPU."""
    if importlib.util.find_spec("pytest") is None:
        outcome.status, outcome.why = (
            "not run",
            "no pytest: sh tools/setup dev, or its wheel in the folder of --wheels",
        )
        return
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "tests/contract/test_engine.py",
        "-k",
        "TestTensorRT and not StandIn",
        "-rs",
    ]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=_CONTRACT_LIMIT_S
    )
    last = done.stdout.strip().splitlines()[-1] if done.stdout.strip() else done.stderr.strip()[-200:]
    outcome.rows.append({"what": "pytest", "result": last})
    if done.returncode:
        outcome.status, outcome.why = "failed", last
    elif "passed" not in last:
        skipped = re.search(r"SKIPPED.*?: (TensorRT cannot run here.*)", done.stdout)
        outcome.status, outcome.why = "not run", skipped[1] if skipped else last
