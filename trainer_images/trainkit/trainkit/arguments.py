"""Typed command-line arguments for training scripts."""

import argparse
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, get_type_hints

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

ArgumentsT = TypeVar("ArgumentsT", bound="DataclassInstance")

# No bool: MLproject files have no such type, and bool("false") is True.
READERS = (str, int, float, Path)


def read_arguments(cls: type[ArgumentsT], argv: Sequence[str] | None = None) -> ArgumentsT:
    """Read the command line into the dataclass `cls`: the field `n_estimators` is `--n-estimators`.

    Every option is required, because the defaults stand in the MLproject alone. A missing, unknown or
    badly typed option prints the usage and exits with 2.
    """
    # Without allow_abbrev=False a misspelt option could be taken for another one.
    parser = argparse.ArgumentParser(allow_abbrev=False)
    types = get_type_hints(cls)
    for field in fields(cls):
        reader = types[field.name]
        if reader not in READERS:
            raise TypeError(f"{cls.__name__}.{field.name}: use one of str, int, float and Path")
        option = "--" + field.name.replace("_", "-")
        parser.add_argument(option, type=reader, required=True, metavar=reader.__name__.upper())
    return cls(**vars(parser.parse_args(argv)))
