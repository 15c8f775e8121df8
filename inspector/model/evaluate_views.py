"""What each view of a part does for the decision, and which one decided."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from inspector.model.judged import Judged
from inspector.model.metrics import auroc
from inspector.model.pack import Pack


def by_view(pack: Pack, judged: Judged, kinds: Sequence[str]) -> dict[str, object]:
    """Return the figures of each of the pack's views, by name: as if it were the only one, and how many rejected parts it decided.

    `kinds`: of the bad images. A part that lay beyond the pose that the pack allows was decided by no view, and counts as rejected by all.
    """
    relative = _relative(judged, len(pack.views)) / pack.threshold
    worst = relative.argmax(axis=1)
    decided = np.isfinite(judged.values) & (relative.max(axis=1) > 1)
    result: dict[str, object] = {}
    for number, name in enumerate(pack.views):
        own, mine = relative[:, number], decided & (worst == number)
        found = own[judged.bad] > 1
        result[name] = {
            "auroc": auroc(own[~judged.bad], own[judged.bad]),
            "false_reject_rate": float((own[~judged.bad] > 1).mean()),
            "recall": float(found.mean()),
            "recall_by_defect": {
                kind: float(found[[other == kind for other in kinds]].mean()) for kind in sorted(set(kinds))
            },
            "decided": {"good": int(mine[~judged.bad].sum()), "bad": int(mine[judged.bad].sum())},
        }
    return result


def _relative(judged: Judged, count: int) -> NDArray[np.float64]:
    """Return each view's score of each image, float64 (n, count): inf where there is none."""
    found = np.full((len(judged.values), count), np.inf)
    for index, score in enumerate(judged.scores):
        if score is not None:
            found[index] = [view.value for view in score.views]
    return found
