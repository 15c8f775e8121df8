"""The benchmark `tools/bench/calibration`: the false-reject rate that fitting states against the rate obtained on unseen batches.

Sets, of which only good images are used: magnetic tiles (Huang, Qiu and Yuan 2020; a folder with train/good and test/good, file names
expE_num_N, where E is the exposure and each tile was photographed under six), the solar cells of elpv-dataset, mono and poly (a batch
is up to 60 cells that follow each other, as they do in a module), and any folder of your own with one sub-folder for each batch.
"""

import argparse
import importlib.util
import itertools
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from inspector.errors import ImagesError, InspectorError
from inspector.model.console import show_table
from inspector.model.fit import fit
from inspector.model.images import batch_of, list_images
from inspector.model.judged import judge
from inspector.model.options import FitOptions
from inspector.model.progress import silent
from tools.bench.arguments import at_least
from tools.bench.machine import Machine, add_json, in_words, write_rows

Batches = dict[str, list[Path]]
_MODULE = 60  # cells of the usual module
_GROUPS = 4  # in which the batches of a large set are left out, one fit each
_LEAST = 10  # images of a batch whose rate is worth looking at


@dataclass(frozen=True, slots=True)
class Case:
    """What is fitted on, and the batches that come next. `flat`: without the sub-folders that tell batches apart."""

    name: str
    fitted: Batches
    following: Batches
    flat: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """One case. Rates are shares of good images; `inside`: batches whose rate lay in `interval`, None where there was none."""

    case: str
    images: int
    batches: int
    by: str
    stated: float
    interval: tuple[float, float] | None
    promised: bool
    following: int
    obtained: float
    lowest: float
    highest: float
    inside: int | None

    def flat(self) -> dict[str, object]:
        """Return the fields, the interval as two."""
        fields = asdict(self)
        fields["interval_low"], fields["interval_high"] = fields.pop("interval") or (None, None)
        return fields

    @property
    def verdict(self) -> str:
        """Whether the pack kept its word."""
        if self.inside is None:
            return "no promise"
        held = f"{self.inside} of {self.following} inside"
        return held if self.promised else f"no promise; {held}"


def tiles(root: Path) -> Iterator[Case]:
    """Yield the cases of the magnetic tiles: new tiles, a new exposure, both, and all in one folder."""
    train, test = _by_exposure(root / "train" / "good"), _by_exposure(root / "test" / "good")
    yield Case("tiles, one folder; next: new tiles", train, test, flat=True)
    yield Case("tiles, a folder for each exposure; next: new tiles", train, test)
    for name in ("exp6", "exp1"):
        others = {exposure: paths for exposure, paths in train.items() if exposure != name}
        following = {f"{name}, new tiles": test[name], f"{name}, the same tiles": train[name]}
        yield Case(f"tiles, without {name}; next: {name}", others, following)


def _by_exposure(folder: Path) -> Batches:
    found: Batches = defaultdict(list)
    for path in list_images(folder):
        found[path.name.split("_")[0]].append(path)
    found["exp1"] += found.pop("exp0", [])  # a single image
    return dict(sorted(found.items()))


def cells(kind: str) -> Iterator[Case]:
    """Yield the cases of the solar cells: groups of modules left out, two modules only, and a random share of one folder."""
    batches = _modules(kind)
    yield from _left_out(f"{kind} cells, a folder for each module", batches)
    first = dict(itertools.islice(batches.items(), 2))
    yield Case(
        f"{kind} cells, two modules only; next: the others",
        first,
        {name: paths for name, paths in batches.items() if name not in first},
    )
    every = np.array([path for paths in batches.values() for path in paths])
    shuffled = np.random.default_rng(0).permutation(len(every))
    cut = int(0.7 * len(every))
    yield Case(
        f"{kind} cells, 70 % at random in one folder; next: the rest",
        {"all": every[shuffled[:cut]].tolist()},
        {"rest": every[shuffled[cut:]].tolist()},
        flat=True,
    )


def _modules(kind: str) -> Batches:
    """Return the faultless cells of one kind in runs of up to 60 neighbours by number; elpv-dataset names no modules."""
    package = importlib.util.find_spec("elpv_dataset")
    if package is None or package.origin is None:
        raise ImagesError(
            "expected the package elpv-dataset, it is not installed; `pip install elpv-dataset`"
        )
    root = Path(package.origin).parent / "data"
    lines = [line.split() for line in (root / "labels.csv").read_text(encoding="utf-8").splitlines()]
    found: Batches = {}
    position = 0
    for of_kind, run in itertools.groupby(lines, key=lambda line: line[2]):
        for start, (name, label, _) in enumerate(run):
            if of_kind == kind and float(label) == 0:
                found.setdefault(f"from {position + start - start % _MODULE + 1:04}", []).append(root / name)
            last = start
        position += last + 1
    return {name: paths for name, paths in found.items() if len(paths) >= _LEAST}


