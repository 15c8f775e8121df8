"""Logs what the parts without logs of their own have to say: ledger, change of recipe, interlock, challenge, the watch over the PLC.

They leave notes, and whoever owns them hands these on when no lock is held.
"""

import logging
from collections.abc import Iterable

from inspector.open_part import Note

log = logging.getLogger(__name__)

LEVELS = {
    "challenge_begun": logging.INFO,
    "fault_cleared": logging.INFO,
    "fault_latched": logging.ERROR,
    "foreign_writer": logging.ERROR,
    "foreign_writer_gone": logging.INFO,
    "heartbeat_back": logging.INFO,
    "heartbeat_lost": logging.ERROR,
    "in_step": logging.INFO,
    "link_down": logging.ERROR,
    "link_up": logging.INFO,
    "plc_disabled": logging.INFO,
    "plc_enabled": logging.INFO,
    "recipe_active": logging.INFO,
    "recipe_asked_for": logging.INFO,
    "recipe_lost": logging.ERROR,
    "recipe_refused": logging.ERROR,
}  # the others are warnings


def tell(notes: Iterable[Note]) -> None:
    """Log each note."""
    for note in notes:
        log.log(LEVELS.get(note.event, logging.WARNING), note.event, extra=dict(note.fields))
