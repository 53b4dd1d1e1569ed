"""Whose a spool is: the run that its launcher made, or is to make."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import cast

from trainkit.spool_answers import API, Transport, error_code
from trainkit.spool_journal import Spool
from trainkit.spool_names import OFFLINE


def is_known(spool: Spool, transport: Transport) -> bool:
    """Whether the server has the run, or is to make it with what is in the spool. Raises `Away`."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):  # torn: then nobody can say
        info = cast(Mapping[str, str], spool.run()["info"])
        run_id = spool.names().get(info["run_id"], info["run_id"])
        if run_id == info["run_id"] and info["artifact_uri"].startswith(OFFLINE):
            return True
        answer = transport.send("GET", f"{API}/runs/get", query={"run_id": run_id})
        return error_code(answer) != "RESOURCE_DOES_NOT_EXIST"
    return True
