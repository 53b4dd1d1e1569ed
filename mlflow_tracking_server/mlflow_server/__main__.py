"""The commands: `release` once for each new version, `web` to serve, `up` for one after the other."""

from __future__ import annotations

import logging
import os
import signal
import sys
import warnings

from mlflow_server.refusal import Refusal

COMMANDS = ("web", "release", "up")


def main(arguments: list[str]) -> None:
    """Run one command; a `Refusal` ends it with exit code 1 and its one line."""
    os.umask(0o077)  # another user of the volume has no business in the store
    # As process 1, which a container's is, nothing happens at SIGTERM unless it is asked for.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    logging.getLogger("mlflow_server").setLevel(logging.INFO)
    warnings.filterwarnings("ignore", module="mlflow")  # MLflow's use of its own dependencies
    try:
        if len(arguments) != 1 or arguments[0] not in COMMANDS:
            raise Refusal(
                f"There is no command {' '.join(arguments)!r}.", f"Use one of: {', '.join(COMMANDS)}."
            )
        _run(arguments[0])
    except Refusal as refusal:
        sys.exit(f"mlflow_server: {refusal}")


def _run(command: str) -> None:
    from mlflow_server import settings

    settings_ = settings.read(os.environ)
    if command in ("release", "up"):
        from mlflow_server import release

        release.run(settings_)
    if command in ("web", "up"):
        from mlflow_server import web

        web.run(settings_)


if __name__ == "__main__":
    main(sys.argv[1:])
