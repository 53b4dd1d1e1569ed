"""The tables of runs and of accounts, both in one database: are they there, and of this version?

To be imported after `environment.prepare`: MLflow reads the environment when it is imported.
"""

from __future__ import annotations

from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from mlflow.server.auth.db import utils as accounts
from mlflow.store.db import utils as runs
from sqlalchemy.engine import Engine

from mlflow_server.refusal import Refusal

ACCOUNTS_VERSION = "alembic_version_auth"  # its own table of versions, beside that of the runs


def verify(engine: Engine) -> None:
    """Raises `Refusal` unless both schemas are those of the installed MLflow."""
    with engine.connect() as connection:
        actual = [
            MigrationContext.configure(connection).get_current_heads(),
            MigrationContext.configure(
                connection, opts={"version_table": ACCOUNTS_VERSION}
            ).get_current_heads(),
        ]
    expected = [
        ScriptDirectory.from_config(runs._get_alembic_config(db_url="")).get_heads(),
        ScriptDirectory.from_config(accounts._get_alembic_config("")).get_heads(),
    ]
    if [set(heads) for heads in actual] != [set(heads) for heads in expected]:
        raise Refusal(
            "The database's schema is not that of this version of MLflow.",
            "Take a backup, then run: python -m mlflow_server release",
        )


def migrate(engine: Engine) -> None:
    """Bring both schemas to the installed version, from an empty database or an older one."""
    try:
        if runs._is_empty_database(engine):  # what `mlflow db upgrade URL` does, without the URL in `ps`
            runs._initialize_tables(engine)
        else:
            runs._upgrade_db(engine)
        accounts.migrate(engine, "head")
    except CommandError as error:
        raise Refusal(
            f"The database cannot be migrated: {error}.", "If a newer MLflow made it, deploy that version."
        ) from None
