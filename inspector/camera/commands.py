"""What commands ask of cameras outside of a running station. The producer runs in a process of its own: it may crash."""

import os
import selectors
from pathlib import Path

from inspector.camera.base import DeviceInfo
from inspector.camera.child import Child
from inspector.camera.link import Message
from inspector.clock import NS_PER_S, SystemClock
from inspector.errors import CameraError, ProducerError

LIST_LIMIT_S = 30.0  # network cameras take seconds to answer a discovery
_ERRORS = {error.code: error for error in (CameraError, ProducerError)}


def list_devices(producer: Path, backend: str = "genicam", limit_s: float = LIST_LIMIT_S) -> list[DeviceInfo]:
    """Return the cameras that `producer` offers. CameraError in one line where it is missing, crashes, hangs, or has none."""
    child = Child()
    answer = None
    try:
        child.send("list", backend=backend, producer=os.fspath(producer.absolute()))
        answer = _answer(child, limit_s)
    finally:
        how, lines = child.end(1.0 if answer else 0.0)
    if answer is None:
        raise CameraError(f"the producer {producer} did not list its cameras within {limit_s:g} s: it hangs")
    if answer.kind == "devices":
        return [DeviceInfo(**device) for device in answer.fields["devices"]]
    if answer.kind == "error":
        raise _ERRORS.get(answer.fields["code"], CameraError)(answer.fields["message"])
    said = f": {lines[-1]}" if lines else ""
    raise CameraError(
        f"the producer {producer} crashed while it listed its cameras ({how}{said}); ask its vendor"
    )


def _answer(child: Child, limit_s: float) -> Message | None:
    """Wait for the answer; `ended` where the process ends without one, None where it takes too long."""
    clock = SystemClock()
    t_limit_ns = clock.now_ns() + round(limit_s * NS_PER_S)
    with selectors.DefaultSelector() as selector:
        selector.register(child.link.fileno(), selectors.EVENT_READ)
        while selector.select(max(t_limit_ns - clock.now_ns(), 0) / NS_PER_S):
            try:
                message = child.receive()
            except EOFError:
                return Message("ended", {})
            if message is not None and message.kind != "log":
                return message
    return None
