"""The OpenAPI 3.1 document, made from the same route values that are served."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from services.gateway import openapi_parameters
from services.gateway.catalogue import CATALOGUE, ProblemType
from services.gateway.errors import PROBLEM_MEDIA_TYPE
from services.gateway.openapi_parameters import Json
from services.gateway.routes.route import EVENT_STREAM_MEDIA_TYPE, Route
from services.gateway.schemas.base import ProblemDocument

API_VERSION = "1.0.0"
_REF = "#/components/schemas/{name}"
_PROBLEM_NAME = "ProblemDocument"
_TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"

_ALWAYS = ("FIELD_INVALID", "PARAMETER_UNKNOWN", "OVERLOADED", "INTERNAL", "DEPENDENCY_UNAVAILABLE")
_WITH_KEY = (
    "CREDENTIAL_REQUIRED",
    "CREDENTIAL_UNKNOWN",
    "CREDENTIAL_EXPIRED",
    "TOKEN_INVALID",
    "ROLE_MISSING",
    "SCOPE_TOO_NARROW",
    "TENANT_SUSPENDED",
    "TOO_MANY_FAILURES",
    "RATE_LIMITED",
)
_WITH_BODY = (
    "BODY_MALFORMED",
    "BODY_REQUIRED",
    "FIELD_UNKNOWN",
    "FIELD_REQUIRED",
    "BODY_TOO_LARGE",
    "MEDIA_TYPE_UNSUPPORTED",
    "BODY_TIMEOUT",
)

_LIMITS = {
    "RateLimit-Policy": 'The limits that hold for the request, where there are any: `"orders";q=600;w=60`, 600 per '
    "60 seconds; those of the tenant as `tenant-orders`.",
    "RateLimit": 'What is left of each: `"orders";r=17;t=42`, 17 requests within the next 42 seconds.',
}

_INTRODUCTION = """\
The public API of Sampan, the order and logistics backbone of cross-border e-commerce.

* **Money** is `{"currency_code": "EUR", "amount": "12.50"}`: a decimal string, exact in the currency.
* **Times** are RFC 3339 in UTC; **enums** are lower-case words; **countries** ISO 3166-1 alpha-2.
* **Refusals** are `application/problem+json` (RFC 9457); every type is listed at `/problems`.
* **Idempotency-Key** makes a POST safe to repeat: the same key and body give the same answer, another body is refused,
  and so is, for a moment, a repetition while the first request is at work.
