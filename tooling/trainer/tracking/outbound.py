"""What it takes to get out to a tracking server: certificate authorities of one's own, and proxies.

The variables are those of MLflow's client and of `requests`, from the environment or secrets.env. A run gets
them as well, and the files as files of its own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import urlsplit

from trainer.errors import InvalidInput
from trainer.workspace.secrets import PROXIES, Secrets

_LOOPBACK = {"localhost", "127.0.0.1", "::1"}
INSECURE, AUTHORITY, BUNDLE = (
    "MLFLOW_TRACKING_INSECURE_TLS",
    "MLFLOW_TRACKING_SERVER_CERT_PATH",
    "REQUESTS_CA_BUNDLE",
)
NO_PROXY = ("NO_PROXY", "no_proxy")
_FILES = (AUTHORITY, BUNDLE)


@dataclass(frozen=True)
class Outbound:
    """The variables that are set. Printing it shows none: the address of a proxy may have a password."""

    variables: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def verify(self) -> bool | str | None:
        """As `requests` takes it; None where nothing was said."""
        if self.variables.get(INSECURE):
            return False
        return self.variables.get(AUTHORITY) or self.variables.get(BUNDLE)

    @property
    def digest(self) -> str:
        """Of all that is set, and of what is in the files."""
        files = [_content(self.variables[name]) for name in _FILES if name in self.variables]
        return hashlib.sha256(repr((sorted(self.variables.items()), files)).encode()).hexdigest()

    def proxies(self, uri: str) -> dict[str, str]:
        """The proxies for an address, by scheme."""
        from requests.utils import should_bypass_proxies

        besides = next((self.variables[name] for name in NO_PROXY if name in self.variables), None)
        if should_bypass_proxies(uri, no_proxy=besides):
            return {}
        by_scheme: dict[str, str] = {}
        for name in ("ALL_PROXY", "HTTP_PROXY", "HTTPS_PROXY"):
            value = self.variables.get(name.lower()) or self.variables.get(name)
            schemes = ("http", "https") if name == "ALL_PROXY" else (name.partition("_")[0].lower(),)
            by_scheme |= dict.fromkeys(schemes, value) if value else {}
        return by_scheme

    def directly_to(self, *hosts: str) -> Outbound:
        """The same, with no proxy for these hosts."""
        if not any(name in self.variables for name in PROXIES if name not in NO_PROXY):
            return self
        no_proxy = next((self.variables[name] for name in NO_PROXY if name in self.variables), "")
        besides = ",".join(filter(None, [no_proxy, *hosts]))
        return replace(self, variables={**self.variables, **dict.fromkeys(NO_PROXY, besides)})

    @property
    def of_this_machine(self) -> list[str]:
        """The names of those that say a proxy on this machine's localhost, which is not a container's."""
        named = [name for name in PROXIES if name in self.variables and name not in NO_PROXY]
        return [name for name in named if _host(self.variables[name]) in _LOOPBACK]

    def without(self, *names: str) -> Outbound:
        """The same, without these variables."""
        return Outbound({name: value for name, value in self.variables.items() if name not in names})

    def moved(self, folder: str) -> tuple[dict[str, str], dict[str, bytes]]:
        """The variables for a container whose files of that kind are in the folder, and these by name."""
        named = {name: f"{name.lower()}.pem" for name in _FILES if name in self.variables}
        variables = {**self.variables, **{name: f"{folder}/{file}" for name, file in named.items()}}
        return variables, {file: _content(self.variables[name]) for name, file in named.items()}


def of(secrets: Secrets) -> Outbound:
    """What is set.

    Raises `InvalidInput` for a file that cannot be read, and where one contradicts the other.
    """
    variables = {name: value for name in (AUTHORITY, BUNDLE, *PROXIES) if (value := secrets.get(name))}
    for name in _FILES:
        if name in variables:
            _check(name, variables[name])
    if (secrets.get(INSECURE) or "").strip().lower() in ("true", "1"):
        variables[INSECURE] = "true"
        if AUTHORITY in variables:
            raise InvalidInput(
                f"{INSECURE} and {AUTHORITY} are both set: MLflow's client takes one of them.",
                f"Unset {INSECURE}: with the authority's file, the server's certificate can be checked.",
            )
    return Outbound(variables)


def remarks(outbound: Outbound, usable: Outbound) -> tuple[str, ...]:
    """What to tell of a way out that a run cannot use as it is."""
    return tuple(
        f"{name} names a proxy on this machine's localhost. A container has a localhost of its own: the run "
        "does not get it.\nUse an address that containers can reach."
        for name in sorted(outbound.variables.keys() - usable.variables.keys())
    )


def _check(name: str, path: str) -> None:
    try:
        _content(path)
    except OSError as error:
        raise InvalidInput(
            f"{name} is {path}, which cannot be read: {error.strerror}.",
            "Specify the file of the certificate authority, in PEM.",
        ) from None


def _content(path: str) -> bytes:
    """Of the file; a folder of such files is taken as one of them all."""
    certificate = Path(path)
    files = (
        sorted(file for file in certificate.iterdir() if file.is_file())
        if certificate.is_dir()
        else [certificate]
    )
    return b"\n".join(file.read_bytes() for file in files)


def _host(proxy: str) -> str | None:
    try:
        return urlsplit(proxy if "://" in proxy else f"http://{proxy}").hostname
    except ValueError:
        return None
