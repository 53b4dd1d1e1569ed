"""What a run is given, and what it takes to make it again, stored with it before its script runs."""

from __future__ import annotations

from pathlib import Path

from trainer.images import trainer_image
from trainer.runs import run_record, stored_code
from trainer.runs.launch.begin import LaunchedRun
from trainer.runs.launch.prepare import PreparedLaunch
from trainer.runs.ui import description
from trainer.tracking import run_tags
from trainer.tracking.artifacts import roots as artifact_roots
from trainer.tracking.client import Client
from trainer.tracking.delivery import SpoolWriter
from trainer.tracking.failures import ServerFailure, TooLarge


def on_server(ready: PreparedLaunch, launched: LaunchedRun) -> list[str]:
    """Store it on the tracking server; returns what the user should know. Raises `TrackingError`."""
    remarks = _store(ready, launched, ready.client)
    if run_tags.NOTE not in ready.plan.tracking.tags:
        parameters = ready.masker.tree(ready.plan.logged_parameters)
        note = description.of(ready.plan, parameters, launched.run.id)
        ready.client.set_tags(launched.run.id, {run_tags.NOTE: note})
    artifact_roots.see(ready.client, launched.run.id, launched.run.artifact_uri, stored_code.ARTIFACT)
    return remarks


def in_spool(ready: PreparedLaunch, launched: LaunchedRun) -> list[str]:
    """Write it into the run's spool, to be delivered with the rest."""
    return _store(ready, launched, SpoolWriter(launched.folder))


def _store(ready: PreparedLaunch, launched: LaunchedRun, describer: Client | SpoolWriter) -> list[str]:
    describer.log_parameters(launched.run.id, ready.masker.tree(ready.plan.logged_parameters))
    describer.log_inputs(launched.run.id, ready.data)
    neither = "Without it the run can be neither resumed nor reproduced."
    remarks = _upload(launched, describer, launched.folder.source, stored_code.ARTIFACT, neither)
    if packed := ready.plan.image.packed(ready.workspace):
        only = "Without it the run can be resumed and reproduced as long as its image is there."
        remarks += _upload(launched, describer, packed, trainer_image.ARTIFACT, only)
    describer.upload(launched.run, launched.folder.run_record, run_record.ARTIFACT)
    return remarks


def _upload(
    launched: LaunchedRun, describer: Client | SpoolWriter, archive: Path, artifact: str, without: str
) -> list[str]:
    """Store an archive with the run; one that is too large for the server costs no training.

    `without`: what it means that the run has no such artifact.
    """
    try:
        describer.upload(launched.run, archive, artifact)
    except TooLarge as error:
        # By way of the spool it is refused as anything that the run logs: the run is marked, the file kept.
        SpoolWriter(launched.folder).upload(launched.run, archive, artifact)
        size, hint_command = archive.stat().st_size / 1e6, f"trainer sync {launched.run.id[:8]} --refused"
        return [
            f"{artifact} ({size:.1f} MB) is too large to be stored: {error.message}\n"
            f"{without} It is kept on this disk. {error.hint} Then: {hint_command}"
        ]
    except ServerFailure as error:
        raise artifact_roots.not_stored(f"The run was not started: the artifact {artifact}", error) from None
    return []
