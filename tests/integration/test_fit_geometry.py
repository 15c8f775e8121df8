"""Region, mask, alignment, tiles and depth from the command to the engine: one pack each, fitted on small plates."""

import dataclasses
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from inspector.camera.encoding import encode
from inspector.engine.base import open_engine
from inspector.errors import EngineInputError, ImagesError, PackError, PoseError
from inspector.model.heatmap import in_frame
from inspector.model.images import read_frame
from inspector.model.judged import judge
from inspector.model.pack import Pack, load_pack
from inspector.model.progress import silent
from inspector.model.selftest import require_agreement
from inspector.pixels import pixel_format
from tests.support import networks
from tests.support.commands import inspector
from tests.support.plates import SIDE, part

MARGIN = 40  # of belt around a plate, in pixels
HEIGHT, WIDTH = SIDE + 2 * MARGIN, SIDE + 3 * MARGIN
TOP, LEFT = MARGIN, MARGIN  # of the plate that lies where it should


def frame(
    rng: np.random.Generator, dx: float = 0.0, dy: float = 0.0, degrees: float = 0.0
) -> NDArray[np.float64]:
    """Return a plate on a dark belt, moved and turned about its centre."""
    belt = rng.normal(25, 3, (HEIGHT, WIDTH))
    matrix = cv2.getRotationMatrix2D((SIDE / 2, SIDE / 2), degrees, 1) + np.array(
        [[0, 0, LEFT + dx], [0, 0, TOP + dy]]
    )
    plate = cv2.warpAffine(part(rng), matrix, (WIDTH, HEIGHT))
    there = cv2.warpAffine(np.ones((SIDE, SIDE)), matrix, (WIDTH, HEIGHT))
    return np.asarray(belt * (1 - there) + plate * there)


def write(path: Path, image: NDArray[np.float64], *, deep: bool) -> None:
    """Write 8 bits, or 12 bits in a file of 16."""
    path.parent.mkdir(parents=True, exist_ok=True)
    grey = np.clip(image, 0, 255.9)
    assert cv2.imwrite(str(path), (grey * 16).astype(np.uint16) if deep else grey.astype(np.uint8))


def fitted(folder: Path, *arguments: object, deep: bool = False, moved: float = 0.0) -> Pack:
    """Fit with these arguments on 30 plates of three days, and return the pack."""
    rng = np.random.default_rng(1)
    for day in ("monday", "tuesday", "wednesday"):
        for index in range(10):
            dx, dy, turn = rng.uniform(-moved, moved, 3)
            write(folder / "good" / day / f"{index}.png", frame(rng, dx, dy, turn / 4), deep=deep)
    wanted = [
        "fit",
        "--good",
        folder / "good",
        "--out",
        folder / "pack",
        "--bank",
        "150",
        *(() if "imported" in arguments else ("--taps", "4,7,10")),
        *arguments,
    ]
    assert inspector(*wanted) == 0
    return load_pack(folder / "pack")


@pytest.fixture(scope="module")
def aligned(tmp_path_factory: pytest.TempPathFactory) -> Pack:
    """Region, mask over one hole, alignment."""
    folder = tmp_path_factory.mktemp("aligned")
    reference = folder / "reference.png"
    write(reference, frame(np.random.default_rng(5)), deep=False)
    (folder / "mask.json").write_text(json.dumps([[[55, 115], [85, 115], [85, 145], [55, 145]]]))
    roi = f"{LEFT - 4},{TOP - 4},{SIDE + 8},{SIDE + 8}"
    options = ("--size", 96, "--roi", roi, "--align", "20px,4deg", "--reference", reference)
    return fitted(folder, *options, "--mask", folder / "mask.json", moved=6.0)


def test_a_moved_part_scores_as_one_that_lies_where_it_should(aligned: Pack) -> None:
    rng = np.random.default_rng(7)
    engine = open_engine("openvino", aligned.graph, aligned.geometry)
    try:
        require_agreement(engine, aligned)
        scores = [
            engine.score(frame(rng, *pose).astype(np.uint8)).value
            for pose in ((0, 0, 0), (9, -7, 2), (-11.5, 4.5, -3), (3.3, 14.2, 1))
        ]
        assert max(scores) < 1.6 * aligned.threshold
        bad = frame(rng, 8, -6, 2)
        cv2.line(bad, (LEFT + 60, TOP + 40), (LEFT + 90, TOP + 60), 250, 4)
        found = engine.score(bad.astype(np.uint8))
        assert found.value > 1.5 * max(scores)
        row, column = divmod(int(found.heatmap.argmax()), found.heatmap.shape[1])
        assert found.place(row, column) == pytest.approx((LEFT + 75, TOP + 50), abs=16)
        heat = in_frame(found, WIDTH, HEIGHT)
        y, x = divmod(int(heat.argmax()), WIDTH)
        assert (x, y) == pytest.approx((LEFT + 75, TOP + 50), abs=18)
        assert not heat[:, -20:].any(), "nothing is looked at there"
    finally:
        engine.close()


