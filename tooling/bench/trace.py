"""Where a command of trainer spends its time: its requests, processes and imports, in their order.

    python tooling/bench/trace.py run sklearn

It runs the command in this process, in the current folder, and prints the spans on stderr at its end. What
lies between two spans is Python's own work.
"""

from __future__ import annotations

import builtins
import http.client
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")
LEAST_IMPORT_S = 0.004
START = time.perf_counter()


@dataclass(frozen=True)
class Span:
    """Something that took time. `begin` is in seconds after the start of this script."""

    begin: float
    seconds: float
    thread: str
    what: str


spans: list[Span] = []


def timed(label: Callable[P, str], do: Callable[P, R], least_s: float = 0) -> Callable[P, R]:
    """`do`, which leaves a span each time it takes at least so long."""

    def with_span(*args: P.args, **kwargs: P.kwargs) -> R:
        begin = time.perf_counter()
        try:
            return do(*args, **kwargs)
        finally:
            took = time.perf_counter() - begin
            if took >= least_s:
                name = threading.current_thread().name.replace("MainThread", "")
                spans.append(Span(begin - START, took, name, label(*args, **kwargs)))

    return with_span


def watch() -> None:
    """From now on every request, process and import leaves a span."""
    pending: dict[int, str] = {}
    request, answer = http.client.HTTPConnection.putrequest, http.client.HTTPConnection.getresponse

    def putrequest(
        self: http.client.HTTPConnection, method: str, url: str, *rest: bool, **more: bool
    ) -> None:
        pending[id(self)] = f"{method} {url.partition('?')[0]}"
        request(self, method, url, *rest, **more)

    def said(self: http.client.HTTPConnection) -> str:
        return f"http    {pending.get(id(self), '')}"

    def imported(name: str, *_: object, **__: object) -> str:
        return f"import  {name}"

    def started(_: object, command: object, *__: object, **___: object) -> str:
        return f"start   {command if isinstance(command, str) else ' '.join(map(str, _words(command)))[:100]}"

    def waited(process: subprocess.Popen[bytes], *_: object, **__: Mapping[str, object]) -> str:
        return f"process {' '.join(map(str, _words(process.args)))[:100]}"

    http.client.HTTPConnection.putrequest = putrequest  # type: ignore[method-assign]
    http.client.HTTPConnection.getresponse = timed(said, answer)  # type: ignore[method-assign]
    subprocess.Popen.__init__ = timed(started, subprocess.Popen.__init__)  # type: ignore[assignment,arg-type,method-assign]
    subprocess.Popen.communicate = timed(waited, subprocess.Popen.communicate)  # type: ignore[assignment,arg-type,method-assign]
    builtins.__import__ = timed(imported, builtins.__import__, LEAST_IMPORT_S)


def _words(command: object) -> list[object]:
    return list(command) if isinstance(command, (list, tuple)) else [command]


def main() -> None:
    """Run the command and print its spans."""
    watch()
    from trainer.cli.main import main as trainer

    try:
        trainer(sys.argv[1:])
    finally:
        end = time.perf_counter() - START
        for span in sorted(spans, key=lambda span: span.begin):
            print(  # noqa: T201
                f"{span.begin * 1000:7.1f} ms  {span.seconds * 1000:7.1f} ms  {span.what}  {span.thread}",
                file=sys.stderr,
            )
        print(f"{end * 1000:7.1f} ms  the end", file=sys.stderr)  # noqa: T201


if __name__ == "__main__":
    main()
