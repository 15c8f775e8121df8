"""The schema of a station's YAML file: every key, its type, its range, its default. Strict, unknown keys refused.

`config/station.example.yaml` shows every key with a comment; `inspector.config.loading` reads a file against this.
"""

import ipaddress
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StrictBool,
    StrictFloat,
    StrictInt,
    StrictStr,
    model_validator,
)

from inspector.clock import NS_PER_MS

Port = Annotated[int, Field(ge=1, le=65535)]
Address = Annotated[int, Field(ge=0, le=65535)]
Milliseconds = Annotated[float, Field(gt=0, le=3_600_000)]
Counts = Annotated[int, Field(gt=0, le=1_000_000_000)]


def _network(text: str) -> str:
    ipaddress.ip_network(text, strict=False)  # its ValueError says what is wrong
    return text


Peer = Annotated[str, AfterValidator(_network)]
FeatureValue = StrictBool | StrictInt | StrictFloat | StrictStr
RecipeNumber = Annotated[int, Field(ge=1, le=65535)]
ThresholdFactor = Annotated[float, Field(gt=0, le=10)]


class Section(BaseModel):
    """What all sections share: strict types, no unknown keys, frozen once read."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)


class StationConfig(Section):
    """`station`: what this station is called and what it promises."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,31}$")]
    budget_ms: Annotated[float, Field(ge=2, le=60_000)]  # trigger to verdict in the PLC
    simulated: bool = False  # the camera shows images from files: verdicts carry the simulated bit
    part_source: Literal["plc_count", "frame_id"] = "plc_count"
    state_folder: str = "state"  # counters that outlive a crash


class DeviceConfig(Section):
    """`camera.device`: exactly one way to find the camera."""

    serial_number: str | None = None
    model: str | None = None
    user_defined_name: str | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if sum(v is not None for v in (self.serial_number, self.model, self.user_defined_name)) != 1:
            raise ValueError("expected exactly one of serial_number, model, user_defined_name")
        return self


class LatencyConfig(Section):
    """`camera.latency_ms`: from the trigger to the frame's arrival, at least and at most."""

    min: Annotated[float, Field(ge=0, le=60_000)] = 0.0
    max: Annotated[float, Field(gt=0, le=60_000)] | None = None  # default: half the budget

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.max is not None and self.max <= self.min:
            raise ValueError(f"expected min < max, got {self.min} and {self.max}")
        return self


class CameraConfig(Section):
    """`camera`: the GenTL producer, the device behind it, and the SFNC features to set, in the order given."""

    backend: Literal["genicam", "replay"] = "genicam"  # replay plays image files, without GenTL
    producer: str  # path of the .cti file; for replay, of the folder with one sub-folder of images per device
    device: DeviceConfig
    features: dict[str, FeatureValue] = {}
    buffers: Annotated[int, Field(ge=3, le=256)] = 16  # announced to the producer
    ring_slots: Annotated[int, Field(ge=2, le=64)] = 8  # frames that may wait for the engine
    trigger: Literal["line", "software"] = (
        "line"  # software: Inspector triggers it when the PLC counts a part
    )
    latency_ms: LatencyConfig = LatencyConfig()
    silence_ms: Annotated[float, Field(ge=10, le=3_600_000)] | None = (
        None  # no frame for so long = camera is lost
    )
    restart_first_ms: Milliseconds = 200.0
    restart_max_ms: Milliseconds = 5000.0


class ModelConfig(Section):
    """`model`: the pack that decides, and the engine that runs it."""

    pack: str
    engine: Literal["auto", "openvino", "tensorrt"] = "auto"
    threshold_factor: ThresholdFactor = 1.0  # a part is rejected above threshold x factor
    recipe: RecipeNumber = 1  # number of this recipe
    keep_warm: Annotated[int, Field(ge=1, le=64)] = 3  # engines kept open, the active one's included


class RecipeConfig(Section):
    """An entry of `recipes`: another product, and what it needs; all else is as for the first."""

    number: RecipeNumber
    pack: str
    threshold_factor: ThresholdFactor = 1.0
    features: dict[str, FeatureValue] = {}  # that differ from camera.features


class RegistersConfig(Section):
    """`plc.registers`: where the blocks stand; see config/registers.md."""

    results_address: Address = 0
    status_address: Address = 200
    control_address: Address = 300
    slots: Annotated[int, Field(ge=2, le=1024)] = 16
    word_order: Literal["high_first", "low_first"] = "high_first"
    vision_control_address: Address = 310  # these two in the server role only
    vision_status_address: Address = 320


