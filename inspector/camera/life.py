"""One life of the camera process, from its start to its end: what it says is passed on, and where it hangs it is killed."""

import dataclasses
import os
import selectors
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from inspector.camera.announcer import Counters
from inspector.camera.base import CameraInfo, CameraSettings
from inspector.camera.child import Child
from inspector.camera.link import Message
from inspector.clock import NS_PER_MS, Clock
from inspector.ring import RingReader

OPEN_LIMIT_MS = 30_000  # a camera may need long to boot its link; beyond, the producer hangs
ALIVE_LIMIT_MS = 1_500  # it reports every 100 ms; beyond, the binding hangs
STOP_LIMIT_S = 1.0  # for an orderly stop; the whole station has two seconds


@dataclass(frozen=True, slots=True)
class CameraEvent:
    """Something for the log: `level` as in logging, `name` stable, `fields` plain data."""

    level: str
    name: str
    fields: dict[str, Any] = field(default_factory=dict)


class CameraHooks(Protocol):
    """What the station wants to know. Called on the thread "camera"; they must return quickly."""

    def on_up(self, generation: int, reader: RingReader, info: CameraInfo) -> None:
        """Images can come: the acquisition runs, `reader` has every frame since it started."""
        ...

    def on_down(self, why: str) -> None:
        """No images can come any more, or (never up) the camera could not be opened. `reader` stays readable."""
        ...

    def on_event(self, event: CameraEvent) -> None:
        """Something to log."""
        ...


class Life:
    """Starts one camera process and watches it. Used once, on the thread "camera"."""

    def __init__(
        self,
        wanted: Callable[[], tuple[int, CameraSettings]],
        hooks: CameraHooks,
        clock: Clock,
        *,
        doorbell_fd: int,
        wake_fd: int,
    ) -> None:
        """`wanted` tells generation and settings as they should be; `wake_fd` becomes readable when that changes, or `stopping()`."""
        self.counters = Counters()
        self.pid = 0
        self.generation = 0  # of the frames that come
        self._wanted = wanted
        self._told = 0  # the generation that the process was last told of
        self._child: Child | None = None
        self._hooks = hooks
        self._clock = clock
        self._doorbell_fd = doorbell_fd
        self._wake_fd = wake_fd
        self._t_up_ns = 0
        self._t_heard_ns = 0
        self._why = ""  # what it said itself
        self._dropped_logs = 0

    @property
    def up_ms(self) -> float:
        """For how long the camera has been running; 0 where it never was."""
        return (self._clock.now_ns() - self._t_up_ns) / NS_PER_MS if self._t_up_ns else 0.0

    def run(self, stopping: Callable[[], bool]) -> str:
        """Start the process and stay with it until it ends, hangs, or `stopping()`. Return in one line why it ended."""
        child = Child(self._doorbell_fd)
        self.pid = child.pid
        hung = ""
        try:
            self.generation, settings = self._wanted()
            self._told = self.generation
            child.send("open", settings=settings.to_json(), generation=self._told)
            hung = self._watch(child, stopping)
        finally:
            self._child = None
            if stopping():
                child.send("stop")
            how, lines = child.end(STOP_LIMIT_S if not hung else 0.0)
            self.pid = 0
        self._tell(lines)
        if hung or self._why:
            return hung or self._why
        said = f": {lines[-1]}" if lines else ""
        return f"the camera process ended ({how}){said}"

    def trigger(self) -> None:
        """Tell the process to trigger the camera; nothing where it is not open. Any thread."""
        child = self._child
        if child is not None:
            child.send("trigger")

    def _pass_on_change(self, child: Child) -> None:
        """Tell the process of newer features than it knows; it may take as long over them as over its start."""
        generation, settings = self._wanted()
        if generation != self._told:
            self._told = generation
            child.send("change", features=settings.features, generation=generation)

    def _watch(self, child: Child, stopping: Callable[[], bool]) -> str:
        """Pass on what the process says, until its end or `stopping()`. Return why it must be killed, if so."""
        self._t_heard_ns = self._clock.now_ns()
        with selectors.DefaultSelector() as selector:
            for fd in (child.link.fileno(), child.output_fd, self._wake_fd):
                selector.register(fd, selectors.EVENT_READ)
            while not stopping():
                settled = self._t_up_ns and self.generation == self._told
                limit_ms = ALIVE_LIMIT_MS if settled else OPEN_LIMIT_MS
                left_ms = limit_ms - (self._clock.now_ns() - self._t_heard_ns) / NS_PER_MS
                if left_ms <= 0:
                    return f"the camera process gave no sign of life for {limit_ms} ms: the producer hangs, killed"
                ready = {key.fd for key, _ in selector.select(left_ms / 1000)}
                if self._wake_fd in ready and not stopping():
                    os.eventfd_read(self._wake_fd)
                    self._pass_on_change(child)
                if child.output_fd in ready and not self._print(child):
                    selector.unregister(child.output_fd)  # closed by the child: it would be ready for ever
                try:
                    while (message := child.receive()) is not None:
                        self._t_heard_ns = self._clock.now_ns()
                        self._hear(message, child)
                except EOFError:
                    return ""
        return ""

    def _hear(self, message: Message, child: Child) -> None:
        fields = message.fields
        match message.kind:
            case "alive":
                self._count(Counters(**fields["counters"]))
                if fields["dropped_logs"] > self._dropped_logs:
                    self._dropped_logs = fields["dropped_logs"]
                    self._event("warning", "camera_logs_dropped", total=self._dropped_logs)
            case "opened":
                self._up(message)
                self._child = child
            case "log":
                self._event(
                    fields["level"], fields["event"], **{"logger": fields["logger"], **fields["fields"]}
                )
            case "error":
                self._why = f"{fields['code']}: {fields['message']}"
            case _:
                self._event("warning", "camera_unknown_message", kind=message.kind)

    def _up(self, message: Message) -> None:
        """Attach to the ring that came with the message, and tell the station."""
        (fd,) = message.fds
        try:
            reader = RingReader.attach(fd)
        finally:
            os.close(fd)
        self._t_up_ns = self._t_up_ns or self._clock.now_ns()
        self.generation = message.fields["generation"]
        self.counters = Counters()  # the process counts anew, too
        info = CameraInfo.from_json(message.fields["info"])
        self._event("info", "camera_up", **message.fields["info"])
        self._hooks.on_up(self.generation, reader, info)

    def _count(self, counters: Counters) -> None:
        """Keep the counters; where a frame was not as it should be, say so (at most once in 100 ms)."""
        before = dataclasses.asdict(self.counters)
        names = ("incomplete", "wrong_format", "overruns", "missing", "duplicates", "backwards")
        now = dataclasses.asdict(counters)
        grown = {name: now[name] - before[name] for name in names if now[name] != before[name]}
        self.counters = counters
        if grown:
            self._event("warning", "camera_frames", **grown, last_frame_id=counters.last_frame_id)

    def _print(self, child: Child) -> bool:
        """Pass on what the process printed; False where it has closed its output."""
        try:
            self._tell(child.output())
        except EOFError:
            return False
        return True

    def _tell(self, lines: list[str]) -> None:
        for line in lines:
            self._event("warning", "camera_output", line=line)

    def _event(self, level: str, name: str, /, **fields: Any) -> None:
        self._hooks.on_event(CameraEvent(level, name, {"generation": self.generation, **fields}))
