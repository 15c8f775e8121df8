"""Values that a station can run with, but that are seldom what was meant: said by `inspector check`, never refused."""

import ipaddress
import subprocess
from collections.abc import Iterator
from typing import Final

from inspector.config.checks import Finding
from inspector.config.schema import Config

# Modicon's notation: a digit for the kind of register, then the number from 1. Of holding registers, 5 digits or 6.
_FIVE: Final = range(40_001, 50_000)
_SIX: Final = range(400_001, 465_537)
_RESOLVER_S: Final = 3.0


def doubtful(config: Config, *, ask_names: bool) -> Iterator[Finding]:
    """Yield each such value, with its key. With `ask_names` the host name of the PLC is looked up, which may take seconds."""
    registers = config.plc.registers.model_dump()
    addresses = [(("plc", "registers", key), registers[key]) for key in registers if key.endswith("_address")]
    for key, address in [
        *addresses,
        (("plc", "direct", "encoder_address"), config.plc.direct.encoder_address),
    ]:
        if address is not None and (meant := on_the_wire(address)):
            yield (
                key,
                (
                    f"{address} looks like Modicon's notation, but addresses count from 0 here, as on the wire: for register "
                    f"{address} write {meant}"
                ),
            )
    if ask_names and config.plc.role == "client":
        yield from _name(config.plc.host)


def on_the_wire(address: int) -> str:
    """Return the address that is meant where this one may be in Modicon's notation (40301 is 300), "" where it is none."""
    return next((str(address - kind[0]) for kind in (_FIVE, _SIX) if address in kind), "")


def _name(host: str) -> Iterator[Finding]:
    """Yield what is to be said of a host name: an address needs nobody who knows it."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        if host.lower() == "localhost":
            return
        why = "" if _is_known(host) else f"this PC does not know the name {host}; "
        yield (
            ("plc", "host"),
            f"{why}write the PLC's address instead of a name: a name server that does not answer would hold the station up",
        )


def _is_known(host: str) -> bool:
    """Return whether this PC finds an address for the name now. In a process of its own, since a resolver cannot be told to stop."""
    try:
        found = subprocess.run(
            ["/usr/bin/getent", "ahosts", "--", host], capture_output=True, timeout=_RESOLVER_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return found.returncode == 0
