"""Gives a nightly run its time, and says in the end how many steps the machines took, so that nobody has to believe it."""

from pathlib import Path

import pytest
from hypothesis import settings

NIGHT_S = 7_200


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Lift the limit of a single test's time from those that a nightly run repeats for minutes."""
    if settings.get_current_profile_name() == "nightly":
        for item in items:
            if Path(__file__).parent in item.path.parents:
                item.add_marker(pytest.mark.timeout(NIGHT_S))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what tests recorded as `steps`."""
    for report in terminalreporter.getreports("passed") + terminalreporter.getreports("failed"):
        for name, value in report.user_properties:
            if name == "steps" and report.when == "call":
                terminalreporter.write_line(f"{report.nodeid}: {value} steps")
