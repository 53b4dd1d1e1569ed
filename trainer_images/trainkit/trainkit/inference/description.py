"""What an ONNX file says of itself, in the entry `trainer.model` of its metadata: all that using it takes."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Literal, Protocol, Self, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError, model_validator

from trainkit.errors import InputError

KEY = "trainer.model"
VERSION = 1

Name: TypeAlias = Annotated[str, Field(min_length=1)]
Word: TypeAlias = str | FiniteFloat
"""A category: text, or a number where all of a column's categories are numbers."""
Categories: TypeAlias = tuple[Word | None, ...]
"""In the order of the numbers that they become; None is a missing cell."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Number(_Part):
    """A column of numbers."""

    kind: Literal["number"] = "number"
    name: Name


class Date(_Part):
    """A column of dates: `format` is `ISO8601`, or as `strptime` has it. Dates without a zone are in UTC."""

    kind: Literal["date"] = "date"
    name: Name
    format: Name


class Category(_Part):
    """A column of categories: `values` are those that training has seen."""

    kind: Literal["category"] = "category"
    name: Name
    values: tuple[Word, ...]


class Scaled(_Part):
    """One number of a column of numbers, or of dates (seconds since 1970): (value - mean) / deviation.

    A missing cell becomes `missing` before; with None it stays NaN.
    """

    kind: Literal["scaled"] = "scaled"
    column: Name
    missing: FiniteFloat | None = None
    mean: FiniteFloat
    deviation: FiniteFloat

    @property
    def width(self) -> int:
        """How many numbers the column becomes."""
        return 1

    @model_validator(mode="after")
    def _divides(self) -> Self:
        if self.deviation == 0:
            raise ValueError("a deviation of 0 cannot be divided by")
        return self


class OneHot(_Part):
    """A number for each of `categories`, of which one is 1, and one more for all of `rare` if there are any.

    A category that is in neither is with the rare ones, or, where there are none, all numbers are 0.
    """

    kind: Literal["one_hot"] = "one_hot"
    column: Name
    categories: Categories
    rare: Categories = ()

    @property
    def width(self) -> int:
        """How many numbers the column becomes."""
        return len(self.categories) + bool(self.rare)

    @model_validator(mode="after")
    def _differ(self) -> Self:
        _refuse_twice("category", (*self.categories, *self.rare))
        return self


class Index(_Part):
    """One number, by which an embedding is looked up: the position in `categories`.

    A missing cell is -1 where None is one of them, which then is the last; what is not among them is -2.
    """

    kind: Literal["index"] = "index"
    column: Name
    categories: Categories

    @property
    def width(self) -> int:
        """How many numbers the column becomes."""
        return 1

    @model_validator(mode="after")
    def _differ(self) -> Self:
        _refuse_twice("category", self.categories)
        if None in self.categories[:-1]:
            raise ValueError("the missing category is not the last")
        return self


Column: TypeAlias = Annotated[Number | Date | Category, Field(discriminator="kind")]
Encoded: TypeAlias = Annotated[Scaled | OneHot | Index, Field(discriminator="kind")]


class Images(_Part):
    """Pictures: RGB, 0 … 255, stretched to a square of `size`, with the type of the graph's one input.

    `white_integers` and `white_floats` are the values that become 255 in pictures of more than 8 bits.
    """

    kind: Literal["images"] = "images"
    size: int = Field(ge=1, le=4096)
    layout: Literal["NHWC", "NCHW"]
    white_integers: FiniteFloat = Field(default=65535, gt=0)
    white_floats: FiniteFloat = Field(default=1, gt=0)


class Table(_Part):
    """Rows. `columns` are those that the model takes, by name.

    Without an `encoding`, the graph has an input for each column, named like it: (n, 1), floats or strings.
    With one, it has one input: (n, width), the numbers of `encoding` in its order.
    """

    kind: Literal["table"] = "table"
    columns: tuple[Column, ...] = Field(min_length=1)
    encoding: tuple[Encoded, ...] | None = None

    @property
    def width(self) -> int:
        """How many numbers a row becomes."""
        return sum(part.width for part in self.encoding or ())

    @model_validator(mode="after")
    def _agree(self) -> Self:
        _refuse_twice("column", tuple(column.name for column in self.columns))
        if self.encoding is not None:
            by_name = {column.name: column for column in self.columns}
            for part in self.encoding:
                column = by_name.get(part.column)
                if column is None:
                    raise ValueError(f"the encoding has {part.column!r}, which is no column")
                if isinstance(part, Scaled) == isinstance(column, Category):
                    raise ValueError(f"{column.kind} {part.column!r} cannot be {part.kind}")
            if not self.width:
                raise ValueError("the encoding gives no number")
        return self


class Description(_Part):
    """A model: what it takes, and what its answers mean.

    `classes` are in the order of the answers, () of a regression. `target` is the column of a table that is
    predicted. `output` is the graph's output of probabilities or quantities; `embedding` is a second one, or
    None. `framework` is what it was exported from, such as `keras 3.15.1`.
    """

    version: Literal[1] = 1
    task: Literal["classification", "regression"]
    classes: tuple[Name, ...] = ()
    target: Name | None = None
    input: Annotated[Images | Table, Field(discriminator="kind")]
    output: Name
    embedding: Name | None = None
    framework: Name
    run_id: Name | None = None

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if self.task == "classification" and len(self.classes) < 2:
            raise ValueError("a classification has two classes or more")
        if self.task == "regression" and self.classes:
            raise ValueError("a regression has no classes")
        _refuse_twice("class", self.classes)
        return self

    def text(self) -> str:
        """The value of `KEY` in the metadata."""
        return self.model_dump_json()


class _Meta(Protocol):
    @property
    def custom_metadata_map(self) -> Mapping[str, str]: ...


class Session(Protocol):
    """What of an `onnxruntime.InferenceSession` is needed here."""

    def get_modelmeta(self) -> _Meta:
        """The file's metadata."""


def read(model: Session | Path) -> Description:
    """The description in an ONNX file, or in one that is open.

    Raises `InputError` where it is no ONNX file, has no description, or one of another version of trainer.
    """
    if not isinstance(model, Path):
        return parse(model.get_modelmeta().custom_metadata_map)
    from trainkit.inference import onnx_file

    return parse(onnx_file.opened(model, threads=1).get_modelmeta().custom_metadata_map, str(model))


def parse(metadata: Mapping[str, str], file: str = "The ONNX file") -> Description:
    """The description in the metadata of `file`. Raises `InputError` as `read` does."""
    text = metadata.get(KEY)
    if text is None:
        raise InputError(
            f"{file} does not say what it takes and what its answers mean: it has no metadata {KEY!r}.",
            "Use a model that `trainer models register` has exported.",
        )
    try:
        return Description.model_validate_json(text)
    except ValidationError as error:
        raise InputError(
            f"{file}: the metadata {KEY!r} is invalid: {'; '.join(_faults(error))}.",
            "Use the version of trainer that exported the model, or export it again with this one.",
        ) from None


def _faults(error: ValidationError) -> Iterator[str]:
    for fault in error.errors(include_url=False, include_input=False)[:3]:
        where = ".".join(map(str, fault["loc"]))
        yield f"{where}: {fault['msg']}" if where else fault["msg"]


def _refuse_twice(what: str, values: tuple[Word | None, ...]) -> None:
    seen: set[Word | None] = set()
    for value in values:
        if value in seen:
            raise ValueError(f"{what} {value!r} is there twice")
        seen.add(value)
