"""What stores of artifacts there are besides the tracking server itself, and what it takes to use one."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import unquote, urlsplit

from trainer.errors import TrackingError
from trainer.tracking.endpoint import LOOPBACK


@dataclass(frozen=True)
class _Client:
    """An extra of this package, and the modules that it brings."""

    package: str
    """On PyPI, where `trainer` itself is another project."""
    modules: tuple[str, ...]


_AZURE = _Client(
    "azure-identity azure-storage-blob azure-storage-file-datalake",
    ("azure.identity", "azure.storage.blob", "azure.storage.filedatalake"),
)
_CLIENTS: Mapping[str, _Client] = {
    "s3": _Client("boto3", ("boto3",)),
    "gs": _Client("google-cloud-storage", ("google.cloud.storage",)),
    "wasbs": _AZURE,
    "abfss": _AZURE,
}


def check_client(uri: str) -> None:
    """Raise `TrackingError` where what it takes to use the store at that address is not installed."""
    client = _CLIENTS.get(urlsplit(uri).scheme)
    missing = [name for name in client.modules if not _is_there(name)] if client else []
    if client and missing:
        raise TrackingError(
            f"The artifacts go to {uri}, and {missing[0]}, which stores them there, is not installed.",
            f"Install it where trainer is installed: {sys.executable} -m pip install {client.package}",
        )


def _is_there(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # of a package around it
        return False


def folder(uri: str) -> Path | None:
    """The folder that it is the address of; None for a store of another kind."""
    parts = urlsplit(uri)
    if parts.scheme not in ("", "file") or parts.netloc not in ("", "localhost"):
        return None
    return Path(unquote(parts.path) if parts.scheme else uri)


def serves_from_here(address: str) -> bool:
    """Whether a server at that address may be a process of this machine."""
    host = urlsplit(address).hostname or ""
    if host in LOOPBACK:
        return True
    try:
        addresses = {entry[4][0] for entry in socket.getaddrinfo(host, None)}
        return any(_is_own(str(ip_address)) for ip_address in addresses)
    except OSError:
        return False


def _is_own(address: str) -> bool:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((address, 0))
        except OSError:
            return False
    return True


def can_be_written(folder: Path) -> bool:
    """Whether files can be put into that folder of this machine, or of its root, made when it is needed."""
    existing = next((path for path in (folder, *folder.parents[:2]) if path.exists()), folder)
    return existing.is_dir() and existing != Path(existing.anchor) and os.access(existing, os.W_OK | os.X_OK)
