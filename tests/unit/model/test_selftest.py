"""An engine that computes something else than what the pack was calibrated with is refused before it decides anything."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from inspector.engine.base import Score, open_engine
from inspector.engine.decoding import Samples
from inspector.errors import DisagreementError
from inspector.model.pack import Pack, load_pack
from inspector.model.selftest import REFERENCES_AGREE, require_agreement
from inspector.recipes import open_unchanged


@dataclass
class OffBy:
    """A real engine whose scores are off by a part of the threshold."""

    pack: Pack
    share: float
    name: str = "off"

    def __post_init__(self) -> None:
        self._engine = open_engine("openvino", self.pack.graph, self.pack.geometry)

    def warm_up(self) -> None:
        self._engine.warm_up()

    def score(self, image: Samples, pixel_format: str | None = None) -> Score:
        return self._engine.score(image, pixel_format)

    def score_prepared(self, prepared: NDArray[np.uint8]) -> Score:
        true = self._engine.score_prepared(prepared)
        return Score(true.value + self.share * self.pack.threshold, true.heatmap)

    def close(self) -> None:
        self._engine.close()


@pytest.mark.parametrize("share", [0.0, 0.9 * REFERENCES_AGREE, -0.9 * REFERENCES_AGREE])
def test_the_scores_of_the_fit_are_agreed_with(pack: Path, share: float) -> None:
    loaded = load_pack(pack)
    engine = OffBy(loaded, share)
    require_agreement(engine, loaded)
    engine.close()


@pytest.mark.parametrize("share", [1.1 * REFERENCES_AGREE, -1.1 * REFERENCES_AGREE, -0.5])
def test_other_scores_are_refused(pack: Path, share: float) -> None:
    loaded = load_pack(pack)
    engine = OffBy(loaded, share)
    with pytest.raises(DisagreementError, match="when fitted"):
        require_agreement(engine, loaded)
    engine.close()


def test_a_station_opens_no_engine_that_disagrees(pack: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = load_pack(pack)
    monkeypatch.setattr("inspector.recipes.open_engine", lambda *_: OffBy(loaded, -0.5))
    with pytest.raises(DisagreementError):
        open_unchanged("openvino", loaded)
