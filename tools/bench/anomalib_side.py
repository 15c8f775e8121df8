"""anomalib's side of `tools/bench/peer`: runs in anomalib's own environment and does what lines of JSON on stdin say.

    {"fit": [PATH, ...]}    ->  {"seconds": S, "peak_rss_mb": M}
    {"score": [PATH, ...]}  ->  {"scores": [X, ...], "ms": [T, ...]}

Arguments: patchcore or padim, the weights (a NumPy archive, arrays in the network's order), and the seed. Images are stretched to
256 x 256 and normalised as the network was trained. PatchCore gets 40,000 random patches to choose its 3,000 from, as ours
does: its own loop over all of them wants more memory than a line PC has.
"""

import importlib
import importlib.util
import json
import re
import resource
import sys
from pathlib import Path
from time import perf_counter
from typing import Any

import cv2
import numpy as np

BACKBONE, LAYERS = "tf_efficientnet_lite0", ["blocks.2", "blocks.4"]  # strides 8 and 16
SIDE = 256
PATCHES, BANK = 40_000, 3_000
_LIBRARIES: list[Any] = []  # declarations last as long as their library


def main() -> int:
    """Serve until stdin ends."""
    kind, weights, seed = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    torch = importlib.import_module("torch")
    declare_operators(torch)
    torch.manual_seed(seed)
    model = open_model(torch, kind, weights)
    for line in sys.stdin:
        order = json.loads(line)
        answer = (
            fit(torch, model, kind, order["fit"]) if "fit" in order else score(torch, model, order["score"])
        )
        print(json.dumps(answer), flush=True)
    return 0


def declare_operators(torch: Any) -> None:
    """Declare what torchvision's CPU wheel lacks, so that it can be imported; nothing here calls any of it."""
    found = importlib.util.find_spec("torchvision")
    if found is None or not found.submodule_search_locations:
        raise SystemExit(
            "expected torchvision in this environment, there is none; remove the environment and start again"
        )
    text = (Path(found.submodule_search_locations[0]) / "_meta_registrations.py").read_text(encoding="utf-8")
    names = re.findall(r'register_meta\("(\w+)"\)|register_fake\("torchvision::(\w+)"\)', text)
    library = torch.library.Library("torchvision", "DEF")
    for name in sorted({first or second for first, second in names}):
        library.define(f"{name}(Tensor x) -> Tensor")
    _LIBRARIES.append(library)


def open_model(torch: Any, kind: str, weights: Path) -> Any:
    """Return the torch model with our weights in it."""
    name = {"patchcore": "PatchcoreModel", "padim": "PadimModel"}[kind]
    module = importlib.import_module(f"anomalib.models.image.{kind}.torch_model")
    options = {"n_features": 100} if kind == "padim" else {}
    model = getattr(module, name)(backbone=BACKBONE, layers=LAYERS, pre_trained=False, **options)
    network = model.feature_extractor.feature_extractor
    known = {key: value for key, value in network.state_dict().items() if "num_batches" not in key}
    with np.load(weights) as ours:
        arrays = [ours[key] for key in ours.files]
    for (key, value), array in zip(known.items(), arrays, strict=False):  # ours goes on to the classifier
        if tuple(value.shape) != array.shape:
            raise SystemExit(
                f"expected {key} of shape {tuple(value.shape)}, got {array.shape}; the networks differ"
            )
        value.copy_(torch.from_numpy(array))
    return model


def fit(torch: Any, model: Any, kind: str, paths: list[str]) -> dict[str, float]:
    """Fit on good images."""
    started = perf_counter()
    model.train()
    model.feature_extractor.eval()
    share = PATCHES // len(paths)
    for path in paths:
        with torch.no_grad():
            model(read(torch, path))
        if kind == "patchcore":
            patches = model.embedding_store[-1]
            model.embedding_store[-1] = patches[torch.randperm(len(patches))[:share]].clone()
    if kind == "patchcore":
        count = sum(len(patches) for patches in model.embedding_store)
        model.subsample_embedding(min(1.0, BANK / count))
    else:
        model.fit()
    model.eval()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"seconds": perf_counter() - started, "peak_rss_mb": peak}


def score(torch: Any, model: Any, paths: list[str]) -> dict[str, list[float]]:
    """Score images. Timed is what a camera's frame costs: size, normalisation, the model; not the decoding of a file.

    The first one is scored twice, and timed the second time: the other side's turn has left the caches to somebody else.
    """
    images = [decode(path) for path in paths]
    scores, times = [], []
    with torch.no_grad():
        model(prepare(torch, images[0]))
        for image in images:
            started = perf_counter()
            scores.append(float(model(prepare(torch, image)).pred_score.item()))
            times.append((perf_counter() - started) * 1e3)
    return {"scores": scores, "ms": times}


def read(torch: Any, path: str) -> Any:
    """Return the image file as float32 [1, 3, SIDE, SIDE]."""
    return prepare(torch, decode(path))


def decode(path: str) -> Any:
    """Return the image file as uint8 (H, W, 3)."""
    image = cv2.imread(path, cv2.IMREAD_COLOR_RGB)
    if image is None:
        raise SystemExit(f"{path}: expected an image, OpenCV cannot read it; remove it")
    return image


def prepare(torch: Any, image: Any) -> Any:
    """Return uint8 (H, W, 3) as float32 [1, 3, SIDE, SIDE]."""
    small = cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_AREA).astype(np.float32)
    return torch.from_numpy(np.ascontiguousarray(((small - 127) / 128).transpose(2, 0, 1))[None])


if __name__ == "__main__":
    raise SystemExit(main())
