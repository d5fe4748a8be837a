"""The send side of a request: adds the headers that every answer has, and remembers the status."""

from collections.abc import Sequence
from typing import Any

from litestar.types import Message, Send

from services.gateway.call import Call, Reply
from services.gateway.cycle import Cycle
from services.gateway.routes.route import Answer

REQUEST_ID_CHARS_MAX = 128


class Sent:
    """What was sent in answer to one request."""

    __slots__ = ("_cycle", "_headers", "_send", "route", "status")

    def __init__(self, send: Send, cycle: Any) -> None:
        self._send = send
        # None behind another server than ours, as in a framework's test client.
        self._cycle: Cycle | None = cycle
        self._headers: list[tuple[bytes, bytes]] = []
        self.status = 0
        self.route = ""

    def add_headers(self, traceparent: str, given_id: bytes | None) -> None:
        """Sets what goes out with the answer's head; the caller's own id of the request only if we may repeat it."""
        self._headers = [
            (b"traceparent", traceparent.encode()),
            (b"x-request-id", request_id(given_id, traceparent)),
        ]

    def add_further(self, headers: Sequence[tuple[bytes, bytes]]) -> None:
        """Adds to what goes out with the answer's head."""
        self._headers += headers

    async def reply(self, answer: Answer, call: Call) -> None:
        """Sends an answer, in one piece where it is complete."""
        if self._cycle is not None and isinstance(answer, Reply):
            self.status = answer.status
            await answer.reply(self._cycle, self._headers)
        else:
            await answer(call.scope, call.receive, self)

    async def __call__(self, message: Message) -> None:
        """Sends a message on."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message["headers"] = [*message["headers"], *self._headers]
        await self._send(message)


def request_id(given: bytes | None, traceparent: str) -> bytes:
    """The caller's own id of the request where it is one that we may repeat, else the trace id."""
    if given and len(given) <= REQUEST_ID_CHARS_MAX and all(0x21 <= byte <= 0x7E for byte in given):
        return given
    return traceparent[3:35].encode()
