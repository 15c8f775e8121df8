"""The command `tools/rehearse`. Exit status 0, 1 broken promise, 2 bad input."""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from inspector.clock import utc_label
from inspector.config.schema import Config
from inspector.engine.base import open_engine
from inspector.errors import InspectorError, ServiceError
from inspector.model.pack import Pack, load_pack
from tools.faultproxy.faults import DESCRIBED as LINK_FAULTS
from tools.launch import heeded
from tools.linesim.faults import LIST
from tools.rehearsal import folders, result, sheet, station, verify
from tools.rehearsal.asked import read_asked
from tools.rehearsal.faults import FaultPlan, cost_table, costs
from tools.rehearsal.kept import check_free, make_free
from tools.rehearsal.live import Display
from tools.rehearsal.run import LinePlan, Linesim, LinkFaults, run


def main(argv: Sequence[str] | None = None) -> int:
    """Rehearse what the arguments describe."""
    arguments = _parser().parse_args(argv)
    for number in heeded():
        signal.signal(number, signal.default_int_handler)  # while nothing runs that has to end in order
    try:
        return _rehearse(arguments, Console())
    except InspectorError as error:
        print(f"rehearse: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("rehearse: interrupted", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tools/rehearse",
        description="Run a whole line on folders of good and bad images: simulated camera, conveyor and PLC, and the "
        "daemon as it is. Without CONFIG a model is fitted on 70 % of the good images, and the others are shown.",
        epilog=f"{LIST}\n    kill camera          the camera's process dies without a word\n"
        "    kill station         the station dies, and is started again\n"
        '    link FAULT [NAME=VALUE ...]  the link is struck, e.g. "link delay ms=40 of=request"; FAULT with its defaults:\n'
        + LINK_FAULTS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add(
        "config",
        nargs="?",
        type=Path,
        metavar="CONFIG",
        help="the station's YAML file (default: the example station)",
    )
    add("--good", type=Path, required=True, metavar="DIR", help="images of good parts, nested as you like")
    add("--bad", type=Path, required=True, metavar="DIR", help="images of bad parts")
    add("--parts", type=int, metavar="N", help="how many parts pass (default: each image once)")
    add(
        "--rate",
        type=float,
        default=10.0,
        metavar="HZ",
        help="parts per second, on average (default: %(default)s)",
    )
    add("--budget-ms", type=float, metavar="MS", help="trigger to verdict (default: the configuration's)")
    add(
        "--seed",
        type=int,
        default=1,
        help="order and spacing of the parts, choice of images (default: %(default)s)",
    )
    add(
        "--faults",
        metavar="FILE|random:SEED",
        help="YAML list of {at_part: N, do: ...}, or drawn from a seed; see below",
    )
    add("--json", type=Path, metavar="FILE", help="write the figures here as one JSON object")
    add("--out", type=Path, metavar="DIR", help="where everything is kept (default: a new folder in runs/)")
    return parser


@dataclass(frozen=True, slots=True)
class Setting:
    """What a rehearsal is made of, once it is prepared."""

    arguments: argparse.Namespace
    base: Config
    packs: Mapping[int, Pack]  # by recipe, the first one first
    shown: Sequence[folders.Shown]
    sensor: folders.Sensor
    faults: FaultPlan | None
    folder: Path  # where the run is kept
    console: Console

    @property
    def budget_ms(self) -> float:
        """From trigger to verdict."""
        return float(self.arguments.budget_ms or self.base.station.budget_ms)

    @property
    def pack(self) -> Pack:
        """The model of the first recipe."""
        return next(iter(self.packs.values()))


def _rehearse(arguments: argparse.Namespace, console: Console) -> int:
    """Prepare, run, and say what came of it: the table of contents of a rehearsal."""
    asked = read_asked(arguments)
    label = utc_label().partition(".")[0].replace(":", "")
    folder = (arguments.out or Path("runs") / f"rehearsal-{label}").resolve()
    kept = [arguments.good, arguments.bad, *(pack.path for pack in asked.packs.values())]
    check_free(folder, [path.resolve() for path in kept])
    producer = station.build_simcam()
    make_free(folder)  # an earlier rehearsal goes only when nothing is wrong with this one
    base, packs = asked.base, asked.packs
    if asked.fitted:
        packs = {base.model.recipe: load_pack(_fit(asked.fitted, arguments.good, folder, console))}
        for warning in packs[base.model.recipe].manifest.warnings:
            console.print(f"[yellow]warning:[/yellow] {warning}", highlight=False)
    shown = asked.shown
    sensor, odd = folders.choose_sensor(shown, packs[base.model.recipe].geometry.channels)
    setting = Setting(arguments, base, packs, shown, sensor, asked.faults, folder, console)
    for doubt in station.doubts(base, setting.budget_ms, arguments.rate):
        console.print(f"[yellow]warning:[/yellow] {doubt}", highlight=False)
    n_good = sum(each.good for each in shown)
    console.print(
        f"Showing {n_good} good and {len(shown) - n_good} bad images to the camera.", highlight=False
    )
    if odd:
        size = f"{sensor.width} x {sensor.height}"
        console.print(
            f"[yellow]warning:[/yellow] {odd} of them are stretched to {size} pixels", highlight=False
        )
    # The pixels are large and of no use afterwards, and the path of a socket may have 107 characters at most.
    with tempfile.TemporaryDirectory(prefix="simcam-") as root:
        folders.write_camera_files(shown, sensor, Path(root) / station.DEVICE)
        status, figures, parts = _run(setting, producer, Path(root))
    pages = _look_again(setting, figures, parts)
    _conclude(setting, figures, parts, pages)
    return max(status, int(not result.held(figures)))


def _fit(images: Sequence[Path], good: Path, folder: Path, console: Console) -> Path:
    """Fit on `images` with the command that the user has; return the pack."""
    folders.link_images(images, good, folder / "fitted")
    console.print(f"Fitting a model on {len(images)} good images.", highlight=False)
    pack = folder / "pack"
    command = [sys.executable, "-m", "inspector", "fit", "--good", str(folder / "fitted"), "--out", str(pack)]
    paths = os.pathsep.join(filter(None, [str(station.ROOT), os.environ.get("PYTHONPATH")]))
    command += ["--json", str(folder / "fit.json")]
    with (folder / "fit.log").open("w+", encoding="utf-8") as log:
        done = subprocess.run(
            command, stdout=log, check=False, env=os.environ | {"PYTHONPATH": paths}, stderr=None
        )
    if done.returncode:
        raise ServiceError("expected the model to be fitted, see the line above")
    return pack


def _run(
    setting: Setting, producer: Path, root: Path
) -> tuple[int, dict[str, Any], list[result.PartOutcome]]:
    """Run the three processes; return linesim's exit status, the result, and each part."""
    arguments, folder = setting.arguments, setting.folder
    folders.write_truth(setting.shown, folder / "images.json")
    plan = LinePlan(
        truth=folder / "images.json",
        camera=station.socket_in(root),
        parts=arguments.parts,
        rate_hz=arguments.rate,
        budget_ms=setting.budget_ms,
        seed=arguments.seed,
        faults=setting.faults.write(folder) if setting.faults else None,
        held_ms=setting.faults.held_ms if setting.faults else None,
    )
    link = None
    if setting.faults and setting.faults.strikes_link:
        link = partial(LinkFaults, folder=folder, role=setting.base.plc.role)

    def start(port: int) -> station.Daemon:
        pack, *others = setting.packs.values()
        around = station.Surroundings(
            producer, pack.path, pack.geometry.channels, port, [other.path for other in others]
        )
        daemon = station.Daemon(station.derive(setting.base, around, arguments.budget_ms, folder), root)
        daemon.start()
        return daemon

    t_start = time.monotonic()
    with Linesim(plan, setting.base, folder) as linesim, Display(setting.console) as display:
        status, line, daemon = run(linesim, start, display.show, link)
    seconds = time.monotonic() - t_start
    log = result.read_lines(sorted((folder / "logs").glob("*.jsonl")))
    parts = result.join(result.read_lines([folder / "parts.jsonl"]), log)
    figures = result.assemble(line, parts, log, starts=daemon.starts, seconds=seconds)
    if setting.faults:
        figures["faults"] = costs(figures["faults_made"], [part.seen for part in parts])
    return status, figures, parts


def _look_again(setting: Setting, figures: dict[str, Any], parts: Sequence[result.PartOutcome]) -> list[Path]:
    """Score the images by themselves: check that each part was decided by its own, and draw the mistakes."""
    shown = {each.name: each for each in setting.shown}
    pages: list[Path] = []
    for recipe in setting.base.all_recipes:
        pack, decided = setting.packs[recipe.number], verify.of_recipe(parts, recipe.number)
        which = "" if recipe.number == setting.base.model.recipe else f"-recipe-{recipe.number}"
        if which and not decided:
            continue
        engine = open_engine(setting.base.model.engine, pack.graph, pack.geometries)
        try:
            engine.warm_up()
            scores = verify.score_again(decided, shown, setting.sensor, engine)
            verify.blame(figures, verify.mixed_up(decided, scores))
            escapes, rejects = result.mistakes(decided)
            pages += sheet.draw(
                {f"escapes{which}": escapes, f"false-rejects{which}": rejects},
                setting.folder,
                shown=shown,
                sensor=setting.sensor,
                engine=engine,
                threshold=pack.threshold * recipe.threshold_factor,
            )
        finally:
            engine.close()
    return pages


def _conclude(
    setting: Setting, figures: dict[str, Any], parts: Sequence[result.PartOutcome], pages: Sequence[Path]
) -> None:
    """Write the figures, and say in plain words what happened."""
    folder, console = setting.folder, setting.console
    for file in filter(None, (folder / "result.json", setting.arguments.json)):
        _write_json(file, figures)
    console.print()
    for line in (*result.words(figures, setting.budget_ms), *result.of_the_model(parts)):
        console.print(line, highlight=False, soft_wrap=True)
    if figures.get("faults"):
        console.print(cost_table(figures["faults"]))
    style = "green" if result.held(figures) else "bold red"
    for line in result.promises(figures):
        console.print(line, style=style, highlight=False, soft_wrap=True)
    for page in pages:
        console.print(f"Pictures: {page}", highlight=False, soft_wrap=True)
    console.print(f"Everything of this run: {folder}", highlight=False, soft_wrap=True)


def _write_json(file: Path, figures: dict[str, Any]) -> None:
    try:
        file.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise ServiceError(f"{file}: expected a file that can be written, got: {error.strerror}") from error
