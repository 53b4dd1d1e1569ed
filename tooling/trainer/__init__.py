"""trainer: builds trainer images, runs MLflow projects in them and reports to a tracking server."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("trainer")
except PackageNotFoundError:  # run from a source tree that was never installed
    __version__ = "0+unknown"
