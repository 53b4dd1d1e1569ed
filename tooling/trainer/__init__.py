"""trainer: builds trainer images, runs MLflow projects in them and reports to a tracking server."""

__version__ = "0.1.0"
