"""The beginning: this file is run as it lies in the container, by its path."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

if not __package__:
    sys.path[0] = str(Path(__file__).parent.parent)
    __package__ = Path(__file__).parent.name

from .descendants import adopt_orphans
from .server import Server, write
from .soundness import Refused, check, warm_up
from .trial import MEANWHILE, Order, as_main, become, code_of, without_first_frame


def main(exchange: Path, home: Path, script: Path, *emptied: Path) -> Order | None:
    """Import, say so, and serve. Returns as `Server.serve` does."""
    began = time.monotonic()
    meanwhile = {name: os.environ[name] for name in MEANWHILE if name in os.environ}
    os.environ.update(MEANWHILE)
    try:
        adopt_orphans()
        imported = warm_up(script.read_text("utf-8"))
        check(imported)
    except Refused as why:
        write(exchange / "ready", json.dumps({"refused": str(why)}))
        return None
    server = Server(exchange, imported, home, script.parent / "home", *emptied)
    seconds = round(time.monotonic() - began, 2)
    write(exchange / "ready", json.dumps({"threads": imported.threads, "seconds": seconds}))
    order = server.serve()
    if order:
        order.environment.update(meanwhile)
    return order


if __name__ == "__main__":
    sys.path.pop(0)
    _exchange, *_others = map(Path, sys.argv[1:])
    _order = main(_exchange, *_others)
    if _order is None:
        os._exit(0)  # what was imported has nothing to do at the end
    _path = become(_order, _exchange / "output")
    sys.modules["__main__"] = _main = as_main(_path)
    try:
        exec(code_of(_path), vars(_main))  # noqa: S102 (the script)
    except BaseException:
        sys.excepthook = without_first_frame(sys.excepthook)
        raise