class ServerConfig(Section):
    """`plc.server`: where Inspector listens in the server role, and to whom."""

    address: str = "127.0.0.1"  # of this machine: an IP address or the name of an interface
    peers: Annotated[list[Peer], Field(min_length=1)] = [
        "127.0.0.1"
    ]  # addresses and networks that may connect
    connections: Annotated[int, Field(ge=1, le=64)] = 4
    idle_ms: Milliseconds = 10_000.0  # a peer that asks nothing for so long is dropped
    results_queue: Annotated[int, Field(ge=1, le=64)] = 8  # verdicts that may wait for RESULTS_ACK


class DirectConfig(Section):
    """`plc.direct`: the gate's coil, for a line whose PLC cannot track its parts."""

    coil: Address | None = None  # None: the PLC tracks its parts, and moves the gate itself
    coil_means: Literal["pass", "reject"] = "pass"  # what a coil of 1 does; pass: silence rejects
    silence_may_release: bool = False  # needed for coil_means: reject
    delay_ms: Milliseconds | None = None  # trigger to gate: this,
    delay_counts: Counts | None = None  # or counts of the encoder
    width_ms: Milliseconds | None = None  # how long, or how far, a part is at the gate
    width_counts: Counts | None = None
    encoder_address: Address | None = None  # holding register of the belt's encoder
    encoder_words: Literal[1, 2] = 2
    confirm_input: Address | None = None  # discrete input of the sensor that sees a rejected part go
    confirm_ms: Milliseconds = 1000.0  # from the gate to that sensor, at most
    slack_ms: Milliseconds = 10.0  # the gate may be so late for a part to be rejected
    poll_ms: Milliseconds = (
        5.0  # how often encoder and confirm input are read, and a coil that is on is written
    )

    @model_validator(mode="after")
    def _one_unit(self) -> Self:
        by_time = (self.delay_ms, self.width_ms)
        by_belt = (self.delay_counts, self.width_counts, self.encoder_address)
        if self.coil is None:
            if {*by_time, *by_belt, self.confirm_input} != {None}:
                raise ValueError("expected a coil beside the other keys: without one no gate is moved")
            return self
        if not (None not in by_time and set(by_belt) == {None}) and not (
            None not in by_belt and set(by_time) == {None}
        ):
            raise ValueError(
                "expected either delay_ms and width_ms, or delay_counts, width_counts and encoder_address"
            )
        if self.coil_means == "reject" and not self.silence_may_release:
            raise ValueError(
                "expected coil_means: pass, since with reject a part passes whenever the link is down or the station is "
                "late; set silence_may_release: true only where that is wanted"
            )
        return self

    @property
    def delay(self) -> int:
        """Trigger to gate: nanoseconds, or counts."""
        return round((self.delay_ms or 0) * NS_PER_MS) or self.delay_counts or 0

    @property
    def width(self) -> int:
        """How long, or how far, a part is at the gate: nanoseconds, or counts."""
        return round((self.width_ms or 0) * NS_PER_MS) or self.width_counts or 0


class PlcConfig(Section):
    """`plc`: the PLC, and which side of the Modbus TCP connection is its."""

    role: Literal["client", "server"] = "client"  # Inspector's own
    host: str = "127.0.0.1"
    port: Port = 502
    unit_id: Annotated[int, Field(ge=0, le=255)] = 1
    timeout_ms: Milliseconds | None = None  # default and most: half the budget
    poll_ms: Milliseconds = 5.0  # how often the control block is read, at least
    status_ms: Milliseconds = 100.0  # how often status and heartbeat are written, at least
    heartbeat_timeout_ms: Milliseconds = 3000.0  # the PLC's heartbeat stands still for so long = not enabled
    write_margin_ms: Annotated[float, Field(ge=0, le=1000)] = (
        2.0  # the verdict leaves so long before the deadline
    )
    count_lag_ms: Annotated[float, Field(ge=0, le=1000)] = (
        0.0  # trigger to count, at most; 0 = the PLC triggers the camera
    )
    reconnect_first_ms: Milliseconds = 50.0
    reconnect_max_ms: Milliseconds = 1000.0
    allow_simulated: bool = False  # a simulated station may write to this PLC
    server: ServerConfig = ServerConfig()
    direct: DirectConfig = DirectConfig()
    registers: RegistersConfig = RegistersConfig()

    @property
    def where(self) -> str:
        """The address of the PLC, or the one that it connects to, for people."""
        return (
            f"{self.host}:{self.port}"
            if self.role == "client"
            else f"served at {self.server.address}:{self.port}"
        )


