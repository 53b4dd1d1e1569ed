"""The accounts of a tracking server that asks for passwords: MLflow's "Authentication REST API"."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypedDict, cast

from trainer.errors import InvalidInput, TrackingDenied, TrackingError
from trainer.projects.parameters import nearest
from trainer.tracking.client import Client
from trainer.tracking.failures import NotThere

_API = "/api/2.0/mlflow/users"
_PERMISSIONS = "/api/3.0/mlflow/users/permissions"


@dataclass(frozen=True)
class Account:
    """One account."""

    name: str
    is_admin: bool


class _User(TypedDict):
    username: str
    is_admin: bool


def all_of(client: Client) -> list[Account]:
    """Every account, by name. Raises `TrackingError` where there are none, or we are no administrator."""
    try:
        response = client.send("GET", f"{_API}/list")
    except TrackingDenied:
        raise TrackingDenied(
            f"{client.server.username or 'Nobody'} is not an administrator of {client.server.uri}.",
            "Put the name and password of one in secrets.env.",
        ) from None
    except TrackingError as error:
        if "answered 404" not in error.message:
            raise
        raise TrackingError(
            f"The tracking server {client.server.uri} has no accounts.",
            "Those that `trainer server up` and `trainer server deploy` make have them.",
        ) from None
    users = cast(list[_User], response.json()["users"])
    return sorted((Account(user["username"], user["is_admin"]) for user in users), key=lambda user: user.name)


def add(client: Client, name: str, password: str, *, admin: bool = False) -> None:
    """Make an account.

    Raises `InvalidInput` where there is one of that name, or name or password cannot be.
    """
    if name in {account.name for account in all_of(client)}:
        raise InvalidInput(
            f"There is an account {name} already.",
            f"To change its password: trainer server users password {name}",
        )
    _check(name, password)
    client.send("POST", f"{_API}/create", {"username": name, "password": password})
    if admin:
        client.send("PATCH", f"{_API}/update-admin", {"username": name, "is_admin": True})


def remove(client: Client, name: str) -> None:
    """Remove an account; its runs stay. Raises `InvalidInput` where there is none, and for our own."""
    _require(client, name)
    if name == client.server.username:
        raise InvalidInput(
            f"{name} is the account that trainer itself uses.",
            "Runs report with it, so it cannot be removed.",
        )
    client.send("DELETE", f"{_API}/delete", {"username": name})


def change_password(client: Client, name: str, password: str) -> None:
    """Change the password of an account, at once.

    Raises `InvalidInput` where there is none, and for our own.
    """
    _require(client, name)
    _check(name, password)
    body = {"username": name, "password": password}
    if name == client.server.username:
        body["current_password"] = client.server.password or ""
    client.send("PATCH", f"{_API}/update-password", body)


def grant(client: Client, name: str, experiment: str) -> None:
    """Let an account add runs to an experiment, and change those that are in it.

    The owner of the experiment and administrators may do this. Raises `InvalidInput` where there is no such
    account or experiment.
    """
    body = {"permission": "EDIT", **_permission(client, name, experiment)}
    _change_permission(client, "grant", body, f"There is no account {name}.")


def revoke(client: Client, name: str, experiment: str) -> None:
    """Take back what `grant` gave. Raises as that does, and where it gave nothing."""
    nothing = f"{name} has no permission on {experiment} that was granted."
    _change_permission(client, "revoke", _permission(client, name, experiment), nothing)


def _permission(client: Client, name: str, experiment: str) -> dict[str, str]:
    experiment_id = client.find_experiment(experiment)
    if experiment_id is None:
        raise InvalidInput(
            f"There is no experiment {experiment} on {client.server.uri}.",
            "It is called as the project, unless a run was started with --experiment.",
        )
    return {"username": name, "resource_type": "experiment", "resource_id": experiment_id}


def _change_permission(client: Client, change: str, body: dict[str, str], missing: str) -> None:
    try:
        client.send("POST", f"{_PERMISSIONS}/{change}", body)
    except NotThere:
        raise InvalidInput(missing, "The accounts: trainer server users list") from None
    except TrackingDenied:
        raise TrackingDenied(
            f"{client.server.username} does not own the experiment.",
            "Its owner or an administrator can do it.",
        ) from None


def _require(client: Client, name: str) -> None:
    names = [account.name for account in all_of(client)]
    if name not in names:
        raise InvalidInput(f"There is no account {name}.", nearest(name, names, "The accounts are"))


def _check(name: str, password: str) -> None:
    # Half of MLflow's routes read credentials as ASCII and would answer 401 to any other.
    if not (name and name.isascii() and name.isprintable() and ":" not in name):
        raise InvalidInput("That name cannot be sent as a user name.", "Use ASCII characters, and no colon.")
    if len(password) < 12 or not (password.isascii() and password.isprintable()):
        raise InvalidInput("That password cannot be used.", "Use one of 12 or more ASCII characters.")
