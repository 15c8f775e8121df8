"""The argument of every command that is about one station."""

import argparse
from pathlib import Path


def add_config(parser: argparse.ArgumentParser) -> None:
    """Add `config`: the station's YAML file, a Path."""
    parser.add_argument("config", type=Path, metavar="CONFIG", help="the station's YAML file")
