"""What a request may carry besides its body, as the OpenAPI document tells it: ids in the path, query, headers."""

from typing import Any

from services.gateway.params import PATH_IDS, Param
from services.gateway.routes.route import Route

Json = dict[str, Any]


def of(route: Route) -> list[Json]:
    """The parameters of an operation."""
    return [*_path_parameters(route), *map(_query_parameter, route.query), *_headers(route)]


def _path_parameters(route: Route) -> list[Json]:
    return [
        {"name": name, "in": "path", "required": True, "schema": PATH_IDS[name][2]}
        for name in route.path_names
    ]


def _query_parameter(parameter: Param) -> Json:
    described: Json = {
        "name": parameter.name,
        "in": "query",
        "required": parameter.required,
        "description": parameter.description,
        "schema": parameter.schema,
    }
    if parameter.example is not None:
        described["example"] = parameter.example
    return described


def _headers(route: Route) -> list[Json]:
    headers: list[Json] = []

    def add(name: str, description: str, *, required: bool = False, example: str) -> None:
        headers.append(
            {
                "name": name,
                "in": "header",
                "required": required,
                "description": description,
                "schema": {"type": "string"},
                "example": example,
            }
        )

    if route.is_signed:
        add(
            "webhook-id",
            "The same at each attempt, at most 255 characters.",
            required=True,
            example="msg_2KWP",
        )
        add(
            "webhook-timestamp",
            "When this attempt was signed, in seconds since 1970: at most five minutes off.",
            required=True,
            example="1772357400",
        )
        add(
            "webhook-signature",
            "One or several, separated by spaces.",
            required=True,
            example="v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4=",
        )
    if route.idempotency_key is not None:
        add(
            "Idempotency-Key",
            "1 to 255 printable ASCII characters, new for each thing to be done, the same when repeating it.",
            required=route.idempotency_key == "required",
            example="8e03978e-40d5-43e8-bc93-6894a57f9324",
        )
    if route.etag is not None:
        add("If-Match", "The ETag that was read, or `*`.", required=route.etag == "required", example='"3"')
    if route.conditional:
        add("If-None-Match", "ETags of copies that the caller has: 304 where one is current.", example='"3"')
    if route.localised:
        add(
            "Accept-Language",
            "Languages that `title` and `description` are wanted in (RFC 9110): the best that there is, else English.",
            example="es-MX, es;q=0.9, en;q=0.5",
        )
    if route.resumable:
        add(
            "Last-Event-ID",
            "The last id that the caller got of this stream: it goes on behind that event.",
            example="AYICxwEBgQM",
        )
    if route.prefer_wait:
        add(
            "Prefer",
            "`wait=N`: answer when the order is decided, or after N seconds (30 at most).",
            example="wait=5",
        )
    return headers
