"""`trainer server backup`, `restore`, `upgrade` and `rotate-secrets`."""

from __future__ import annotations

from pathlib import Path

import click

from trainer.cli import output
from trainer.cli.context import pass_workspace
from trainer.cli.examples import examples
from trainer.cli.live.progress import Progress
from trainer.counted import counted
from trainer.workspace.settings import Workspace

_force = click.option("--force", is_flag=True, help="Proceed even while runs report to the server.")
_as_json = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
_SHOWN = ("runs", "experiments", "metrics", "registered_models", "users")


@click.command(
    short_help="Back up database and artifacts to a file.",
    epilog=examples("trainer server backup monday.tar.gz"),
)
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@_as_json
@pass_workspace
def backup(workspace: Workspace, file: Path, as_json: bool) -> None:
    """Back up database and artifacts of the workspace's own server to a new file.

    The server may be running. The file is read again and compared before it gets its name; it is compressed
    where that ends in .gz.
    """
    from trainer.maintenance import backup as server_backup
    from trainer.subprocesses import interruptible

    with interruptible(), Progress() as progress:
        progress.step(f"Saving the tracking server's store in {file}")
        manifest = server_backup.backup(workspace, file)
    payload = {
        "file": str(file),
        "bytes": file.stat().st_size,
        "files": len(manifest["files"]),
        "counts": manifest["counts"],
    }
    if as_json:
        output.as_json(payload)
    else:
        click.echo(f"{file}  {file.stat().st_size / 1e6:.1f} MB: {_counted(manifest['counts'])}, "
                   f"{counted(len(manifest['files']), 'file')}, read again and found equal")  # fmt: skip


@click.command(
    short_help="Replace the server's store with a backup.",
    epilog=examples("trainer server restore monday.tar.gz"),
)
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--dry-run", is_flag=True, help="Check the file and print what is in it; change nothing.")
@_force
@_as_json
@pass_workspace
def restore(workspace: Workspace, file: Path, dry_run: bool, force: bool, as_json: bool) -> None:
    """Replace the data of the workspace's server with a backup.

    The current data is saved in .trainer/backups/ first. Accounts and passwords are those of the backup,
    except trainer's own. Runs that were live when the backup was made become KILLED, unless they still run
    or this workspace knows how they ended.
    """
    from trainer.maintenance import backup as server_backup
    from trainer.subprocesses import interruptible

    if dry_run:
        manifest = server_backup.check(file)
        output.as_json(manifest["counts"]) if as_json else click.echo(
            f"{file}: {_counted(manifest['counts'])}"
        )
        return
    with interruptible(), Progress() as progress:
        done = server_backup.restore(workspace, file, progress, force=force)
    if as_json:
        saved = str(done.saved) if done.saved else None
        output.as_json({"counts": done.counts, "saved": saved, "killed": done.killed})
        return
    click.echo(f"Restored {_counted(done.counts)}.")
    if done.killed:
        click.echo(
            f"KILLED: {counted(done.killed, 'run')}, live when the backup was made and not any more.",
            err=True,
        )
    if done.saved:
        click.echo(f"What was there before is in {done.saved}", err=True)


@click.command(
    short_help="Upgrade the server to the current version.", epilog=examples("trainer server upgrade")
)
@click.option("--dry-run", is_flag=True, help="Print which image it has and which it would get.")
@_force
@pass_workspace
def upgrade(workspace: Workspace, dry_run: bool, force: bool) -> None:
    """Upgrade the server's container to the version in mlflow_tracking_server/.

    The store is saved first. If the new version does not start, refuses the password, or has lost a row, the
    old version and its store are restored.
    """
    from trainer.maintenance import backup as server_backup
    from trainer.server import image, live_runs, service
    from trainer.subprocesses import interruptible

    if dry_run:
        state = service.found(workspace)
        if state is None:
            raise service.none_here()
        click.echo(f"{state.image} → {image.plan(workspace).tag}")
        return
    if not force:
        live_runs.refuse(workspace, "trainer server upgrade --force")
    saved = server_backup.new_name(workspace, "before-upgrade")
    with interruptible(), Progress() as progress:
        before, after = service.upgrade(workspace, progress, saved)
    if before == after:
        click.echo(f"{after}  up to date")
        return
    click.echo(f"{before} → {after}")
    click.echo(f"What it held before is in {saved}", err=True)


@click.command(
    "rotate-secrets",
    short_help="Replace the server's password and key.",
    epilog=examples("trainer server rotate-secrets"),
)
@_force
@pass_workspace
def rotate_secrets(workspace: Workspace, force: bool) -> None:
    """Replace the password and key of the workspace's server, and update secrets.env.

    The old password is refused from then on, and the server is restarted. With --force, what a live run logs
    from then on stays on disk until the run has ended, and is delivered with the new password.
    """
    from trainer.server import live_runs, service
    from trainer.subprocesses import interruptible

    if not force:
        live_runs.refuse(workspace, "trainer server rotate-secrets --force")
    with interruptible(), Progress() as progress:
        started = service.rotate_secrets(workspace, progress)
    click.echo(
        f"{started.uri} has a new password for {started.username}; it is in {workspace.secrets_file.name}."
    )


def _counted(counts: dict[str, int]) -> str:
    shown = [(table.replace("_", " "), counts[table]) for table in _SHOWN if counts.get(table)]
    return ", ".join(counted(rows, table.removesuffix("s")) for table, rows in shown) or "nothing"
