"""What `trainer serve MODEL` is to serve: an ONNX file, or what only the model's framework can run."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from trainer.cli import output
from trainer.cli.serve.chosen import Chosen, choose
from trainer.errors import InvalidInput
from trainer.workspace.settings import Workspace


@contextlib.contextmanager
def found(workspace: Workspace, text: str, *, trust_pickle: bool) -> Iterator[Chosen]:
    """Within: the model's files are here. Raises as `locate.locate`."""
    from trainer.models.locate import NotExported

    try:
        chosen = choose(text)
    except NotExported as error:
        if not error.framework:
            raise
        if not trust_pickle:
            raise InvalidInput(
                f"{error.name} has no ONNX file, and loading a model of {error.framework} runs whatever code "
                "its maker put into it.",
                f"If you trust who trained it: trainer serve {text} --trust-pickle",
            ) from None
        with _as_logged(workspace, text) as logged:
            yield logged
        return
    yield chosen


@contextlib.contextmanager
def _as_logged(workspace: Workspace, text: str) -> Iterator[Chosen]:
    from trainer.models import as_logged
    from trainer.serving import service
    from trainer.serving.by_framework import LoggedModel
    from trainer.subprocesses import interruptible

    with interruptible(), as_logged.fetched(workspace, service.connect(), text) as files:
        model = LoggedModel(
            files.folder, "", text, str(files.number), image=files.image, why=files.why, run_id=files.run_id
        )
        output.tell(f"{model.called} is served by its framework, in {files.image}: {files.why}")
        output.tell("What it answers is not logged.")
        yield Chosen(model, model.called, None, "")
