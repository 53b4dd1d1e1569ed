"""`trainer serve`: with a model, serve it; with a command, what is served."""

from __future__ import annotations

import click

from trainer.cli.commands import DefaultCommandGroup
from trainer.cli.examples import examples
from trainer.cli.serve.deploy import deploy
from trainer.cli.serve.running import follow, list_, logs, stop
from trainer.cli.serve.start import start


class _Models(DefaultCommandGroup):
    """A group that serves a model by itself."""

    default_name = "model"


@click.group(
    cls=_Models,
    subcommand_metavar="MODEL | COMMAND [ARGS]...",
    short_help="Serve a model over HTTP.",
    epilog=examples(
        "trainer serve model.onnx",
        "trainer serve skin@champion --port 9000 --detach",
        "trainer serve stop skin",
    ),
)
def serve() -> None:
    """Serve MODEL over HTTP on this machine, in a container, until Ctrl-C.

    MODEL is an ONNX file, a registered model (NAME@ALIAS or NAME@VERSION), or a run, as of `trainer predict`.
    It has a page to try it in a browser, and answers images and rows (POST /predict), what
    `mlflow models serve` answers (/invocations, /ping, /health, /version), the Open Inference Protocol (/v2),
    and Prometheus (/metrics). Only this machine reaches it, unless it has a token.
    """


for _command in (start, list_, stop, logs, deploy, follow):
    serve.add_command(_command)
