"""The commands of this room: `inspector fit` and `inspector evaluate`."""

import argparse

from inspector.model import evaluate_command, fit_command


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add both commands; each sets `run`, a function of the parsed arguments that returns the exit status."""
    fit_command.add(subparsers.add_parser("fit", help="fit a model on good parts and write a model pack"))
    evaluate_command.add(subparsers.add_parser("evaluate", help="measure a model pack on labelled images"))
