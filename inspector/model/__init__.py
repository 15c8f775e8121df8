"""The model: fitted on good parts only, one fused ONNX graph, kept in a pack.

fit.py is the table of contents: images -> survey -> features (backbone, graph) -> held-out models (nearest, whitening,
bank) -> threshold (calibrate) -> fused graph -> pack. evaluate.py measures a pack; nothing here runs beside the line.
"""
