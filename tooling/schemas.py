"""docs/schemas/: JSON schemas of the YAML that users write, for editors: python tooling/schemas.py FOLDER.

trainer itself does not validate with them: with pydantic each command, and each completion, would take twice
the time, and its messages would still have to be written here. A test compares the two.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, NotRequired, cast

from pydantic import ConfigDict, Field, TypeAdapter
from trainer.images.spec import ImageSpec
from trainer.workspace import settings
from trainer.workspace.settings import Settings
from typing_extensions import TypedDict

Schema = dict[str, object]
Scalar = str | int | float | bool
Texts = list[str]
Requirements = Annotated[Texts, Field(description="As in requirements.txt; -r FILE is one of them.")]


class PythonEnv(TypedDict, total=False):
    """What an image of a project's own is built from."""

    __pydantic_config__ = ConfigDict(extra="forbid")  # type: ignore[misc]
    python: Annotated[str, Field(description="A version, in quotes: 3.10 without them is 3.1.")]
    build_dependencies: Requirements
    dependencies: Requirements


class DockerEnv(TypedDict):
    """The image that the project runs in, and what it gets of the host."""

    __pydantic_config__ = ConfigDict(extra="forbid")  # type: ignore[misc]
    image: Annotated[str, Field(min_length=1, description="A trainer image, or any other.")]
    volumes: NotRequired[Annotated[Texts, Field(description="/on/the/host:/in/the/container")]]
    environment: NotRequired[
        Annotated[
            list[str | tuple[str, str | int | float]],
            Field(description="NAME is copied from the host or secrets.env; [NAME, value] is set."),
        ]
    ]


class Parameter(TypedDict, total=False):
    """A parameter of an entry point: one without a default has to be given."""

    type: Annotated[str, Field(examples=["string", "int", "float", "path", "uri"])]
    default: Scalar | None
    help: str
    choices: list[Scalar]
    minimum: float
    maximum: float
    dataset: Annotated[bool, Field(description="Whether it names something in data/, if no choice.")]
    column_of: Annotated[str, Field(description="The parameter that names the table it is a column of.")]
    target_as: Annotated[
        Mapping[str, Literal["classes", "quantity"]],
        Field(description="What values take the target of a table for."),
    ]
    learns: Annotated[
        Mapping[str, Literal["classes", "two classes", "quantity"]],
        Field(description="What alone values can learn."),
    ]


class EntryPoint(TypedDict):
    """A command, with {PARAMETER} where a value goes."""

    command: Annotated[str, Field(min_length=1)]
    parameters: NotRequired[Mapping[str, str | Parameter] | None]


class MLproject(TypedDict, total=False):
    """An MLflow project."""

    name: str
    docker_env: DockerEnv
    python_env: Annotated[str, Field(description="The file that its image is built from.")]
    conda_env: Annotated[str, Field(description="The file that its image is built from.")]
    entry_points: Mapping[str, EntryPoint] | None
    primary_metric: Annotated[str, Field(description="The metric that its runs are judged by.")]


def all_of_them() -> dict[str, Schema]:
    """The schemas, by the name of their file."""
    return {
        "trainer.json": _trainer(),
        "image.json": _image(),
        "MLproject.json": _titled(TypeAdapter(MLproject).json_schema(), "MLproject"),
        "python_env.json": _titled(TypeAdapter(PythonEnv).json_schema(), "python_env.yaml"),
    }


def _trainer() -> Schema:
    schema = _of(Settings)
    properties = cast(dict[str, Schema], schema["properties"])
    for name, allowed in settings.RANGES.items():
        properties[name] |= {"minimum": allowed[0], "maximum": allowed[-1]}
    properties["shm_size"]["pattern"] = f"^{settings.SIZE}$"
    values = {"type": "object", "additionalProperties": {"type": ["string", "number", "boolean"]}}
    properties["parameters"]["additionalProperties"] = values
    return _titled({**schema, "additionalProperties": False}, settings.SETTINGS_FILE)


def _image() -> Schema:
    schema = _of(ImageSpec)
    properties = cast(dict[str, Schema], schema["properties"])
    for derived in ("name", "folder"):
        del properties[derived]
    return _titled({**schema, "required": [], "additionalProperties": False}, "image.yaml")


def _of(kind: type) -> Schema:
    """With what is said below each field."""
    kind.__pydantic_config__ = ConfigDict(use_attribute_docstrings=True)  # type: ignore[attr-defined]
    return TypeAdapter(kind).json_schema()


def _titled(schema: Mapping[str, object], title: str) -> Schema:
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": title}


if __name__ == "__main__":
    place = Path(sys.argv[1])
    place.mkdir(exist_ok=True)
    for file, schema in all_of_them().items():
        (place / file).write_text(json.dumps(schema, indent=2) + "\n", encoding="utf-8")
