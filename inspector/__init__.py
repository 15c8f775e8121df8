"""Inspector: a part is released only by a fresh, matching PASS; everything else rejects it."""

__version__ = "0.1.0"
