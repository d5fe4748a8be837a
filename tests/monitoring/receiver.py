"""Who is on call: a tiny HTTP server that takes Alertmanager's notifications, and serves a file of metrics."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

Labels = dict[str, str]
ANY: Mapping[str, str] = MappingProxyType({})


class Told(NamedTuple):
    """One alert as it was told: to whom, whether it fires, its labels and annotations."""

    receiver: str
    firing: bool
    labels: Labels
    annotations: Labels

    def is_of(self, name: str, labels: Mapping[str, str] = ANY) -> bool:
        """Whether it is of that alert and has these labels."""
        return self.labels["alertname"] == name and labels.items() <= self.labels.items()


class Receiver:
    """Listens until closed; `await_told` waits for a notification."""

    def __init__(self, metrics_file: Path) -> None:
        outer = self
        self.told: list[Told] = []
        self._news = threading.Condition()

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                outer._take(self.path.strip("/"), body)
                self.send_response(200)
                self.end_headers()

            def do_GET(self) -> None:
                if self.path != "/metrics" or not metrics_file.exists():
                    self.send_error(404)
                    return
                self.send_response(200)
                self.send_header("Content-Type", "text/plain; version=0.0.4")
                self.end_headers()
                self.wfile.write(metrics_file.read_bytes())

            def log_message(self, format: str, *args: object) -> None:
                """Says nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = int(self._server.server_address[1])
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """Stops listening."""
        self._server.shutdown()
        self._server.server_close()

    def await_told(
        self,
        name: str,
        labels: Mapping[str, str] = ANY,
        *,
        firing: bool = True,
        after: int = 0,
        timeout_s: float,
    ) -> Told:
        """The first notification of that alert after so many others; fails when it does not come."""

        def find() -> Told | None:
            return next(
                (told for told in self.told[after:] if told.firing is firing and told.is_of(name, labels)),
                None,
            )

        with self._news:
            came = self._news.wait_for(lambda: find() is not None, timeout_s)
            found = find()
        assert came, f"{name} {labels} firing={firing} was not told, only {self.told}"
        assert found is not None
        return found

    def _take(self, receiver: str, body: dict[str, Any]) -> None:
        with self._news:
            self.told += [
                Told(receiver, alert["status"] == "firing", alert["labels"], alert["annotations"])
                for alert in body["alerts"]
            ]
            self._news.notify_all()