class RateConfig(Section):
    """`stops.reject_rate`: so many rejects among so many parts."""

    rejects: Annotated[int, Field(ge=0, le=512)] = 0  # 0 = never
    of_last: Annotated[int, Field(ge=1, le=512)] = 100

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.rejects > self.of_last:
            raise ValueError(f"expected rejects of at most of_last, got {self.rejects} of {self.of_last}")
        return self


CountedReason = Literal[
    "SCORE",
    "LATE",
    "FRAME_LOST",
    "FRAME_BAD",
    "OVERRUN",
    "ENGINE",
    "CAMERA",
    "HANDSHAKE",
    "NOT_READY",
    "LINK",
]


class StopsConfig(Section):
    """`stops`: what asks the PLC to stop the line, until its clear_fault; see `inspector/interlock.py`."""

    rejects_in_a_row: Annotated[int, Field(ge=0, le=1000)] = 0  # 0 = never
    reject_rate: RateConfig = RateConfig()
    reasons: list[CountedReason] = ["SCORE"]  # rejects that count for these two
    unconfirmed_reject: bool = True
    bin_full: bool = True
    failed_challenge: bool = True
    fault_ms: Annotated[float, Field(ge=0, le=3_600_000)] = 0.0  # a fault that lasts so long; 0 = never
    reject_parts: bool = False  # while the line must stand, parts are rejected (NOT_READY)


class ChallengeConfig(Section):
    """`challenge`: known parts that must come out as known, and when it is time for them."""

    sequence: list[Literal["bad", "good"]] = ["bad", "good", "bad"]
    every_hours: Annotated[float, Field(ge=0, le=1000)] = 0.0  # 0 = never
    every_parts: Annotated[int, Field(ge=0, le=100_000_000)] = 0  # 0 = never
    at_start: bool = False  # of the station, and after each change of the recipe

    @model_validator(mode="after")
    def _worth_it(self) -> Self:
        if not 1 <= len(self.sequence) <= 16 or "bad" not in self.sequence:
            raise ValueError(
                f"expected a sequence of 1 to 16 parts, one of them bad at least, got {', '.join(self.sequence) or 'none'}"
            )
        return self


class RecorderConfig(Section):
    """`recorder`: the log files, one JSON object a line."""

    folder: str = "logs"
    file_mb: Annotated[float, Field(gt=0, le=10_000)] = 64.0  # a file is closed at this size
    files: Annotated[int, Field(ge=2, le=10_000)] = 16  # and so many full ones are kept, or more small ones
    queue_kb: Annotated[int, Field(ge=4, le=1024)] = (
        1024  # entries that may wait, about two to a kibibyte; what comes beyond is dropped and counted
    )


class RealtimeConfig(Section):
    """`realtime`: what the daemon asks of Linux; what is refused is logged once and done without."""

    fifo_priority: Annotated[int, Field(ge=0, le=99)] = 0  # SCHED_FIFO of camera and PLC thread; 0 = leave
    lock_memory: bool = False
    stay_awake: bool = False  # CPUs do not sleep, and the camera process rehearses between frames
    cpus: list[Annotated[int, Field(ge=0)]] = []  # empty = all


class Config(Section):
    """One station's whole configuration. Relative paths count from the folder of the file."""

    station: StationConfig
    camera: CameraConfig
    model: ModelConfig
    recipes: list[RecipeConfig] = []  # beside the first, which `model` describes
    plc: PlcConfig = PlcConfig()
    stops: StopsConfig = StopsConfig()
    challenge: ChallengeConfig = ChallengeConfig()
    recorder: RecorderConfig = RecorderConfig()
    realtime: RealtimeConfig = RealtimeConfig()

    @property
    def all_recipes(self) -> list[RecipeConfig]:
        """The recipe of `model`, which is the first, and those of `recipes`."""
        model = self.model
        first = RecipeConfig(number=model.recipe, pack=model.pack, threshold_factor=model.threshold_factor)
        return [first, *self.recipes]

    @property
    def budget_ns(self) -> int:
        """Trigger to verdict in the PLC, nanoseconds."""
        return round(self.station.budget_ms * NS_PER_MS)

    @property
    def timeout_ms(self) -> float:
        """Time-out of one Modbus call: never longer than half the budget."""
        half = self.station.budget_ms / 2
        return half if self.plc.timeout_ms is None else min(self.plc.timeout_ms, half)

    @property
    def latency_max_ms(self) -> float:
        """Longest time from trigger to frame: half the budget unless stated."""
        stated = self.camera.latency_ms.max
        return self.station.budget_ms / 2 if stated is None else stated


def resolve(folder: Path, path: str) -> Path:
    """Return `path` as the configuration file in `folder` means it."""
    return (folder / Path(path).expanduser()).resolve()
