"""A configuration file of the test's own."""

from pathlib import Path

import pytest

from tests.unit.config.smallest import Write


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write_file(content: str | bytes) -> Path:
        path = tmp_path / "station.yaml"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write_file
