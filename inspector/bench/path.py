"""Measures the way of a part on this PC, stage by stage: ring, engine thread, preprocessing, engine, PLC thread, Modbus write.

The threads, the ring, the engine and the Modbus client are those of the station; camera and PLC are stand-ins (stand_ins.py). What is
missing of the station is the ledger, some 0.05 ms. One part at a time, each when the one before has its verdict.
"""

import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from typing import cast

import numpy as np
from numpy.typing import NDArray

from inspector.bench.frames import CameraFrame
from inspector.bench.processes import Process
from inspector.bench.timed_desk import PartTimes, StagedEngine, TimedDesk
from inspector.clock import NS_PER_S, SystemClock
from inspector.config.schema import Config, DirectConfig, PlcConfig
from inspector.engine.base import Engine
from inspector.engine.preprocess import Geometry
from inspector.engine.worker import EngineThread
from inspector.errors import EngineError, ServiceError
from inspector.model.progress import Progress
from inspector.plc.base import Desk as PlcDesk
from inspector.plc.link import PlcLink
from inspector.ring import RingReader, RingWriter
from inspector.service import realtime

LOOK_S = 0.2


def measure_path(
    config: Config,
    engine: Engine,
    views: Sequence[Geometry],
    frame: CameraFrame,
    *,
    parts: int,
    seconds: float,
    progress: Progress,
) -> list[PartTimes]:
    """Return the times of `parts` parts, or of as many as `seconds` allow. The engine is closed afterwards.

    Main thread. Raises EngineError where a frame has no score, ServiceError where a stand-in fails.
    """
    clock = SystemClock()
    with ExitStack() as held:
        writer = RingWriter.create(
            frame.width, frame.height, frame.form.name, slots=config.camera.ring_slots, generation=1
        )
        held.callback(os.close, writer.fd)
        doorbell_fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        held.callback(os.close, doorbell_fd)
        frame_fd = _file_of(frame.data)
        held.callback(os.close, frame_fd)
        plc = Process("inspector.bench.stand_ins", "plc")
        held.callback(plc.end)
        fds = writer.fd, doorbell_fd, frame_fd
        camera = Process("inspector.bench.stand_ins", "camera", *fds, config.realtime.fifo_priority, fds=fds)
        held.callback(camera.end)
        desk = TimedDesk(RingReader.attach(writer.fd), StagedEngine(engine, views, clock), clock, parts)
        desk.next_frame = partial(os.write, camera.stdin_fd, b"+")
        link = PlcLink(
            _of_stand_in(config.plc, int(plc.said[0])),
            config.timeout_ms,
            cast("PlcDesk", desk),
            clock,
            prepare=partial(realtime.prepare_thread, config.realtime),
        )
        desk.wake_plc = link.wake
        thread = EngineThread(lambda _: desk.engine, desk, doorbell_fd, clock)
        link.start()
        held.callback(link.stop)
        thread.start()
        held.callback(thread.stop)
        realtime.prepare_process(config.realtime)
        t_end_ns = clock.now_ns() + round(seconds * NS_PER_S)
        while not desk.over.wait(LOOK_S) and clock.now_ns() < t_end_ns:
            progress("parts", len(desk.times), parts)
            _raise_if_ended((link, thread), {"of the PLC": plc, "of the camera": camera})
        desk.stop()
        progress("parts", parts, parts)
    if desk.failed:
        raise EngineError(desk.failed)
    if not desk.times:
        raise ServiceError(
            f"expected parts to be scored within {seconds:g} s, none was; is the PC busy with something else?"
        )
    return desk.times


def _of_stand_in(plc: PlcConfig, port: int) -> PlcConfig:
    """Return the configuration with a PLC of this machine in the place of the real one."""
    changes = {"host": "127.0.0.1", "port": port, "unit_id": 1, "role": "client", "direct": DirectConfig()}
    return plc.model_copy(update=changes)


def _raise_if_ended(threads: Sequence[PlcLink | EngineThread], stand_ins: Mapping[str, Process]) -> None:
    """Raise what ended a thread, ServiceError where a stand-in has ended."""
    for what, process in stand_ins.items():
        if process.has_ended:
            raise ServiceError(f"expected the stand-in {what} to run until the end, it has ended; try again")
    for thread in threads:
        if thread.error is not None:
            raise thread.error


def _file_of(data: NDArray[np.uint8]) -> int:
    fd = os.memfd_create("inspector-frame", os.MFD_CLOEXEC)
    with os.fdopen(os.dup(fd), "wb") as file:
        file.write(data.tobytes())
    return fd
