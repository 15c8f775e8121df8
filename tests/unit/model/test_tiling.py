"""Tiles: they cover the frame, overlap as promised, and leave the features as they were but near their own edges."""

import dataclasses
import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from inspector.errors import ModelError
from inspector.model.backbone import open_backbone
from inspector.model.bank import build_bank
from inspector.model.graph import features_graph, fused_graph, split_features
from inspector.model.methods.base import Detector
from inspector.model.methods.nearest import NearestHead
from inspector.model.scoring import compiled
from inspector.model.spec import ModelSpec, model_spec
from inspector.model.tiling import CELL, Tile, owners, sources
from inspector.model.whitening import Moments, whitening

TILES = st.builds(
    lambda side, share: Tile(32 * side, 16 * int(side * share)), st.integers(2, 8), st.floats(0, 0.99)
)


@given(tile=TILES, cells=st.integers(0, 60))
def test_tiles_cover_a_side_and_overlap_enough(tile: Tile, cells: int) -> None:
    size = tile.side + cells * CELL
    starts = tile.starts(size)
    assert starts[0] == 0
    assert starts[-1] == size - tile.side
    for before, after in itertools.pairwise(starts):
        assert after % CELL == 0
        assert before < after <= before + tile.side - tile.overlap


@given(tile=TILES, cells=st.integers(0, 60))
def test_a_defect_as_large_as_the_overlap_lies_whole_in_its_cells_tile(tile: Tile, cells: int) -> None:
    size = tile.side + cells * CELL
    starts = tile.starts(size)
    for cell, owner in enumerate(owners(starts, tile.side, size, CELL)):
        centre = cell * CELL + CELL / 2
        begin, end = starts[owner], starts[owner] + tile.side
        assert begin <= centre < end
        # half the overlap, to the cell
        assert begin == 0 or centre - begin >= tile.overlap / 2 - CELL / 2
        assert end == size or end - centre >= tile.overlap / 2 - CELL / 2


