"""The benchmark `tools/bench/peer`: Inspector beside anomalib's PatchCore and PaDiM on the same images and backbone weights.

Each side is a process of its own. They score ten images each in turn, so that what else the machine does is shared by all, and each has
its model in the caches as on a line, where nobody else has turns. Timed is a decoded frame in memory to its score on all sides: size,
normalisation, model. Times and memory are given as ratios to ours, since they depend on the machine.

A fit is timed to the model that can score. Ours then finds its threshold by models that saw none of a batch, which the peer has no
counterpart of: that time is shown by itself. Runtime, network and weights are loaded before, on all sides.
"""

import argparse
import contextlib
import itertools
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from inspector.errors import InspectorError, ModelError
from inspector.model.compare import delong
from inspector.model.lite import lite0
from tools.bench import anomalib_env
from tools.bench.accuracy import Split, auroc_with_error, quickly, solar, tiles
from tools.bench.machine import Machine, add_json, in_words, show_rows, write_rows

HERE = Path(__file__).resolve().parent
# Ours: the default, the same in int8 where the gate takes it, and PaDiM's kin (a distribution for each place).
OURS, INT8, POSITIONS = "inspector", "inspector int8", "inspector positions"
VARIANTS = {OURS: "float32", INT8: "auto", POSITIONS: "gaussian-position"}
PEERS = ("patchcore", "padim")
KINDS = ("mono", "poly")  # of solar cells
IN_TURN = 10  # images
TIMES_FASTER, TIMES_SMALLER = 5.0, 2.0  # what is asked of ours
RESAMPLES = 500
_WIDTH = 180  # of the table, in characters
Z = NormalDist().inv_cdf(0.975)  # of a 95 % interval


class Side:
    """One process that fits and scores."""

    def __init__(self, name: str, process: "subprocess.Popen[str]") -> None:
        self.name = name
        self._process = process

    def ask(self, **order: object) -> dict[str, Any]:
        """Send an order and wait for its answer. Raises ModelError where the process ended instead."""
        stdin, stdout = self._process.stdin, self._process.stdout
        line = ""
        if stdin is not None and stdout is not None:
            with contextlib.suppress(BrokenPipeError):  # it ended: the missing answer says so
                stdin.write(json.dumps(order) + "\n")
                stdin.flush()
            line = stdout.readline()
        if not line:
            raise ModelError(
                f"expected an answer from {self.name}, its process ended; its last lines say why"
            )
        answer: dict[str, Any] = json.loads(line)
        return answer


@contextmanager
def side(name: str, command: Sequence[str]) -> Iterator[Side]:
    """Yield a side that runs; it ends with the block."""
    quiet = {**os.environ, "TQDM_DISABLE": "1", "PYTHONWARNINGS": "ignore"}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=HERE.parents[1], env=quiet
    ) as process:
        try:
            yield Side(name, process)
        finally:
            process.kill()


def rows_of(split: Split, sides: Sequence[Side]) -> Iterator[dict[str, object]]:
    """Yield one row for each side; the first one is ours, and the measure of the others: ratios say how many times ours they take.

    Errors are standard errors: of the ratio of an image's time by resampling images, of the AUROC's difference by DeLong. A fit is
    measured once, and its ratio has none.
    """
    fits = [one.ask(fit=[str(path) for path in split.fit]) for one in sides]
    scores, times = _scored(sides, [str(path) for path in (*split.good, *split.bad)])
    judged = [(of_side[: len(split.good)], of_side[len(split.good) :]) for of_side in scores]
    medians = np.median(times, axis=1)
    for number, (one, fitted) in enumerate(zip(sides, fits, strict=True)):
        auroc, error = auroc_with_error(*judged[number])
        better = delong(judged[0], judged[number])
        ratio, ratio_error = ratio_with_error(times[0], times[number])
        yield {
            "set": split.name,
            "model": one.name,
            "precision": fitted.get("precision", "float32"),
            "auroc": auroc,
            "auroc_se": error,
            "auroc_difference": better.value,  # ours minus this one's
            "auroc_difference_se": (better.interval[1] - better.value) / Z,
            "image_ms": float(medians[number]),
            "image_ratio": ratio,
            "image_ratio_se": ratio_error,
            **_beside("image_ratio", sides, medians.tolist(), number),
            "fit_seconds": fitted["seconds"],
            "calibration_seconds": fitted.get("calibration_seconds"),
            "fit_ratio": fitted["seconds"] / fits[0]["seconds"],
            **_beside("fit_ratio", sides, [each["seconds"] for each in fits], number),
            "peak_rss_mb": fitted["peak_rss_mb"],
            "calibrated_peak_rss_mb": fitted.get("calibrated_peak_rss_mb"),
            "memory_ratio": fitted["peak_rss_mb"] / fits[0]["peak_rss_mb"],
            "fitted_on": len(split.fit),
            "good": len(split.good),
            "bad": len(split.bad),
        }


