"""The connections of clients: uvicorn's HTTP/1.1 protocol with bounds on what a client may cost while it does nothing.

Every bound is looked after by one sweep over all connections, so that a request pays for no timer of its own:

- a head that is not complete in time, or larger than its bound, ends the connection (408, 431);
- a body that keeps us waiting is reported to its route, which answers 408;
- what follows a chunked body is thrown away, and ends the connection beyond a head's bound;
- an answer that the client does not read, an event stream's too, ends the connection without a word;
- a connection between two requests is closed when it was idle for long enough;
- a peer that is gone without saying so is found by TCP's own probes;
- connections beyond the bound are told 429 and closed.

A refusal that belongs to no request is only written where no other answer is due, else a client would take it for
that one: the connection ends without a word instead.
"""

import asyncio
import socket
import urllib.parse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import httptools
import uvicorn
from prometheus_client import Counter, Gauge
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from services.chassis import log, metrics
from services.gateway.cycle import BYTES_PER_S_MIN, CYCLE, Cycle
from services.gateway.errors import PROBLEM_MEDIA_TYPE, Problem, problem_json

SWEEP_S_MAX = 1.0
SWEEP_S_MIN = 0.05
SWEEPS_PER_BOUND = 4
PROBE_AFTER_S = 30
PROBE_EVERY_S = 10
PROBES_MAX = 3
CLOSE = b"\r\nconnection: close\r\n\r\n"

_logger = log.get(__name__)
_OPEN = Gauge("sampan_gateway_connections", "Open connections of clients.")
_ENDED = metrics.Kept(
    Counter("sampan_gateway_connections_ended_total", "Connections that we ended, by cause.", ["cause"])
)


@dataclass(frozen=True, slots=True)
class Limits:
    """What a client may take."""

    connections_max: int
    head_bytes_max: int
    head_s_max: float
    body_idle_s_max: float
    send_s_max: float
    keep_alive_s: float

    @property
    def sweep_s(self) -> float:
        """The time between two looks at all connections."""
        least_s = min(self.head_s_max, self.body_idle_s_max, self.send_s_max, self.keep_alive_s)
        return min(SWEEP_S_MAX, max(SWEEP_S_MIN, least_s / SWEEPS_PER_BOUND))


Headers = list[tuple[bytes, bytes]]
TurnAway = Callable[[bytes, bytes, Headers, str], bytes | None]
"""Takes a request's method, target and headers, and the peer's address; the whole answer if it is not let in."""


class BoundedConfig(uvicorn.Config):
    """uvicorn's settings and ours; every connection sees them."""

    def __init__(self, app: Any, limits: Limits, turn_away: TurnAway, **options: Any) -> None:
        super().__init__(app, http=Connection, **options)
        self.limits = limits
        self.turn_away = turn_away


