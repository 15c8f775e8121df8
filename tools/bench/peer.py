"""The benchmark `tools/bench/peer`: Inspector's default beside anomalib's PatchCore and PaDiM on the same images and backbone weights.

Each side is a process of its own. They score every image in turn, so that what else the machine does is shared by all. Times and
memory are given as ratios to ours, since they depend on the machine.
"""

import argparse
import contextlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from inspector.errors import InspectorError, ModelError
from inspector.model.console import write_json
from inspector.model.lite import lite0
from tools.bench.accuracy import Split, auroc_with_error, quickly, solar, tiles

HERE = Path(__file__).resolve().parent
OURS, PEERS = "inspector", ("patchcore", "padim")


class Side:
    """One process that fits and scores."""

    def __init__(self, name: str, process: "subprocess.Popen[str]") -> None:
        self.name = name
        self._process = process

    def ask(self, **order: object) -> dict[str, float]:
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
        answer: dict[str, float] = json.loads(line)
        return answer


@contextmanager
def side(name: str, command: Sequence[str]) -> Iterator[Side]:
    """Yield a side that runs; it ends with the block."""
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=HERE.parents[1]
    ) as process:
        try:
            yield Side(name, process)
        finally:
            process.kill()


def rows_of(split: Split, sides: Sequence[Side]) -> Iterator[dict[str, object]]:
    """Yield one row for each side; the first one's times are the measure of the others."""
    fits = [one.ask(fit=[str(path) for path in split.fit]) for one in sides]
    answers = [[one.ask(score=str(path)) for one in sides] for path in (*split.good, *split.bad)]
    ours: tuple[float, ...] = ()
    for number, (one, fitted) in enumerate(zip(sides, fits, strict=True)):
        scores = np.array([of_image[number]["score"] for of_image in answers])
        milliseconds = float(np.median([of_image[number]["ms"] for of_image in answers]))
        auroc, error = auroc_with_error(scores[: len(split.good)], scores[len(split.good) :])
        costs = milliseconds, fitted["seconds"], fitted["peak_rss_mb"]
        ours = ours or costs
        ratios = [cost / own for cost, own in zip(costs, ours, strict=True)]
        yield {
            "set": split.name,
            "model": one.name,
            "auroc": auroc,
            "auroc_se": error,
            "image_ms": milliseconds,
            "image_ratio": ratios[0],
            "fit_seconds": costs[1],
            "fit_ratio": ratios[1],
            "peak_rss_mb": costs[2],
            "memory_ratio": ratios[2],
            "fitted_on": len(split.fit),
            "good": len(split.good),
            "bad": len(split.bad),
        }


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; return the exit status."""
    args = _parser().parse_args(arguments)
    try:
        splits = [*(tiles(args.tiles, [args.seed]) if args.tiles else ())]
        if args.solar:
            splits += [*solar("mono", [args.seed]), *solar("poly", [args.seed])]
        if not splits:
            raise ModelError("expected --tiles DIR or --solar, got neither; say what to compare on")
        rows: list[dict[str, object]] = []
        for split in splits:  # a set takes a quarter of an hour: what is known of it is shown at once
            found = list(_compared(quickly(split) if args.quick else split, args))
            rows += found
            _show(found)
            write_json(args.json, {"rows": rows})
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
        sides = [stack.enter_context(side(OURS, [sys.executable, "-m", "tools.bench.our_side", seed]))]
        for name in args.peers.split(","):
            command = [args.peer_python, str(HERE / "anomalib_side.py"), name, str(weights), seed]
            sides.append(stack.enter_context(side(name, command)))
        yield from rows_of(split, sides)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="tools/bench/peer", description=__doc__.splitlines()[0])
    parser.add_argument(
        "--tiles", type=Path, metavar="DIR", help="the magnetic tiles: train/good, test/good and test/DEFECT"
    )
    parser.add_argument("--solar", action="store_true", help="the solar cells of elpv-dataset, mono and poly")
    parser.add_argument("--peers", default=",".join(PEERS), help="of patchcore,padim (default: %(default)s)")
    parser.add_argument(
        "--peer-python", default=sys.executable, metavar="FILE", help="set by tools/bench/peer"
    )
    parser.add_argument(
        "--quick", action="store_true", help="some 60 images of each kind, to see that all runs"
    )
    parser.add_argument("--seed", type=int, default=0, help="of splits and banks (default: %(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all rows as one JSON object")
    return parser


def _show(rows: Sequence[dict[str, object]]) -> None:
    table = Table("set", "model", "AUROC", "ms an image", "fit, s", "peak MB")
    for row in rows:
        table.add_row(
            str(row["set"]),
            str(row["model"]),
            f"{row['auroc']:.3f} +- {row['auroc_se']:.3f}",
            f"{row['image_ms']:.1f} (x {row['image_ratio']:.1f})",
            f"{row['fit_seconds']:.1f} (x {row['fit_ratio']:.1f})",
            f"{row['peak_rss_mb']:.0f} (x {row['memory_ratio']:.1f})",
        )
    Console().print(table)


if __name__ == "__main__":
    raise SystemExit(main())
