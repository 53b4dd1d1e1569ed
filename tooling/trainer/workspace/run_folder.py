"""The folder of a run on this machine, and what is called how in it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from trainer.workspace.settings import Workspace

LOG = "train.log"
"""Also the artifact of that name."""
UNNAMED = "new-"
"""What the folders of launches that have no run yet begin with."""


@dataclass(frozen=True)
class RunFolder:
    """The folder of a run, or of one that is being launched. Every file of it has its name here."""

    path: Path

    @property
    def record(self) -> Path:
        """What is written down about the run: `run_folders.Record`."""
        return self.path / "record.json"

    @property
    def lock(self) -> Path:
        """Held by the process that looks after the run."""
        return self.path / "looked-after"

    @property
    def launch_record(self) -> Path:
        """The record of a run that may have been created, and whose id is not known yet."""
        return self.path / "launch.json"

    @property
    def launch_lock(self) -> Path:
        """Held by the process that creates the run."""
        return self.path / "launching"

    @property
    def stopped_by(self) -> Path:
        """The command that stops the run."""
        return self.path / "stopped-by"

    @property
    def ended(self) -> Path:
        """The final status of a run that has ended."""
        return self.path / "ended"

    @property
    def source(self) -> Path:
        """The archive of its code."""
        return self.path / "source.tar.gz"

    @property
    def run_record(self) -> Path:
        """What pins the run: `runs.run_record`."""
        return self.path / "run.json"

    @property
    def inputs(self) -> Path:
        """What was downloaded for it, by parameter."""
        return self.path / "inputs"

    @property
    def log(self) -> Path:
        """What it printed, as of its end."""
        return self.path / LOG

    @property
    def earlier_log(self) -> Path:
        """What it printed before it was resumed."""
        return self.path / "earlier.log"

    @property
    def trainer_log(self) -> Path:
        """What trainer logs of its own work on the run."""
        return self.path / "trainer.log"

    @property
    def spool(self) -> Path:
        """The folder of its journal: trainkit's `Spool`. The run writes to it."""
        return self.path / "spool"

    @property
    def refused(self) -> Path:
        """Of the spool, what the tracking server refused for good."""
        return self.spool / "refused"

    @property
    def begun(self) -> Path:
        """The run as it was created, where the run cannot change it."""
        return self.path / "begun.json"

    @property
    def replay(self) -> Path:
        """There if the next delivery is to begin at the beginning."""
        return self.path / "restored"

    @property
    def replayed(self) -> Path:
        """The spool that such a delivery makes."""
        return self.path / "replayed"

    @property
    def recreated(self) -> Path:
        """The spool that creates the run on a server that lost it, while it is made."""
        return self.path / "recreated"

    @property
    def job_code(self) -> Path:
        """Of a job that is a process of this machine: where it runs, as the archive calls it."""
        return self.path / "code"

    @property
    def job_lock(self) -> Path:
        """Held by every process of such a job."""
        return self.path / "job.alive"

    @property
    def job_pid(self) -> Path:
        """The number of its process group."""
        return self.path / "pid"

    @property
    def job_environment(self) -> Path:
        """Its secret variables; removed before its command starts."""
        return self.path / "environment"

    @property
    def job_output(self) -> Path:
        """What it prints."""
        return self.path / "output"

    @property
    def job_result(self) -> Path:
        """How its command ended."""
        return self.path / "result"

    @property
    def job_warm(self) -> Path:
        """There if the job is a process in a container that other runs have too: which one."""
        return self.path / "warm.json"

    @property
    def job_out_of_memory(self) -> Path:
        """There if a process of such a job was killed because its container was out of memory."""
        return self.path / "out-of-memory"


def parent(workspace: Workspace) -> Path:
    """Where the folders of runs are."""
    return workspace.state / "runs"


def of(workspace: Workspace, run_id: str) -> RunFolder:
    """The run's own folder on this machine."""
    return RunFolder(parent(workspace) / run_id)
