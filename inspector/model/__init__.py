"""The model: fitted on good parts only, one fused ONNX graph, kept in a pack."""
