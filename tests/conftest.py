"""What tests share: hypothesis' profiles, and for the running station the producers, a small model pack, a line with its daemon.

The profiles: `default` for every run, `nightly` for a long one (`--hypothesis-profile=nightly`).
"""

import json
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

from tests.support import plates
from tests.support.daemon import Daemon, inspector, write_config
from tests.support.line import Line
from tests.support.notify import NotifySocket
from tests.support.producers import simcam_cti, viky_cti

SHOWN_GOOD, SHOWN_BAD = 8, 6
# No deadlines, and no complaint about slow data: a shared machine that stalls is no failure.
for name, examples in (("nightly", 5000), ("default", 150)):
    settings.register_profile(
        name, max_examples=examples, deadline=None, suppress_health_check=[HealthCheck.too_slow]
    )
settings.load_profile("default")


def pytest_configure() -> None:
    """Hear the signals of a terminal, as do the processes the tests start: a suite in the background of a shell, or under nohup, inherits deaf ears."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture(scope="session")
def simcam() -> Path:
    """The simulated camera's producer, built if need be."""
    return simcam_cti()


@pytest.fixture(scope="session")
def viky() -> Path:
    """The producer that ships with the genicam wheel."""
    return viky_cti()


@pytest.fixture(scope="session")
def good_plates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of good parts in three batches, enough to fit on."""
    folder = tmp_path_factory.mktemp("plates")
    plates.write_batches(folder, np.random.default_rng(0), each=12)
    return folder


@pytest.fixture(scope="session")
def pack(tmp_path_factory: pytest.TempPathFactory, good_plates: Path) -> Path:
    """A small model of the plates, fitted once."""
    out = tmp_path_factory.mktemp("models") / "plate"
    done = inspector("fit", "--good", good_plates, "--out", out, "--size", 96, "--bank", 150)
    assert done.returncode == 0, done.stderr
    return out


@pytest.fixture
def workshop(tmp_path: Path, good_plates: Path) -> Path:
    """A folder with the camera's images (cameras/cam/*.pgm) and linesim's names of them (images.json).

    The good ones are among those that the pack was fitted on: these tests are about the way of a part, not the model.
    """
    rng = np.random.default_rng(1)
    names: dict[str, list[str]] = {"good": [], "bad": []}
    for index, path in enumerate(sorted(good_plates.rglob("*.png"))[:SHOWN_GOOD]):
        names["good"].append(f"good{index}")
        plates.write(tmp_path / "cameras" / "cam" / f"good{index}.pgm", plates.read(path))
    for index in range(SHOWN_BAD):
        names["bad"].append(f"bad{index}")
        plates.write(tmp_path / "cameras" / "cam" / f"bad{index}.pgm", plates.scratched(rng)[0])
    (tmp_path / "images.json").write_text(json.dumps(names))
    return tmp_path


class Stand:
    """A test stand: one daemon in one folder, on simcam, and the lines it works for."""

    def __init__(self, folder: Path, simcam: Path, pack: Path) -> None:
        self.folder, self.pack, self.producer = folder, pack, simcam
        self._daemons: list[Daemon] = []

    def line(
        self, *options: object, faults: list[dict[str, object]] | None = None, name: str = "line"
    ) -> Line:
        """Start a line."""
        words = list(options)
        if faults:
            file = self.folder / f"{name}-faults.json"
            file.write_text(json.dumps(faults))
            words += ["--faults", file]
        return Line(self.folder, *words, name=name)

    def daemon(
        self,
        port: int,
        *,
        environment: dict[str, str] | None = None,
        recipes: Sequence[dict[str, object]] = (),
        **sections: dict[str, object],
    ) -> Daemon:
        """Configure and start a daemon that talks to the PLC at `port`."""
        daemon = self.configured(port, environment=environment, recipes=recipes, **sections)
        daemon.start()
        return daemon

    def configured(
        self,
        port: int,
        *,
        environment: dict[str, str] | None = None,
        recipes: Sequence[dict[str, object]] = (),
        **sections: dict[str, object],
    ) -> Daemon:
        """Return a daemon, not yet started."""
        config = write_config(
            self.folder, producer=self.producer, pack=self.pack, port=port, recipes=recipes, **sections
        )
        daemon = Daemon(config, {"SIMCAM_ROOT": str(self.folder / "cameras"), **(environment or {})})
        self._daemons.append(daemon)
        return daemon

    def close(self) -> None:
        """End the daemons; each must end as it should."""
        for daemon in self._daemons:
            daemon.close()


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[NotifySocket]:
    """A service manager that listens."""
    listening = NotifySocket(tmp_path / "notify")
    yield listening
    listening.close()


@pytest.fixture
def stand(workshop: Path, simcam: Path, pack: Path) -> Iterator[Stand]:
    """A test stand; left, its daemons have ended in order."""
    stand = Stand(workshop, simcam, pack)
    yield stand
    stand.close()
