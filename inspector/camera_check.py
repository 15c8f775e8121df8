"""Says at once where the camera's frames cannot be what the model was fitted on: no part would pass, one by one, and nobody knew why."""

import logging
from collections.abc import Callable

from inspector.camera.base import CameraInfo
from inspector.camera.life import CameraEvent, CameraHooks
from inspector.engine.preprocess import Geometry
from inspector.errors import EngineInputError
from inspector.ring import RingReader

log = logging.getLogger(__name__)


class CameraCheck:
    """The camera's hooks: all goes on to `desk`, and a geometry that cannot fit is a warning. Thread "camera"."""

    def __init__(self, desk: CameraHooks, wanted: Callable[[], Geometry]) -> None:
        """`wanted`: how the model that is to decide takes its frames; asked at each start of the camera."""
        self._desk = desk
        self._wanted = wanted

    def on_up(self, generation: int, reader: RingReader, info: CameraInfo) -> None:
        """Pass it on, then hold the camera's frames against the model."""
        self._desk.on_up(generation, reader, info)
        try:
            self._wanted().require_frame(info.width, info.height)
        except EngineInputError as error:
            why = f"every part will be rejected as FRAME_BAD: {error}"
            log.warning("camera_misfit", extra={"code": error.code, "why": why})

    def on_down(self, why: str) -> None:
        """Pass it on."""
        self._desk.on_down(why)

    def on_event(self, event: CameraEvent) -> None:
        """Pass it on."""
        self._desk.on_event(event)
