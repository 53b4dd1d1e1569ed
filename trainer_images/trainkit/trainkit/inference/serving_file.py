"""What a server is to serve: a small file beside the ONNX files, which may be replaced meanwhile."""

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from trainkit.errors import InputError

NAME = "serving.json"


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Entry(_Part):
    """A model: `label` is what the user called it, `version` its number where that is a registered model."""

    file: Annotated[str, Field(pattern=r"^[\w.-]+$")]
    """In the folder of the serving file."""
    label: str = ""
    version: str | None = None

    @property
    def called(self) -> str:
        """NAME@VERSION of a registered model, else what the user called it."""
        return f"{self.label.rpartition('@')[0]}@{self.version}" if self.version else self.label


class Refusal(_Part):
    """A version that is not served though its alias, `label`, points to it."""

    label: str
    version: str
    why: str


class ServingFile(_Part):
    """The model that answers, and the one that is asked beside it."""

    model: Entry
    shadow: Entry | None = None
    refused: tuple[Refusal, ...] = ()

    def text(self) -> str:
        """As it is in the file."""
        return self.model_dump_json()


def read(path: Path) -> ServingFile:
    """What the file says. Raises `InputError`, also where it is being written."""
    try:
        return ServingFile.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        reason = error.strerror if isinstance(error, OSError) else error.errors()[0]["msg"]
        raise InputError(f"{path} cannot be used: {reason}.", "Write it again.") from None
