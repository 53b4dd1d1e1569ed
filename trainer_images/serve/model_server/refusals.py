"""Why a request is not answered: an HTTP status, what is wrong, and what to do about it."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from types import MappingProxyType


class Refused(Exception):
    """Answered as JSON with this status."""

    def __init__(
        self,
        status: HTTPStatus,
        message: str,
        hint: str,
        headers: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.hint = hint
        self.headers = headers


def invalid(message: str, hint: str) -> Refused:
    """The request says something that cannot be."""
    return Refused(HTTPStatus.BAD_REQUEST, message, hint)


def busy(message: str, headers: Mapping[str, str] = MappingProxyType({})) -> Refused:
    """The server has as much to do as it takes."""
    retry = {"Retry-After": "1", **headers}
    return Refused(HTTPStatus.SERVICE_UNAVAILABLE, message, "Try again in a moment.", retry)
