"""The station's own log lines become entries: the event is the message, the fields are `extra`.

    log = logging.getLogger(__name__)
    log.warning("camera_lost", extra={"serial": "0012345", "silent_ms": 1200})

A message with arguments (from a library) becomes the event named after its logger, with the text as `message`.
"""

import logging
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from inspector.clock import SystemClock
from inspector.recorder.client import Recorder
from inspector.recorder.line import Fields

_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}


class RecorderHandler(logging.Handler):
    """Puts log lines into the recorder; as quick as `Recorder.record`, so any thread may log."""

    def __init__(self, recorder: Recorder, level: int = logging.INFO) -> None:
        super().__init__(level)
        self._recorder = recorder
        self._clock = SystemClock()

    def emit(self, record: logging.LogRecord) -> None:
        """Add one entry. A line that cannot be put into words is an entry all the same."""
        fields = {name: value for name, value in vars(record).items() if name not in _STANDARD}
        event = str(record.msg)
        if record.args or " " in event:
            event = record.name
            try:
                fields["message"] = record.getMessage()
            except (TypeError, ValueError, KeyError) as error:
                fields["message"] = f"{record.msg} ({error})"
        if record.exc_info and record.exc_info[1] is not None:
            error_text = "".join(traceback.format_exception_only(record.exc_info[1])).strip()
            fields["error"] = error_text
            fields["traceback"] = "".join(traceback.format_exception(record.exc_info[1]))[-2000:]
        self._recorder.record(event, **fields | {"level": record.levelname, "logger": record.name})


def as_extra(fields: Fields) -> Fields:
    """Return fields that another process named as logging's `extra`: it refuses names that a log record has itself."""
    return {f"{name}_" if name in _STANDARD else name: value for name, value in fields.items()}


@contextmanager
def routed_logging(recorder: Recorder, level: int = logging.INFO) -> Iterator[None]:
    """Send all log lines and warnings of this process into the recorder, for the time of a `with` block."""
    handler, root = RecorderHandler(recorder, level), logging.getLogger()
    before = root.level
    root.addHandler(handler)
    root.setLevel(level)
    logging.captureWarnings(True)
    try:
        yield
    finally:
        logging.captureWarnings(False)
        root.setLevel(before)
        root.removeHandler(handler)
