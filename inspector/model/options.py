"""What a product may choose when its model is fitted. Imports nothing heavy: the command line reads its defaults here."""

from dataclasses import dataclass

METHOD = "nearest"


@dataclass(frozen=True, slots=True)
class FitOptions:
    """The defaults did best on average over several public sets; scale and taps belong to the product.

    `pixels`: the input has the area of a square of this side. `taps`: blocks of the backbone whose features are compared.
    """

    false_reject_rate: float = 0.01
    bank: int = 3000
    pixels: int = 256
    taps: tuple[int, ...] = (4, 7, 10)
    seed: int = 0