def own(root: Path) -> Iterator[Case]:
    """Yield the cases of a folder with one sub-folder for each batch."""
    batches: Batches = defaultdict(list)
    for path in list_images(root):
        batches[batch_of(path, root)].append(path)
    if len(batches) < 2:
        raise ImagesError(f"{root}: expected a sub-folder for each batch, found one batch; sort the images")
    yield from _left_out(root.name, dict(batches))


def _left_out(name: str, batches: Batches) -> Iterator[Case]:
    """Leave out each batch once, several at a time where there are many: neighbours, since days differ more than hours."""
    groups = np.array_split(np.array(list(batches)), min(_GROUPS, len(batches)))
    for number, group in enumerate(groups, start=1):
        fitted = {batch: paths for batch, paths in batches.items() if batch not in group}
        following = {batch: batches[batch] for batch in group.tolist()}
        yield Case(f"{name}; next: group {number} of {len(groups)}", fitted, following)


def run(case: Case, options: FitOptions) -> Row:
    """Fit and judge what follows."""
    with tempfile.TemporaryDirectory(prefix="inspector-calibration-") as folder:
        good = Path(folder) / "good"
        for batch, paths in case.fitted.items():
            place = good if case.flat else good / batch
            place.mkdir(parents=True, exist_ok=True)
            for path in paths:
                (place / path.name).symlink_to(path.resolve())
        pack = fit(good, Path(folder) / "pack", options).pack
        names, following = list(case.following), list(case.following.values())
        judged = judge(pack, list(itertools.chain(*following)), [], engine="openvino", progress=silent)
    above = judged.values > pack.threshold
    ends = np.cumsum([len(paths) for paths in following])[:-1]
    rates = dict(zip(names, (float(part.mean()) for part in np.split(above, ends)), strict=True))
    held_out = pack.manifest.held_out
    return Row(
        case.name,
        held_out.images,
        held_out.batches,
        held_out.by,
        options.false_reject_rate,
        held_out.interval,
        held_out.promised,
        len(names),
        float(above.mean()),
        min(rates.values()),
        max(rates.values()),
        _inside(rates, held_out.interval),
    )


def _inside(rates: Mapping[str, float], interval: tuple[float, float] | None) -> int | None:
    if interval is None:
        return None
    return sum(interval[0] <= rate <= interval[1] for rate in rates.values())


def show(rows: Sequence[Row]) -> None:
    """Print the table."""
    head = ("fitted on; next", "good images", "for the next batch", "obtained", "")
    table = [
        (
            row.case,
            f"{row.images} in {row.batches}",
            "nothing" if row.interval is None else f"{row.interval[0]:.1%} to {row.interval[1]:.1%}",
            f"{row.obtained:.1%} ({row.lowest:.1%} to {row.highest:.1%} by batch)",
            row.verdict,
        )
        for row in rows
    ]
    show_table("False rejects, stated and obtained", [head, *table], ())


def main(argv: Sequence[str] | None = None) -> int:
    """Run what was asked for; the rows so far are written after each."""
    parser = argparse.ArgumentParser(description=__doc__, prog="tools/bench/calibration")
    parser.add_argument("--tiles", type=Path, metavar="DIR", help="the magnetic tiles: train/good, test/good")
    parser.add_argument("--cells", action="store_true", help="the solar cells of elpv-dataset, mono and poly")
    parser.add_argument("--good", type=Path, metavar="DIR", help="your own: one sub-folder for each batch")
    parser.add_argument("--only", default="", metavar="TEXT", help="cases whose name has this text")
    parser.add_argument(
        "--false-reject-rate",
        type=float,
        default=FitOptions().false_reject_rate,
        metavar="RATE",
        help="to fit for (default: %(default)s)",
    )
    parser.add_argument(
        "--bank",
        type=at_least(1),
        default=FitOptions().bank,
        metavar="N",
        help="entries (default: %(default)s)",
    )
    add_json(parser)
    args = parser.parse_args(argv)
    if not (args.tiles or args.cells or args.good):
        parser.error("choose among --tiles DIR, --cells and --good DIR")
    options = FitOptions(false_reject_rate=args.false_reject_rate, bank=args.bank)
    rows: list[Row] = []
    try:
        with Machine() as machine:
            for case in _cases(args):
                print(f"fitting: {case.name}", file=sys.stderr, flush=True)
                rows.append(run(case, options))
                write_rows(args.json, [row.flat() for row in rows], machine)
    except InspectorError as error:
        print(f"{error.code}: {error}", file=sys.stderr)
        return 1
    show(rows)
    print(in_words(machine.facts()))
    return 0


def _cases(args: argparse.Namespace) -> Iterator[Case]:
    found = itertools.chain(
        tiles(args.tiles) if args.tiles else (),
        *((cells("mono"), cells("poly")) if args.cells else ()),
        own(args.good) if args.good else (),
    )
    return (case for case in found if args.only in case.name)


if __name__ == "__main__":
    sys.exit(main())
