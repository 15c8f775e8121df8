"""What a station can run with, but is seldom meant: a warning with its place, and what to write instead."""

from pathlib import Path

import pytest

from inspector.config.loading import load
from tests.unit.config.smallest import SMALLEST, Write, problems


def doubts(path: Path, *, check_machine: bool = False) -> list[str]:
    found = load(path, check_files=False, check_machine=check_machine).doubts
    return [line.removeprefix(f"{path}:") for line in found]


@pytest.mark.parametrize(
    ("plc", "key", "came", "meant"),
    [
        ("{registers: {control_address: 40301}}", "10:19: plc.registers.control_address", 40301, 300),
        ("{registers: {results_address: 40001}}", "10:19: plc.registers.results_address", 40001, 0),
        (
            "{direct: {coil: 1, delay_counts: 9, width_counts: 9, encoder_address: 40401}}",
            "10:59: plc.direct.encoder_address",
            40401,
            400,
        ),
    ],
)
def test_an_address_in_the_notation_of_registers_is_doubted(
    write: Write, plc: str, key: str, came: int, meant: int
) -> None:
    (doubt,) = doubts(write(f"{SMALLEST}plc: {plc}\n"))
    assert doubt.startswith(f"{key}: warning: {came} looks like")
    assert doubt.endswith(f"for register {came} write {meant}")


@pytest.mark.parametrize("address", [300, 40000, 50000, 65000])
def test_another_address_is_not(write: Write, address: int) -> None:
    assert doubts(write(f"{SMALLEST}plc: {{registers: {{control_address: {address}}}}}\n")) == []


def test_six_digits_are_too_many_and_told_what_they_mean(write: Write) -> None:
    (problem,) = problems(write(f"{SMALLEST}plc: {{registers: {{control_address: 400301}}}}\n"))
    assert (
        "expected at most 65535, came 400301; addresses count from 0 here: for register 400301 write 300"
        in problem
    )


def test_a_name_that_nobody_knows_is_doubted_where_names_are_asked_for(write: Write) -> None:
    path = write(f"{SMALLEST}plc: {{host: plc-of-cell.invalid}}\n")
    assert doubts(path) == []
    (doubt,) = doubts(path, check_machine=True)
    assert doubt.startswith(
        "10:7: plc.host: warning: this PC does not know the name plc-of-cell.invalid; write"
    )


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
def test_an_address_asks_nobody(write: Write, host: str) -> None:
    assert doubts(write(f"{SMALLEST}plc: {{host: '{host}'}}\n"), check_machine=True) == []
