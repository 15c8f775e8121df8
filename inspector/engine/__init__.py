"""The engine room: one small interface in `base.py`, one file for each backend; `preprocess.py` fits frames to the graph."""

import sys

# Importing OpenVINO would write a client id into the home folder and report the import over the network, unasked; where this
# package is missing it does neither.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
