"""What a tracking server will never take: which answers say so, and where such a record is kept."""

from __future__ import annotations

import json
from collections.abc import Mapping

from trainkit.spool.answers import Answer, error_code, said
from trainkit.spool.journal import Record, Spool

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
OF_UNMADE = Answer(
    404,
    json.dumps(
        {"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "It belongs to what the server refused."}
    ),
)


def is_judged(answer: Answer) -> bool:
    """Whether MLflow looked at the record, and will never take it."""
    return error_code(answer) in CODES and answer.status not in (401, 403)


def is_lasting(answer: Answer) -> bool:
    """Whether the same request will be refused again, whoever refused it: for its size, route or rights."""
    is_refusal = 400 <= answer.status < 500 and answer.status not in _PASSING
    return is_refusal and error_code(answer) != "BAD_REQUEST"


def reason(spool: Spool, record: Record, answer: Answer) -> str:
    """What the server said, in one line; of a file, after its path and size."""
    if "file" not in record:
        return said(answer)
    kept = spool.folder / str(record["file"])
    size = kept.stat().st_size if kept.exists() else 0
    sized = f"{size / 1e6:.1f} MB" if size >= 100_000 else f"{size:,} bytes"
    return f"{'/'.join(filter(None, [str(record['path']), kept.name]))} ({sized}): {said(answer)}"


def keep(spool: Spool, record: Record, answer: Answer) -> None:
    """Write the record down beside the journal, with the status and the reason."""
    line = {"record": record, "status": answer.status, "answer": reason(spool, record, answer)}
    with (spool.folder / _FILE).open("a") as file:
        file.write(json.dumps(line) + "\n")


def unmade(record: Record) -> dict[str, str]:
    """The names of a run or model that the server refused to make."""
    local = str(record["local"])
    return {local: _UNMADE + local, str(record["uri"]): _UNMADE + local}


def is_of_unmade(meant: Record, names: Mapping[str, str]) -> bool:
    """Whether a record, in the server's names, is about something that the server refused to make."""
    found = {name for name in names.values() if name.startswith(_UNMADE)}
    text = json.dumps(meant) if found else ""
    return any(name in text for name in found)
