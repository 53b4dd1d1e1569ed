"""What has to happen once before a new version serves: migrations and the first account."""

from __future__ import annotations

import logging

from mlflow_server import connection, environment
from mlflow_server.settings import Settings

log = logging.getLogger(__name__)


def run(settings: Settings) -> None:
    """Migrate both schemas and make the admin's account. Any number at once: one works, the others wait."""
    environment.prepare(settings)
    engine = connection.connect(settings.database)
    from mlflow.server import auth

    from mlflow_server import schema

    with connection.alone(engine):
        schema.migrate(engine)
        auth.bootstrap_admin_user()
        if settings.password_is_final:
            auth.store.update_user(settings.admin, password=settings.password, is_admin=True)
    if not auth.store.authenticate_user(settings.admin, settings.password):
        log.warning(
            "MLFLOW_AUTH_ADMIN_PASSWORD is not the password of %s: it counts for a new account only."
            " Change the password in the UI or by the API, or set RESET_ADMIN_PASSWORD=1.",
            settings.admin,
        )
    auth.store.engine.dispose()
    log.info("The database is ready.")
