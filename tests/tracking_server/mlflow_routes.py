"""What the installed MLflow serves and reads, as JSON; a program of its own, because it makes a server."""

from __future__ import annotations

import json
import os
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Anything = Any  # MLflow's, FastAPI's and protobuf's objects, which have no types


def native(routes: Anything, prefix: str = "") -> Iterator[tuple[str, str]]:
    """The routes that are FastAPI's own."""
    for route in routes:
        inner = getattr(getattr(route, "original_router", route), "routes", None)
        if getattr(route, "methods", None):
            yield from ((method, prefix + route.path) for method in route.methods)
        elif inner:
            context = getattr(route, "include_context", None)
            yield from native(inner, prefix + (context.prefix if context else getattr(route, "path", "")))


def fields(message: Anything, above: tuple[str, ...] = ()) -> Iterator[str]:
    """All fields of a request that are text or a list of it, by their paths."""
    for field in message.fields:
        path = (*above, field.name)
        if field.message_type is None:
            yield ".".join(path)
        elif len(path) < 5 and field.message_type.full_name not in ("google.protobuf.Value",):
            yield from fields(field.message_type, path)


def main() -> None:
    """Print routes, fields of requests, and inputs of GraphQL."""
    warnings.filterwarnings("ignore")
    folder = Path(tempfile.mkdtemp())
    database = f"sqlite:///{folder / 'mlflow.db'}"
    (folder / "accounts.ini").write_text(
        f"[mlflow]\ndefault_permission = READ\ndatabase_uri = {database}\n"
        "authorization_function = mlflow.server.auth:authenticate_request_basic_auth\n"
    )
    os.environ.update(
        MLFLOW_AUTH_CONFIG_PATH=str(folder / "accounts.ini"),
        MLFLOW_FLASK_SERVER_SECRET_KEY="x",
        MLFLOW_AUTH_ADMIN_USERNAME="captain",
        MLFLOW_AUTH_ADMIN_PASSWORD="at-least-12-characters",
        _MLFLOW_SGI_NAME="uvicorn",
    )
    from graphql import GraphQLInputObjectType
    from mlflow.server import app as flask
    from mlflow.server import auth, handlers
    from mlflow.server.graphql.graphql_schema_extensions import schema

    handlers.initialize_backend_stores(database, database, "mlflow-artifacts:/")
    application = auth.create_app()
    inputs = {
        f"{kind.name}.{name}"
        for kind in schema.graphql_schema.type_map.values()
        if isinstance(kind, GraphQLInputObjectType)
        for name in kind.fields
    }
    payload = {
        "routes": sorted(
            {(method, str(rule)) for rule in flask.url_map.iter_rules() for method in rule.methods}
            | set(native(application.routes))
        ),
        "fields": sorted(
            {f"{kind.__name__}.{path}" for kind in handlers.HANDLERS for path in fields(kind.DESCRIPTOR)}
        ),
        "graphql": sorted(inputs),
    }
    print(json.dumps(payload))


if __name__ == "__main__":
    main()
