"""The PLC sample by a real compiler: matiec's `iec2c` makes C of it, `cc` a library, ctypes calls it.

Only where `iec2c` is installed. Its library is looked for in $MATIEC_LIB, else in the folder `lib` beside the program.
"""

import ctypes
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tests.contract.structured_text import BITS, DECLARATION, Source

CONFIGURATION = """
CONFIGURATION everything
    RESOURCE all ON PLC
        TASK cycle(INTERVAL := T#1ms, PRIORITY := 0);
        PROGRAM example WITH cycle : LINE;
    END_RESOURCE
END_CONFIGURATION
"""


def matiec() -> tuple[str, Path] | None:
    """Return iec2c and the folder of its library, or None. The folder is $MATIEC_LIB, or `lib` beside the real iec2c."""
    compiler = shutil.which("iec2c")
    if compiler is None or shutil.which("cc") is None:
        return None
    library = Path(os.environ.get("MATIEC_LIB", Path(compiler).resolve().parent / "lib"))
    return (compiler, library) if (library / "ieclib.txt").exists() else None


def compile_sample(text: str, folder: Path) -> ctypes.CDLL:
    """Compile the source with matiec and cc. Fails with the compiler's words."""
    found = matiec()
    assert found is not None
    compiler, library = found
    (folder / "sample.st").write_text(text + CONFIGURATION)
    # -l: arrays of one shape are of one type, as for all vendors' editors.
    _run(compiler, "-l", "-I", str(library), "-T", str(folder), str(folder / "sample.st"))
    sources = {name: Source(text).declarations[name] for name in ("INSPECTOR", "LINE")}
    lines = ['#include "iec_std_lib.h"', "TIME __CURRENT_TIME;", "BOOL __DEBUG;", '#include "POUS.h"']
    lines += ['#include "POUS.c"']
    now = "__CURRENT_TIME = (TIME){ms / 1000, ms % 1000 * 1000000}"
    for block, declarations in sources.items():
        low = block.lower()
        lines += [f"static {block} {low};"]
        lines += [f"void {low}_init(void) {{ {block}_init__(&{low}, 0); }}"]
        lines += [f"void {low}_run(long ms) {{ {now}; {block}_body__(&{low}); }}"]
        lines += [f"UINT *{low}_registers(void) {{ return {low}.REGISTERS.value.table; }}"]
        for name in _scalars(declarations):
            lines += [f"long {low}_get_{name}(void) {{ return {low}.{name.upper()}.value; }}"]
            lines += [f"void {low}_set_{name}(long value) {{ {low}.{name.upper()}.value = value; }}"]
    lines += ["void line_set_station__part_id(long value) { line.STATION.PART_ID.value = value; }"]
    (folder / "sample.c").write_text("\n".join(lines) + "\n")
    shared = folder / "sample.so"
    include = f"-I{library / 'C'}"
    _run("cc", "-std=gnu11", "-w", "-shared", "-fPIC", include, "-o", str(shared), str(folder / "sample.c"))
    return ctypes.CDLL(str(shared))


class Compiled:
    """A program or block of the source, compiled. One instance of each at a time."""

    def __init__(self, library: ctypes.CDLL, name: str) -> None:
        self._library, self._name, self._ms = library, name.lower(), 0
        self._function("init")()
        registers = self._function("registers")
        registers.restype = ctypes.POINTER(ctypes.c_uint16)
        self._registers = registers()

    def scan(self, ms: int = 1, **inputs: int) -> None:
        """Let so many milliseconds pass, set the inputs given, run once."""
        self._ms += ms
        for name, value in inputs.items():
            self.put(name, value)
        self._function("run")(ctypes.c_long(self._ms))

    def get(self, name: str) -> int:
        """Return a variable."""
        return int(self._function(f"get_{name}")())

    def put(self, name: str, value: int) -> None:
        """Set a variable, or one of a block inside."""
        self._function(f"set_{name.replace('.', '__')}")(ctypes.c_long(value))

    def read(self, address: int) -> int:
        """Return a register."""
        return int(self._registers[address])

    def write(self, address: int, words: Sequence[int]) -> None:
        """Write registers."""
        for n, word in enumerate(words):
            self._registers[address + n] = word

    def _function(self, name: str) -> Any:
        function = self._library[f"{self._name}_{name}"]
        function.restype = ctypes.c_long
        return function


def _scalars(declarations: str) -> Iterator[str]:
    for match in DECLARATION.finditer(declarations):
        if match["last"] is None and match["kind"] in ("BOOL", *BITS):
            yield match["name"]


def _run(*argv: str) -> None:
    done = subprocess.run(argv, check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
