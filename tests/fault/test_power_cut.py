"""A loss of power: the daemon goes on with what the disk was asked to keep, and with nothing else."""

from collections.abc import Callable
from pathlib import Path

import pytest

from inspector.plc.registers import State
from inspector.service import tally
from inspector.service.kept import COPY_BYTES, decode
from tests.conftest import Stand
from tests.support.daemon import Daemon
from tests.support.plc import PlainPlc
from tests.support.waiting import wait_for

PARTS = 3


def parts_on_disk(folder: Path) -> int:
    """Return how many verdicts the counters on the disk know of."""
    content = (folder / "cell.tally.synced").read_bytes()
    copies = [content[:COPY_BYTES], content[COPY_BYTES:]]
    states = [state for copy in copies if (state := decode(tally.MAGIC, copy, tally.NUMBERS))]
    _, _, _, *by_outcome = max(states)  # behind the sequence number, the starts, and the last part
    return sum(by_outcome[: 1 + tally.REASONS])


def cut(daemon: Daemon, damage: Callable[[Path], object]) -> None:
    """Stop everything at once; of the mapped files nobody knows what came onto the disk."""
    daemon.kill()
    mapped = [
        file for file in (daemon.folder / "state").iterdir() if file.suffix in (".tally", ".stops", ".recipe")
    ]
    assert len(mapped) == 3
    for file in mapped:
        damage(file)


@pytest.mark.parametrize(
    "damage",
    [
        Path.unlink,
        lambda file: file.write_bytes(bytes(file.stat().st_size)),
        lambda file: file.write_bytes(b""),
    ],
    ids=["gone", "zeros", "empty"],
)
def test_what_the_disk_was_asked_to_keep_is_enough(stand: Stand, damage: Callable[[Path], object]) -> None:
    """The recipe whose request was taken back, the line stop, and the counters: no part gets a second verdict."""
    with PlainPlc() as plc:
        daemon = stand.daemon(plc.port, recipes=[{"number": 2, "pack": str(stand.pack)}])
        wait_for(lambda: State.READY in plc.status.state, "the station to be ready")
        plc.set(recipe_request=2)
        wait_for(lambda: plc.status.active_recipe == 2, "the other recipe")
        plc.set(recipe_request=0)
        plc.set(unconfirmed_rejects=1)
        wait_for(lambda: State.LINE_STOP in plc.status.state, "the line stop")
        for part_id in range(1, PARTS + 1):
            assert plc.count_part() == part_id
            daemon.wait_for("verdict", part_id=part_id)
        # The stop was latched before: what is synced last tells that all is.
        wait_for(lambda: parts_on_disk(stand.folder / "state") == PARTS, "the counters to be on the disk")
        cut(daemon, damage)
        plc.forget_status()
        daemon.start()
        wait_for(lambda: State.READY in plc.status.state, "the station to be ready again")
        assert (plc.status.active_recipe, plc.status.parts, plc.status.error_code) == (2, PARTS, 804)
        assert State.LINE_STOP in plc.status.state
        assert daemon.end() == 0
    assert len(daemon.events("verdict")) == PARTS
