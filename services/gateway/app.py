"""The application: every request passes the edge, which knows its trace, counts it and turns failures into
problems; Litestar finds the route; a route's own work is in `routes`.

The hottest routes are found by the edge itself, in one or two dictionary lookups: for a product's detail the
way through the framework would be the larger part of the work, for a placement it was measured as 40 %.
"""

import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from typing import Any

from litestar import HttpMethod, Litestar, Request
from litestar.enums import ScopeType
from litestar.exceptions import HTTPException
from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp, Message, Receive, Scope, Send
from prometheus_client import Counter, Gauge, Histogram

from services.chassis import log, metrics, trace
from services.chassis.errors import DomainError
from services.gateway.auth import Callers
from services.gateway.call import Call, Reply, read_query
from services.gateway.compression import compressed
from services.gateway.cors import Cors
from services.gateway.cycle import CYCLE, Cycle
from services.gateway.errors import CATALOGUE, PROBLEM_MEDIA_TYPE, Problem, problem_json, problem_of
from services.gateway.params import PATH_IDS, Param
from services.gateway.routes.route import EVENT_STREAM_MEDIA_TYPE, Answer, Route

UNMATCHED = "unmatched"
PREFLIGHT = "preflight"
REQUEST_ID_CHARS_MAX = 128
REFUSALS_MAX = 256
"""Different refusals of a route that are kept as bytes."""
_CALL = "sampan.call"
_ROUTE = "sampan.route"
_HOT = frozenset(
    (
        ("POST", "/v1/orders"),
        ("GET", "/v1/orders/{order_id}"),
        ("GET", "/v1/products/{product_id}"),
        ("GET", "/v1/availability"),
        ("POST", "/v1/availability:batchGet"),
    )
)

_logger = log.get(__name__)
_REQUESTS = metrics.Kept(
    Counter("sampan_http_requests_total", "Requests by route and status.", ["method", "route", "status"]),
    children_max=400,
)
_SECONDS = metrics.Kept(
    Histogram(
        "sampan_http_request_seconds",
        "Time from the request's head to the end of the answer.",
        ["method", "route"],
        buckets=metrics.LATENCY_BUCKETS_S,
    ),
    children_max=100,
)
_IN_FLIGHT = Gauge("sampan_http_requests_in_flight", "Requests at work, without event streams.")


@dataclass(frozen=True, slots=True)
class _Served:
    """A route as it is used for each request."""

    route: Route
    query: Mapping[str, Param]
    defaults: Mapping[str, Any] | None
    """The values of an empty query, where it may be empty."""
    refusals: "dict[tuple[object, ...], _Refusal]" = field(default_factory=dict)

    @classmethod
    def of(cls, route: Route) -> "_Served":
        query = route.declared_query
        is_needed = any(parameter.required for parameter in query.values())
        return cls(route, query, None if is_needed else read_query(b"", query))

    def refusal(self, error: DomainError) -> "_Refusal":
        """A service's refusal as it is answered; a flood of one and the same is translated once."""
        key = (
            type(error),
            error.reason,
            error.message,
            error.domain,
            error.retry_after_s,
            *error.metadata.items(),
        )
        refusal = self.refusals.get(key)
        if refusal is None:
            if len(self.refusals) >= REFUSALS_MAX:
                self.refusals.clear()
            route = self.route
            problem = problem_of(
                error,
                has_body=route.body is not None,
                keep_wrapper=route.keep_wrapper,
                references=route.references,
                in_path=route.path_names,
            )
            refusal = self.refusals[key] = _Refusal(problem)
        return refusal


