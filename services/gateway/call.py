"""One HTTP request and its reply, between ASGI and the routes.

A route gets a `Call` and returns a `Reply` (or a `Stream`); it raises `Problem`, a service's `DomainError`, or
msgspec's errors. Everything that comes from outside is bounded and decoded here, strictly: bytes that are no
UTF-8, unknown parameters and odd headers are refused before a route sees them.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable, Mapping
from typing import Any, TypeVar
from urllib.parse import unquote_to_bytes

import msgspec
from litestar.types import Receive, Scope, Send

from services.gateway.auth import Caller
from services.gateway.cycle import STALLED, Cycle
from services.gateway.errors import Problem, at_header, at_parameter, at_pointer, problem_of_validation
from services.gateway.languages import ACCEPT, ranges_of
from services.gateway.params import Param

T = TypeVar("T")

JSON = b"application/json"
IDEMPOTENCY_KEY_CHARS_MAX = 255
HEADER_CHARS_MAX = 2048
QUERY_BYTES_MAX = 16_384
_PRINTABLE = frozenset(range(0x20, 0x7F))


class Reply:
    """A complete answer."""

    __slots__ = ("body", "headers", "status")

    def __init__(
        self,
        status: int,
        body: bytes = b"",
        *,
        media_type: bytes = JSON,
        headers: Iterable[tuple[bytes, bytes]] = (),
    ) -> None:
        self.status = status
        self.body = body
        self.headers = [*headers]
        if body or status not in (204, 304):
            self.headers.append((b"content-type", media_type))
            self.headers.append((b"content-length", b"%d" % len(body)))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends it."""
        await send({"type": "http.response.start", "status": self.status, "headers": self.headers})
        await send({"type": "http.response.body", "body": self.body, "more_body": False})

    async def reply(self, cycle: Cycle, headers: Iterable[tuple[bytes, bytes]]) -> None:
        """Sends it in one piece, with further headers."""
        self.headers += headers
        await cycle.reply(self.status, self.headers, self.body)


