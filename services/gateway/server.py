"""uvicorn under the chassis's lifecycle: it neither handles signals nor writes logs of its own."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Iterator
from typing import Any

import uvicorn

from services.chassis.lifecycle import allow_open_files
from services.chassis.tls import RotatingContext, Watched
from services.gateway.app import Edge
from services.gateway.connections import BoundedConfig, Connection, Limits, sweep

LAST_REQUESTS_S = 0.2


class _Server(uvicorn.Server):
    config: BoundedConfig

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """As uvicorn's, but a handshake has as long as a head: the connection's own bounds begin behind it."""
        config = self.config
        loop = asyncio.get_running_loop()
        self.servers = [
            await loop.create_server(
                lambda: Connection(config, self.server_state, {}),
                sock=listener,
                ssl=config.ssl,
                ssl_handshake_timeout=config.limits.head_s_max if config.ssl else None,
                backlog=config.backlog,
            )
            for listener in sockets or ()
        ]
        self.started = True

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """The runtime has the signals."""
        yield

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stops accepting first: uvicorn alone would drop connections whose request is still on its way."""
        for server in self.servers:
            server.close()
        await asyncio.sleep(LAST_REQUESTS_S)
        await super().shutdown(sockets)


class HttpServer:
    """Serves on a socket that listens already; `stop` lets the requests at work finish.

    With `certificates` it speaks HTTPS only.
    """

    def __init__(
        self,
        app: Edge,
        limits: Limits,
        *,
        drain_grace_s: float,
        certificates: Watched[ssl.SSLContext] | None = None,
    ) -> None:
        self._done = asyncio.Event()
        self._limits = limits
        self._server = _Server(
            BoundedConfig(
                app,
                limits,
                app.turn_away,
                loop="none",
                ws="none",
                lifespan="off",
                interface="asgi3",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                timeout_graceful_shutdown=max(1, int(drain_grace_s)),
                ssl_context_factory=certificates and (lambda *_: RotatingContext(certificates)),
            )
        )

    @property
    def connections(self) -> set[Any]:
        """Those that are open."""
        return self._server.server_state.connections

    async def run(self, listener: socket.socket) -> None:
        """Serves until `stop`. Raises when nobody looks after the connections any more: they would have no bounds."""
        allow_open_files(self._limits.connections_max)
        sweeping = asyncio.create_task(sweep(self.connections, self._limits), name="connections")
        sweeping.add_done_callback(self._leave)
        try:
            await self._server.serve(sockets=[listener])
        finally:
            has_ended = sweeping.done()
            sweeping.cancel()
            (cause,) = await asyncio.gather(sweeping, return_exceptions=True)
            self._done.set()
        if has_ended:
            raise RuntimeError("the connections were no longer looked after") from cause

    def _leave(self, _sweeping: asyncio.Task[None]) -> None:
        self._server.should_exit = True

    async def stop(self, grace_s: float = 0.0) -> None:
        """Stops accepting, and returns when the requests at work are answered or the grace is over."""
        self._server.should_exit = True
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace_s):
                await self._done.wait()
