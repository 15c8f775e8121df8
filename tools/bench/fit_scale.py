"""The command `tools/bench/fit`: time and memory of `inspector fit` by the number of good images.

Each number is a run of the command in a process of its own, so that its memory is its own. Where more images are asked for than
--good holds, augmented copies are made of them: turned by up to 1.5 degrees, shifted by up to 4 pixels, mirrored, brighter or
darker, with noise. All copies of a part lie in one batch, as the pictures of one part do on a line.
"""

import argparse
import json
import math
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from inspector.clock import NS_PER_S, SystemClock
from inspector.errors import InspectorError, ModelError
from inspector.model.images import list_images, read_image
from tools.bench.machine import Machine, add_json, finish, write_rows

IMAGES = (100, 400, 1000, 3000, 10_000)
_LEAST_BATCHES, _BATCH = 4, 500  # batches at least, and images of one at most
_TURN_DEG, _SHIFT_PX, _GAIN, _NOISE = 1.5, 4.0, 0.1, 2.0
_QUALITY = 95  # of a JPEG
COLUMNS = {
    "images": "images",
    "seconds": "fit, s",
    "ms_per_image": "ms / image",
    "peak_rss_mb": "peak MB",
    "bank": "bank",
    "threshold": "threshold",
    "stalled_ms": "stalled ms",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Fit on each number of images, print the table; return 1 where a fit failed, 2 where the images cannot be used."""
    args = _arguments(argv)
    rows: list[dict[str, object]] = []
    try:
        sources = list_images(args.good)
        with (
            tempfile.TemporaryDirectory(prefix="inspector-bench-fit-", dir=args.work) as work,
            Machine() as machine,
        ):
            for count in args.images:
                folder = Path(work) / f"good-{count}"
                lay_out(sources, folder, count)
                rows.append(_fitted(folder, Path(work) / "pack", args.fit, machine))
                write_rows(args.json, rows, machine)
    except InspectorError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    except subprocess.CalledProcessError as error:
        sys.stderr.write(f"{' '.join(map(str, error.cmd))}: exit status {error.returncode}\n{error.stderr}")
        return 1
    finish(args.json, "Fitting by the number of good images", rows, machine, COLUMNS)
    return 0


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="tools/bench/fit", description=(__doc__ or "").partition("\n")[0], epilog=__doc__
    )
    parser.add_argument("--good", type=Path, required=True, metavar="DIR", help="photographs of good parts")
    parser.add_argument(
        "--images",
        type=_counts,
        default=IMAGES,
        metavar="N[,N]",
        help=f"how many, one fit for each (default: {','.join(map(str, IMAGES))})",
    )
    parser.add_argument(
        "--work", type=Path, metavar="DIR", help="where the copies lie meanwhile (default: the system's)"
    )
    parser.add_argument(
        "--fit",
        type=str.split,
        default=[],
        metavar="ARGUMENTS",
        help="more arguments of `inspector fit`, as '--bank 10000'",
    )
    add_json(parser)
    return parser.parse_args(argv)


def _counts(text: str) -> tuple[int, ...]:
    try:
        counts = tuple(int(part) for part in text.split(","))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"expected numbers as in 100,400, got {text!r}") from error
    if min(counts) < 20:
        raise argparse.ArgumentTypeError(f"expected 20 images at least, got {min(counts)}")
    return counts


def lay_out(sources: Sequence[Path], folder: Path, count: int, seed: int = 0) -> None:
    """Make `folder` one of `count` images in batches: the sources as they are, then copies of them, JPEG."""
    rng = np.random.default_rng(seed)
    used = sources[:count]
    batches = max(_LEAST_BATCHES, math.ceil(count / _BATCH))
    for index in range(count):
        number = index % len(used)
        source = used[number]
        batch = folder / f"batch-{number * batches // len(used):03}"
        batch.mkdir(parents=True, exist_ok=True)
        if index < len(used):
            (batch / f"{index:06}{source.suffix}").symlink_to(source.resolve())
            continue
        written = cv2.imwrite(
            str(batch / f"{index:06}.jpg"),
            augmented(read_image(source, 3), rng),
            [cv2.IMWRITE_JPEG_QUALITY, _QUALITY],
        )
        if not written:
            raise ModelError(
                f"{batch}: expected room for {count} images, cannot write; choose another --work"
            )


def augmented(image: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Return the image (H, W, 3) RGB as BGR, as if the part lay a little otherwise under another lamp."""
    height, width = image.shape[:2]
    if rng.random() < 0.5:
        image = image[:, ::-1]
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), rng.uniform(-_TURN_DEG, _TURN_DEG), 1)
    matrix[:, 2] += rng.uniform(-_SHIFT_PX, _SHIFT_PX, 2)
    moved = cv2.warpAffine(
        np.ascontiguousarray(image), matrix, (width, height), borderMode=cv2.BORDER_REFLECT
    ).astype(np.float32)
    moved *= rng.uniform(1 - _GAIN, 1 + _GAIN)
    moved += rng.normal(0, _NOISE, (height, width, 1)).astype(
        np.float32
    )  # alike in all colours: grey stays grey
    copy: NDArray[np.uint8] = np.clip(moved[..., ::-1], 0, 255).astype(np.uint8)
    return copy


def _fitted(folder: Path, pack: Path, more: Sequence[str], machine: Machine) -> dict[str, object]:
    """Run the command, and return its row."""
    figures, clock = pack.with_suffix(".json"), SystemClock()
    command = [
        sys.executable,
        "-m",
        "inspector",
        "fit",
        "--good",
        str(folder),
        "--out",
        str(pack),
        "--json",
        str(figures),
        *more,
    ]
    start_ns = clock.now_ns()
    subprocess.run(
        command, check=True, capture_output=True, text=True, cwd=Path(__file__).resolve().parents[2]
    )
    end_ns = clock.now_ns()
    said = json.loads(figures.read_text(encoding="utf-8"))
    return {
        "images": said["images"],
        "seconds": round(said["seconds"], 2),
        "command_seconds": round((end_ns - start_ns) / NS_PER_S, 2),
        "ms_per_image": round(1000 * said["seconds"] / said["images"], 2),
        "peak_rss_mb": round(said["peak_rss_mb"], 1),
        "method": said["method"],
        "bank": said["bank"],
        "threshold": round(said["threshold"], 4),
        "stalled_ms": round(machine.stalled_ms(start_ns, end_ns), 1),
    }


if __name__ == "__main__":
    sys.exit(main())
