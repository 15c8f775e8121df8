"""The commands of this room: `inspector fit`, `inspector evaluate` and `inspector build`."""

import argparse

from inspector.model import build_command, evaluate_command, fit_command


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the commands; each sets `run`, a function of the parsed arguments that returns the exit status."""
    fit_command.add(subparsers.add_parser("fit", help="fit a model on good parts and write a model pack"))
    evaluate_command.add(subparsers.add_parser("evaluate", help="measure a model pack on labelled images"))
    build_command.add(subparsers.add_parser("build", help="compile a model pack for GPUs, here or elsewhere"))
