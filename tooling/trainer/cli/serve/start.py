"""`trainer serve MODEL`."""

from __future__ import annotations

import itertools
import json
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from trainer.cli import output
from trainer.cli.context import pass_workspace, tracking_option
from trainer.cli.examples import examples
from trainer.cli.live.progress import Progress
from trainer.cli.predict.command import complete_any_model
from trainer.cli.serve import what
from trainer.cli.serve.chosen import Chosen, choose
from trainer.errors import FileError, InvalidInput
from trainer.workspace.settings import Workspace

if TYPE_CHECKING:
    from trainkit.inference.description import Description

    from trainer.serving.container import Serving

TOKEN = "MODEL_SERVER_TOKEN"  # noqa: S105 (a name)
_LOOPBACK, _EVERYWHERE = "127.0.0.1", "0.0.0.0"  # noqa: S104 (with a token)
_MOST_COLUMNS = 8
_UNITS, _LEAST_LOG = "bkmg", 1024**2


def memory(_: click.Context, __: click.Parameter, value: str) -> str:
    """As docker takes it."""
    if not re.fullmatch(r"[1-9]\d*[bkmg]?", value, re.IGNORECASE):
        raise click.BadParameter("A size is a number with k, m or g, such as 2g.")
    return value


def log_size(ctx: click.Context, parameter: click.Parameter, value: str) -> int:
    """In bytes."""
    text = memory(ctx, parameter, value).lower()
    size = int(text.rstrip(_UNITS)) << 10 * max(_UNITS.find(text[-1]), 0)
    if size < _LEAST_LOG:
        raise click.BadParameter("A log takes 1m at least.")
    return size


@click.command("model", hidden=True, epilog=examples("trainer serve model.onnx"))
@click.argument("model", metavar="MODEL", shell_complete=complete_any_model)
@click.option("--name", metavar="NAME", help="Serve it under this name. [default: that of MODEL]")
@click.option("--port", type=click.IntRange(1, 65535), help="Port. [default: the first free one from 8080]")
@click.option("--host", metavar="ADDRESS",
              help="Address of this machine. [default: 127.0.0.1; with a token, all of them]")  # fmt: skip
@click.option("--token-file", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
              help="Answer only requests with the token in this file. [$MODEL_SERVER_TOKEN]")  # fmt: skip
@click.option("--memory", default="2g", show_default=True, callback=memory, metavar="SIZE",
              help="Most memory that it takes.")  # fmt: skip
@click.option("--shadow", metavar="MODEL", shell_complete=complete_any_model,
              help="Ask this model the same, after MODEL has answered.")  # fmt: skip
@click.option(
    "--no-log", is_flag=True, help="Log no predictions. [default: `trainer predictions` lists them]"
)
@click.option("--keep-inputs", is_flag=True, help="Log the images or rows themselves, too.")
@click.option("--log-limit", default="1g", show_default=True, callback=log_size, metavar="SIZE",
              help="Most that the log takes; the oldest predictions are removed.")  # fmt: skip
@click.option(
    "-d", "--detach", is_flag=True, help="Return when it is ready; it is served until it is stopped."
)
@click.option("--trust-pickle", is_flag=True,
              help="Serve a model that only its framework can run, which may run any code.")  # fmt: skip
