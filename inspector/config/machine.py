"""Faults that only the PC that the station shall run on can show: its CPUs, its folders, its network addresses.

Nothing is made, written or asked of the network.
"""

import ipaddress
import os
import socket
from collections.abc import Iterator
from pathlib import Path

from inspector.config.checks import Finding
from inspector.config.schema import Config, resolve


def misfits(config: Config, folder: Path) -> Iterator[Finding]:
    """Yield each value that this machine cannot grant, with its key."""
    present = sorted(os.sched_getaffinity(0))
    missing = [cpu for cpu in config.realtime.cpus if cpu not in present]
    if missing:
        yield ("realtime", "cpus"), f"expected CPUs of this PC, which has {present}, came {missing}"
    for key, path in (
        (("station", "state_folder"), config.station.state_folder),
        (("recorder", "folder"), config.recorder.folder),
    ):
        if why := _unusable(resolve(folder, path)):
            yield key, f"expected a folder that can be written or made, came {resolve(folder, path)}: {why}"
    if config.plc.role == "server" and not _is_here(config.plc.server.address):
        names = ", ".join(name for _, name in socket.if_nameindex())
        yield (
            ("plc", "server", "address"),
            f"expected an address or interface of this PC ({names}), came {config.plc.server.address}",
        )


def _unusable(folder: Path) -> str:
    """Return why no files can be made in this folder, or the folder itself, "" where they can."""
    if os.path.lexists(folder) and not folder.is_dir():
        return "that is a file"
    parent = folder
    while not parent.exists():
        parent = parent.parent
    if not parent.is_dir():
        return f"{parent} is a file"
    if Path("/proc") in (parent, *parent.parents) or not os.access(parent, os.W_OK | os.X_OK):
        return f"nothing can be written into {parent} by this user"
    return ""


def _is_here(address: str) -> bool:
    """Return whether a socket can be bound to it: an address of this PC, or the name of one of its interfaces."""
    try:
        version = ipaddress.ip_address(address).version
    except ValueError:
        return any(address == name for _, name in socket.if_nameindex())
    try:
        with socket.socket(socket.AF_INET if version == 4 else socket.AF_INET6) as probe:
            probe.bind((address, 0))
    except OSError:
        return False
    return True