@pytest.mark.parametrize("cell", [8, 16])
def test_each_cell_is_found_in_its_tile(cell: int) -> None:
    tile = Tile(96, 32)
    height, width = 176, 240
    corners, places = sources(tile, height, width, cell)
    per_tile = tile.side // cell
    numbers = np.arange(len(corners) * per_tile**2).reshape(len(corners), per_tile, per_tile)
    for place, (row, column) in zip(places, np.ndindex(height // cell, width // cell), strict=True):
        number, inner_row, inner_column = (int(axis[0]) for axis in np.nonzero(numbers == place))
        y, x = corners[number]
        assert (y + inner_row * cell, x + inner_column * cell) == (row * cell, column * cell)


@pytest.mark.parametrize(("side", "overlap"), [(100, 32), (32, 0), (128, 80), (128, 24), (128, -16)])
def test_tiles_that_cannot_be_are_refused(side: int, overlap: int) -> None:
    with pytest.raises(ModelError, match="expected tiles of at least 64 pixels in steps of 32"):
        Tile(side, overlap)


SIZE = 192, 256
TAPS = [("4", "7", "10")]  # whose cells see little beyond a tile this small


def spec(tile: Tile | None = None) -> ModelSpec:
    return model_spec(open_backbone("lite0"), 1, [SIZE], TAPS, tile=tile)


def image(seed: int) -> NDArray[np.uint8]:
    rng = np.random.default_rng(seed)
    stripes = 120 + 40 * np.sin(np.arange(SIZE[1]) / 9)[None, :] + np.zeros((SIZE[0], 1))
    return np.clip(stripes + rng.normal(0, 12, SIZE), 0, 255).astype(np.uint8)


def grid_of(of: ModelSpec, seen: NDArray[np.uint8]) -> NDArray[np.float32]:
    with compiled(features_graph(of), of.geometry) as engine:
        return split_features(of, engine.score(seen).heatmap)[0].reshape(*of.grid, -1)


def test_features_are_those_of_the_whole_where_a_tile_sees_enough() -> None:
    """One cell from a tile's corner on, nothing differs that lies beyond the tile's own edge."""
    whole, tiled = grid_of(spec(), image(1)), grid_of(spec(Tile(128, 64)), image(1))
    assert whole.shape == tiled.shape
    apart = np.abs(whole - tiled).mean(axis=2)
    usual = np.abs(whole).mean()
    assert apart.mean() < 0.15 * usual
    np.testing.assert_allclose(tiled[0, 0], whole[0, 0], atol=0.05 * usual, rtol=0.2)
    swapped = np.abs(whole - tiled[:, ::-1]).mean()
    assert apart.mean() < 0.5 * swapped, "the cells are where they belong"


def test_brightness_is_that_of_the_whole_frame() -> None:
    """A flat tile is not stretched by itself: its noise would look like a pattern."""
    half = image(2)
    half[:, :128] = 120
    half[::2, :128:2] += 1
    tiled = grid_of(spec(Tile(128, 0)), half)
    alone = grid_of(
        model_spec(open_backbone("lite0"), 1, [(128, 128)], TAPS), np.ascontiguousarray(half[:128, :128])
    )
    whole = grid_of(spec(), half)
    inner = np.s_[2:6, 2:6]
    assert np.abs(tiled[inner] - whole[inner]).mean() < 0.3 * np.abs(alone[inner] - whole[inner]).mean()


def test_a_defect_shows_where_it_is_and_the_score_is_the_maximum() -> None:
    tiled = spec(Tile(96, 32))
    flat = np.concatenate(
        [grid_of(tiled, image(seed)).reshape(-1, tiled.branches[0].depth) for seed in range(4)]
    )
    white = whitening(Moments.of(flat))
    head = NearestHead(white, build_bank(white.apply(flat), 60, np.random.default_rng(0)))
    scratched = image(9)
    scratched[100:112, 200:214] = 255
    with compiled(fused_graph(tiled, Detector((head,))), tiled.geometry) as engine:
        good, bad = engine.score(image(9)), engine.score(scratched)
    assert bad.value > 1.3 * good.value
    assert bad.value == bad.heatmap.max()
    row, column = divmod(int(bad.heatmap.argmax()), tiled.grid[1])
    assert bad.place(row, column) == pytest.approx((207, 106), abs=20)


def test_sides_of_a_tiled_input_come_in_steps_of_a_cell() -> None:
    odd = model_spec(open_backbone("lite0"), 1, [(176, 240)], TAPS, tile=Tile(96, 32))
    assert odd.grid == (11, 15)
    assert dataclasses.replace(odd).geometry.height == 176
    with pytest.raises(ModelError, match="steps of 16 pixels, got 250 x 176"):
        model_spec(open_backbone("lite0"), 1, [(176, 250)], TAPS, tile=Tile(96, 32))


def test_very_many_patches_are_compared_in_parts() -> None:
    """The same distances, whether or not they are cut into parts."""
    large = model_spec(open_backbone("lite0"), 1, [(64, 64)], TAPS)
    flat = grid_of(large, image(3)[:64, :64].copy()).reshape(-1, large.branches[0].depth)
    head = NearestHead(whitening(Moments.of(flat)), build_bank(flat, 8, np.random.default_rng(0)))
    whole = fused_graph(large, Detector((head,)))
    patch = pytest.MonkeyPatch()
    with patch.context() as changed:
        changed.setattr("inspector.model.methods.nearest._ROWS", 5)
        parts = fused_graph(large, Detector((head,)))
    assert len(parts.graph.node) > len(whole.graph.node) + 6
    seen = image(4)[:64, :64].copy()
    with compiled(whole, large.geometry) as one, compiled(parts, large.geometry) as other:
        np.testing.assert_allclose(one.score(seen).heatmap, other.score(seen).heatmap, rtol=1e-5)