@tracking_option
@pass_workspace
def start(
    workspace: Workspace, model: str, name: str | None, port: int | None, host: str | None,
    token_file: Path | None, memory: str, shadow: str | None, no_log: bool, keep_inputs: bool,
    log_limit: int, detach: bool, trust_pickle: bool,
) -> None:  # fmt: skip
    """Serve MODEL over HTTP on this machine, in a container, until Ctrl-C."""
    from trainer.errors import Interrupted
    from trainer.models import locate
    from trainer.models.in_use import keeper
    from trainer.predictions import places
    from trainer.serving import container, service
    from trainer.serving.container import Wanted
    from trainer.serving.log import Log
    from trainer.subprocesses import interruptible

    if no_log and keep_inputs:
        raise InvalidInput("--keep-inputs is of the log, which --no-log leaves out.", "Pass one of them.")
    found = what.found(workspace, model, trust_pickle=trust_pickle)
    chosen = click.get_current_context().with_resource(found)
    beside = _shadow(shadow, chosen) if shadow else None
    aliases = [each.alias for each in (chosen, beside) if each and each.alias]
    name = name or service.name_of(chosen.name)
    service.check_name(name)
    token = _token(token_file)
    host = _address(host, token)
    try:
        with interruptible():
            client = service.connect()
            service.refuse_served(client, workspace, name)
            service.free_port(host, port)  # before anything is made
            wanted = Wanted(
                name,
                chosen.model,
                host,
                port,
                token,
                memory,
                attached=not detach,
                follows=chosen.alias,
                shadow=beside.model if beside else None,
                shadow_follows=beside.alias if beside else "",
                server=locate.asked_server(workspace) if aliases else "",
                log=None
                if no_log or chosen.description is None
                else Log(places.folder(workspace, name), log_limit, keep_inputs),
            )
            with Progress() as progress, service.served(client, workspace, wanted, progress) as serving:
                progress.stop()
                _print(serving, chosen, beside, token is not None)
                if detach:
                    if aliases:
                        keeper.begin(workspace, name)
                    output.tell(f"Stop it: trainer serve stop {name}")
                else:
                    output.tell("Ctrl-C stops it.")
                    if aliases:
                        keeper.begin_heard(workspace, name, output.tell)
                    for piece in container.output(client, serving.container, 0, follow=True):
                        sys.stderr.buffer.write(piece)
                        sys.stderr.buffer.flush()
                    raise service.ended(client, serving)
    except Interrupted:
        if detach:
            raise
        output.tell(f"Stopped {name}.")


def _address(host: str | None, token: str | None) -> str:
    """Raises `InvalidInput` for one that others reach, without a token."""
    host = host or (_EVERYWHERE if token else _LOOPBACK)
    if not token and host not in (_LOOPBACK, "localhost", "::1"):
        raise InvalidInput(
            f"Without a token a model is served on {_LOOPBACK} alone, not on {host}.",
            "Put a token into a file, and pass --token-file FILE: openssl rand -hex 32 > FILE",
        )
    return host


def _shadow(said: str, model: Chosen) -> Chosen:
    """Raises `InvalidInput` where it cannot be asked what the model is asked."""
    from trainkit.inference import interface

    shadow = choose(said)
    if model.description is None or shadow.description is None:
        raise InvalidInput(f"{model.name} has no ONNX file, and so no shadow.", "Leave out --shadow.")
    if other := interface.difference(model.description, shadow.description):
        raise InvalidInput(
            f"{shadow.name} cannot be the shadow of {model.name}: {other}.",
            "Choose a version that takes and answers the same.",
        )
    return shadow


def _token(file: Path | None) -> str | None:
    from trainer.serving import service

    if file is None:
        given = os.environ.get(TOKEN)
        return service.check_token(given, TOKEN) if given else None
    try:
        return service.check_token(file.read_text(encoding="utf-8"), str(file))
    except OSError as error:
        raise FileError(f"{file} cannot be read: {error.strerror}.", "See --token-file.") from None
    except UnicodeDecodeError:
        raise InvalidInput(f"{file} has no text.", "openssl rand -hex 32 makes a token.") from None


def _print(serving: Serving, model: Chosen, shadow: Chosen | None, has_token: bool) -> None:
    click.echo(serving.url)
    header = ' --header "Authorization: Bearer $(cat TOKEN_FILE)"' if has_token else ""
    output.tell(
        f"Open it in a browser, or try: curl{header} {_example(model.description)} {serving.url}/predict"
    )
    if model.alias:
        output.tell(f"It follows {model.alias}: a version that is promoted takes its place.")
    if shadow and shadow.alias:
        output.tell(f"Its shadow follows {shadow.alias}.")


def _example(description: Description | None) -> str:
    """The options of curl that send what the model takes."""
    from trainkit.inference import example
    from trainkit.inference.description import Images

    if description is None:
        return "--json '{\"COLUMN\": CELL, …}'"
    if isinstance(description.input, Images):
        return "--form image=@IMAGE.jpg"
    row = dict(itertools.islice(example.row(description.input).items(), _MOST_COLUMNS))
    more = ", …" if len(description.input.columns) > _MOST_COLUMNS else ""
    text = json.dumps(row, ensure_ascii=False).replace("'", "'\\''")[:-1] + more + "}"
    return f"--json '{text}'"