def test_a_part_that_lies_too_far_or_is_not_there_is_refused(aligned: Pack) -> None:
    rng = np.random.default_rng(8)
    engine = open_engine("openvino", aligned.graph, aligned.geometry)
    try:
        with pytest.raises(PoseError, match="the part lies"):
            engine.score(frame(rng, 25, 10).astype(np.uint8))
        with pytest.raises(PoseError):
            engine.score(rng.normal(25, 3, (HEIGHT, WIDTH)).astype(np.uint8))
        with pytest.raises(EngineInputError, match=f"expected frames of {WIDTH} x {HEIGHT} pixels"):
            engine.score(frame(rng)[:-1].astype(np.uint8))
    finally:
        engine.close()


def test_what_is_masked_cannot_reject(aligned: Pack) -> None:
    """The hole at (70, 130) of the reference is under the mask: not drilled, it is no matter."""
    plain = dataclasses.replace(aligned.geometry, alignment=None)
    engine = open_engine("openvino", aligned.graph, plain)
    try:
        image = frame(np.random.default_rng(9)).astype(np.uint8)
        usual = engine.score(image)
        image[115:145, 55:85] = np.random.default_rng(0).integers(0, 256, (30, 30))
        changed = engine.score(image)
        assert changed.value == usual.value
        np.testing.assert_array_equal(changed.heatmap, usual.heatmap)
    finally:
        engine.close()


def test_an_alignment_without_its_reference_is_no_whole_pack(aligned: Pack, tmp_path: Path) -> None:
    manifest = json.loads((aligned.path / "manifest.json").read_text())
    assert manifest["frame"]["align"] == {"limit_px": 20.0, "limit_deg": 4.0}
    assert manifest["frame"]["masked"] is True
    (aligned.path / "pose.png").rename(tmp_path / "pose.png")
    with pytest.raises(PackError, match=r"pose\.png: expected this file"):
        load_pack(aligned.path)
    (tmp_path / "pose.png").rename(aligned.path / "pose.png")


def test_twelve_bits_are_the_same_from_a_file_and_from_any_camera(tmp_path: Path) -> None:
    pack = fitted(tmp_path, "--size", 96, deep=True)
    assert pack.geometry.bits == 12
    assert pack.geometry.aspect == pytest.approx(WIDTH / HEIGHT)
    path = next((tmp_path / "good").rglob("*.png"))
    image = read_frame(path, 1)
    assert image.dtype == np.uint16
    engine = open_engine("openvino", pack.graph, pack.geometry)
    try:
        of_file = engine.score(image)
        for name in ("Mono12", "Mono12p", "Mono12Packed"):
            form = pixel_format(name)
            lines = encode(image, form).reshape(HEIGHT, form.line_bytes(WIDTH))
            assert engine.score(lines, name).value == of_file.value
    finally:
        engine.close()


def test_a_fine_defect_is_found_by_tiles_and_not_without(tmp_path: Path) -> None:
    tiled = fitted(tmp_path / "tiled", "--tiles", "96,32", "--scale", "1")
    coarse = fitted(tmp_path / "coarse", "--size", "64")
    assert tiled.geometry.frame == (WIDTH, HEIGHT)
    rng = np.random.default_rng(3)
    ratios = []
    for pack in (tiled, coarse):
        engine = open_engine("openvino", pack.graph, pack.geometry)
        try:
            good = frame(rng)
            bad = good.copy()
            cv2.line(bad, (100, 100), (106, 104), 235, 1)
            usual, found = (engine.score(image.astype(np.uint8)) for image in (good, bad))
        finally:
            engine.close()
        ratios.append(found.value / usual.value)
    assert ratios[0] > 1.15
    assert ratios[1] < 1.1


def test_an_imported_network_keeps_its_own_sides(tmp_path: Path) -> None:
    """Frames fill its square input, whatever their shape: nothing is planned around it."""
    network = networks.detector(tmp_path / "net.onnx", image=("batch", 3, 64, 64))
    pack = fitted(tmp_path, "--method", "imported", "--network", network)
    assert (pack.geometry.width, pack.geometry.height, pack.geometry.picture) == (64, 64, None)
    assert pack.geometry.aspect == pytest.approx(WIDTH / HEIGHT)
    assert not pack.manifest.held_out.promised, "it may have been trained on these very images"
    engine = open_engine("openvino", pack.graph, pack.geometry)
    try:
        require_agreement(engine, pack)
    finally:
        engine.close()


def test_images_of_another_size_are_not_called_undecodable(aligned: Pack, tmp_path: Path) -> None:
    paths = [tmp_path / f"{index}.png" for index in range(3)]
    for path in paths:
        cv2.imwrite(str(path), np.zeros((90, 100), np.uint8))
    with pytest.raises(ImagesError, match=r"0\.png: expected frames of .*this one has 100 x 90"):
        judge(aligned, paths[:2], paths[2:], engine="openvino", progress=silent)
