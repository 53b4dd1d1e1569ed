"""What one client may take of the server, so that it cannot take it from the others."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Sizes in bytes, times in seconds."""

    body: int = 32 * 1024**2
    """Of one request."""
    json: int = 16 * 1024**2
    """Of one that is JSON, which takes twenty times its size when it is read."""
    bodies: int = 128 * 1024**2
    """Of all requests that are here. Beyond, only those up to `small` are taken."""
    small: int = 256 * 1024
    headers_s: float = 10
    """From the connection, or from the first byte of its next request, to the end of the headers."""
    body_s: float = 30
    """From the headers to the end of the body."""
    answer_s: float = 30
    """From the end of the body to the answer."""
    explain_s: float = 60
    """From the end of the body to the explanation, for which the model is asked hundreds of times."""
    waiting: int = 512
    """Requests that wait for the model."""
    batch: int = 64
    """Rows or images that the model is given at once."""
    pixels: int = 32_000_000
    """Of an image, before it is made as small as the model takes it."""
    rows: int = 10_000
    """Of one request."""
    images: int = 64
    """Of one request."""
    stop_s: int = 8
    """From SIGTERM to the end, for what has been asked by then. `docker stop` kills after 10."""
