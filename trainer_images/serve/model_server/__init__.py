"""Serves one model over HTTP from its ONNX file: no framework, no MLflow."""
