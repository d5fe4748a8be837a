"""uvicorn under the chassis's lifecycle: it neither handles signals nor writes logs of its own."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator

import uvicorn
from litestar.types import ASGIApp

from services.chassis.lifecycle import CannotStart

BACKLOG = 2048
LAST_REQUESTS_S = 0.2


class _Server(uvicorn.Server):
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
    """Listens from `bind` on; `stop` lets the requests at work finish."""

    def __init__(
        self, app: ASGIApp, *, host: str, port: int, keep_alive_s: int, drain_grace_s: float
    ) -> None:
        self._host = host
        self.port = port
        self._listener: socket.socket | None = None
        self._done = asyncio.Event()
        self._server = _Server(
            uvicorn.Config(
                app,
                loop="none",
                http="httptools",
                ws="none",
                lifespan="off",
                interface="asgi3",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                timeout_keep_alive=keep_alive_s,
                timeout_graceful_shutdown=max(1, int(drain_grace_s)),
            )
        )

    def bind(self) -> None:
        """Takes the port; raises CannotStart where it is not to be had."""
        try:
            family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
            self._listener = socket.create_server((self._host, self.port), family=family, backlog=BACKLOG)
        except OSError as error:
            cause = error.strerror or str(error)
            raise CannotStart(f"cannot listen on {self._host}:{self.port} (GATEWAY_PORT): {cause}") from None
        self.port = self._listener.getsockname()[1]

    async def run(self) -> None:
        """Serves until `stop`."""
        if self._listener is None:
            self.bind()
        assert self._listener is not None
        try:
            await self._server.serve(sockets=[self._listener])
        finally:
            self._done.set()

    async def stop(self, grace_s: float = 0.0) -> None:
        """Stops accepting, and returns when the requests at work are answered or the grace is over."""
        self._server.should_exit = True
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace_s):
                await self._done.wait()
