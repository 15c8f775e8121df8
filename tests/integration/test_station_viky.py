"""The station on viky.cti, a producer that nobody here wrote: free running, each frame a part, a plain Modbus server as PLC."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from inspector.config.schema import CameraConfig, DeviceConfig
from inspector.part import Outcome, Reason
from inspector.plc.registers import Flag
from tests.contract.camera_rig import Rig
from tests.support import plates
from tests.support.daemon import Daemon, inspector, write_config
from tests.support.plc import PlainPlc
from tests.support.waiting import wait_for

SIZE = 128
SHOWN = 40  # a ball that crosses the picture: in so many frames it was everywhere it is going to be
FEATURES: dict[str, bool | int | float | str] = {
    "PixelFormat": "Mono8",
    "Width": SIZE,
    "Height": SIZE,
    "BouncingBallSize": 20,
}
CONSECUTIVE = 20
# Coming up, going down, and what a shared machine that stalls may cost a part.
MAY_COST_A_PART = {
    Reason.NOT_READY,
    Reason.ENGINE,
    Reason.LATE,
    Reason.OVERRUN,
    Reason.LINK,
    Reason.FRAME_LOST,
}


@pytest.fixture(scope="module")
def ball_pack(viky: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model fitted on what viky showed before."""
    folder = tmp_path_factory.mktemp("viky")
    config = CameraConfig(
        producer=str(viky),
        device=DeviceConfig(serial_number="0"),
        features=FEATURES | {"AcquisitionFrameRate": 100.0},
    )
    with Rig(config) as rig:
        for index, seen in enumerate(rig.frames(SHOWN)):
            assert seen.pixels is not None
            plates.write(folder / "good" / f"{index}.png", seen.pixels)
    done = inspector("fit", "--good", folder / "good", "--out", folder / "pack", "--size", 96, "--bank", 300)
    assert done.returncode == 0, done.stderr
    return folder / "pack"


@pytest.fixture
def plc() -> Iterator[PlainPlc]:
    """A PLC that listens."""
    with PlainPlc() as plc:
        yield plc


@pytest.fixture
def configure(
    tmp_path: Path, viky: Path, ball_pack: Path, plc: PlainPlc
) -> Iterator[Callable[[int], Daemon]]:
    """Return a function that starts a daemon whose camera shows a ball of so many pixels."""
    daemons: list[Daemon] = []

    def start(ball_size: int) -> Daemon:
        config = write_config(
            tmp_path,
            producer=viky,
            pack=ball_pack,
            port=plc.port,
            station={"part_source": "frame_id", "simulated": True},
            camera={
                "device": {"serial_number": "0"},
                "features": FEATURES | {"AcquisitionFrameRate": 20.0, "BouncingBallSize": ball_size},
                "latency_ms": {"max": 100},
            },
            model={"threshold_factor": 1.5},
        )
        daemons.append(Daemon(config))
        daemons[-1].start()
        return daemons[-1]

    yield start
    for daemon in daemons:
        daemon.close()


def by_score(plc: PlainPlc) -> list[dict[str, int]]:
    """Return the verdicts that a busy machine did not make."""
    return [verdict for verdict in list(plc.verdicts) if verdict["reason"] not in MAY_COST_A_PART]


@pytest.mark.parametrize(
    ("ball_size", "decision"),
    [(20, (Outcome.PASS, Reason.NONE)), (40, (Outcome.REJECT, Reason.SCORE))],
    ids=["as fitted", "larger"],
)
def test_verdicts_for_consecutive_parts_arrive(
    configure: Callable[[int], Daemon], plc: PlainPlc, ball_size: int, decision: tuple[Outcome, Reason]
) -> None:
    daemon = configure(ball_size)
    wait_for(lambda: len(by_score(plc)) >= CONSECUTIVE, "verdicts in the slots")
    assert daemon.end() == 0
    assert [verdict["part_id"] for verdict in plc.verdicts] == list(range(1, len(plc.verdicts) + 1))
    assert all(verdict["part_id_again"] == verdict["part_id"] for verdict in plc.verdicts)
    assert {verdict["flags"] for verdict in plc.verdicts} == {Flag.SIMULATED}
    assert {(verdict["verdict"], verdict["reason"]) for verdict in by_score(plc)} == {decision}
    frames = [entry["frame_id"] for entry in daemon.events("verdict") if entry["frame_id"] >= 0]
    assert frames == sorted(set(frames))
