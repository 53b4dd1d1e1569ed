"""What a run is given, and what it takes to make it again, stored with it before its script runs."""

from __future__ import annotations

from pathlib import Path

from trainer.images import trainer_image
from trainer.runs import run_record, stored_code
from trainer.runs.launch.begin import Begun
from trainer.runs.launch.prepare import Ready
from trainer.tracking.artifacts import roots as artifact_roots
from trainer.tracking.client import Client
from trainer.tracking.delivery import Notebook
from trainer.tracking.failures import ServerFailure, TooLarge


def on_server(ready: Ready, begun: Begun) -> list[str]:
    """Store it on the tracking server; returns what the user should know. Raises `TrackingError`."""
    remarks = _store(ready, begun, ready.client)
    artifact_roots.see(ready.client, begun.run.id, begun.run.artifact_uri, stored_code.ARTIFACT)
    return remarks


def in_spool(ready: Ready, begun: Begun) -> list[str]:
    """Write it into the run's spool, to be delivered with the rest."""
    return _store(ready, begun, Notebook(begun.folder))


def _store(ready: Ready, begun: Begun, teller: Client | Notebook) -> list[str]:
    teller.log_parameters(begun.run.id, ready.masker.tree(dict(ready.plan.inputs.parameters)))
    teller.log_inputs(begun.run.id, ready.data)
    neither = "Without it the run can be neither resumed nor reproduced."
    remarks = _upload(begun, teller, begun.folder.source, stored_code.ARTIFACT, neither)
    if packed := ready.plan.image.packed(ready.workspace):
        only = "Without it the run can be resumed and reproduced as long as its image is there."
        remarks += _upload(begun, teller, packed, trainer_image.ARTIFACT, only)
    teller.upload(begun.run, begun.folder.run_record, run_record.ARTIFACT)
    return remarks


def _upload(begun: Begun, teller: Client | Notebook, archive: Path, artifact: str, without: str) -> list[str]:
    """Store an archive with the run; one that is too large for the server costs no training.

    `without`: what it means that the run has no such artifact.
    """
    try:
        teller.upload(begun.run, archive, artifact)
    except TooLarge as problem:
        # By way of the spool it is refused as anything that the run logs: the run is marked, the file kept.
        Notebook(begun.folder).upload(begun.run, archive, artifact)
        size, again = archive.stat().st_size / 1e6, f"trainer sync {begun.run.id[:8]} --refused"
        return [
            f"{artifact} ({size:.1f} MB) is too large to be stored: {problem.message}\n"
            f"{without} It is kept on this disk. {problem.hint} Then: {again}"
        ]
    except ServerFailure as problem:
        raise artifact_roots.not_stored(
            f"The run was not started: the artifact {artifact}", problem
        ) from None
    return []
