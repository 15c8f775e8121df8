"""Tiles: how a frame too large for the backbone's memory goes through it piece by piece.

Tiles overlap, and each cell of the feature grid is taken from the tile in which it lies farthest from the edge. So around each
cell at least half the overlap was seen with it, and a defect up to the size of the overlap lies whole in the tile of the cell at
its centre.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inspector.errors import ModelError

CELL = 16  # pixels: tiles begin on multiples of it, and so on cells of the feature grid
DEFAULT_SIDE, DEFAULT_OVERLAP = 512, 64


@dataclass(frozen=True, slots=True)
class Tile:
    """`side` of a tile and `overlap` of neighbours, in pixels of the graph's input; both in steps of 32 and of 16."""

    side: int
    overlap: int

    def __post_init__(self) -> None:
        if self.side % 32 or self.side < 64 or self.overlap % CELL or not 0 <= self.overlap <= self.side // 2:
            raise ModelError(
                f"expected tiles of at least 64 pixels in steps of 32, that overlap by steps of {CELL} up to half of it, got "
                f"{self.side} and {self.overlap}; {DEFAULT_SIDE},{DEFAULT_OVERLAP} suits most"
            )

    def starts(self, size: int) -> list[int]:
        """Return where tiles begin along a side of `size` pixels, a multiple of 16 and no less than a tile: spread evenly."""
        count = max(1, math.ceil((size - self.overlap) / (self.side - self.overlap)))
        room = (size - self.side) // CELL
        return [CELL * round(room * index / max(1, count - 1)) for index in range(count)]


def owners(starts: list[int], side: int, size: int, cell: int) -> NDArray[np.int64]:
    """Return for each cell along a side which tile it is taken from: that in which it lies farthest from an edge.

    The edge of the frame is none: nothing lies beyond. `cell` is in pixels.
    """
    centres = np.arange(size // cell) * cell + cell / 2
    begin = np.array(starts)[:, None]
    before = np.where(begin == 0, np.inf, centres - begin)
    after = np.where(begin + side == size, np.inf, begin + side - centres)
    inside = (centres > begin) & (centres < begin + side)
    owner: NDArray[np.int64] = np.where(inside, np.minimum(before, after), -1).argmax(axis=0)
    return owner


def sources(tile: Tile, height: int, width: int, cell: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the corner (y, x) of each tile, int64 (n, 2), and where each cell of the whole grid is found, int64 (rows * columns,).

    Cells are of `cell` pixels, those of all tiles numbered one tile after the other, each row by row, as the whole grid is.
    """
    down, across = tile.starts(height), tile.starts(width)
    corners = np.array([(y, x) for y in down for x in across], np.int64)
    of_row, of_column = owners(down, tile.side, height, cell), owners(across, tile.side, width, cell)
    cells = tile.side // cell
    row = np.arange(height // cell) - np.array(down)[of_row] // cell
    column = np.arange(width // cell) - np.array(across)[of_column] // cell
    number = of_row[:, None] * len(across) + of_column[None, :]
    places: NDArray[np.int64] = (number * cells + row[:, None]) * cells + column[None, :]
    return corners, places.reshape(-1)
