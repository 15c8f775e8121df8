"""The model's commands as a user types them, in the test's own process: what they raise is seen."""

import argparse

from inspector.model.commands import register


def inspector(*arguments: object) -> int:
    """Run `inspector ARGUMENTS`, one of fit and evaluate and their like; return the exit status."""
    parser = argparse.ArgumentParser(prog="inspector")
    register(parser.add_subparsers(required=True))
    args = parser.parse_args([str(argument) for argument in arguments])
    status: int = args.run(args)
    return status
