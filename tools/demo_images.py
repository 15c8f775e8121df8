"""Lay out the demo's images: the good and the bad mono-crystalline solar cells of elpv-dataset, as links into the package.

The photographs are by Deitsch, Christlein, Berger, Buerhop-Lutz, Maier, Gallwitz and Riess (2019), CC BY-NC-SA 4.0; their labels
are the probability of a defect. Good is 0, bad is 1; what the experts were in doubt about is left out.
"""

import importlib.util
import shutil
import sys
from pathlib import Path

FOLDERS = {"0.0": "good", "1.0": "bad"}


def main() -> int:
    """Make `good` and `bad` in the folder that the command line names."""
    if len(sys.argv) != 2:
        print("usage: demo_images.py FOLDER", file=sys.stderr)
        return 2
    spec = importlib.util.find_spec("elpv_dataset")  # found, not imported: its reader wants more packages
    if spec is None or spec.origin is None:
        print(
            "demo_images: expected the package elpv-dataset; run `sh tools/setup demo` first", file=sys.stderr
        )
        return 1
    try:
        counts = lay_out(Path(spec.origin).parent / "data", Path(sys.argv[1]))
    except OSError as error:
        print(
            f"demo_images: expected a folder to write at {sys.argv[1]}, but: {error.strerror} ({error.filename})",
            file=sys.stderr,
        )
        return 1
    print(f"solar cells of elpv-dataset (CC BY-NC-SA 4.0): {counts['good']} good, {counts['bad']} bad")
    return 0


def lay_out(data: Path, target: Path) -> dict[str, int]:
    """Link the images of `data` into `target`/good and `target`/bad, anew; return how many are in each."""
    counts = dict.fromkeys(FOLDERS.values(), 0)
    for folder in counts:
        if (target / folder).exists():
            shutil.rmtree(target / folder)
        (target / folder).mkdir(parents=True)
    for line in (data / "labels.csv").read_text().splitlines():
        name, probability, kind = line.split()
        folder = FOLDERS.get(probability, "")
        if folder and kind == "mono":
            image = data / name
            (target / folder / image.name).symlink_to(image.resolve())
            counts[folder] += 1
    return counts


if __name__ == "__main__":
    sys.exit(main())
