"""What is checked: graphs of one view and of several, on frames of one kind."""

from dataclasses import dataclass
from pathlib import Path

from inspector.engine.preprocess import Geometry
from inspector.engine.tensorrt import TensorRTEngine


@dataclass(slots=True)
class Checked:
    """A graph and the views of a frame that it scores. The engine is opened once, for all parts of the check that need it."""

    graph: Path
    views: tuple[Geometry, ...]
    engine: TensorRTEngine | None = None

    def opened(self) -> TensorRTEngine:
        """Return the engine, warm. Raises as TensorRTEngine."""
        if self.engine is None:
            self.engine = TensorRTEngine(self.graph, self.views)
            self.engine.warm_up()
        return self.engine

    @property
    def row(self) -> dict[str, int]:
        """What a row of figures says of it."""
        return {"views": len(self.views)}


@dataclass(frozen=True, slots=True)
class Setting:
    """The graphs, that of one view first where there is one, and the frames."""

    models: tuple[Checked, ...]
    size: tuple[int, int]  # width, height of the raw frames
    pixel_format: str
    runs: int
    seed: int

    def close(self) -> None:
        """Give the GPU back."""
        for model in self.models:
            if model.engine is not None:
                model.engine.close()
