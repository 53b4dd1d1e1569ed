"""Whose a spool is: the run that its launcher made, or is to make, whatever a script wrote into it.

What names the run is kept outside of what the run can write to. How the server calls what was made up while
it was away is in `names.json`, which a run writes itself: it is believed where the server says the same.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import cast

from trainkit.spool.journal import Record, Spool
from trainkit.spool.names import OFFLINE, OFFLINE_TAG
from trainkit.spool.responses import API, ServerUnavailable, Transport, error_code, why

from trainer.workspace.run_folder import RunFolder

REFUSED = "refused/"  # what the server refused to make
_READ = ("delivered", "stored", "names.json")


def keep(folder: RunFolder) -> None:
    """Keep what names the run beside its spool. Raises `OSError` on a full disk."""
    replace(folder.begun, (folder.spool / "run.json").read_bytes())


def restore(folder: RunFolder) -> None:
    """Put what names the run back into its spool. Raises `OSError`."""
    with contextlib.suppress(FileNotFoundError):  # a spool of an earlier version, or of no launch
        replace(folder.spool / "run.json", folder.begun.read_bytes())


def check(spool: Spool, transport: Transport) -> None:
    """Deliver everything from the beginning where names lead to what is not the run's.

    What an earlier delivery made is found on the server then, as after any interruption. Raises
    `ServerUnavailable`.
    """
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):  # torn: then there are no names
        if (names := spool.names()) and not _are_own(spool, names, transport):
            for name in _READ:
                (spool.folder / name).unlink(missing_ok=True)


def is_known(spool: Spool, transport: Transport) -> bool:
    """Whether the server has the run, or creates it from the spool. Raises `ServerUnavailable`."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):  # torn: then nobody can say
        info = cast(Mapping[str, str], spool.run()["info"])
        run_id = spool.names().get(info["run_id"], info["run_id"])
        if run_id == info["run_id"] and info["artifact_uri"].startswith(OFFLINE):
            return True
        answer = transport.send("GET", f"{API}/runs/get", query={"run_id": run_id})
        return error_code(answer) != "RESOURCE_DOES_NOT_EXIST"
    return True


def _are_own(spool: Spool, names: Mapping[str, str], transport: Transport) -> bool:
    """Whether the server has by each name what the launcher, or the journal, calls so."""
    info = cast(Mapping[str, str], spool.run()["info"])
    roots = [info["artifact_uri"]]
    created: dict[str, Record] = {info["run_id"]: {"create": "run"}, **_created(spool)}
    for local, record in created.items():
        server_name = names.get(local)
        if server_name is None or server_name.startswith(REFUSED) or record["create"] == "experiment":
            continue
        if not local.endswith(
            server_name
        ):  # else a model that is files of a run, on a server before MLflow 3
            exists = _found(transport, str(record["create"]), server_name)
            if exists is not None:
                if {"key": OFFLINE_TAG, "value": local} not in exists[1]:
                    return False
                roots.append(exists[0])
    places = [
        server_name for name, server_name in names.items() if "/" in name and not name.startswith("models:/")
    ]
    return all(server_name.startswith(REFUSED) or _is_below(server_name, roots) for server_name in places)


def _found(transport: Transport, kind: str, server_name: str) -> tuple[str, list[Record]] | None:
    """Address and tags of a run or model; None where the server does not have it, which is another matter."""
    is_run = kind == "run"
    path, query = (
        (f"{API}/runs/get", {"run_id": server_name})
        if is_run
        else (f"{API}/logged-models/{server_name}", None)
    )
    answer = transport.send("GET", path, query=query)
    if error_code(answer) == "RESOURCE_DOES_NOT_EXIST":
        return None
    if answer.status != 200:
        raise ServerUnavailable(why(answer))
    payload = cast(Record, answer.json().get(kind) or {})
    info, data = (cast(Record, payload.get(name) or {}) for name in ("info", "data"))
    tags = data.get("tags") if is_run else info.get("tags")
    return str(info.get("artifact_uri")), cast(list[Record], tags or [])


def _created(spool: Spool) -> dict[str, Record]:
    records = (entry.record for entry in spool.entries())
    return {str(record["local"]): record for record in records if record is not None and "create" in record}


def _is_below(uri: str, roots: list[str]) -> bool:
    return any(uri == root or uri.startswith(f"{root}/") for root in roots)


def replace(file: Path, content: bytes) -> None:
    """Write the file wholly or not at all. Raises `OSError`."""
    temporary = file.with_name(f".{file.name}.host")
    temporary.write_bytes(content)
    temporary.replace(file)
