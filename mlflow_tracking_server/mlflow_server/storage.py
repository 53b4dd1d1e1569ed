"""Where bytes go: artifacts to an S3 bucket or a folder, and what is on its way to the bucket to a disk."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from mlflow_server.refusal import Refusal

DATA = "/data"
IN_MEMORY = ("tmpfs", "ramfs")
LEFT_OVER_S = 24 * 3600
BUCKETEER = {
    "AWS_ACCESS_KEY_ID": "BUCKETEER_AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY": "BUCKETEER_AWS_SECRET_ACCESS_KEY",
    "AWS_DEFAULT_REGION": "BUCKETEER_AWS_REGION",
}


@dataclass(frozen=True)
class Storage:
    """`destination` is a folder or an `s3://` URL; `variables` is what boto3 reads of the environment."""

    destination: str
    variables: Mapping[str, str] = field(default_factory=dict, repr=False)
    is_private: bool = False
    """Whether nobody but this server reaches the bucket."""

    @property
    def in_bucket(self) -> bool:
        """Whether artifacts leave this machine."""
        return self.destination.startswith("s3://")


def forgets(environment: Mapping[str, str]) -> bool:
    """Whether the platform empties the disk: a dyno's is gone at every restart."""
    return "DYNO" in environment


def read(environment: Mapping[str, str]) -> Storage:
    """The storage that is asked for: S3_BUCKET, else Bucketeer's variables, else ARTIFACTS_DIR."""
    if bucket := environment.get("S3_BUCKET"):
        return Storage(_url(bucket), _own_keys(environment), environment.get("S3_PRIVATE") == "1")
    if bucket := environment.get("BUCKETEER_BUCKET_NAME"):
        return Storage(_url(bucket), _bucketeer_keys(environment))
    if forgets(environment):
        raise Refusal(
            "There is no bucket for artifacts, and the disk of a dyno is emptied every day.",
            "Run: heroku addons:create bucketeer",
        )
    return Storage(environment.get("ARTIFACTS_DIR") or f"{DATA}/artifacts")


def _url(bucket: str) -> str:
    return f"s3://{bucket.removeprefix('s3://').strip('/')}"


def _own_keys(environment: Mapping[str, str]) -> dict[str, str]:
    # Without both, boto3 asks the machine's own role.
    if bool(environment.get("AWS_ACCESS_KEY_ID")) != bool(environment.get("AWS_SECRET_ACCESS_KEY")):
        raise Refusal("Only one of AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY is set.", "Set both, or none.")
    # boto3 does not read AWS_REGION, which is what most platforms set.
    region = environment.get("AWS_DEFAULT_REGION") or environment.get("AWS_REGION")
    return {"AWS_DEFAULT_REGION": region} if region else {}


def _bucketeer_keys(environment: Mapping[str, str]) -> dict[str, str]:
    missing = [theirs for theirs in BUCKETEER.values() if not environment.get(theirs)]
    if missing:
        raise Refusal(
            f"BUCKETEER_BUCKET_NAME is set, but {missing[0]} is not.", "Attach the Bucketeer add-on again."
        )
    return {ours: environment[theirs] for ours, theirs in BUCKETEER.items()}


def prepare(folder: Path) -> None:
    """Make `folder` if it is not there, and see to it that this process may write in it."""
    uid = os.getuid()
    existing = next(path for path in (folder, *folder.parents) if os.path.exists(path))  # noqa: PTH110 - no raise
    if not os.access(existing, os.W_OK | os.X_OK):
        raise Refusal(
            f"Uid {uid} cannot write in {existing}, which belongs to uid {existing.stat().st_uid} "
            "or is read-only.",
            f"Mount a volume there that uid {uid} may write in (chown -R {uid} FOLDER), or run as its owner.",
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Refusal(f"The folder {folder} cannot be made: {error.strerror}.", "Name another.") from None


def spool() -> Path:
    """The folder that uploads pass through on their way to the bucket; raises `Refusal` if it is in memory.

    A file of 500 MB in a tmpfs would count as the server's memory, and end it.
    """
    own = "TMPDIR" not in os.environ and os.access(DATA, os.W_OK | os.X_OK)
    folder = Path(DATA) / "spool" if own else Path(tempfile.gettempdir())
    prepare(folder)
    if file_system(folder) in IN_MEMORY:
        raise Refusal(
            f"Artifacts on their way to the bucket pass through {folder}, which is in memory.",
            f"Mount a volume at {DATA}, or set TMPDIR to a folder on a disk.",
        )
    if own:
        _remove_left_overs(folder)
    return folder


def file_system(folder: Path) -> str:
    """The type of the file system that `folder` is on, as the kernel calls it."""
    resolved = folder.resolve()
    file_systems = {"/": ""}
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, mount_point, kind, *_ = line.split()
        file_systems[mount_point.replace("\\040", " ")] = kind
    return file_systems[
        max((mount_point for mount_point in file_systems if resolved.is_relative_to(mount_point)), key=len)
    ]


def _remove_left_overs(folder: Path) -> None:
    """Remove what a killed server left behind; what is younger may be that of another server."""
    for path in folder.iterdir():
        with suppress(OSError):
            if path.stat().st_mtime < time.time() - LEFT_OVER_S:
                shutil.rmtree(path)
