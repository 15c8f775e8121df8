"""The model: fitted on good parts only, one fused ONNX graph, kept in a pack.

fit.py is the table of contents of fitting; spec.py says what features are, methods/ how they are compared, graph.py how both become one
graph, imported.py what is done with a network that scores by itself. evaluate.py measures a pack; nothing here runs beside the line.
"""
