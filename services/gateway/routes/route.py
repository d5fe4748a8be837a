"""A route as data: what it takes, what it answers, who may use it. Served and documented from the same value."""

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from litestar.types import Receive, Scope, Send

from services.gateway.call import Call
from services.gateway.params import Param
from services.gateway.roles import Role, ScopeKind

EVENT_STREAM_MEDIA_TYPE = "text/event-stream"
RouteClass = Literal["reads", "writes", "orders", "imports", "streams"]
"""Routes whose requests are limited together: the fields of access's RateLimits."""
_NAMES = re.compile(r"\{(\w+)\}")


class Answer(Protocol):
    """What a route returns: something that can be sent."""

    status: int
    headers: list[tuple[bytes, bytes]]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends it."""


@dataclass(frozen=True, slots=True)
class Route:
    """One method of one path. `path` is as OpenAPI writes it: `/v1/orders/{order_id}:pay`.

    `roles` are those that may use it, None where no credential is needed; `is_signed` where a signature over the body,
    by the Standard Webhooks specification, stands for one. `scopes` are those of restricted keys that
    it takes: it then shows them what is theirs and nothing else; a restricted key that it does not take is refused.
    `references` are NOT_FOUND reasons about something that the body
    names, answered as 422. `answer` is the answer's type, a tuple where it is one of several.
    `name` is what a generated client calls it where the rule of `openapi.operation_id` gives no good one.
    `answer_media_types_too` are what else the answer may be, by the Accept header, as text for people.
    `is_open` False turns a request away as overload before anything of it but its head is read.
    `localised` answers depend on Accept-Language.
    `resumable` streams take Last-Event-ID.
    `limited_as` is the class whose limits hold for its requests, where it is not told by method and answer.
    `reasons` are the refusals worth documenting beside those that every route has.
    """

    method: Literal["GET", "POST", "PUT", "DELETE"]
    path: str
    run: Callable[[Call], Awaitable[Answer]]
    roles: frozenset[Role] | None
    tag: str
    summary: str
    description: str = ""
    query: tuple[Param, ...] = ()
    body: Any = None
    body_required: bool = True
    body_example: object = None
    media_types: tuple[str, ...] = ("application/json",)
    status: int = 200
    answer: Any = None
    answer_media_type: str = "application/json"
    answer_media_types_too: tuple[str, ...] = ()
    answer_example: object = None
    answer_headers: Mapping[str, str] = field(default_factory=dict)
    idempotency_key: Literal["required", "optional"] | None = None
    etag: Literal["required", "optional"] | None = None
    conditional: bool = False
    localised: bool = False
    resumable: bool = False
    prefer_wait: bool = False
    scopes: frozenset[ScopeKind] = frozenset()
    references: frozenset[str] = frozenset()
    keep_wrapper: bool = False
    is_open: Callable[[], bool] | None = None
    limited_as: RouteClass | None = None
    is_signed: bool = False
    reasons: tuple[str, ...] = ()
    name: str = ""

    @property
    def route_class(self) -> RouteClass:
        """Whose limits hold for its requests."""
        if self.limited_as is not None:
            return self.limited_as
        if self.answer_media_type == EVENT_STREAM_MEDIA_TYPE:
            return "streams"
        return "reads" if self.method == "GET" else "writes"

    @property
    def path_names(self) -> tuple[str, ...]:
        """The names of the ids in the path."""
        return tuple(_NAMES.findall(self.path))

    @property
    def verb(self) -> str:
        """The custom method at the end of a path with an id: `pay` of `/v1/orders/{order_id}:pay`; else empty."""
        head, _, verb = self.path.rpartition("}:")
        return verb if head else ""

    @property
    def declared_query(self) -> dict[str, Param]:
        """The query parameters by name."""
        return {parameter.name: parameter for parameter in self.query}
