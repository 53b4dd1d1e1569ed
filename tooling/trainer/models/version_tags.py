"""The tags that a version of a registered model has, besides those of its aliases."""

FORMAT = "trainer.format"
"""`ONNX`, or the flavors of MLflow's model where it was not exported."""
ONNX = "onnx"
SHA256 = "trainer.sha256"
"""Of the ONNX file."""

UNEXPORTED = "trainer.unexported"
"""Why there is no ONNX file of it, in a sentence."""

# What the model is.
FRAMEWORK = "trainer.framework"
TASK = "trainer.task"
CLASSES = "trainer.classes"
TARGET = "trainer.target"
IMAGE = "trainer.image"

# How the ONNX file compares with the model, on so many samples of its run.
DIFFERENCE = "trainer.max_difference"
SAME_CLASS = "trainer.same_class"
SAMPLES = "trainer.samples"

ALL = (
    FORMAT, SHA256, UNEXPORTED, FRAMEWORK, TASK, CLASSES, TARGET, IMAGE, DIFFERENCE, SAME_CLASS, SAMPLES,
)  # fmt: skip
