"""Frame ids that go on where a camera's own begin again: GigE Vision 1.x counts 1 to 65535 and then from 1."""

_LAST_16_BIT = 0xFFFF
_NEAR = 0x1000  # ids so close to the turn, on both sides of it, belong together


class FrameIds:
    """Continues 16-bit ids for as long as no id shows that they are wider. One thread."""

    def __init__(self) -> None:
        self._turns = 0
        self._newest: int | None = None
        self._wide = False
        self._period = _LAST_16_BIT  # ids 1..65535; with an id 0 there is one more

    def continued(self, frame_id: int) -> int:
        """Return the id as if the camera had never begun again. A frame from before the turn keeps its place there."""
        self._wide = self._wide or frame_id > _LAST_16_BIT
        if self._wide:
            return frame_id
        if frame_id == 0:
            self._period = _LAST_16_BIT + 1
        newest, turns = self._newest, self._turns
        if newest is not None and newest > _LAST_16_BIT - _NEAR and frame_id < _NEAR:
            self._turns = turns = turns + 1
        elif newest is not None and newest < _NEAR and frame_id > _LAST_16_BIT - _NEAR and turns:
            return frame_id + (turns - 1) * self._period
        self._newest = frame_id
        return frame_id + turns * self._period
