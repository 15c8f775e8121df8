"""Coordinates: continuous, with the corner of the first pixel at (0, 0), so that its centre is at (0.5, 0.5)."""

from inspector.errors import EngineInputError

Affine = tuple[
    float, float, float, float, float, float
]  # a, b, c, d, e, f: x' = a x + b y + c, y' = d x + e y + f
IDENTITY: Affine = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


def apply(to: Affine, x: float, y: float) -> tuple[float, float]:
    """Return where the map puts (x, y)."""
    a, b, c, d, e, f = to
    return a * x + b * y + c, d * x + e * y + f


def compose(outer: Affine, inner: Affine) -> Affine:
    """Return the map that does `inner` first, then `outer`."""
    a, b, c, d, e, f = outer
    g, h, i, j, k, m = inner
    return (
        a * g + b * j,
        a * h + b * k,
        a * i + b * m + c,
        d * g + e * j,
        d * h + e * k,
        d * i + e * m + f,
    )


def invert(to: Affine) -> Affine:
    """Return the map back. EngineInputError where everything falls on one line."""
    a, b, c, d, e, f = to
    size = a * e - b * d
    if not size:
        raise EngineInputError("a map that puts everything on one line has no way back")
    return e / size, -b / size, (b * f - c * e) / size, -d / size, a / size, (c * d - a * f) / size


def shift(x: float, y: float) -> Affine:
    """Return the map that moves by (x, y)."""
    return 1.0, 0.0, x, 0.0, 1.0, y


def stretch(source: tuple[int, int], target: tuple[int, int]) -> Affine:
    """Return the map from pixels of an image of (width, height) `source` to those of the same image at `target`."""
    return target[0] / source[0], 0.0, 0.0, 0.0, target[1] / source[1], 0.0
