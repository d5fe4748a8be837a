"""Exit with 0 if the service in this container says on its admin port that it can work.

It runs every few seconds, so it imports next to nothing.
"""

import os
import socket
import sys

TIMEOUT_S = 3.0


def status(port: int) -> int:
    """Return the HTTP status of /readyz; raise OSError or ValueError where there is none."""
    with socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_S) as connection:
        connection.sendall(b"GET /readyz HTTP/1.0\r\nHost: localhost\r\n\r\n")
        with connection.makefile("rb") as answer:
            line = answer.readline(256)
    return int(line.split(b" ")[1]) if line.startswith(b"HTTP/") else 0


if __name__ == "__main__":
    try:
        sys.exit(0 if status(int(os.environ[sys.argv[1]])) == 200 else 1)
    except (OSError, ValueError, IndexError) as fault:
        print(f"not ready: {fault}", file=sys.stderr)
        sys.exit(1)
