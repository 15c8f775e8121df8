"""Engines: from a raw frame to a score, one file for each runtime."""
