"""`python -m model_server.healthy`: exit code 0 if the server in this container answers."""

from __future__ import annotations

import http.client
import os
import sys

TIMEOUT_S = 5


def main(port: int | None = None) -> int:
    """Ask it once, at the port or at $PORT, which is 8080 by default."""
    port = port or int(os.environ.get("PORT") or 8080)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_S)
    try:
        connection.request("GET", "/health")
        return 0 if connection.getresponse().status == http.HTTPStatus.OK else 1
    except (OSError, http.client.HTTPException) as error:
        print(f"No answer: {error}", file=sys.stderr)
        return 1
    finally:
        connection.close()


if __name__ == "__main__":
    sys.exit(main())
