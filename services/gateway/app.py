"""The application: every request passes the edge, which knows its trace, counts it and turns failures into
problems; Litestar finds the route; a route's own work is in `routes`.

The hottest routes are found by the edge itself, in one or two dictionary lookups: for a product's detail the
way through the framework would be the larger part of the work, for a placement it was measured as 40 %.
"""

import time
from collections.abc import Mapping, Sequence
from functools import partial
from http import HTTPStatus

from litestar.enums import ScopeType
from litestar.types import Receive, Scope, Send
from prometheus_client import Counter, Gauge, Histogram

from services.chassis import log, metrics, trace
from services.chassis.errors import DomainError
from services.gateway.auth import Callers
from services.gateway.call import Call, by_name, read_query
from services.gateway.catalogue import CATALOGUE
from services.gateway.compression import compressed
from services.gateway.cors import Cors
from services.gateway.cycle import CYCLE
from services.gateway.errors import Problem
from services.gateway.failed_credentials import FailedCredentials
from services.gateway.languages import ACCEPT
from services.gateway.limits import RateLimits
from services.gateway.params import PATH_IDS
from services.gateway.refusals import BUSY, problem_reply, turned_away
from services.gateway.repetitions import Repetitions
from services.gateway.routes.route import EVENT_STREAM_MEDIA_TYPE, Answer, Route
from services.gateway.routing import UNMATCHED, Router, Served, route_of
from services.gateway.sent import Sent, request_id
from services.gateway.titles import language_for

PREFLIGHT = "preflight"
CREDITED = b"/v1/"
"""Below it every route wants a credential, but those that want a signature."""
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


