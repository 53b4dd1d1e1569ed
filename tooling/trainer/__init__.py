"""trainer: builds trainer images, runs MLflow projects in them and reports to a tracking server."""
