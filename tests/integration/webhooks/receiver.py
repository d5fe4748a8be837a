"""A program of a tenant: a real HTTP server that notes what it is sent, and answers as a test wants."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any, NamedTuple

from aiohttp import web
from standardwebhooks import Webhook

PATIENCE_S = 30.0


class Received(NamedTuple):
    """One request."""

    headers: dict[str, str]
    body: str

    @property
    def id(self) -> str:
        """The message's."""
        return self.headers["webhook-id"]

    def verified(self, secret: str) -> Any:
        """The document, if this secret has signed it."""
        return Webhook(secret).verify(self.body, self.headers)


class Receiver:
    """Where a test is told. `status` answers; while `held` is set requests are taken and not answered."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}/hook"
        self.port = port
        self.received: list[Received] = []
        self.status: Callable[[int], int] = lambda _: 200
        """The status of the n-th answer, from 0."""
        self.headers: dict[str, str] = {}
        """Of every answer."""
        self.held = False
        self.open = 0
        self.open_max = 0
        self._changed = asyncio.Condition()

    async def take(self, count: int) -> list[Received]:
        """The first so many requests, once they have come."""
        await self.until(lambda: len(self.received) >= count)
        return self.received[:count]

    async def until(self, condition: Callable[[], bool]) -> None:
        """Waits for what requests bring about."""
        async with asyncio.timeout(PATIENCE_S), self._changed:
            await self._changed.wait_for(condition)

    async def let_go(self) -> None:
        """Answers what was held, and all to come."""
        self.held = False
        await self._notify()

    async def handle(self, request: web.Request) -> web.Response:
        """One request."""
        body = await request.text()
        number = len(self.received)
        self.received.append(Received({k.lower(): v for k, v in request.headers.items()}, body))
        self.open += 1
        self.open_max = max(self.open, self.open_max)
        await self._notify()
        try:
            async with self._changed:
                await self._changed.wait_for(lambda: not self.held)
        finally:
            self.open -= 1
        return web.Response(status=self.status(number), headers=self.headers, text="x" * 100_000)

    async def _notify(self) -> None:
        async with self._changed:
            self._changed.notify_all()


@contextlib.asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    """A receiver on a free port."""
    app = web.Application()
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    receiver = Receiver(0)
    app.router.add_route("*", "/{path:.*}", receiver.handle)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    receiver.port = runner.addresses[0][1]
    receiver.url = f"http://127.0.0.1:{receiver.port}/hook"
    try:
        yield receiver
    finally:
        await receiver.let_go()
        await runner.cleanup()
