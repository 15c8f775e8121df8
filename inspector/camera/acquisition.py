"""The acquisition loop of the camera process: fetch, announce, and between frames ask what else there is. One thread."""

from collections.abc import Callable
from contextlib import closing

from inspector.camera.announcer import Announcer, Counters
from inspector.camera.base import Camera, CameraInfo
from inspector.camera.rehearsal import REHEARSE_MS, Rehearsal
from inspector.clock import NS_PER_MS, NS_PER_S, Clock
from inspector.errors import CameraLostError
from inspector.ring import RingWriter

SLICE_MS = 50  # one wait for a frame: short, so that the process answers and is seen alive meanwhile
PROBE_NS = NS_PER_S  # without a frame for so long: is the device still there?
TRIGGERED_SLICE_MS = (
    2  # one wait for the frame that we have triggered: so late is the next trigger heard at most
)
EXPECT_NS = NS_PER_S  # so long is the frame waited for
LINE_STANDS_NS = 2 * NS_PER_S  # without a frame for so long nobody is in a hurry: no more rehearsals
WRONG_FORMAT_MAX = (
    20  # so many in a row: the camera has been reset or changed; opening it anew applies the features
)


class Acquisition:
    """Runs an opened and started camera until it is told to stop, or lost."""

    def __init__(
        self,
        camera: Camera,
        info: CameraInfo,
        ring: RingWriter,
        *,
        doorbell_fd: int,
        silence_ms: float | None,
        clock: Clock,
        rehearse: bool = False,
    ) -> None:
        """`rehearse`: between frames, so that the next one is quick."""
        self._camera = camera
        self._info = info
        self._announcer = Announcer(info, ring, doorbell_fd, clock)
        self._rehearses = rehearse
        self._rehearsal: Rehearsal | None = None
        self._silence_ns = None if silence_ms is None else round(silence_ms * NS_PER_MS)
        self._clock = clock
        self._t_probed_ns = clock.now_ns()
        self._t_expected_ns = 0  # until then a frame may come that we have triggered

    @property
    def counters(self) -> Counters:
        """What came so far."""
        return self._announcer.counters

    def run(self, keep_on: Callable[[], bool], wait_for_trigger: Callable[[int], bool] | None = None) -> None:
        """Fetch frames while `keep_on()`, which is called between frames and at least once in SLICE_MS.

        `wait_for_trigger` waits so many milliseconds at most and returns whether to trigger the camera; None: others trigger it.
        CameraLostError where the device is gone, silent for `silence_ms`, or sends other frames than agreed.
        """
        if not self._rehearses:
            self._run(keep_on, wait_for_trigger)
            return
        self._rehearsal = Rehearsal(self._info, self._clock)
        with closing(self._rehearsal):
            self._run(keep_on, wait_for_trigger)

    def _run(self, keep_on: Callable[[], bool], wait_for_trigger: Callable[[int], bool] | None) -> None:
        take = self._announcer.take
        while keep_on():
            slice_ms = self._slice_ms() if wait_for_trigger is None else self._trigger(wait_for_trigger)
            if not self._camera.fetch(slice_ms, take):
                self._judge_silence()
                if rehearsal := self._rehearsal_now():
                    self._camera.rehearse(rehearsal.take)
            elif self._announcer.wrong_in_a_row >= WRONG_FORMAT_MAX:
                raise CameraLostError(
                    f"{WRONG_FORMAT_MAX} frames in a row were not {self._geometry()}: the camera was changed behind our back;"
                    " it is opened again with the features of the configuration"
                )

    def _rehearsal_now(self) -> Rehearsal | None:
        """Return the rehearsal, if there is one and the line moves."""
        stands = self._clock.now_ns() - self._announcer.t_last_ns > LINE_STANDS_NS
        return None if stands else self._rehearsal

    def _slice_ms(self) -> int:
        return REHEARSE_MS if self._rehearsal_now() else SLICE_MS

    def _trigger(self, wait_for_trigger: Callable[[int], bool]) -> int:
        """Trigger the camera once it is asked for; return for how many milliseconds to wait for a frame then.

        Frames that nobody triggered are fetched first: they shall not look as if they came of this trigger.
        """
        expecting = self._clock.now_ns() < self._t_expected_ns
        if wait_for_trigger(0 if expecting else self._slice_ms()):
            while self._camera.fetch(0, self._announcer.take):
                pass
            self._camera.trigger()
            self._t_expected_ns = self._clock.now_ns() + EXPECT_NS
            expecting = True
        return TRIGGERED_SLICE_MS if expecting else 0

    def _judge_silence(self) -> None:
        """No frame came in this slice: is that long, and does the device still answer? Frames prove that it does."""
        now_ns = self._clock.now_ns()
        silent_ns = now_ns - self._announcer.t_last_ns
        if self._silence_ns is not None and silent_ns >= self._silence_ns:
            raise CameraLostError(
                f"no frame for {silent_ns / NS_PER_MS:.0f} ms, camera.silence_ms allows {self._silence_ns / NS_PER_MS:.0f};"
                " check the camera's trigger and cable"
            )
        if now_ns - max(self._announcer.t_last_ns, self._t_probed_ns) >= PROBE_NS:
            self._camera.probe()
            self._t_probed_ns = self._clock.now_ns()

    def _geometry(self) -> str:
        return f"{self._info.width} x {self._info.height} {self._info.pixel_format}"