* **Lists** come in pages: send `next_page_token` back as `page_token` with the same filter.
* **Compression**: lists and documents without an ETag come by zstd or gzip to those whose `Accept-Encoding` takes it.
* **ETag**: a GET with `If-None-Match` is answered 304 while nothing changed; a write with `If-Match` 412 once it has.
* **Accept-Language** chooses the language of a product's `title` and `description`, and of a refusal's `title`.
* **fields** keeps an answer small: `?fields=order_id,state` on products and orders and their lists.
* **Rate limits**: where a key or its tenant has limits per minute, `RateLimit-Policy` and `RateLimit` \
(draft-ietf-httpapi-ratelimit-headers-10) say with every answer what is left, and 429 `RATE_LIMITED` when nothing is.
* **CORS** answers pages of those origins that the installation allows.
* Unknown fields and unknown query parameters are refused.
"""


def openapi_document(routes: Sequence[Route]) -> Json:
    """The document as JSON values."""
    models = [model for route in routes for model in (route.body, *_answers(route)) if _is_model(model)]
    schemas, components = msgspec.json.schema_components([*models, ProblemDocument], ref_template=_REF)
    schema_of = {
        id(model): _plain(schema) for model, schema in zip([*models, ProblemDocument], schemas, strict=True)
    }
    components = _plain(components)
    paths: dict[str, Json] = defaultdict(dict)
    for route in routes:
        paths[route.path][route.method.lower()] = _operation(route, schema_of)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Sampan",
            "version": API_VERSION,
            "description": _INTRODUCTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/", "description": "Where this document comes from."}],
        "tags": [{"name": name} for name in dict.fromkeys(route.tag for route in routes)],
        "paths": dict(paths),
        "components": {
            "schemas": components,
            "examples": {kind.reason: {"value": _example(kind)} for kind in CATALOGUE.values()},
            "securitySchemes": {
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "An API key, or a JWT of the configured OpenID Connect issuer.",
                },
                "apiKey": {
                    "type": "apiKey",
                    "in": "header",
                    "name": "X-API-Key",
                    "description": "An API key.",
                },
                "webhookSignature": {
                    "type": "apiKey",
                    "in": "header",
                    "name": "webhook-signature",
                    "description": "`v1,` and the Base64 of HMAC-SHA256 over `webhook-id.webhook-timestamp.body`, by a "
                    "secret shared with the provider (https://www.standardwebhooks.com).",
                },
            },
        },
    }


def _plain(schema: Any) -> Any:
    """The schema as generators of clients understand it best.

    msgspec writes an enum without its type, and a choice between words as a choice between enums: generated, that
    would be a value of any type, or one type per part.
    """
    if isinstance(schema, list):
        return [_plain(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    plain = {name: _plain(part) for name, part in schema.items()}
    choices = plain.get("anyOf", ())
    if len(choices) > 1 and all(choice.keys() == {"type", "enum"} for choice in choices):
        del plain["anyOf"]
        plain["enum"] = [word for choice in choices for word in choice["enum"]]
    if "enum" in plain and all(isinstance(word, str) for word in plain["enum"]):
        plain = {"type": "string"} | plain
    return plain


def _is_model(model: Any) -> bool:
    return model is not None and model is not bytes


def _answers(route: Route) -> tuple[Any, ...]:
    return route.answer if isinstance(route.answer, tuple) else (route.answer,)


def _answer_schema(route: Route, schema_of: Mapping[int, Json]) -> Json:
    if route.answer is None:
        return {"type": "string"}
    schemas = [schema_of[id(answer)] for answer in _answers(route)]
    schema = schemas[0] if len(schemas) == 1 else {"oneOf": schemas}
    return _event(schema) if route.answer_media_type == EVENT_STREAM_MEDIA_TYPE else schema


def _event(data: Json) -> Json:
    """One event of a stream: before 3.2, which has `itemSchema`, a stream's schema is that of each of its events."""
    return {
        "description": "Each event of the stream.",
        "type": "object",
        "properties": {
            "id": {"type": "string"},
            "event": {"type": "string"},
            "data": {"type": "string", "contentMediaType": "application/json", "contentSchema": data},
        },
        "required": ["event", "data"],
    }


def _operation(route: Route, schema_of: Mapping[int, Json]) -> Json:
    operation: Json = {
        "operationId": operation_id(route),
        "tags": [route.tag],
        "summary": route.summary,
        "parameters": openapi_parameters.of(route),
        "responses": _responses(route, schema_of),
        "security": _security(route),
    }
    description = [route.description] if route.description else []
    if route.roles is not None:
        description.append(_who(route))
    if description:
        operation["description"] = " ".join(description)
    if route.body is not None:
        operation["requestBody"] = {
            "required": route.body_required,
            "content": _request_content(route, schema_of),
        }
    return operation


_STANDARD_METHODS = {"GET": "get", "POST": "create", "PUT": "update", "DELETE": "delete"}


def operation_id(route: Route) -> str:
    """What a generated client calls the operation: the route's own name, else verb and noun of its path.

    `/v1/products`: listProducts and createProduct; `/v1/products/{product_id}`: getProduct;
    `/v1/parcels/{parcel_id}:pack`: packParcel; `/v1/api-keys`: listApiKeys; `/v1/products:batchGet`: batchGetProducts.
    """
    if route.name:
        return route.name
    path, _, verb = route.path.partition(":")
    last = [step for step in path.split("/") if step and "{" not in step][-1]
    plural = "".join(word.capitalize() for word in last.split("-"))
    singular = plural.removesuffix("s")
    if verb:
        return verb + (singular if route.verb else plural)
    if route.method == "GET" and not path.endswith("}"):
        return f"list{plural}"
    return _STANDARD_METHODS[route.method] + singular


def _security(route: Route) -> list[Json]:
    """OpenAPI 3.1 lets a requirement of any scheme name the roles that it needs, any one of which is enough here."""
    if route.roles is None:
        return [{"webhookSignature": []}] if route.is_signed else []
    return [{scheme: [role]} for scheme in ("bearer", "apiKey") for role in sorted(route.roles)]


