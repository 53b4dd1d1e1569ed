"""Answers of a trained model from its ONNX file alone: no framework, no MLflow, no pandas."""
