"""Does this engine, on this machine, give the scores the pack was calibrated with? Asked before a station is ready."""

import logging

from inspector.engine.base import Engine
from inspector.errors import DisagreementError
from inspector.model.pack import Pack

log = logging.getLogger(__name__)

# Share of the threshold by which a score may differ. Float32 on another CPU differs by some 1e-5; a threshold set for 1 % false
# rejects still means about that with a score 2 % off.
AGREEMENT = 0.02
# The reference images are few, and other parts differ by up to twice as much (seen with weights rounded to 12 bits): they get half of it.
REFERENCES_AGREE = AGREEMENT / 2


def require_agreement(engine: Engine, pack: Pack) -> None:
    """Score the pack's reference images, and raise DisagreementError where a score is another one than when it was fitted.

    A device or runtime that computes wrongly may give every part a small, finite score, and would release them all. The bound on
    these few is half of what a score of any part may differ by.
    """
    allowed = REFERENCES_AGREE * pack.threshold
    for reference, prepared in pack.references():
        score = engine.score_prepared(prepared)
        # Each view too: one that is computed wrongly may be the worst of none of these few.
        found = (score.value, *(view.value for view in score.views))
        fitted = (reference.score, *reference.views)
        for value, wanted in zip(found, fitted, strict=True):
            if abs(value - wanted) > allowed:
                raise DisagreementError(
                    f"{engine.name} scores {reference.file} of the pack {value:.4f}, it was {wanted:.4f} when fitted, "
                    f"and may differ by {allowed:.4f}; choose another model.engine, or fit the model again here"
                )
    log.info("engine_agrees", extra={"engine": engine.name, "references": len(pack.manifest.references)})
