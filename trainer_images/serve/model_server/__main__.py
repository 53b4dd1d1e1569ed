"""`python -m model_server MODEL.onnx`, or a serving file, which names one and is watched.

A folder in the place of the ONNX file has a model as its run has logged it.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import uvicorn
from trainkit.errors import InputError
from trainkit.inference import serving_file
from trainkit.inference.predictor import Model, Predictor

from model_server import app, settings
from model_server.connections import ImpatientProtocol
from model_server.limits import Limits
from model_server.prediction_log.log import NoLog, PredictionLog
from model_server.prediction_log.sqlite_log import SqliteLog
from model_server.watching import Watch


def main() -> int:
    """Serve until SIGTERM or SIGINT; what has been asked by then is answered."""
    try:
        chosen = settings.read(sys.argv[1:])
        for variable in (settings.TOKEN, settings.TOKEN_FILE):
            os.environ.pop(variable, None)  # nothing that is started later has it
        entry = watch = None
        path = chosen.model
        if path.suffix == ".json":
            watch = Watch(path, chosen.threads, _opened)
            entry = serving_file.read(path).model
            path = path.with_name(entry.file)
        predictor = _opened(path, threads=chosen.threads)
    except InputError as error:
        print(f"Error: {error.message}\nHint:  {error.hint}", file=sys.stderr, flush=True)
        return 1
    limits = Limits()
    ImpatientProtocol.headers_s = limits.headers_s
    uvicorn.run(
        app.make(
            chosen.name,
            predictor,
            entry,
            token=chosen.token,
            hosts=chosen.hosts,
            limits=limits,
            watch=watch,
            log=_log(chosen),
        ),
        host=chosen.host,
        port=chosen.port,
        http=ImpatientProtocol,
        ws="none",
        lifespan="on",
        access_log=False,
        log_level="warning",
        server_header=False,
        backlog=1024,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=limits.stop_s,
    )
    return 0


def _log(chosen: settings.Settings) -> PredictionLog:
    if chosen.log is None:
        return NoLog()
    return SqliteLog(chosen.log, limit=chosen.log_limit, keeps_inputs=chosen.keeps_inputs)


def _opened(path: Path, *, threads: int | None) -> Model:
    if not path.is_dir():
        return Predictor.open(path, threads=threads)
    from trainkit.models import as_logged  # it takes MLflow, which the image of its run has

    return as_logged.load(path)


if __name__ == "__main__":
    sys.exit(main())
