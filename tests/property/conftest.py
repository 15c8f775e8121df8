"""Says in the end how many steps the machines took, so that nobody has to believe it."""

import pytest


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what tests recorded as `steps`."""
    for report in terminalreporter.getreports("passed") + terminalreporter.getreports("failed"):
        for name, value in report.user_properties:
            if name == "steps" and report.when == "call":
                terminalreporter.write_line(f"{report.nodeid}: {value} steps")
