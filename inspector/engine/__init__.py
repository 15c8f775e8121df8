"""The engine room: one small interface in `base.py`, one file for each backend; `preprocess.py` fits frames to the graph."""
