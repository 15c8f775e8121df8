"""A model pack in one line: what a person compares with the PLC, the log and the list of what was fitted."""

from inspector.model.pack import Pack
from inspector.model.wording import banks


def line_of(pack: Pack) -> str:
    """Return `model_hash 16#1A2B3C4D (log 1a2b3c4d...), nearest, int8, input 256x256, bank 3000, threshold 1.2, fitted ... UTC on 400 images`.

    Of a part with several views their names stand behind the input's size, and the banks are counted (bank 2 x 3000). The hash is the 32-bit word of the status block, in IEC 61131-3's notation.
    """
    manifest, short = pack.manifest, pack.model_hash[:8]
    size = manifest.input
    fitted = manifest.created[: len("2026-11-22T12:00")].replace("T", " ")
    kept = f", bank {banks(manifest.bank, len(pack.views))}" if manifest.bank else ""
    precision = f", {manifest.precision.taken}" if manifest.precision else ""
    views = f" for each of {', '.join(pack.views)}" if pack.views else ""
    return (
        f"model_hash 16#{short.upper()} (in the log {short}...), {manifest.method}{precision}, input {size.width}x{size.height}{views}{kept}, "
        f"threshold {pack.threshold:.4g}, fitted {fitted} UTC on {manifest.images} images"
    )
