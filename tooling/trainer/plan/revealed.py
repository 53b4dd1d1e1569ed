"""No secret is told in the words of a command, from where it would go to the server, the engine and `ps`."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping

from trainer.errors import InvalidInput
from trainer.masking import Masker
from trainer.workspace.secrets import Secrets


def check(
    loaded: Secrets,
    declared: tuple[str, ...],
    parameters: Mapping[str, str],
    options: Iterable[tuple[str, str]],
) -> None:
    """Raises `InvalidInput`, naming the secret, where its value is in a parameter or in the text of an
    option.

    `declared` are the variables that the project takes as secrets. A value that is masked where it is stored
    would still be in the script's arguments, for every user of the machine to see: so it is not passed on.
    """
    masker = Masker(loaded.masked(declared))
    texts = [(f"The parameter {name}", f"{name}={value}") for name, value in parameters.items()]
    for label, text in [*texts, *options]:
        if masker.text(text) == text:
            continue
        name = loaded.named_in(text, declared)
        raise InvalidInput(
            f"{label} holds the value of the secret {name}, and is stored with the run.",
            f"A script reads a secret with os.environ[{name!r}], if the MLproject has {name} under "
            "docker_env.environment. A value that is not a secret belongs there too, as [NAME, value], "
            "and not in secrets.env.",
        )


def check_variables(loaded: Secrets, declared: tuple[str, ...], variables: Iterable[str]) -> None:
    """Raises `InvalidInput` for a variable in a volume's source whose value is a secret: the engine
    shows it.
    """
    for variable in variables:
        if name := loaded.named_in(os.environ.get(variable, ""), declared):
            raise InvalidInput(
                f"docker_env.volumes has {variable}, which is the value of the secret {name}.",
                "Every user of the engine could read it. Take it out of the MLproject.",
            )
