"""Finds routes by their paths, through Litestar."""

from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import Any

from litestar import HttpMethod, Litestar, Request
from litestar.exceptions import HTTPException
from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp, Scope

from services.chassis import log
from services.gateway.call import Call, Reply, read_query
from services.gateway.catalogue import CATALOGUE
from services.gateway.errors import Problem, problem_of
from services.gateway.params import Param
from services.gateway.refusals import Prepared, Refusals, problem_reply
from services.gateway.routes.route import Answer, Route

UNMATCHED = "unmatched"
_CALL = "sampan.call"
_ROUTE = "sampan.route"
_METHODS = frozenset(HttpMethod)

_logger = log.get(__name__)


@dataclass(frozen=True, slots=True)
class Served:
    """A route as it is used for each request."""

    route: Route
    query: Mapping[str, Param]
    defaults: Mapping[str, Any] | None
    """The values of an empty query, where it may be empty."""
    refusals: Refusals

    @classmethod
    def of(cls, route: Route) -> "Served":
        """What its requests have in common."""
        query = route.declared_query
        is_needed = any(parameter.required for parameter in query.values())
        translate = partial(
            problem_of,
            has_body=route.body is not None,
            keep_wrapper=route.keep_wrapper,
            references=route.references,
            in_path=route.path_names,
        )
        return cls(route, query, None if is_needed else read_query(b"", query), Refusals(translate))


Run = Callable[[Served, Call, str], Awaitable[Answer]]
"""Answers a request of a route, whose path ends in an id."""
Finish = Callable[[Reply, Call], Awaitable[Answer]]
"""Does what is left to do to a complete answer."""


class Router:
    """Litestar knows one handler per path shape; methods and custom methods (`:pay`) are told apart by us."""

    def __init__(self, routes: Sequence[Route], run: Run, finish: Finish) -> None:
        self._run = run
        self._finish = finish
        shapes: dict[str, dict[str, dict[str, Served]]] = defaultdict(lambda: defaultdict(dict))
        for route in routes:
            path = route.path
            for name in route.path_names:
                path = path.replace(f"{{{name}}}", "{id:str}")
            shape = path.partition("}:")[0] + "}" if route.verb else path
            by_method = shapes[shape][route.verb]
            by_method[route.method] = Served.of(route)
            if route.method == HttpMethod.GET and route.roles is None:
                # Pages and documents: the same answer, of which the server sends the head only.
                by_method[HttpMethod.HEAD] = by_method[HttpMethod.GET]
        self.app = Litestar(
            route_handlers=[self._handler(path, by_verb) for path, by_verb in shapes.items()],
            exception_handlers={Exception: _on_exception},
            openapi_config=None,
            logging_config=None,
            request_max_body_size=None,
            debug=False,
        )

    async def answer(self, call: Call, sent: Any) -> None:
        """Finds the request's route and sends its answer, or says why there is none."""
        scope = call.scope
        scope[_CALL] = call  # type: ignore[literal-required]
        if call.method not in _METHODS:
            # Litestar cannot route it: it stands for all those that no path has.
            scope["method"] = HttpMethod.TRACE  # type: ignore[typeddict-unknown-key]
        await self.app(scope, call.receive, sent)

    def _handler(self, path: str, by_verb: Mapping[str, Mapping[str, Served]]) -> HTTPRouteHandler:
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
                scope[_ROUTE] = served.route.path  # type: ignore[literal-required]
                answer = await self._run(served, call, value)
                return await self._finish(answer, call) if isinstance(answer, Reply) else answer
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


def route_of(scope: Scope) -> str:
    """The path, as the table has it, of the route that was found."""
    return str(scope.get(_ROUTE, UNMATCHED))


def _on_exception(request: Request[Any, Any, Any], error: Exception) -> Any:
    call: Call = request.scope[_CALL]  # type: ignore[literal-required]
    if isinstance(error, HTTPException) and error.status_code == HTTPStatus.NOT_FOUND:
        problem = Problem("ROUTE_NOT_FOUND", "there is nothing at this path")
    elif isinstance(error, HTTPException) and error.status_code < HTTPStatus.INTERNAL_SERVER_ERROR:
        problem = Problem("HEADER_INVALID", error.detail or "the request cannot be read")
    else:
        _logger.error("a request failed before its route", exc_info=error)
        problem = Problem("INTERNAL", CATALOGUE["INTERNAL"].meaning)
    return Prepared(problem_reply(problem, call))
