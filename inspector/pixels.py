"""The pixel formats that cameras send, by their SFNC names: how many bytes a line takes, and what its samples mean.

The camera checks sizes against this table, the ring carries the bytes as they came, and the engine decodes them. Layouts are those of
the GenICam Pixel Format Naming Convention 2.4.
"""

from dataclasses import dataclass

from inspector.errors import CameraError, FeatureError

# How the samples lie in memory -> bytes and samples of the smallest group that begins and ends with a byte.
BYTES = "bytes"  # a byte for each sample
WORDS = "words"  # 16 bits, little-endian, the sample in the lower ones
LSB = "lsb"  # "p": packed without gaps, the lowest bit first
GIGE = "gige"  # "Packed": upper eight bits of two samples around a byte with the lower bits of both


@dataclass(frozen=True, slots=True)
class PixelFormat:
    """One format. `bits` of a sample carry light; `bayer` names the colours of a mosaic's first two pixels, or is empty."""

    name: str
    bits: int
    layout: str
    channels: int = 1
    bayer: str = ""

    @property
    def group(self) -> tuple[int, int]:
        """Bytes and pixels of the smallest run that begins and ends with a byte."""
        if self.layout == LSB:
            return (5, 4) if self.bits == 10 else (3, 2)
        if self.layout == GIGE:
            return 3, 2
        return self.channels * (2 if self.layout == WORDS else 1), 1

    def line_bytes(self, width: int) -> int:
        """Return the bytes of one line. Raises FeatureError where a line would end within a byte."""
        size, pixels = self.group
        if width % pixels:
            raise FeatureError(
                f"{self.name} packs {pixels} pixels into {size} bytes, and a Width of {width} cuts the last group; "
                f"set a Width in steps of {pixels} in camera.features"
            )
        return width // pixels * size


def _mosaics() -> list[PixelFormat]:
    """Return mono and the four Bayer orders, in every depth and layout."""
    found = []
    for colour in ("Mono", "BayerRG", "BayerGR", "BayerGB", "BayerBG"):
        bayer = colour.removeprefix("Bayer") if colour != "Mono" else ""
        found.append(PixelFormat(f"{colour}8", 8, BYTES, bayer=bayer))
        found += [PixelFormat(f"{colour}{bits}", bits, WORDS, bayer=bayer) for bits in (10, 12, 16)]
        found += [PixelFormat(f"{colour}{bits}p", bits, LSB, bayer=bayer) for bits in (10, 12)]
        found.append(PixelFormat(f"{colour}12Packed", 12, GIGE, bayer=bayer))
    return found


PIXEL_FORMATS = {each.name: each for each in (*_mosaics(), PixelFormat("RGB8", 8, BYTES, channels=3))}
KNOWN = "Mono, BayerRG, BayerGR, BayerGB, BayerBG with 8, 10, 12, 16, 10p, 12p or 12Packed; or RGB8"


def pixel_format(name: str) -> PixelFormat:
    """Return the format of that name. Raises CameraError for one that the engine does not take."""
    try:
        return PIXEL_FORMATS[name]
    except KeyError:
        raise CameraError(f"PixelFormat {name} is not one that the engine takes: {KNOWN}") from None
