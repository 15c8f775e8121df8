"""The benchmark `tools/bench/known`: what labelled examples of each defect of the magnetic tiles bring, at the same false-reject rate.

Each draw takes N examples of each class, fits with them and without, and judges all other images. Each tile was photographed
several times: `apart` leaves out what is alike to an example of its class, since the next defect on the line is on another part.
"""

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from inspector.engine.base import Score, open_engine
from inspector.errors import InspectorError
from inspector.model.fit import fit
from inspector.model.images import list_images, read_frame, read_image
from inspector.model.likeness import ALIKE, Likeness, thumbnail
from inspector.model.options import FitOptions
from inspector.model.pack import Pack
from tools.bench.machine import Machine, add_json, in_words, write_rows

RATES = (0.01, 0.05)  # false-reject rates, of the good test images


@dataclass(frozen=True, slots=True)
class Tiles:
    """The folder's images: good ones, and those of each defect."""

    root: Path
    good: list[Path]
    bad: dict[str, list[Path]]

    @classmethod
    def read(cls, root: Path) -> "Tiles":
        """List the images below train/good, test/good and test/DEFECT."""
        names = sorted(path.name for path in (root / "test").iterdir() if path.name != "good")
        return cls(
            root, list_images(root / "test" / "good"), {n: list_images(root / "test" / n) for n in names}
        )


def rows_of(tiles: Tiles, args: argparse.Namespace, folder: Path) -> Iterator[dict[str, object]]:
    """Yield one row for each draw, rate and share of the images."""
    options = FitOptions(false_reject_rate=args.false_reject_rate)
    train = tiles.root / "train" / "good"
    plain = scores_of(fit(train, folder / "plain", options).pack, tiles)
    vectors = vectors_of(tiles)
    for draw in range(args.draws):
        rng = np.random.default_rng(draw)
        drawn = {
            n: set(rng.choice(len(p), args.examples, replace=False).tolist()) for n, p in tiles.bad.items()
        }
        known = folder / f"draw-{draw}"
        for name, numbers in drawn.items():
            (known / name).mkdir(parents=True)
            for number in numbers:
                path = tiles.bad[name][number].resolve()
                (known / name / path.name).symlink_to(path)
        masks = tiles.root / "ground_truth" if args.masks else None
        pack = fit(train, folder / f"pack-{draw}", options, defects=known, defect_masks=masks).pack
        knowing = scores_of(pack, tiles)
        names = [score.named(pack.defects)[0] for score in knowing.bad]
        judged, apart = shares_of(tiles, drawn, vectors)
        for share, chosen in (("all", judged), ("apart", apart)):
            for rate in RATES:
                rejected = chosen & (knowing.values > knowing.limit(rate))
                right = np.array(names)[rejected] == np.array(plain.kinds)[rejected]
                yield {
                    "draw": draw,
                    "images": share,
                    "false_reject_rate": rate,
                    "recall_without": float((plain.values > plain.limit(rate))[chosen].mean()),
                    "recall": float(rejected.sum() / chosen.sum()),
                    "named_right": float(right.mean()) if len(right) else None,
                    "judged": int(chosen.sum()),
                }


@dataclass(frozen=True, slots=True)
class Scored:
    """Answers to all bad images, in the order of the classes, their classes, and the scores of the good ones."""

    good: NDArray[np.float64]
    bad: list[Score]
    kinds: list[str]

    @property
    def values(self) -> NDArray[np.float64]:
        """Scores of the bad images."""
        return np.array([score.value for score in self.bad])

    def limit(self, rate: float) -> float:
        """Return the limit above which a share of `rate` of the good test images lies, so that two packs compare at the same rate."""
        return float(np.quantile(self.good, 1 - rate, method="higher"))


def scores_of(pack: Pack, tiles: Tiles) -> Scored:
    """Score all test images."""
    channels = pack.geometry.channels
    # The tiles are of many shapes, and are judged whatever theirs is.
    engine = open_engine("openvino", pack.graph, replace(pack.geometry, aspect=None))
    try:
        engine.warm_up()
        good = np.array([engine.score(read_frame(path, channels)).value for path in tiles.good])
        bad = [engine.score(read_frame(path, channels)) for paths in tiles.bad.values() for path in paths]
    finally:
        engine.close()
    return Scored(good, bad, [name for name, paths in tiles.bad.items() for _ in paths])


def vectors_of(tiles: Tiles) -> NDArray[np.float32]:
    """Return what tells each bad image from the others; products are likenesses."""
    small = np.stack([thumbnail(read_image(path, 1)) for paths in tiles.bad.values() for path in paths])
    return Likeness.of(small).vectors(small)


def shares_of(
    tiles: Tiles, drawn: dict[str, set[int]], vectors: NDArray[np.float32]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return which bad images were not drawn, and which of these are alike to no example of their class."""
    judged, apart = [], []
    start = 0
    for name, paths in tiles.bad.items():
        of_class = vectors[start : start + len(paths)]
        likeness = (of_class @ of_class[sorted(drawn[name])].T).max(axis=1)
        free = np.array([number not in drawn[name] for number in range(len(paths))])
        judged.append(free)
        apart.append(free & (likeness <= ALIKE))
        start += len(paths)
    return np.concatenate(judged), np.concatenate(apart)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; return the exit status."""
    parser = argparse.ArgumentParser(prog="tools/bench/known", description=__doc__.splitlines()[0])
    parser.add_argument("--tiles", type=Path, required=True, metavar="DIR", help="the magnetic tiles")
    parser.add_argument(
        "--examples", type=int, default=10, metavar="N", help="of each class (default: %(default)s)"
    )
    parser.add_argument(
        "--draws", type=int, default=3, metavar="N", help="random draws (default: %(default)s)"
    )
    parser.add_argument("--masks", action="store_true", help="fit with the examples' masks too")
    parser.add_argument(
        "--false-reject-rate",
        type=float,
        default=0.05,
        metavar="RATE",
        help="to fit for (default: %(default)s)",
    )
    add_json(parser)
    args = parser.parse_args(arguments)
    try:
        with tempfile.TemporaryDirectory(prefix="inspector-known-") as folder, Machine() as machine:
            rows = list(rows_of(Tiles.read(args.tiles), args, Path(folder)))
        show(rows)
        print(in_words(machine.facts()))
        write_rows(args.json, rows, machine)
    except (InspectorError, OSError) as error:
        print(f"known: {error}", file=sys.stderr)
        return 1
    return 0


def show(rows: Sequence[dict[str, object]]) -> None:
    """Print the means over the draws with their standard errors."""
    table = Table("images", "false rejects", "recall without", "recall with", "named right")
    for share in ("all", "apart"):
        for rate in RATES:
            some = [row for row in rows if (row["images"], row["false_reject_rate"]) == (share, rate)]
            cells = [_mean(some, name) for name in ("recall_without", "recall", "named_right")]
            table.add_row(share, f"{rate:.0%}", *cells)
    Console().print(table)


def _mean(rows: Sequence[dict[str, object]], name: str) -> str:
    values = np.array([row[name] for row in rows if row[name] is not None], np.float64)
    error = values.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else np.nan
    return f"{values.mean():.3f} +- {error:.3f}"


if __name__ == "__main__":
    raise SystemExit(main())
