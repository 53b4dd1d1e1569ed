"""The tags of runs that trainer sets and reads, and those of MLflow's that it uses.

MLflow has names for its own in a module whose import takes seconds. Tags that scripts set by way of the spool
have their names in trainkit.

MLflow's UI shows all tags of a run but those that begin with `mlflow.`. What nobody picks runs by has that
before its name on a server; the rest of trainer sees one name, also of runs from before that.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypedDict

# How a run ended: why, in words; of its script.
END = "trainer.end"
EXIT_CODE = "trainer.exit_code"
SIGNAL = "trainer.signal"
OUT_OF_MEMORY = "trainer.out_of_memory"

# What it was made of, and where.
VERSION = "trainer.version"
BACKEND = "trainer.backend"
COMMAND = "trainer.command"
IMAGE = "trainer.image"
IMAGE_ID = "trainer.image_id"
IMAGE_DIGEST = "trainer.image_digest"
REQUIREMENTS_DIGEST = "trainer.requirements_digest"
CODE_DIGEST = "trainer.code_digest"
GIT_DIRTY = "trainer.git_dirty"
GPUS = "trainer.gpus"
CPUS = "trainer.cpus"
MEMORY = "trainer.memory"
SEED = "trainer.seed"
DETERMINISTIC = "trainer.deterministic"
PRIMARY_METRIC = "trainer.primary_metric"

# Of an experiment: the registered model whose evaluations and aliases its runs keep.
REGISTERED_MODEL = "trainer.registered_model"

# Of the parent run of a sweep, which has the id of its best trial's run; of a trial's run: its number, which
# repetition it is, and after which step it was pruned.
SWEEP = "trainer.sweep"
BEST_RUN = "trainer.best_run"
TRIAL = "trainer.trial"
REPEAT = "trainer.repeat"
PRUNED = "pruned"

# The description of a run in the MLflow UI, in Markdown.
NOTE = "mlflow.note.content"
KEEP_FILES = "trainer.keep_files"

# What became of it.
LAUNCH = "trainer.launch"
RESTARTS = "trainer.restarts"
LEFT_FILES = "trainer.left_files"
REPRODUCES = "trainer.reproduces"
WARM_START = "trainer.warm_start"
REPRODUCED = "trainer.reproduced"
RECREATED = "trainer.recreated"
COPIED_FROM = "trainer.copied_from"

# Those of trainkit's Keras code, beside one with the name of the backend, which is its version. Images of an
# earlier trainkit leave out the `trainer.` before versions.
KERAS = "keras"
KERAS_BACKEND = "keras_backend"
KERAS_DEVICE = "device"

# MLflow's.
USER = "mlflow.user"
RUN_NAME = "mlflow.runName"
PARENT_RUN = "mlflow.parentRunId"
SOURCE_TYPE = "mlflow.source.type"
SOURCE_NAME = "mlflow.source.name"
GIT_COMMIT = "mlflow.source.git.commit"
GIT_BRANCH = "mlflow.source.git.branch"
GIT_REPOSITORY = "mlflow.source.git.repoURL"
ENTRY_POINT = "mlflow.project.entryPoint"
PROJECT_BACKEND = "mlflow.project.backend"

_UNSEEN = "mlflow."
_UNSEEN_TAGS = frozenset(
    {
        VERSION, COMMAND, IMAGE_ID, IMAGE_DIGEST, REQUIREMENTS_DIGEST, CODE_DIGEST, GIT_DIRTY, CPUS, MEMORY,
        SEED, DETERMINISTIC, PRIMARY_METRIC, KEEP_FILES, LAUNCH,
    }
)  # fmt: skip


class Pair(TypedDict):
    """A tag in MLflow's REST API."""

    key: str
    value: str


def key(name: str) -> str:
    """What a server calls the tag."""
    return f"{_UNSEEN}{name}" if name in _UNSEEN_TAGS else name


def pairs(tags: Mapping[str, str]) -> list[Pair]:
    """Tags as a server gets them."""
    return [{"key": key(name), "value": value} for name, value in tags.items()]


def read(listed: Iterable[Pair]) -> dict[str, str]:
    """Tags by their names, of what a server has."""
    own = f"{_UNSEEN}trainer."
    return {
        pair["key"].removeprefix(_UNSEEN) if pair["key"].startswith(own) else pair["key"]: pair["value"]
        for pair in listed
    }
