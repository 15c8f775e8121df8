"""Does anomalib run as its documentation says? Runs in anomalib's own environment; its argument is the file that it writes.

    [{"claim": "...", "holds": true, "came": "..."}, ...]

By its documented interface (Folder, Patchcore, Engine) on eight small images of good parts; the network's weights are random, since
the documented ones are downloaded. A claim that fails does not end the run.
"""

import json
import math
import subprocess
import sys
import tempfile
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from anomalib_side import declare_operators  # type: ignore[import-not-found]  # beside this file

SIDE, IMAGES = 64, 8


def main() -> int:
    """Try each claim in turn."""
    file = Path(sys.argv[1])
    claims: list[dict[str, object]] = []
    try:
        try_all(claims)
    finally:
        file.write_text(json.dumps(claims), encoding="utf-8")
    return 0


def try_all(claims: list[dict[str, object]]) -> None:
    """Try one after the other."""

    def say(claim: str, tried: Callable[[], tuple[bool, str]]) -> bool:
        try:
            holds, came = tried()
        except Exception as error:  # noqa: BLE001 - whatever a peer raises is the answer
            holds, came = False, f"{type(error).__name__}: {' '.join(str(error).split())[:160]}"
        claims.append({"claim": claim, "holds": holds, "came": came})
        return holds

    say("anomalib imports as pip installs it", imported)
    torch = import_module("torch")
    declare_operators(torch)
    with tempfile.TemporaryDirectory(prefix="inspector-peer-") as folder:
        trial = Trial(Path(folder))
        if not say("PatchCore fits on good images alone", trial.fitted):
            return
        say("it then has a threshold", trial.threshold)
        say("it calls the images that it was fitted on good", trial.predicted)
        say("the exported ONNX graph takes a single image", trial.exported)
        say("the exported graph scores as the fitted model does", trial.agreed)


def imported() -> tuple[bool, str]:
    """Import it in a fresh interpreter, without the operators that anomalib_side declares."""
    command = [sys.executable, "-W", "ignore", "-c", "import anomalib.models"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    last = done.stderr.strip().splitlines()[-1:] or ["it does"]
    return done.returncode == 0, "it does" if done.returncode == 0 else last[0][:160]


class Trial:
    """PatchCore, fitted by the documented engine."""

    def __init__(self, root: Path) -> None:
        rng = np.random.default_rng(0)
        (root / "good").mkdir()
        for number in range(IMAGES):
            image = rng.integers(90, 160, (SIDE, SIDE, 3)).astype(np.uint8)
            cv2.imwrite(str(root / "good" / f"{number}.png"), image)
        self._root, self._image = root, root / "good" / "0.png"
        models, engine, data = (import_module(f"anomalib.{name}") for name in ("models", "engine", "data"))
        self._model: Any = models.Patchcore(
            backbone="resnet18", layers=["layer2", "layer3"], pre_trained=False, coreset_sampling_ratio=0.01
        )
        self._engine: Any = engine.Engine(accelerator="cpu", default_root_dir=root / "out", logger=False)
        self._data: Any = data.Folder(
            name="plates", root=root, normal_dir="good", train_batch_size=4, eval_batch_size=2, num_workers=0
        )

    def fitted(self) -> tuple[bool, str]:
        """Fit."""
        self._engine.fit(model=self._model, datamodule=self._data)
        return True, "it does"

    def threshold(self) -> tuple[bool, str]:
        """Return whether it is a number."""
        value = float(self._model.post_processor.image_threshold)
        return math.isfinite(value), f"{value:.3g}"

    def predicted(self) -> tuple[bool, str]:
        """Return whether none of the good images is called anomalous."""
        answers = self._engine.predict(model=self._model, data_path=self._root / "good")
        labels = [bool(label) for batch in answers for label in batch.pred_label]
        return not any(labels), f"{sum(labels)} of {len(labels)} are called anomalous"

    def exported(self) -> tuple[bool, str]:
        """Return whether a single image goes through the exported graph."""
        self._score_of_graph(single=True)
        return True, "it does"

    def agreed(self) -> tuple[bool, str]:
        """Return whether both scores of one image are the same, to a hundredth; in the batch that the graph wants."""
        graph = self._score_of_graph(single=False)
        model = float(self._engine.predict(model=self._model, data_path=self._image)[0].pred_score[0])
        return abs(graph - model) <= 0.01 * abs(model), f"{graph:.4f}, the model's {model:.4f}"

    def _score_of_graph(self, *, single: bool) -> float:
        path = self._engine.export(
            model=self._model, export_type="onnx", export_root=self._root / "export", input_size=(SIDE, SIDE)
        )
        session = import_module("onnxruntime").InferenceSession(str(path))
        (wanted,) = session.get_inputs()
        read = np.asarray(cv2.imread(str(self._image), cv2.IMREAD_COLOR_RGB), np.float32)
        batch = 1 if single or not isinstance(wanted.shape[0], int) else wanted.shape[0]
        images = np.repeat(read.transpose(2, 0, 1)[None] / 255, batch, axis=0)
        names = [output.name for output in session.get_outputs()]
        found = dict(zip(names, session.run(None, {wanted.name: images}), strict=True))
        return float(np.ravel(found["pred_score"])[0])


if __name__ == "__main__":
    raise SystemExit(main())