class Stream:
    """An answer that is sent piece by piece until its source ends or the client goes away."""

    __slots__ = ("_first", "_rest", "headers", "status")

    def __init__(self, first: bytes, rest: AsyncGenerator[bytes, None], *, media_type: bytes) -> None:
        self._first = first
        self._rest = rest
        self.status = 200
        self.headers = [
            (b"content-type", media_type),
            (b"cache-control", b"no-store"),
            (b"x-accel-buffering", b"no"),
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends it."""
        sending = asyncio.ensure_future(self._send(send))
        leaving = asyncio.ensure_future(_disconnected(receive))
        try:
            await asyncio.wait((sending, leaving), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (sending, leaving):
                task.cancel()
            await asyncio.gather(sending, leaving, return_exceptions=True)
            await self._rest.aclose()

    async def _send(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status, "headers": self.headers})
        await send({"type": "http.response.body", "body": self._first, "more_body": True})
        async for piece in self._rest:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        continue


def by_name(headers: Iterable[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """Headers by lower-case name; several of one name are joined by commas, as HTTP says."""
    found: dict[bytes, bytes] = {}
    for name, value in headers:
        found[name] = found[name] + b", " + value if name in found else value
    return found


class Call:
    """One request, after authentication. `path` and `query` hold what the route declares, decoded and checked."""

    __slots__ = (
        "caller",
        "headers",
        "is_stream",
        "limits",
        "method",
        "path",
        "query",
        "receive",
        "scope",
        "settle",
        "still_known",
        "traceparent",
    )

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self.scope = scope
        self.receive = receive
        self.method: str = scope["method"]  # type: ignore[typeddict-item]
        self.traceparent = ""
        self.headers = by_name(scope["headers"])
        self.caller: Caller = _NOBODY
        self.is_stream = False
        # What its answer tells of the caller's rate limits.
        self.limits: Iterable[tuple[bytes, bytes]] = ()
        # For streams: whether their caller would be let in now.
        self.still_known: Callable[[], Awaitable[bool]] = _is_known
        # For requests with an Idempotency-Key: called once the answer is stored, it lets a repetition in.
        self.settle: Callable[[], None] = is_settled
        self.path: Mapping[str, str] = {}
        self.query: Mapping[str, Any] = {}

    @property
    def peer(self) -> str:
        """The address at the other end of the connection; empty where it has none."""
        client = self.scope["client"]
        return client[0] if client else ""

    @property
    def tenant_id(self) -> str:
        """The marketplace that the credential belongs to."""
        return self.caller.tenant_id

    def header(self, name: bytes) -> str | None:
        """A header's value, printable ASCII only; None where there is none."""
        raw = self.headers.get(name)
        if raw is None:
            return None
        value = raw.strip()
        if len(value) > HEADER_CHARS_MAX:
            raise Problem("HEADERS_TOO_LARGE", f"{_label(name)} has more than {HEADER_CHARS_MAX} characters")
        if not _PRINTABLE.issuperset(value):
            raise at_header("HEADER_INVALID", _label(name), "only printable ASCII is allowed")
        return value.decode("ascii")

    @property
    def languages(self) -> tuple[str, ...]:
        """The language ranges that the caller would rather read, best first."""
        return ranges_of(self.headers.get(ACCEPT))

    def idempotency_key(self, *, required: bool = True) -> str:
        """The Idempotency-Key, 1 to 255 characters; empty where it is optional and absent."""
        key = self.header(b"idempotency-key")
        if not key:
            if required:
                raise at_header(
                    "IDEMPOTENCY_KEY_REQUIRED", "Idempotency-Key", "the route needs an Idempotency-Key"
                )
            return ""
        if len(key) > IDEMPOTENCY_KEY_CHARS_MAX:
            raise at_header(
                "HEADER_INVALID", "Idempotency-Key", f"at most {IDEMPOTENCY_KEY_CHARS_MAX} characters"
            )
        return key

    def if_match(self, *, required: bool) -> str:
        """The etag of If-Match without its quotes, `*` as it is; empty where it is optional and absent."""
        text = self.header(b"if-match")
        if not text:
            if required:
                raise at_header("ETAG_REQUIRED", "If-Match", "send the ETag that was read, or *")
            return ""
        if text == "*":
            return text
        if text.startswith("W/") or len(text) < 3 or text[0] != '"' or text[-1] != '"' or '"' in text[1:-1]:
            raise at_header("HEADER_INVALID", "If-Match", 'one strong ETag in double quotes, or *: "abc"')
        return text[1:-1]

    def declared_length(self) -> int:
        """Content-Length, 0 where there is none."""
        value = self.headers.get(b"content-length", b"")
        return int(value) if value.isdigit() and len(value) < 19 else 0

    def media_type(self) -> bytes:
        """The Content-Type without parameters, in lower case; a charset other than UTF-8 is refused."""
        value = self.headers.get(b"content-type", b"")
        kind, _, rest = value.partition(b";")
        if b"charset" in rest.lower() and b"utf-8" not in rest.lower():
            raise Problem("MEDIA_TYPE_UNSUPPORTED", "the only charset is UTF-8")
        return kind.strip().lower()

    async def pieces(self, *, bytes_max: int) -> AsyncIterator[bytes]:
        """The body as it arrives, counted as it arrives."""
        if self.declared_length() > bytes_max:
            raise _too_large(bytes_max)
        received = 0
        more = True
        while more:
            piece, more = await self._piece()
            received += len(piece)
            if received > bytes_max:
                raise _too_large(bytes_max)
            if piece:
                yield piece

    async def body(self, *, bytes_max: int) -> bytes:
        """The whole body."""
        if self.declared_length() > bytes_max:
            raise _too_large(bytes_max)
        body, more = await self._piece()
        if more:
            pieces = [body]
            received = len(body)
            while more and received <= bytes_max:
                piece, more = await self._piece()
                pieces.append(piece)
                received += len(piece)
            body = b"".join(pieces)
        if len(body) > bytes_max:
            raise _too_large(bytes_max)
        return body

    async def _piece(self) -> tuple[bytes, bool]:
        message: Any = await self.receive()
        if message["type"] == STALLED:
            raise Problem("BODY_TIMEOUT", "the body arrives too slowly", headers={"connection": "close"})
        if message["type"] == "http.disconnect":
            raise Problem("BODY_TIMEOUT", "the client left before its body was complete")
        return message.get("body", b""), message.get("more_body", False)


async def _is_known() -> bool:
    return True


def is_settled() -> None:
    """There is nothing that a repetition would have to wait for."""


_NOBODY = Caller("", frozenset(), "")


def _label(name: bytes) -> str:
    return name.decode("latin-1").title()


def _too_large(bytes_max: int) -> Problem:
    # The connection stays open: what is still to come is thrown away by the server, so that a client that sends
    # on without listening gets to read this answer instead of a reset.
    return Problem("BODY_TOO_LARGE", f"the body has more than {bytes_max} bytes")


def decode_json(decoder: msgspec.json.Decoder[T], body: bytes) -> T:
    """The body as its struct; raises a problem that names the place of a fault."""
    try:
        value = decoder.decode(body)
    except msgspec.ValidationError as error:
        raise problem_of_validation(error) from None
    except UnicodeDecodeError:
        raise at_pointer("BODY_MALFORMED", "", "the body is not UTF-8") from None
    except (msgspec.DecodeError, RecursionError, ValueError) as error:
        detail = "the body is nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise at_pointer("BODY_MALFORMED", "", detail) from None
    if b"\\u0000" in body:
        refuse_nul(value)
    return value


def refuse_nul(value: object, path: str = "") -> None:
    """Raises for a NUL character anywhere in a text: no database of ours can store it."""
    if isinstance(value, str):
        if "\0" in value:
            raise at_pointer("FIELD_INVALID", path, "a text may not hold NUL characters")
    elif isinstance(value, msgspec.Struct):
        for name in value.__struct_fields__:
            refuse_nul(getattr(value, name), f"{path}/{name}")
    elif isinstance(value, dict):
        for name, item in value.items():
            refuse_nul(name, path)
            refuse_nul(item, f"{path}/{name}")
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            refuse_nul(item, f"{path}/{index}")


def read_query(query_string: bytes, declared: Mapping[str, Param]) -> dict[str, Any]:
    """The query's values by name, as their parameters read them; absent ones have their default."""
    found: dict[str, Any] = {}
    if query_string:
        if len(query_string) > QUERY_BYTES_MAX:
            raise Problem("FIELD_INVALID", f"the query has more than {QUERY_BYTES_MAX} bytes")
        for pair in query_string.split(b"&"):
            if not pair:
                continue
            raw_name, _, raw_value = pair.partition(b"=")
            name = _decoded(raw_name, "the query")
            parameter = declared.get(name)
            if parameter is None:
                raise at_parameter("PARAMETER_UNKNOWN", name[:100], "the route does not know this parameter")
            if name in found:
                raise at_parameter("FIELD_INVALID", name, "given more than once")
            found[name] = parameter.read(_decoded(raw_value, name))
    for name, parameter in declared.items():
        if name not in found:
            if parameter.required:
                raise at_parameter("FIELD_REQUIRED", name, "the parameter is required")
            found[name] = parameter.default
    return found


def _decoded(raw: bytes, name: str) -> str:
    try:
        text = unquote_to_bytes(raw.replace(b"+", b" ")).decode("utf-8")
    except UnicodeDecodeError:
        raise at_parameter("FIELD_INVALID", name, "not UTF-8 after percent-decoding") from None
    if "\0" in text:
        raise at_parameter("FIELD_INVALID", name, "NUL characters are not allowed")
    return text