class Edge:
    """The outermost ASGI application."""

    def __init__(
        self,
        routes: Sequence[Route],
        callers: Callers,
        limits: RateLimits,
        failed: FailedCredentials,
        *,
        requests_max: int,
        cors: Cors | None = None,
        compress_bytes_min: int = 0,
    ) -> None:
        self._callers = callers
        self._limits = limits
        self._failed = failed
        self._cors = cors
        self._requests_max = requests_max
        self._in_flight = 0
        self._repetitions = Repetitions()
        # By method and path, where an id at the end of the path is left out.
        self._hot: dict[tuple[str, str], Served] = {
            (route.method, route.path.partition("{")[0]): Served.of(route)
            for route in routes
            if (route.method, route.path) in _HOT
        }
        # What lies below one of them and has no id: `/v1/orders/events` is no order.
        self._plain = frozenset(route.path for route in routes if not route.path_names)
        self._gated = {
            (route.method.encode(), route.path.encode()): route
            for route in routes
            if route.is_open is not None and not route.path_names
        }
        # Below these no credential is looked at.
        self._uncredited = tuple(
            route.path.partition("{")[0].encode()
            for route in routes
            if route.roles is None and route.is_signed
        )
        self._router = Router(routes, self.run, partial(compressed, bytes_min=compress_bytes_min))
        _IN_FLIGHT.set_function(lambda: self._in_flight)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request."""
        if scope["type"] != ScopeType.HTTP:
            await self._router.app(scope, receive, send)
            return
        started = time.perf_counter()
        call = Call(scope, receive)
        parent = trace.incoming(_text(call.headers.get(trace.HEADER_BYTES)))
        # Taken out: the scope and its cycle would hold each other until the collector comes.
        sent = Sent(send, scope.pop(CYCLE, None))  # type: ignore[misc]
        self._in_flight += 1
        try:
            if trace.is_sampled(parent):
                with trace.span(call.method, "server", parent=parent) as span:
                    await self._serve(call, sent, trace.current_traceparent() or parent)
                    if span is not None:
                        _describe(span, call.method, sent.route or route_of(scope), sent.status)
            else:
                trace.set_current(parent)
                await self._serve(call, sent, parent)
        finally:
            if not call.is_stream:
                self._in_flight -= 1
            self._note(call.method, scope, sent, time.perf_counter() - started, parent)

    def turn_away(
        self, method: bytes, target: bytes, headers: Sequence[tuple[bytes, bytes]], peer: str
    ) -> bytes | None:
        """The whole answer to a request that its route does not let in now, or whose key is not known and whose address
        has failed too often, made before anything else is done for it; None for all others."""
        route = self._gated.get((method, target))
        is_shut = route is not None and route.is_open is not None and not route.is_open()
        # What is written here has a body, which no answer to HEAD may have.
        if not is_shut and (method == b"HEAD" or not self._failed.is_any_limited):
            return None
        found = by_name(headers)
        if self._cors is not None and b"origin" in found:
            # A page can read a refusal only with the headers that the longer way adds.
            return None
        problem = BUSY if is_shut else self._limited(target, found, peer)
        if problem is None:
            return None
        traceparent = trace.incoming(_text(found.get(trace.HEADER_BYTES)))
        _REQUESTS[
            _method_label(method.decode("latin-1")), UNMATCHED if route is None else route.path, "429"
        ].inc()
        given_id, language = found.get(b"x-request-id"), language_for(found.get(ACCEPT))
        return turned_away(problem, traceparent.encode(), request_id(given_id, traceparent), language)

    def _limited(self, target: bytes, headers: Mapping[bytes, bytes], peer: str) -> Problem | None:
        if not target.startswith(CREDITED) or target.startswith(self._uncredited):
            return None
        return self._failed.limited(peer, headers) if self._callers.is_unknown(headers) else None

    async def _serve(self, call: Call, sent: Sent, traceparent: str) -> None:
        scope = call.scope
        call.traceparent = traceparent
        sent.add_headers(traceparent, call.headers.get(b"x-request-id"))
        if self._cors is not None and await self._crossed(self._cors, call, sent):
            return
        if self._in_flight > self._requests_max:
            await sent.reply(problem_reply(BUSY, call), call)
        elif (found := self._find_hot(call.method, scope["path"])) is not None:
            served, path_value = found
            sent.route = served.route.path
            if served.route.is_open is not None and not served.route.is_open():
                await sent.reply(problem_reply(BUSY, call), call)
            else:
                await sent.reply(await self.run(served, call, path_value), call)
        else:
            await self._router.answer(call, sent)

    @staticmethod
    async def _crossed(cors: Cors, call: Call, sent: Sent) -> bool:
        """Adds what a page of another origin needs; True where that was the whole question."""
        sent.add_further(cors.headers(call.headers.get(b"origin")))
        preflight = cors.preflight(call.method, call.headers)
        if preflight is None:
            return False
        sent.route = PREFLIGHT
        await sent.reply(preflight, call)
        return True

    def _find_hot(self, method: str, path: str) -> tuple[Served, str] | None:
        """The route of a path that ends in no id or in one, if it is one of the hottest."""
        head = path.rfind("/") + 1
        if (served := self._hot.get((method, path[:head]))) and path not in self._plain:
            return served, path[head:]
        served = self._hot.get((method, path))
        return None if served is None else (served, "")

    async def run(self, served: Served, call: Call, path_value: str) -> Answer:
        """The route's answer, or the problem that it ran into, and how the caller's rate limits stand."""
        answer = await self._answer(served, call, path_value)
        if call.limits:
            answer.headers += call.limits
        return answer

    async def _answer(self, served: Served, call: Call, path_value: str) -> Answer:
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
                call.limits, used_up = self._limits.admit(caller, route.route_class)
                if used_up is not None:
                    raise used_up
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
            if route.idempotency_key is None:
                return await route.run(call)
            with self._repetitions.first(route.path, call):
                return await route.run(call)
        except Problem as problem:
            if problem.status == HTTPStatus.UNAUTHORIZED:
                problem = self._failed.note(call.peer, call.headers) or problem
            return problem_reply(problem, call)
        except DomainError as error:
            if error.code in _FAULTS_OF_OURS:
                _logger.error("a service failed", route=route.path, reason=error.reason, cause=error.message)
            refusal = served.refusals.of(error, language_for(call.headers.get(ACCEPT)))
            return refusal.reply(call.traceparent[3:35])
        except Exception:
            _logger.exception("a request failed", route=route.path)
            return problem_reply(Problem("INTERNAL", CATALOGUE["INTERNAL"].meaning), call)

    def _note(self, method: str, scope: Scope, sent: Sent, seconds: float, traceparent: str) -> None:
        route = sent.route or route_of(scope)
        # 499: the client went away before there was an answer.
        status = sent.status or 499
        method = _method_label(method)
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
_FAULTS_OF_OURS = frozenset(("INTERNAL", "UNIMPLEMENTED", "PERMISSION_DENIED"))
_CASELESS = frozenset(("ORDER_NOT_FOUND", "PARCEL_NOT_FOUND", "API_KEY_NOT_FOUND"))


def _describe(span: trace.OpenSpan, method: str, route: str, status: int) -> None:
    """By the conventions; the path itself is left out."""
    attributes: dict[str, str | int] = {"http.request.method": method, "http.route": route}
    if status:
        attributes["http.response.status_code"] = status
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        attributes["error.type"] = str(status)
    span.describe(attributes, name=f"{method} {route}")


def _method_label(method: str) -> str:
    return method if method in _METHODS else "other"


def _text(header: bytes | None) -> str | None:
    return None if header is None else header.decode("latin-1")
