"""What is said of GPUs, from a program that answers as nvidia-smi would."""

import stat
import sys
from pathlib import Path

import pytest

from inspector.doctor import graphics
from inspector.doctor.graphics import gpu_facts, runtime_facts

GOOD = {
    "name": "NVIDIA RTX A2000 12GB", "driver_version": "580.95.05", "compute_cap": "8.6", "memory.total": "12282 MiB",
    "memory.used": "4 MiB", "persistence_mode": "Enabled", "compute_mode": "Default", "display_active": "Disabled",
    "pstate": "P8", "clocks.sm": "210 MHz", "clocks.max.sm": "2100 MHz", "clocks.mem": "405 MHz", "clocks.max.mem": "6001 MHz",
    "power.limit": "70.00 W", "power.default_limit": "70.00 W", "power.draw": "6.11 W", "temperature.gpu": "41",
    "pcie.link.gen.max": "4", "pcie.link.width.current": "16", "pcie.link.width.max": "16",
    "clocks_throttle_reasons.sw_power_cap": "Not Active", "clocks_throttle_reasons.hw_thermal_slowdown": "Not Active",
}  # fmt: skip

PROGRAM = """#!{python}
import sys
known = {known!r}
for argument in sys.argv[1:]:
    if argument.startswith("--query-gpu="):
        for name in argument.partition("=")[2].split(","):
            if name not in known[0]:
                print(f'Field "{{name}}" is not a valid field to query.')
                sys.exit(2)
        for gpu in known:
            print(", ".join(gpu[name] for name in argument.partition("=")[2].split(",")))
"""


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where nvidia-smi is looked for, and nothing else."""
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path / "nvidia-smi"


def answer(program: Path, *gpus: dict[str, str]) -> None:
    program.write_text(PROGRAM.format(python=sys.executable, known=list(gpus)))
    program.chmod(program.stat().st_mode | stat.S_IXUSR)


def test_a_gpu_that_is_well_needs_no_advice(program: Path) -> None:
    answer(program, GOOD)
    facts = gpu_facts()
    assert {fact.what: fact.value for fact in facts}["GPU"] == "NVIDIA RTX A2000 12GB"
    assert len(facts) == len(GOOD)
    assert [fact for fact in facts if fact.advice] == []


@pytest.mark.parametrize(
    ("change", "what", "told"),
    [
        ({"persistence_mode": "Disabled"}, "persistence mode", "nvidia-smi -pm 1"),
        ({"compute_mode": "Prohibited"}, "compute mode", "-c DEFAULT"),
        ({"display_active": "Enabled"}, "display on it", "another output"),
        ({"power.limit": "40.00 W"}, "power limit", "-pl"),
        ({"pcie.link.width.current": "4"}, "PCIe lanes now", "another slot"),
        ({"temperature.gpu": "90"}, "temperature, C", "fans"),
        (
            {"clocks_throttle_reasons.hw_thermal_slowdown": "Active"},
            "held back by heat",
            "slower than it could be",
        ),
        ({"memory.used": "12000 MiB"}, "memory in use", "another program"),
    ],
)
def test_each_thing_to_change_is_named(change: dict[str, str], what: str, told: str, program: Path) -> None:
    answer(program, GOOD | change)
    [fact] = [fact for fact in gpu_facts() if fact.advice]
    assert fact.what == what
    assert told in fact.advice


def test_what_a_card_does_not_tell_is_shown_and_not_judged(program: Path) -> None:
    answer(
        program, GOOD | dict.fromkeys(("power.limit", "pcie.link.width.current", "temperature.gpu"), "[N/A]")
    )
    assert [fact for fact in gpu_facts() if fact.advice] == []


def test_what_an_older_driver_does_not_know_is_left_out(program: Path) -> None:
    older = {name: value for name, value in GOOD.items() if name not in {"compute_cap", "pcie.link.gen.max"}}
    answer(program, older)
    facts = gpu_facts()
    assert len(facts) == len(older)
    assert facts[0].value == "NVIDIA RTX A2000 12GB"


def test_of_several_each_is_named_and_the_first_is_used(program: Path) -> None:
    answer(program, GOOD, GOOD | {"name": "NVIDIA T400"})
    values = {fact.what: fact.value for fact in gpu_facts()}
    assert values["GPU 0: GPU"] == "NVIDIA RTX A2000 12GB"
    assert values["GPU 1: GPU"] == "NVIDIA T400"
    assert values["GPU in use"] == "the first"


def test_without_a_driver_one_line_says_so(program: Path) -> None:
    [fact] = gpu_facts()
    assert fact.value.startswith("none: no nvidia-smi, so no NVIDIA driver is installed; OpenVINO")
    assert not fact.advice


def test_a_driver_that_does_not_fit_the_kernel_is_told(program: Path) -> None:
    program.write_text(
        '#!/bin/sh\necho "NVIDIA-SMI has failed because it couldn\'t communicate with the driver."\nexit 9\n'
    )
    program.chmod(0o755)
    [fact] = gpu_facts()
    assert "couldn't communicate" in fact.value
    assert "fits the kernel" in fact.advice


def test_a_driver_that_hangs_is_given_up(program: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program.write_text("#!/bin/sh\nexec /bin/sleep 60\n")
    program.chmod(0o755)
    monkeypatch.setattr(graphics, "_LIMIT_S", 0.2)
    [fact] = gpu_facts()
    assert "does not answer" in fact.value
    assert "Xid" in fact.advice


def test_the_engine_that_auto_takes_is_named_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    from inspector.errors import EngineUnavailableError

    def refuse() -> None:
        raise EngineUnavailableError("no libcuda.so.1 (install the NVIDIA driver)")

    monkeypatch.setattr("inspector.engine.gpu.require_device", refuse)
    values = {fact.what: fact.value for fact in runtime_facts()}
    assert values["engine: auto"] == (
        "openvino, since TensorRT cannot run here: no libcuda.so.1 (install the NVIDIA driver)"
    )
    assert values["openvino"][:2] == "20"
