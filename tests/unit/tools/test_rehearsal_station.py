"""The configuration under rehearsal: the user's, with simulated surroundings."""

import subprocess
from pathlib import Path

import pytest

from inspector.config.loading import load
from inspector.config.schema import Config
from tools.rehearsal.station import ROOT, Daemon, Surroundings, derive, doubts, last_line, suit_to_rate

USERS = """
station: {name: line-1, budget_ms: 80, state_folder: /var/lib/inspector}
camera:
  producer: /opt/vendor/vendor.cti
  device: {serial_number: '4711'}
  features: {Gain: 3.0, PixelFormat: BayerRG8, ExposureTime: 300}
  latency_ms: {min: 2, max: 30}
model: {pack: models/line, engine: openvino, threshold_factor: 1.2, recipe: 7}
plc: {host: 192.0.2.1, timeout_ms: 35, registers: {results_address: 500, word_order: low_first}}
recorder: {folder: /var/log/inspector}
"""


@pytest.fixture
def users(tmp_path: Path) -> Config:
    (tmp_path / "line.yaml").write_text(USERS)
    return load(tmp_path / "line.yaml", check_files=False).config


def derived(users: Config, folder: Path, *, channels: int = 1, budget_ms: float | None = None) -> Config:
    around = Surroundings(Path("/sim/simcam.cti"), Path("/run/pack"), channels, port=1502)
    return load(derive(users, around, budget_ms, folder), check_files=False).config


def test_camera_plc_and_folders_are_ours(users: Config, tmp_path: Path) -> None:
    config = derived(users, tmp_path)
    assert (config.camera.producer, config.camera.device.user_defined_name) == ("/sim/simcam.cti", "cam")
    assert config.camera.device.serial_number is None
    assert (config.plc.host, config.plc.port, config.plc.allow_simulated) == ("127.0.0.1", 1502, True)
    assert config.station.simulated
    assert config.model.pack == "/run/pack"
    for path in (config.station.state_folder, config.recorder.folder):
        assert Path(path).is_relative_to(tmp_path)


def test_all_recipes_are_rehearsed_with_what_the_simulated_camera_knows(tmp_path: Path) -> None:
    recipe = "{number: 8, pack: models/nut, threshold_factor: 2, features: {Gain: 4.0, ExposureTime: 900}}"
    (tmp_path / "line.yaml").write_text(f"{USERS}recipes: [{recipe}]\n")
    users = load(tmp_path / "line.yaml", check_files=False).config
    around = Surroundings(Path("/sim/simcam.cti"), Path("/run/pack"), 1, port=1502, packs=[Path("/nut")])
    (nut,) = load(derive(users, around, None, tmp_path), check_files=False).config.recipes
    assert (nut.number, nut.pack, nut.threshold_factor) == (8, "/nut", 2)
    assert nut.features == {"ExposureTime": 900}


def test_a_camera_that_the_station_triggers_stays_one(users: Config, tmp_path: Path) -> None:
    camera = users.camera.model_copy(update={"trigger": "software"})
    config = derived(users.model_copy(update={"camera": camera}), tmp_path)
    assert (config.camera.trigger, config.camera.features["TriggerSource"]) == ("software", "Software")


def test_all_else_is_the_users(users: Config, tmp_path: Path) -> None:
    config = derived(users, tmp_path)
    assert (config.station.name, config.station.budget_ms) == ("line-1", 80)
    assert config.camera.latency_ms == users.camera.latency_ms
    assert config.plc.registers == users.plc.registers
    assert (config.model.engine, config.model.threshold_factor, config.model.recipe) == ("openvino", 1.2, 7)


@pytest.mark.parametrize(("channels", "pixel_format"), [(1, "Mono8"), (3, "RGB8")])
def test_of_the_features_those_stay_that_the_simulated_camera_has(
    users: Config, tmp_path: Path, channels: int, pixel_format: str
) -> None:
    assert derived(users, tmp_path, channels=channels).camera.features == {
        "PixelFormat": pixel_format,
        "TriggerMode": "On",
        "TriggerSource": "Line0",
        "ExposureTime": 300,
    }


@pytest.mark.parametrize(
    ("budget_ms", "latency_ms", "timeout_ms"), [(200, 30, 35), (40, 20, 20), (64, 30, 32), (2, 1, 1)]
)
def test_another_budget_shortens_what_no_longer_fits(
    users: Config, tmp_path: Path, budget_ms: float, latency_ms: float, timeout_ms: float
) -> None:
    config = derived(users, tmp_path, budget_ms=budget_ms)
    assert config.station.budget_ms == budget_ms
    assert (config.camera.latency_ms.max, config.plc.timeout_ms) == (latency_ms, timeout_ms)


def test_parts_closer_than_the_cameras_latency_are_warned_of(users: Config) -> None:
    assert doubts(users, budget_ms=80, rate_hz=15) == []  # 40 ms apart, 30 + 5 ms
    [warning] = doubts(users, budget_ms=80, rate_hz=20)  # 30 ms apart
    assert "HANDSHAKE" in warning


@pytest.mark.parametrize("rate_hz", [1, 10, 50])
def test_the_example_suits_every_rate(rate_hz: float) -> None:
    example = load(ROOT / "config" / "station.example.yaml", check_files=False).config
    config = suit_to_rate(example, rate_hz)
    assert doubts(config, config.station.budget_ms, rate_hz) == [] or rate_hz > 40
    assert config.latency_max_ms <= example.latency_max_ms


def test_a_camera_process_that_has_gone_need_not_be_killed(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path / "station.yaml", tmp_path)
    daemon.kill_camera()
    with subprocess.Popen(["true"]) as ended:
        ended.wait()
        daemon._process = ended  # any process will do
        daemon.kill_camera()


def test_the_last_line_is_the_last_with_words() -> None:
    assert last_line("a\nb \n\n") == "b"
    assert last_line("\n") == ""
