"""How a tool begins: what is not set up is named in one line, and a signal to stop ends what the tool started. Standard library alone."""

import importlib
import signal
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

STOPS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)  # the last: its terminal was closed
INTERRUPTED = 130  # the exit status that shells know


def main_of(module: str, program: str, extra: str = "") -> Callable[[], int]:
    """Return `main` of the module; where a package is missing, a function that names `sh tools/setup` and returns 2."""
    try:
        main: Callable[[], int] = importlib.import_module(module).main
    except ModuleNotFoundError as error:
        what = (
            f"{program}: expected the package {error.name}; run `sh tools/setup{extra and ' ' + extra}` first"
        )

        def main() -> int:
            print(what, file=sys.stderr)
            return 2

    return main


def interruptible(main: Callable[[], int], program: str) -> int:
    """Return what `main` returns. The first signal to stop raises KeyboardInterrupt in it, so that each block ends what it began.

    Further ones are ignored, since that end is bounded and takes seconds, and `timeout` and terminals send theirs more than once.
    """
    numbers = heeded()

    def heard(_number: int, _frame: FrameType | None) -> None:
        for each in numbers:
            signal.signal(each, signal.SIG_IGN)
        raise KeyboardInterrupt

    before: list[Any] = [signal.signal(number, heard) for number in numbers]
    try:
        return main()
    except KeyboardInterrupt:
        print(f"{program}: interrupted", file=sys.stderr)
        return INTERRUPTED
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def heeded() -> list[signal.Signals]:
    """Return the signals that end a tool: not those that whoever started it had ignored, as nohup does."""
    return [number for number in STOPS if signal.getsignal(number) is not signal.SIG_IGN]