class Edge:
    """The outermost ASGI application."""

    def __init__(
        self,
        routes: Sequence[Route],
        callers: Callers,
        *,
        requests_max: int,
        cors: Cors | None = None,
        compress_bytes_min: int = 0,
    ) -> None:
        self._callers = callers
        self._cors = cors
        self.compress_bytes_min = compress_bytes_min
        self._requests_max = requests_max
        self._in_flight = 0
        # By method and path, where an id at the end of the path is left out.
        self._hot: dict[tuple[str, str], _Served] = {
            (route.method, route.path.partition("{")[0]): _Served.of(route)
            for route in routes
            if (route.method, route.path) in _HOT
        }
        self._gated = {
            (route.method.encode(), route.path.encode()): route
            for route in routes
            if route.is_open is not None and not route.path_names
        }
        self._litestar = _litestar(routes, self)
        _IN_FLIGHT.set_function(lambda: self._in_flight)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request."""
        if scope["type"] != ScopeType.HTTP:
            await self._litestar(scope, receive, send)
            return
        started = time.perf_counter()
        call = Call(scope, receive)
        parent = trace.incoming(_text(call.headers.get(trace.HEADER_BYTES)))
        sent = _Sent(send, scope.get(CYCLE))
        self._in_flight += 1
        try:
            if trace.is_sampled(parent):
                with trace.span("http request", parent=parent):
                    await self._serve(call, sent, trace.current_traceparent() or parent)
            else:
                trace.set_current(parent)
                await self._serve(call, sent, parent)
        finally:
            if not call.is_stream:
                self._in_flight -= 1
            self._note(call.method, scope, sent, time.perf_counter() - started, parent)

    def turn_away(self, method: bytes, target: bytes, headers: Sequence[tuple[bytes, bytes]]) -> bytes | None:
        """The whole answer to a request that its route does not let in now, made before anything else is done for
        it; None for all others."""
        route = self._gated.get((method, target))
        if route is None or route.is_open is None or route.is_open():
            return None
        parent = request_id = None
        for name, value in headers:
            if name == trace.HEADER_BYTES:
                parent = value
            elif name == b"x-request-id":
                request_id = value
            elif name == b"origin" and self._cors is not None:
                # A page can read a refusal only with the headers that the longer way adds.
                return None
        traceparent = trace.incoming(_text(parent))
        _REQUESTS[route.method, route.path, "429"].inc()
        encoded = traceparent.encode()
        return _TURNED_AWAY % (encoded, _request_id(request_id, traceparent), encoded[3:35])

    async def _serve(self, call: Call, sent: "_Sent", traceparent: str) -> None:
        scope = call.scope
        call.traceparent = traceparent
        sent.add_headers(traceparent, call.headers.get(b"x-request-id"))
        if self._cors is not None and await self._crossed(self._cors, call, sent):
            return
        if self._in_flight > self._requests_max:
            await sent.reply(problem_reply(_busy(), call), call)
        elif (found := self._find_hot(call.method, scope["path"])) is not None:
            served, path_value = found
            sent.route = served.route.path
            if served.route.is_open is not None and not served.route.is_open():
                await sent.reply(problem_reply(_busy(), call), call)
            else:
                await sent.reply(await self.run(served, call, path_value), call)
        else:
            scope[_CALL] = call  # type: ignore[literal-required]
            if call.method not in _ROUTED:
                # Litestar cannot route it: it stands for all those that no path has.
                scope["method"] = HttpMethod.TRACE  # type: ignore[typeddict-unknown-key]
            await self._litestar(scope, call.receive, sent)

    @staticmethod
    async def _crossed(cors: Cors, call: Call, sent: "_Sent") -> bool:
        """Adds what a page of another origin needs; True where that was the whole question."""
        sent.add_further(cors.headers(call.headers.get(b"origin")))
        preflight = cors.preflight(call.method, call.headers)
        if preflight is None:
            return False
        sent.route = PREFLIGHT
        await sent.reply(preflight, call)
        return True

    def _find_hot(self, method: str, path: str) -> tuple[_Served, str] | None:
        """The route of a path that ends in no id or in one, if it is one of the hottest."""
        head = path.rfind("/") + 1
        if served := self._hot.get((method, path[:head])):
            return served, path[head:]
        served = self._hot.get((method, path))
        return None if served is None else (served, "")

    async def run(self, served: _Served, call: Call, path_value: str) -> Answer:
        """The route's answer, or the problem that it ran into."""
        route = served.route
        if route.answer_media_type == EVENT_STREAM_MEDIA_TYPE:
            # A stream lasts as long as its order and costs next to nothing: the feed bounds their number.
            call.is_stream = True
            self._in_flight -= 1
        try:
            if route.roles is not None:
                caller = self._callers.known(call.headers) or await self._callers.verified(call.headers)
                call.caller = caller
                if route.roles.isdisjoint(caller.roles):
                    raise Problem("ROLE_MISSING", f"the route needs one of: {', '.join(sorted(route.roles))}")
                if caller.scope is not None and caller.scope not in route.scopes:
                    raise Problem("SCOPE_TOO_NARROW", f"the key is for some {caller.scope} only")
                if call.is_stream:
                    call.still_known = partial(self._callers.still_known, call.headers)
            if route.path_names:
                name = route.path_names[0]
                is_valid, reason, _ = PATH_IDS[name]
                if not is_valid(path_value):
                    raise Problem(reason, "nothing can have such an id")
                call.path = {name: path_value.lower() if reason in _CASELESS else path_value}
            query_string = call.scope["query_string"]
            if query_string or served.defaults is None:
                call.query = read_query(query_string, served.query)
            else:
                call.query = served.defaults
            return await route.run(call)
        except Problem as refusal:
            return problem_reply(refusal, call)
        except DomainError as error:
            if error.code in ("INTERNAL", "UNIMPLEMENTED"):
                _logger.error("a service failed", route=route.path, reason=error.reason, cause=error.message)
            return served.refusal(error).reply(call.traceparent[3:35])
        except Exception:
            _logger.exception("a request failed", route=route.path)
            return problem_reply(Problem("INTERNAL", CATALOGUE["INTERNAL"].meaning), call)

    def _note(self, method: str, scope: Scope, sent: "_Sent", seconds: float, traceparent: str) -> None:
        route = sent.route or str(scope.get(_ROUTE, UNMATCHED))
        # 499: the client went away before there was an answer.
        status = sent.status or 499
        method = method if method in _METHODS else "other"
        _REQUESTS[method, route, str(status)].inc()
        _SECONDS[method, route].observe(seconds)
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR or trace.is_sampled(traceparent):
            _logger.info(
                "request",
                method=method,
                route=route,
                status=status,
                ms=round(seconds * 1000, 1),
                **trace.fields(traceparent),
            )