class Connection(HttpToolsProtocol):
    """One connection."""

    config: BoundedConfig
    # Since when a head is awaited, None while a request is at work; and since when the client has not read.
    _head_since_s: float | None = None
    _idle_since_s: float | None = None
    _unread_since_s: float | None = None
    _unread_bytes = 0
    _head_bytes = 0
    # The number of the chunk of which nothing has come yet: behind the last one there are trailers. 0 for none.
    _empty_chunk = 0
    _chunks = 0
    _trailer_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Called by the loop."""
        super().connection_made(transport)
        self._head_since_s = self.loop.time()
        if len(self.connections) > self.config.limits.connections_max:
            self._end("too many", Problem("OVERLOADED", "too many connections", retry_after_s=1))
            return
        probe_peer(transport.get_extra_info("socket"))

    def data_received(self, data: bytes) -> None:
        """Called by the loop."""
        is_head = self._head_since_s is not None or self._idle_since_s is not None
        empty_chunk = self._empty_chunk
        try:
            self._parse(data)
        except httptools.HttpParserError as error:
            # What a callback of ours raised is behind it; uvicorn's logger, for it is heard once a second only.
            self.logger.warning("Invalid HTTP request received", exc_info=error.__context__ or error)
            self._on_garbage()
            return
        # A head that begins behind a body in the same piece counts from its next piece on; trailers likewise.
        if self._head_since_s is not None:
            self._head_bytes += len(data) if is_head else 0
            if self._head_bytes > self.config.limits.head_bytes_max:
                self._end("head too large", Problem("HEADERS_TOO_LARGE", "the request's head is too large"))
        elif empty_chunk and empty_chunk == self._empty_chunk:
            self._trailer_bytes += len(data)
            if self._trailer_bytes > self.config.limits.head_bytes_max:
                _ENDED["trailers too large"].inc()
                self.transport.abort()

    def _parse(self, data: bytes) -> None:
        """Feeds the parser. A wish for another protocol is not heard, as RFC 9110 allows (7.8).

        The parser would take what follows such a head for the other protocol's, even the request's own body. So
        it begins anew with the same head, in which the wish is left out.
        """
        rest: bytes | memoryview = data
        while True:
            try:
                self.parser.feed_data(rest)
                return
            except httptools.HttpParserUpgrade as upgrade:
                rest = memoryview(rest)[upgrade.args[0] :]
                old, url, headers = self.parser, self.url, self.headers
                head = [b"%b %b HTTP/%b" % (old.get_method(), url, old.get_http_version().encode())]
                head += [b"%b: %b" % header for header in headers if header[0] != b"upgrade"]
                self.parser = httptools.HttpRequestParser(self)
                self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
                self.parser.feed_data(b"\r\n".join((*head, b"", b"")))

    def _on_garbage(self) -> None:
        """Refuses what is no HTTP: the request at work if it is in its own body, else what would be the next one."""
        cycle = self.cycle
        if _lacks_body(cycle) and not self.pipeline:
            if cycle.response_started:
                # The garbage is in the body of a request that has its answer.
                self.transport.abort()
                return
            cast(Cycle, cycle).cut_off()
            self.cycle = cast(Cycle, _NO_CYCLE)
        self._end("no HTTP", Problem("HEADER_INVALID", "this is no HTTP request"))

    def on_message_begin(self) -> None:
        """Called by the parser: a head begins."""
        self._head_since_s = self.loop.time()
        self._idle_since_s = None
        self._head_bytes = 0
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Called by the parser. Trailers are no headers, and nobody wants them."""
        if self._head_since_s is not None:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Called by the parser: the request begins. As uvicorn does, without what we do not serve."""
        self._head_since_s = None
        parser, scope = self.parser, self.scope
        method = parser.get_method()
        if method == b"CONNECT":
            raise httptools.HttpParserError("we are no proxy")
        if parser.should_upgrade():
            return
        if not _is_at_work(self.cycle):
            refusal = self.config.turn_away(
                method, self.url, self.headers, self.client[0] if self.client else ""
            )
            if refusal is not None:
                self._turn_away(refusal)
                return
        http_version = parser.get_http_version()
        scope["method"] = method.decode("ascii")
        if http_version != "1.1":
            scope["http_version"] = http_version
        url = httptools.parse_url(self.url)
        path = url.path.decode("ascii")
        scope["raw_path"] = url.path
        scope["path"] = urllib.parse.unquote(path) if "%" in path else path
        scope["query_string"] = url.query or b""
        before = self.cycle
        self.cycle = cycle = Cycle(
            scope=scope,
            transport=self.transport,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=False,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=self.expect_100_continue,
            keep_alive=http_version != "1.0" and parser.should_keep_alive(),
            on_response=self.on_response_complete,
        )
        scope[CYCLE] = cycle  # type: ignore[literal-required]
        if _is_at_work(before):
            self.flow.pause_reading()
            self.pipeline.appendleft((cycle, self.app))
        else:
            self._start_asgi_task(cycle, self.app)

    def on_chunk_header(self) -> None:
        """Called by the parser: a chunk begins, perhaps the last one, which is empty."""
        self._chunks += 1
        self._empty_chunk = self._chunks
        self._trailer_bytes = 0

    def on_body(self, body: bytes) -> None:
        """Called by the parser: a piece of a body."""
        self._empty_chunk = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Called by the parser: the request is complete, unless it is one that is read again from its head on."""
        self._empty_chunk = 0
        if self.parser.should_upgrade():
            return
        self.cycle.more_body = False
        if not self.cycle.response_complete:
            self.cycle.message_event.set()

    def _turn_away(self, refusal: bytes) -> None:
        """Answers without a task or a cycle, a tenth of the work: a flood must not cost what it asks for."""
        self.cycle = cast(Cycle, _NO_CYCLE)
        if self.transport.is_closing():
            return
        if self.flow.write_paused:
            # Asked again and again without reading: no answer waits for its reader here.
            _ENDED["refusals not read"].inc()
            self.transport.abort()
        elif self.parser.should_keep_alive() and not self.expect_100_continue:
            self.transport.write(refusal)
            self._idle_since_s = self.loop.time()
        else:
            # Without a 100 nobody knows whether the body still comes.
            self.transport.write(refusal.replace(b"\r\n\r\n", CLOSE, 1))
            self.transport.close()

    def on_response_complete(self) -> None:
        """Called by the cycle: the next request may begin."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            cycle, app = self.pipeline.pop()
            self._start_asgi_task(cycle, app)
        elif self._head_since_s is None:
            self._idle_since_s = self.loop.time()
        else:
            # While we were at work we may not have read: its time begins now.
            self._head_since_s = self.loop.time()

    def look(self, now_s: float) -> None:
        """Called by the sweep: ends what has lasted too long."""
        limits = self.config.limits
        if self._unread_s(now_s) > limits.send_s_max:
            _ENDED["answer not read"].inc()
            self.transport.abort()
            return
        if self.transport.is_closing():
            return
        if self._idle_since_s is not None:
            if self._unread_since_s is not None:
                # It still reads its last answer.
                self._idle_since_s = now_s
            elif now_s - self._idle_since_s > limits.keep_alive_s:
                _ENDED["idle"].inc()
                self.transport.close()
        elif self._head_since_s is not None and not _is_at_work(self.cycle):
            if now_s - self._head_since_s > limits.head_s_max:
                self._end("head too slow", Problem("BODY_TIMEOUT", "the request's head is too slow"))
        else:
            cast(Cycle, self.cycle).look(now_s, limits.body_idle_s_max)

    def _unread_s(self, now_s: float) -> float:
        """How long the client has left unread what is written; each KiB that it took since makes up for a second."""
        unread_bytes = self.transport.get_write_buffer_size()
        taken_bytes = self._unread_bytes - unread_bytes
        self._unread_bytes = unread_bytes
        if not unread_bytes:
            self._unread_since_s = None
            return 0.0
        if self._unread_since_s is None:
            self._unread_since_s = now_s
        elif taken_bytes > 0:
            self._unread_since_s = min(now_s, self._unread_since_s + taken_bytes / BYTES_PER_S_MIN)
        return now_s - self._unread_since_s

    def _end(self, cause: str, problem: Problem) -> None:
        """Refuses outside of any request, and closes; in the midst of another answer it only closes."""
        if self.transport.is_closing():
            return
        _ENDED[cause].inc()
        if _is_at_work(self.cycle):
            self.transport.abort()
            return
        self.transport.write(_last_words(problem))
        self.transport.close()


class _NoCycle:
    """Stands for a request that was answered before its body: the parser's callbacks throw the body away."""

    response_complete = True
    more_body = False
    message_event = asyncio.Event()


