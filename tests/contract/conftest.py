"""The PLC sample code, run both ways."""

from collections.abc import Iterator

import pytest

from tests.contract.matiec import compile_sample, matiec
from tests.contract.plc_sample_rig import SOURCE, Bench


@pytest.fixture(scope="session")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> object:
    if matiec() is None:
        return None
    return compile_sample(SOURCE, tmp_path_factory.mktemp("matiec"))


@pytest.fixture(params=["interpreted", "compiled"])
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    if request.param == "interpreted":
        yield Bench(None)
        return
    library = request.getfixturevalue("compiled")
    if library is None:
        pytest.skip("no iec2c (matiec) with its library on this machine: the sample is interpreted only")
    yield Bench(library)
