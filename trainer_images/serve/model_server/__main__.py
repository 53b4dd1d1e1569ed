"""`python -m model_server MODEL.onnx`."""

from __future__ import annotations

import os
import sys

import uvicorn
from trainkit.errors import InputError
from trainkit.inference.predictor import Predictor

from model_server import app, settings
from model_server.connections import ImpatientProtocol
from model_server.limits import Limits


def main() -> int:
    """Serve until SIGTERM or SIGINT; what has been asked by then is answered."""
    try:
        chosen = settings.read(sys.argv[1:])
        for variable in (settings.TOKEN, settings.TOKEN_FILE):
            os.environ.pop(variable, None)  # nothing that is started later has it
        predictor = Predictor.open(chosen.model, threads=chosen.threads)
    except InputError as error:
        print(f"Error: {error.message}\nHint:  {error.hint}", file=sys.stderr, flush=True)
        return 1
    limits = Limits()
    ImpatientProtocol.headers_s = limits.headers_s
    uvicorn.run(
        app.make(chosen.name, predictor, token=chosen.token, hosts=chosen.hosts, limits=limits),
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


if __name__ == "__main__":
    sys.exit(main())
