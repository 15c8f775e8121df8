#!/usr/bin/env python3
"""Measure simcam through harvesters: pulse to frame, and frames a second.

    python tools/simcam/measure.py [--pulses 2000] [--seconds 3] [--exposure-us 500] [--json FILE]

The pulse goes through the control socket, and the frame (640x480, Mono8) is in the hands of Python when
the time is taken; the figure holds ExposureTime, one wake-up of each thread, and harvesters itself.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from harvesters.core import Harvester

BUILD = Path(__file__).with_name("build")
WIDTH, HEIGHT = 640, 480
IMAGES = 50


def make_device(folder: Path) -> list[str]:
    """Fill a device's folder with random pictures; returns their names."""
    random = np.random.default_rng(1)
    folder.mkdir()
    names = [f"{n:03d}" for n in range(IMAGES)]
    for name in names:
        pixels = random.integers(0, 256, (HEIGHT, WIDTH), dtype=np.uint8)
        (folder / f"{name}.pgm").write_bytes(b"P5 %d %d 255\n" % (WIDTH, HEIGHT) + pixels.tobytes())
    return names


def measure_rate(acquirer: Any, seconds: float) -> float:
    """Frames a second that harvesters fetches while the camera sends as fast as it may."""
    nodes = acquirer.remote_device.node_map
    nodes.TriggerMode.value = "Off"
    nodes.AcquisitionFrameRate.value = 10_000
    nodes.ExposureTime.value = 10
    acquirer.start()
    count, end = 0, time.monotonic() + seconds
    while time.monotonic() < end:
        buffer = acquirer.fetch(timeout=5, is_raw=True)
        buffer.parent.queue_buffer(buffer)
        count += 1
    acquirer.stop()
    return count / seconds


def measure_latency(
    acquirer: Any, target: Path, images: list[str], pulses: int, exposure_us: float
) -> list[float]:
    """Milliseconds from sending each pulse until its frame is there, sorted."""
    nodes = acquirer.remote_device.node_map
    nodes.TriggerMode.value = "On"
    nodes.TriggerSource.value = "Line0"
    nodes.ExposureTime.value = exposure_us
    acquirer.start()
    spent = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
        for n in range(pulses):
            sent = time.monotonic_ns()
            line.sendto(f"pulse image={images[n % len(images)]}".encode(), str(target))
            buffer = acquirer.fetch(timeout=5, is_raw=True)
            spent.append((time.monotonic_ns() - sent) / 1e6)
            buffer.parent.queue_buffer(buffer)
    acquirer.stop()
    return sorted(spent)


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description="Measure simcam through harvesters.")
    parser.add_argument("--pulses", type=int, default=2000)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--exposure-us", type=float, default=500)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    cti = subprocess.run([str(BUILD)], check=True, capture_output=True, text=True).stdout.strip()
    with tempfile.TemporaryDirectory() as root:
        images = make_device(Path(root) / "cam0")
        os.environ["SIMCAM_ROOT"] = root
        harvester = Harvester()
        harvester.add_file(cti, check_existence=True)
        harvester.update()
        acquirer = harvester.create({"user_defined_name": "cam0"})
        acquirer.num_buffers = 16
        acquirer.timeout_period_on_client_fetch_call = 5
        acquirer.timeout_period_on_update_event_data_call = 200
        rate = measure_rate(acquirer, options.seconds)
        target = Path(root) / "cam0.sock"
        spent = measure_latency(acquirer, target, images, options.pulses, options.exposure_us)
        acquirer.destroy()
        harvester.reset()
    result = {
        "frames_per_s": round(rate),
        "exposure_ms": options.exposure_us / 1e3,
        "pulse_to_fetch_ms": {
            "p50": round(spent[len(spent) // 2], 3),
            "p99": round(spent[len(spent) * 99 // 100], 3),
            "max": round(spent[-1], 3),
        },
    }
    print(json.dumps(result))
    if options.json:
        options.json.write_text(json.dumps(result) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
