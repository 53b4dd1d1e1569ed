"""What a tracking server will never take: which answers say so, and where such a record is kept."""

from __future__ import annotations

import json
from collections.abc import Mapping

from trainkit.spool.journal import Record, Spool
from trainkit.spool.responses import Response, error_code, summary

REFUSED_TAG = "trainer.refused"
# Where the reason is refused as well: what is in front of a server may dislike a name that is in it.
WITHOUT_REASON = "the reason is on the disk that it ran on"
_FILE = "refused"
# By MLflow's own judgement of a record. BAD_REQUEST is not here: it is how a busy database shows, too.
CODES = {
    "INVALID_PARAMETER_VALUE", "RESOURCE_DOES_NOT_EXIST", "RESOURCE_ALREADY_EXISTS", "INVALID_STATE",
    "MALFORMED_REQUEST", "RESOURCE_CONFLICT", "FEATURE_DISABLED",
}  # fmt: skip
# Those of 4xx that pass: the password, a proxy's password, time, too early, too many.
_PASSING = (401, 407, 408, 425, 429)
_UNMADE = "refused/"
OF_UNMADE = Response(
    404,
    json.dumps(
        {"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "It belongs to what the server refused."}
    ),
)


def is_judged(response: Response) -> bool:
    """Whether MLflow looked at the record, and will never take it."""
    return error_code(response) in CODES and response.status not in (401, 403)


def is_lasting(response: Response) -> bool:
    """Whether the same request will be refused again, whoever refused it: for its size, route or rights."""
    is_refusal = 400 <= response.status < 500 and response.status not in _PASSING
    return is_refusal and error_code(response) != "BAD_REQUEST"


def reason(spool: Spool, record: Record, response: Response) -> str:
    """What the server said, in one line; of a file, after its path and size."""
    if "file" not in record:
        return summary(response)
    file = spool.folder / str(record["file"])
    size = file.stat().st_size if file.exists() else 0
    sized = f"{size / 1e6:.1f} MB" if size >= 100_000 else f"{size:,} bytes"
    return f"{'/'.join(filter(None, [str(record['path']), file.name]))} ({sized}): {summary(response)}"


def keep(spool: Spool, record: Record, response: Response) -> None:
    """Write the record down beside the journal, with the status and the reason."""
    line = {"record": record, "status": response.status, "answer": reason(spool, record, response)}
    with (spool.folder / _FILE).open("a") as file:
        file.write(json.dumps(line) + "\n")


def unmade(record: Record) -> dict[str, str]:
    """The names of a run or model that the server refused to make."""
    local = str(record["local"])
    return {local: _UNMADE + local, str(record["uri"]): _UNMADE + local}


def is_of_unmade(meant: Record, names: Mapping[str, str]) -> bool:
    """Whether a record, in the server's names, is about something that the server refused to make."""
    unmade_names = {name for name in names.values() if name.startswith(_UNMADE)}
    text = json.dumps(meant) if unmade_names else ""
    return any(name in text for name in unmade_names)