_METHODS = frozenset(("GET", "POST", "PUT", "OPTIONS", "HEAD", "DELETE", "PATCH"))
_ROUTED = frozenset(HttpMethod)
_CASELESS = frozenset(("ORDER_NOT_FOUND", "PARCEL_NOT_FOUND", "API_KEY_NOT_FOUND"))


class _Sent:
    """The send side of a request: adds the headers that every answer has, and remembers the status."""

    __slots__ = ("_cycle", "_headers", "_send", "route", "status")

    def __init__(self, send: Send, cycle: Any) -> None:
        self._send = send
        # None behind another server than ours, as in a framework's test client.
        self._cycle: Cycle | None = cycle
        self._headers: list[tuple[bytes, bytes]] = []
        self.status = 0
        self.route = ""

    def add_headers(self, traceparent: str, request_id: bytes | None) -> None:
        """Sets what goes out with the answer's head; the caller's own id of the request only if we may repeat it."""
        self._headers = [
            (b"traceparent", traceparent.encode()),
            (b"x-request-id", _request_id(request_id, traceparent)),
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


def _busy() -> Problem:
    return Problem("OVERLOADED", "too much work at a time", retry_after_s=1)


def _turned_away() -> bytes:
    """The answer to one that is turned away; wants traceparent, request id and trace id."""
    trace_id = "0" * 32
    body = problem_json(_busy(), trace_id).replace(b"%", b"%%")
    head = (
        b"HTTP/1.1 429 Too Many Requests\r\ncontent-type: %b\r\nretry-after: 1\r\ncontent-length: %d\r\n"
        b"traceparent: %%b\r\nx-request-id: %%b\r\n\r\n" % (PROBLEM_MEDIA_TYPE.encode(), len(body))
    )
    return head + body.replace(trace_id.encode(), b"%b")


_TURNED_AWAY = _turned_away()


def _request_id(given: bytes | None, traceparent: str) -> bytes:
    if given and len(given) <= REQUEST_ID_CHARS_MAX and _is_token(given):
        return given
    return traceparent[3:35].encode()


def _text(header: bytes | None) -> str | None:
    return None if header is None else header.decode("latin-1")


def _is_token(value: bytes) -> bool:
    return bool(value) and all(0x21 <= byte <= 0x7E for byte in value)


class _Refusal:
    """A problem as the bytes that are sent, all but the trace id."""

    __slots__ = ("_body", "_headers", "_status")

    def __init__(self, problem: Problem) -> None:
        self._status = problem.status
        self._headers = [
            (name.encode(), value.encode("latin-1", "replace")) for name, value in problem.headers.items()
        ]
        retry_after_s = problem.retry_after_s
        kind = CATALOGUE.get(problem.reason)
        if retry_after_s is None and kind is not None and kind.retry:
            retry_after_s = 1
        if retry_after_s is not None:
            self._headers.append((b"retry-after", b"%d" % max(1, round(retry_after_s))))
        # The trace id is the document's last member.
        self._body = problem_json(problem, "").removesuffix(b'"}')

    def reply(self, trace_id: str) -> Reply:
        """The answer to one request."""
        body = b'%b%b"}' % (self._body, trace_id.encode())
        return Reply(self._status, body, media_type=_PROBLEM, headers=self._headers)


_PROBLEM = PROBLEM_MEDIA_TYPE.encode()


def problem_reply(problem: Problem, call: Call) -> Reply:
    """The problem as an answer."""
    return _Refusal(problem).reply(call.traceparent[3:35])


def _litestar(routes: Sequence[Route], edge: Edge) -> Litestar:
    """Litestar knows one handler per path shape; methods and custom methods (`:pay`) are told apart by us."""
    shapes: dict[str, dict[str, dict[str, _Served]]] = defaultdict(lambda: defaultdict(dict))
    for route in routes:
        path = route.path
        for name in route.path_names:
            path = path.replace(f"{{{name}}}", "{id:str}")
        shape = path.partition("}:")[0] + "}" if route.verb else path
        shapes[shape][route.verb][route.method] = _Served.of(route)
    return Litestar(
        route_handlers=[_handler(path, by_verb, edge) for path, by_verb in shapes.items()],
        exception_handlers={Exception: _on_exception},
        openapi_config=None,
        logging_config=None,
        request_max_body_size=None,
        debug=False,
    )


def _handler(path: str, by_verb: Mapping[str, Mapping[str, _Served]], edge: Edge) -> HTTPRouteHandler:
    has_id = "{id:str}" in path
    is_last = path.endswith("}")

    async def handle(request: Request[Any, Any, Any]) -> ASGIApp:
        scope = request.scope
        call: Call = scope[_CALL]  # type: ignore[literal-required]
        value, verb, is_strange = request.path_params["id"] if has_id else "", "", False
        if is_last:
            head, colon, custom = value.rpartition(":")
            if colon and custom and custom in by_verb:
                value, verb = head, custom
            else:
                is_strange = bool(colon)
        by_method = by_verb.get(verb, {})
        served = by_method.get(request.method)
        if served is not None:
            _name_route(call, served.route.path)
            answer = await edge.run(served, call, value)
            if isinstance(answer, Reply):
                return await compressed(answer, call, bytes_min=edge.compress_bytes_min)
            return answer
        if is_strange or not by_method:
            return problem_reply(Problem("ROUTE_NOT_FOUND", "there is no such custom method"), call)
        allow = ", ".join(sorted((*by_method, "OPTIONS")))
        if request.method == HttpMethod.OPTIONS:
            return Reply(204, b"", headers=((b"allow", allow.encode()),))
        refusal = Problem(
            "METHOD_NOT_ALLOWED", "the path does not have this method", headers={"allow": allow}
        )
        return problem_reply(refusal, call)

    # All methods: what Litestar says of those that a path does not have knows nothing of custom methods.
    return HTTPRouteHandler(path, http_method=list(HttpMethod), status_code=200)(handle)


def _name_route(call: Call, path: str) -> None:
    call.scope[_ROUTE] = path  # type: ignore[literal-required]


def _on_exception(request: Request[Any, Any, Any], error: Exception) -> Any:
    call: Call = request.scope[_CALL]  # type: ignore[literal-required]
    if isinstance(error, HTTPException) and error.status_code == HTTPStatus.NOT_FOUND:
        problem = Problem("ROUTE_NOT_FOUND", "there is nothing at this path")
    elif isinstance(error, HTTPException) and error.status_code < HTTPStatus.INTERNAL_SERVER_ERROR:
        problem = Problem("HEADER_INVALID", error.detail or "the request cannot be read")
    else:
        _logger.error("a request failed before its route", exc_info=error)
        problem = Problem("INTERNAL", CATALOGUE["INTERNAL"].meaning)
    return _Prepared(problem_reply(problem, call))


class _Prepared:
    """A reply in the shape that Litestar wants of an exception's handler."""

    def __init__(self, reply: Reply) -> None:
        self._reply = reply

    def to_asgi_response(self, **_options: object) -> ASGIApp:
        """Itself."""
        return self._reply