def _scored(sides: Sequence[Side], paths: Sequence[str]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return scores and milliseconds of all images, (sides, images) each; the sides take turns."""
    answers = [
        [one.ask(score=paths[start : start + IN_TURN]) for one in sides]
        for start in range(0, len(paths), IN_TURN)
    ]
    scores, times = (
        np.array([np.concatenate([turn[number][what] for turn in answers]) for number in range(len(sides))])
        for what in ("scores", "ms")
    )
    return scores, times


def _beside(what: str, sides: Sequence[Side], figures: Sequence[float], number: int) -> dict[str, float]:
    """Return how many times the figure of the other ones of ours this side's is."""
    return {
        f"{what}_{one.name.removeprefix(OURS).strip()}": figures[number] / figure
        for one, figure in zip(sides[1:], figures[1:], strict=True)
        if one.name in VARIANTS
    }


def ratio_with_error(ours: NDArray[np.float64], theirs: NDArray[np.float64]) -> tuple[float, float]:
    """Return theirs over ours, of medians, and its standard error: images drawn anew with replacement (Efron 1979)."""
    rng = np.random.default_rng(0)
    drawn = rng.integers(len(ours), size=(RESAMPLES, len(ours)))
    ratios = np.median(theirs[drawn], axis=1) / np.median(ours[drawn], axis=1)
    return float(np.median(theirs) / np.median(ours)), float(ratios.std())


def missed(row: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is asked of ours against this side and was not seen, in words."""
    for name, least, what in (
        ("image_ratio", TIMES_FASTER, "times faster per image"),
        ("fit_ratio", TIMES_FASTER, "times faster to fit"),
        ("memory_ratio", TIMES_SMALLER, "times less memory"),
    ):
        if row[name] < least:
            yield f"{row['set']}, {row['model']}: asked at least {least:g} {what}, got {row[name]:.2f}"
    if row["auroc_difference"] < -row["auroc_difference_se"]:
        yield (
            f"{row['set']}, {row['model']}: asked an AUROC not lower within its standard error, ours is "
            f"{-row['auroc_difference']:.3f} +- {row['auroc_difference_se']:.3f} lower"
        )


def claims_of(peer_python: str) -> list[dict[str, object]]:
    """Return what became of the peer's documented claims; see anomalib_checks.py."""
    with tempfile.TemporaryDirectory(prefix="inspector-peer-") as folder:
        file = Path(folder) / "claims.json"
        command = [peer_python, "-W", "ignore", str(HERE / "anomalib_checks.py"), str(file)]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode != 0 or not file.is_file():
            last = done.stderr.strip().splitlines()[-1:] or ["nothing said"]
            return [{"claim": "it runs in this environment", "holds": False, "came": last[0]}]
        claims: list[dict[str, object]] = json.loads(file.read_text(encoding="utf-8"))
        return claims


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; return the exit status."""
    args = _parser().parse_args(arguments)
    try:
        splits = [*(tiles(args.tiles, [args.seed]) if args.tiles else ())]
        for kind in args.solar:
            splits += solar(kind, [args.seed])
        if not splits:
            raise ModelError("expected --tiles DIR or --solar, got neither; say what to compare on")
        if args.peer_python is None:
            args.peer_python = anomalib_env.python_of(anomalib_env.folder())
        rows: list[dict[str, object]] = []
        with Machine() as machine:
            claims = claims_of(args.peer_python) if args.checks else []
            if claims:
                show_rows("Does the peer run as its documentation says?", claims)
            for split in splits:  # a set takes a quarter of an hour: what is known of it is shown at once
                found = list(_compared(quickly(split, args.images) if args.images else split, args))
                rows += found
                _show(found)
                write_rows(args.json, rows, machine, claims=claims)
        print(in_words(machine.facts()))
        for line in itertools.chain(*(missed(row) for row in rows if row["model"] not in VARIANTS)):
            print(line)
    except InspectorError as error:
        print(f"peer: {error}", file=sys.stderr)
        return 1
    return 0


def _compared(split: Split, args: argparse.Namespace) -> Iterator[dict[str, object]]:
    with tempfile.TemporaryDirectory(prefix="inspector-peer-") as folder, ExitStack() as stack:
        weights = Path(folder) / "weights.npz"
        # In the network's order, which both sides share under other names; counters of batches are of no use.
        arrays = [array for name, array in lite0().weights.items() if "num_batches" not in name]
        np.savez(weights, *arrays)
        seed = str(args.seed)
        sides = []
        for name, which in VARIANTS.items():
            if which not in args.ours and name != OURS:  # which all others are measured by
                continue
            command = [sys.executable, "-m", "tools.bench.our_side", seed, which]
            sides.append(stack.enter_context(side(name, command)))
        for name in args.peers:
            command = [args.peer_python, str(HERE / "anomalib_side.py"), name, str(weights), seed]
            sides.append(stack.enter_context(side(name, command)))
        yield from rows_of(split, sides)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="tools/bench/peer", description=__doc__.splitlines()[0])
    parser.add_argument(
        "--tiles", type=Path, metavar="DIR", help="the magnetic tiles: train/good, test/good and test/DEFECT"
    )
    parser.add_argument(
        "--solar",
        nargs="?",
        const=KINDS,
        type=_of(KINDS),
        default=(),
        metavar="KINDS",
        help="the solar cells of elpv-dataset: mono, poly or, with no word after it, both",
    )
    parser.add_argument(
        "--ours",
        type=_of(VARIANTS.values()),
        default=",".join(VARIANTS.values()),
        metavar="NAME[,NAME]",
        help="our variants; float32 is always among them (default: %(default)s)",
    )
    parser.add_argument(
        "--peers",
        type=_of(PEERS),
        default=",".join(PEERS),
        metavar="NAME[,NAME]",
        help="methods of anomalib (default: %(default)s)",
    )
    parser.add_argument(
        "--peer-python",
        metavar="FILE",
        help=f"an interpreter that has anomalib (default: one is installed, about 2 GB, into PEER_ENV, else {anomalib_env.FOLDER})",
    )
    parser.add_argument(
        "--images", type=int, default=0, metavar="N", help="about N images of each kind: quick (default: all)"
    )
    parser.add_argument(
        "--checks",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="first try what the peer's documentation says (half a minute)",
    )
    parser.add_argument("--seed", type=int, default=0, help="of splits and banks (default: %(default)s)")
    add_json(parser)
    return parser


def _of(names: Iterable[str]) -> Callable[[str], list[str]]:
    """Return a type of argument: names among these, by commas."""
    known = list(names)

    def chosen(text: str) -> list[str]:
        wanted = text.split(",")
        if strange := [name for name in wanted if name not in known]:
            every = "both" if len(known) == 2 else "all"
            raise argparse.ArgumentTypeError(
                f"expected {', '.join(known)} or {every}, as in {','.join(known)}, got {strange[0]!r}"
            )
        return wanted

    return chosen


def _show(rows: Sequence[dict[str, Any]]) -> None:
    table = Table(
        "set",
        "model",
        "AUROC",
        "ours better by",
        "ms an image",
        "of int8",
        "fit, s",
        "of positions",
        "peak MB",
    )
    for row in rows:
        first = row["model"] == OURS
        better = "" if first else f"{row['auroc_difference']:+.3f} +- {row['auroc_difference_se']:.3f}"
        ratio = "" if first else f" (x {row['image_ratio']:.1f} +- {row['image_ratio_se']:.1f})"
        calibrated, peak_mb = row["calibration_seconds"], row["calibrated_peak_rss_mb"]
        table.add_row(
            row["set"],
            row["model"] + (f", took {row['precision']}" if row["model"] == INT8 else ""),
            f"{row['auroc']:.3f} +- {row['auroc_se']:.3f}",
            better,
            f"{row['image_ms']:.1f}{ratio}",
            _times(row, "image_ratio_int8"),
            f"{row['fit_seconds']:.1f}"
            + ("" if first else f" (x {row['fit_ratio']:.1f})")
            + (f", threshold {calibrated:.1f}" if calibrated is not None else ""),
            _times(row, "fit_ratio_positions"),
            f"{row['peak_rss_mb']:.0f}"
            + ("" if first else f" (x {row['memory_ratio']:.1f})")
            + (f", threshold {peak_mb:.0f}" if peak_mb is not None else ""),
        )
    Console(width=_WIDTH).print(table)


def _times(row: dict[str, Any], name: str) -> str:
    return f"x {row[name]:.1f}" if name in row else ""


if __name__ == "__main__":
    raise SystemExit(main())
