"""One request and its answer, as uvicorn's HTTP/1.1 protocol has them, with what our bounds need to know of them.

A complete answer is written in one piece: `Cycle.reply`. Through ASGI's two messages it was two system calls and
several checks per header, a tenth of what a placement cost.
"""

import asyncio
from collections.abc import Iterable
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

CYCLE = "sampan.cycle"
STALLED = "sampan.stalled"
"""The type of the message that `receive` gives when the body keeps us waiting for too long."""
BYTES_PER_S_MIN = 1024
"""Who sends a body or reads an answer at this rate is slow, but not idle."""


class Cycle(RequestResponseCycle):
    """One request and its answer."""

    waiting_since_s = 0.0
    """When the route began to wait for more of the body; 0 while it does not."""
    waited_s = 0.0
    received_bytes = 0
    is_stalled = False

    async def reply(self, status: int, headers: Iterable[tuple[bytes, bytes]], body: bytes) -> None:
        """Sends a complete answer; the headers have a Content-Length."""
        if self.flow.write_paused and not self.disconnected:
            await self.flow.drain()
        if self.disconnected:
            return
        self._settle_expectation()
        pieces = [STATUS_LINE[status]]
        count = 2
        for name, value in (*self.default_headers, *headers):
            pieces += (name, b": ", value, b"\r\n")
            count += 1
            if name == b"connection" and value == b"close":
                self.keep_alive = False
        if not self.keep_alive:
            pieces.append(b"connection: close\r\n")
            count += 1
        pieces.append(b"\r\n")
        head = b"".join(pieces)
        if head.count(b"\n") != count:
            raise RuntimeError("a header's value holds a line break")
        self.response_started = True
        self.transport.write(head + body if body and self.scope["method"] != "HEAD" else head)
        self.response_complete = True
        self.message_event.set()
        if not self.keep_alive:
            self.transport.close()
        self.on_response()

    async def send(self, message: Any) -> None:
        """Sends an answer in pieces."""
        if not self.response_started:
            self._settle_expectation()
        await super().send(message)

    def _settle_expectation(self) -> None:
        """An answer without a 100 before it ends the connection: nobody knows whether the body still comes."""
        if self.waiting_for_100_continue and self.more_body and not self.body:
            self.keep_alive = False

    def cut_off(self) -> None:
        """Tells the route that its client is gone; what it answers goes nowhere."""
        self.disconnected = True
        self.message_event.set()

    async def receive(self) -> Any:
        """The next piece of the body, or the client's leaving, or `STALLED`."""
        if self.message_event.is_set() or not self.more_body:
            message = await super().receive()
        else:
            loop = asyncio.get_running_loop()
            begun_s = self.waiting_since_s = loop.time()
            message = await super().receive()
            self.waiting_since_s = 0.0
            self.waited_s += loop.time() - begun_s
        if message["type"] == "http.request":
            self.received_bytes += len(message["body"])
            if self.is_stalled and not message["body"] and message["more_body"]:
                return {"type": STALLED}
        return message

    def look(self, now_s: float, idle_s_max: float) -> None:
        """Wakes the route if the body has kept it waiting for too long in all."""
        if not self.waiting_since_s or not self.more_body:
            return
        waited_s = self.waited_s + now_s - self.waiting_since_s
        if waited_s > idle_s_max + self.received_bytes / BYTES_PER_S_MIN:
            self.is_stalled = True
            self.message_event.set()
