"""Every failure a user can meet: what happened, what to do about it, and its exit code.

They are raised anywhere and caught in one place, `trainer.cli.main`. The exit codes are documented in
docs/exit-codes.md; a training script's own exit code is passed on unchanged.
"""

from __future__ import annotations

import signal


class TrainerError(Exception):
    """A failure with a remedy. `message` says what happened, `hint` what the user can do."""

    exit_code = 80

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class NotReproduced(TrainerError):
    """The metrics of a run that was made again differ from the first run's more than they may."""

    exit_code = 1


class InvalidInput(TrainerError):
    """The command line, an MLproject, an image.yaml or trainer.yaml says something that cannot be."""

    exit_code = 2


class SecretsError(TrainerError):
    """secrets.env could leak or cannot be read."""

    exit_code = 81


class EngineError(TrainerError):
    """The Docker engine or a part of it (buildx) does not answer."""

    exit_code = 82


class ImageError(TrainerError):
    """A trainer image (or a local environment made from its lock) is missing or failed to build.

    Or its lock could not be compiled.
    """

    exit_code = 83


class TrackingError(TrainerError):
    """The tracking server cannot be reached or does not do what was asked."""

    exit_code = 84


class TrackingDenied(TrackingError):
    """The tracking server refuses the user name and password, or the token."""

    exit_code = 85


class OutOfMemory(TrainerError):
    """A process of the run was killed because the memory limit was reached."""

    exit_code = 86


class RunLost(TrainerError):
    """The container was removed, or stopped from outside, before the script ended."""

    exit_code = 87


class GpuError(TrainerError):
    """A GPU was asked for and cannot be used."""

    exit_code = 88


class CheckFailed(TrainerError):
    """A check found something that a run would fail on (`trainer doctor`, `trainer data …`)."""

    exit_code = 89


class DeployError(TrainerError):
    """A platform refused a step of a deployment, or what was deployed does not do what it should."""

    exit_code = 90


class DiskFull(TrainerError):
    """What had to be written did not fit on this machine's disk."""

    exit_code = 91


class FileError(TrainerError):
    """A file or folder of this machine cannot be read or written: its permissions, its kind, its name."""

    exit_code = 92


class NotAllowed(TrainerError):
    """A project asks for access that the user has not allowed."""

    exit_code = 93


class GpuOutOfMemory(TrainerError):
    """The GPU's memory did not suffice for the run; trainkit ended its script with this code."""

    exit_code = 94


class NotBetter(TrainerError):
    """A model that was to be promoted if it is better is not, on the same samples."""

    exit_code = 95


class TooFewSamples(TrainerError):
    """The samples do not tell which of two models is better."""

    exit_code = 96


class NoFreeSlot(TrainerError):
    """What a run asks for of the machine is in use: its GPUs, cores, or memory."""

    exit_code = 97


class SweepFailed(TrainerError):
    """The trials of a sweep come to nothing."""

    exit_code = 98


class ScriptFailed(TrainerError):
    """The training script ended by itself with a code other than 0; that code is passed on."""

    def __init__(self, code: int, hint: str) -> None:
        super().__init__(f"The training script ended with exit code {code}.", hint)
        self.exit_code = code


class ScriptKilled(TrainerError):
    """The training script was ended by a signal: exit code 128 + signal number, as in a shell."""

    def __init__(self, number: int, hint: str) -> None:
        super().__init__(f"The training script was ended by {signal_name(number)}.", hint)
        self.exit_code = 128 + number


class Interrupted(BaseException):
    """Somebody asked this process to stop (Ctrl-C, SIGTERM, SIGHUP).

    Not a `TrainerError` and not an `Exception`, so that no handler of failures swallows it.
    """

    def __init__(self, number: int) -> None:
        super().__init__(signal_name(number))
        self.number = number
        self.exit_code = 128 + number
        self.hint = "The same command starts it again."


def signal_name(number: int) -> str:
    """`SIGKILL` for 9; numbers without a name stay numbers."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
