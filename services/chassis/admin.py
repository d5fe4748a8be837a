"""The HTTP server for operators: /metrics, /healthz, /readyz, on a port and in a thread of its own.

Rendering the metrics takes milliseconds, which the event loop cannot spare; and a loop that hangs must not
take along the endpoint that says so.
"""

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from prometheus_client import REGISTRY
from prometheus_client.exposition import choose_encoder

STALE_AFTER_S = 5.0
REQUEST_TIMEOUT_S = 5.0


@dataclass(slots=True)
class Condition:
    """What the event loop last said about itself; replaced as a whole, so that any thread may read it."""

    ready: bool = False
    checks: dict[str, str] = field(default_factory=dict)
    seen_at: float = field(default_factory=time.monotonic)

    def is_alive(self) -> bool:
        """Whether the event loop has spoken lately."""
        return time.monotonic() - self.seen_at < STALE_AFTER_S


class AdminServer:
    """Serves until closed. `condition` is called on the server's threads and must only return a value."""

    def __init__(self, host: str, port: int, condition: Callable[[], Condition]) -> None:
        class Handler(_Handler):
            current_condition = staticmethod(condition)

        self._server = _Server((host, port), Handler)
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, name="admin", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Stops listening."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False


class _Handler(BaseHTTPRequestHandler):
    timeout = REQUEST_TIMEOUT_S
    protocol_version = "HTTP/1.1"
    current_condition: Callable[[], Condition]

    def do_GET(self) -> None:
        """Routes the three paths."""
        path = self.path.partition("?")[0]
        if path == "/metrics":
            encode, content_type = choose_encoder(self.headers.get("Accept", ""))
            self._reply(200, encode(REGISTRY), content_type)
        elif path == "/healthz":
            alive = self.current_condition().is_alive()
            self._reply_json(200 if alive else 503, {"alive": alive})
        elif path == "/readyz":
            now = self.current_condition()
            ready = now.ready and now.is_alive()
            self._reply_json(
                200 if ready else 503, {"ready": ready, "alive": now.is_alive(), "checks": now.checks}
            )
        else:
            self._reply_json(404, {"paths": ["/metrics", "/healthz", "/readyz"]})

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing: probes and scrapes are no news."""

    def _reply_json(self, status: int, body: object) -> None:
        self._reply(status, json.dumps(body).encode() + b"\n", "application/json")

    def _reply(self, status: int, body: bytes, content_type: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