_NO_CYCLE = _NoCycle()


def _is_at_work(cycle: RequestResponseCycle | None) -> bool:
    """Whether there is a request without its complete answer; a new connection has none."""
    return cycle is not None and not cycle.response_complete


def _lacks_body(cycle: RequestResponseCycle | None) -> bool:
    """Whether there is a request of whose body not all has come."""
    return cycle is not None and cycle.more_body


def probe_peer(peer: socket.socket | None) -> None:
    """Lets TCP find out when the other side is gone without a word."""
    if peer is None or peer.family not in (socket.AF_INET, socket.AF_INET6):
        return
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, PROBE_AFTER_S)
    peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, PROBE_EVERY_S)
    peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, PROBES_MAX)


async def sweep(connections: set[Any], limits: Limits) -> None:
    """Looks at every connection again and again, for ever."""
    loop = asyncio.get_running_loop()
    while True:
        await asyncio.sleep(limits.sweep_s)
        now_s = loop.time()
        found: Sequence[Connection] = tuple(connections)
        _OPEN.set(len(found))
        for connection in found:
            try:
                connection.look(now_s)
            except Exception:
                # One that cannot be judged must not leave all the others without bounds.
                _logger.exception("a connection could not be looked at")
                connection.transport.abort()


def _last_words(problem: Problem) -> bytes:
    body = problem_json(problem, "0" * 32)
    retry = b"retry-after: 1\r\n" if problem.retry_after_s else b""
    return (
        STATUS_LINE[problem.status]
        + b"content-type: %b\r\ncontent-length: %d\r\n%bconnection: close\r\n\r\n"
        % (PROBLEM_MEDIA_TYPE.encode(), len(body), retry)
        + body
    )
