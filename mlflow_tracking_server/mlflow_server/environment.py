"""What MLflow reads from the environment, set from our settings before any of it is imported."""

from __future__ import annotations

import os
import tempfile

from mlflow_server import storage
from mlflow_server.settings import Settings

# A request takes up to two database connections at a time, and waits for the second with the first in its
# hand: more requests at once than half the pool could all stand still for 30 s, and fail.
REQUESTS_AT_ONCE = 4
POOL = {"POOL_SIZE": "8", "MAX_OVERFLOW": "2", "POOL_RECYCLE": "300"}  # an overflow of 0 is read as 10
PASSWORD_CACHE_S = 300  # a check costs 90 ms and 32 MB, at least twice a request


def prepare(settings: Settings) -> None:
    """Set the variables for this process. MLflow reads most of them when it is imported."""
    for name, value in {"HOME": tempfile.gettempdir(), "USER": "mlflow"}.items():
        os.environ[name] = os.environ.get(name) or value  # a uid that is not in /etc/passwd has neither
    os.environ.update(settings.storage.variables)
    os.environ.update({f"MLFLOW_SQLALCHEMYSTORE_{name}": value for name, value in POOL.items()})
    os.environ.update(
        MLFLOW_AUTH_CONFIG_PATH=_accounts_file(settings.database),
        MLFLOW_DISABLE_TELEMETRY="true",
        DO_NOT_TRACK="true",
        MLFLOW_SERVER_ENABLE_JOB_EXECUTION="false",
        MLFLOW_SERVER_ALLOWED_HOSTS=",".join(settings.addresses.hosts),
        MLFLOW_SERVER_CORS_ALLOWED_ORIGINS=",".join(settings.addresses.origins),
    )
    if settings.storage.in_bucket:
        os.environ["TMPDIR"] = str(storage.spool())
        tempfile.tempdir = None  # to be read again


def _accounts_file(database: str) -> str:
    """The only place where MLflow looks for the URL of the accounts: a file, here one that is on no disk."""
    text = f"""[mlflow]
default_permission = READ
database_uri = {database.replace("%", "%%")}
authorization_function = mlflow.server.auth:authenticate_request_basic_auth
auth_cache_ttl_seconds = {PASSWORD_CACHE_S}
"""
    descriptor = os.memfd_create("accounts")
    os.write(descriptor, text.encode())
    return f"/proc/self/fd/{descriptor}"