def _who(route: Route) -> str:
    roles = ", ".join(f"`{role}`" for role in sorted(route.roles or ()))
    if not route.scopes:
        return f"Roles: {roles}; no restricted key."
    return f"Roles: {roles}; keys restricted to some {' or '.join(sorted(route.scopes))} see what is theirs."


def _request_content(route: Route, schema_of: Mapping[int, Json]) -> Json:
    if route.body is bytes:
        schema = {"type": "string", "format": "binary"}
        return {media_type: {"schema": schema} for media_type in route.media_types} | {
            route.media_types[0]: {"schema": schema, "example": route.body_example}
        }
    content: Json = {"schema": schema_of[id(route.body)]}
    if route.body_example is not None:
        content["example"] = route.body_example
    return dict.fromkeys(route.media_types, content)


_LOCALISED = {
    "Content-Language": "The languages of `title` and `description`; absent where there are none.",
    "Vary": "`accept-language`",
}


def _responses(route: Route, schema_of: Mapping[int, Json]) -> Json:
    headers = (
        dict(route.answer_headers)
        | (_LOCALISED if route.localised else {})
        | (_LIMITS if route.roles is not None else {})
        | {
            "X-Request-Id": "The caller's, or the trace id.",
            "traceparent": "W3C trace context.",
        }
    )
    success: Json = {
        "description": "Created." if route.status == 201 else "Done.",
        "headers": {name: _header(text) for name, text in headers.items()},
    }
    if route.status != 204:
        success["content"] = _answer_content(route, schema_of)
    responses: Json = {str(route.status): success}
    if route.conditional:
        responses["304"] = {"description": "The caller's copy, named by If-None-Match, is the current one."}
    responses.update(_problems(route))
    return responses


def _answer_content(route: Route, schema_of: Mapping[int, Json]) -> Json:
    content: Json = {"schema": _answer_schema(route, schema_of)}
    if route.answer_example is not None:
        content["example"] = route.answer_example
    return {route.answer_media_type: content} | {
        media_type: {"schema": {"type": "string"}} for media_type in route.answer_media_types_too
    }


def _problems(route: Route) -> Json:
    reasons = [*_ALWAYS, *route.reasons]
    if route.roles is not None:
        reasons += _WITH_KEY
    if route.body is not None:
        reasons += _WITH_BODY
    if route.idempotency_key is not None:
        reasons.append("REQUEST_IN_PROGRESS")
    if route.idempotency_key == "required":
        reasons.append("IDEMPOTENCY_KEY_REQUIRED")
    by_status: dict[int, list[str]] = defaultdict(list)
    for reason in dict.fromkeys(reasons):
        status = 422 if reason in route.references else CATALOGUE[reason].status
        by_status[status].append(reason)
    return {str(status): _problem(by_status[status]) for status in sorted(by_status)}


def _example(kind: ProblemType) -> Json:
    return {
        "type": kind.uri,
        "title": kind.title,
        "status": kind.status,
        "detail": kind.meaning,
        "reason": kind.reason,
        "trace_id": _TRACE_ID,
    }


def _problem(reasons: Iterable[str]) -> Json:
    kinds = [CATALOGUE[reason] for reason in reasons]
    answer: Json = {
        "description": "; ".join(f"`{kind.reason}`: {kind.meaning}" for kind in kinds),
        "content": {
            PROBLEM_MEDIA_TYPE: {
                "schema": {"$ref": _REF.format(name=_PROBLEM_NAME)},
                "examples": {kind.reason: {"$ref": f"#/components/examples/{kind.reason}"} for kind in kinds},
            }
        },
    }
    headers = {}
    if any(kind.retry for kind in kinds):
        headers["Retry-After"] = "Seconds to wait before trying again."
    if any(kind.reason == "RATE_LIMITED" for kind in kinds):
        headers |= _LIMITS
    if headers:
        answer["headers"] = {name: _header(text) for name, text in headers.items()}
    return answer


def _header(description: str) -> Json:
    return {"description": description, "schema": {"type": "string"}}
