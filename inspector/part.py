"""The values that travel through the station: frames, verdicts and the reasons for them. Frozen, no behaviour."""

import enum
from dataclasses import dataclass

PART_ID_MAX = 65535


def next_part_id(part_id: int, step: int = 1) -> int:
    """Return the id `step` parts later: 1..65535 and round again, 0 is never a part."""
    return (part_id - 1 + step) % PART_ID_MAX + 1


def part_distance(older: int, newer: int) -> int:
    """Return how many parts `newer` is ahead of `older`, 0..65534. With older = 0 (no part yet): `newer` itself."""
    return newer if older == 0 else (newer - older) % PART_ID_MAX


def fell_back(before: int, count: int) -> bool:
    """Return whether a count that was `before` and is `count` now began anew: half a round on is as good as back."""
    return count == 0 < before or part_distance(before, count) > PART_ID_MAX // 2


class Outcome(enum.IntEnum):
    """The verdict word of a results slot. Anything else is no verdict, and rejects."""

    PASS = 0x5A5A
    REJECT = 0xA5A5


class Reason(enum.IntEnum):
    """Why a part got its verdict: the reason word of a results slot. Codes are stable."""

    NONE = 0  # a PASS
    SCORE = 1  # unlike the good parts
    LATE = 2  # a frame was there, the score was not in time
    FRAME_LOST = 3  # no frame of this part arrived
    FRAME_BAD = 4  # incomplete, not of the agreed shape and format, or the part not where it should lie
    OVERRUN = 5  # parts came faster than they could be scored
    ENGINE = 6  # the engine failed or hangs
    CAMERA = 7  # the camera process or device is down
    HANDSHAKE = 8  # in doubt which part the frame shows
    NOT_READY = 9  # the station was not ready or not enabled
    CHALLENGE = 10  # a challenge part that must be rejected
    LINK = 11  # the PLC could not be reached before the deadline


class Expected(enum.StrEnum):
    """How a challenge part must come out. One that must come out BAD is rejected, whatever its score."""

    GOOD = "good"
    BAD = "bad"


class FrameStatus(enum.IntEnum):
    """What the camera process found when it checked a frame."""

    OK = 0
    INCOMPLETE = 1  # the producer delivered only a part of it
    WRONG_FORMAT = 2  # other shape or pixel format than agreed
    OVERRUN = 3  # no free slot in the ring: announced without pixels


@dataclass(frozen=True, slots=True)
class Frame:
    """One image as announced by the ring: its header, not its pixels.

    `generation` counts camera (re)starts and new geometries; frame ids are comparable only within one generation.
    `sequence` is the ring's own count. `slot` is -1 where there are no pixels.
    """

    generation: int
    sequence: int
    frame_id: int
    t_arrival_ns: int
    status: FrameStatus
    slot: int
    width: int
    height: int
    pixel_format: str
    t_device_ns: int = 0


@dataclass(frozen=True, slots=True)
class Finding:
    """What the engine found in a frame; NaN, None and "" where there is nothing to say.

    `place` is where the frame is least like the good parts, (x, y) in pixels of the raw frame. `defect` is the known defect
    that a frame above the threshold looks like most, with a `confidence` of 0 to 1. `view` is the view that decided and `views` the
    relative score of each, in the order of `Deciding.views`, where the part has several.
    """

    score: float = float("nan")
    relative_score: float = float("nan")
    engine_ms: float = float("nan")
    place: tuple[int, int] | None = None
    defect: str = ""
    confidence: float = float("nan")
    view: str = ""
    views: tuple[float, ...] = ()


NOTHING_FOUND = Finding()


@dataclass(frozen=True, slots=True)
class Deciding:
    """What decides a part: the record of each verdict names it (I6). A part has one from its count or its frame to its verdict."""

    threshold: float = float("nan")  # the pack's, times the configured factor
    recipe: int = 0  # 0 = none
    model_sha256: str = ""
    config_sha256: str = ""
    defects: tuple[str, ...] = ()  # the names of those that the model knows
    views: tuple[str, ...] = ()  # the names of the part's views, where the model has several


NOBODY = Deciding()


@dataclass(frozen=True, slots=True)
class Verdict:
    """The one final word about one part. Times are monotonic nanoseconds."""

    part_id: int
    outcome: Outcome
    reason: Reason
    t_trigger_ns: int  # the earliest moment the trigger can have been, so that the deadline is never too late
    t_deadline_ns: int
    t_decided_ns: int
    frame_id: int = -1
    finding: Finding = NOTHING_FOUND
    deciding: Deciding = NOBODY
    expected: Expected | None = None  # of a challenge part; None = an ordinary one
