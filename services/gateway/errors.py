"""Refusals as RFC 9457 problem documents, and how the errors of services become them.

Every problem has a stable `type` ("/problems/sku-unknown", relative to the API), a `reason` for machines, and,
where a value of the request is at fault, `errors` with its JSON pointer, parameter or header.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus

import msgspec

from services.chassis.errors import DomainError
from services.gateway import languages
from services.gateway.catalogue import CATALOGUE
from services.gateway.titles import titles_in

PROBLEM_MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_S_DEFAULT = 1
SIGNATURE_CHALLENGE = 'StandardWebhooks realm="sampan"'
"""Keys and tokens are looked at here: what a service takes for no proof of who asks is a signature."""

# Without PERMISSION_DENIED: who may do what is decided here. A service that does not let us in is a fault of ours.
_BY_CODE: Mapping[str, tuple[int, str]] = {
    "INVALID_ARGUMENT": (400, "FIELD_INVALID"),
    "OUT_OF_RANGE": (400, "FIELD_INVALID"),
    "UNAUTHENTICATED": (401, "CREDENTIAL_UNKNOWN"),
    "NOT_FOUND": (404, "NOT_FOUND"),
    "ALREADY_EXISTS": (409, "ALREADY_EXISTS"),
    "FAILED_PRECONDITION": (409, "CONFLICT"),
    "ABORTED": (412, "ETAG_MISMATCH"),
    "RESOURCE_EXHAUSTED": (429, "OVERLOADED"),
    "UNAVAILABLE": (503, "DEPENDENCY_UNAVAILABLE"),
    "CANCELLED": (503, "DEADLINE_EXCEEDED"),
    "DEADLINE_EXCEEDED": (503, "DEADLINE_EXCEEDED"),
}


@dataclass(frozen=True, slots=True)
class Place:
    """Where in the request a fault lies: a JSON pointer into the body, a query parameter or a header."""

    kind: str
    name: str
    reason: str
    detail: str

    def as_json(self) -> dict[str, str]:
        """One member of `errors`."""
        return {self.kind: self.name, "reason": self.reason, "detail": self.detail}


@dataclass(eq=False)
class Problem(Exception):
    """A refusal by the gateway itself, or one of a service after translation."""

    reason: str
    detail: str
    places: Sequence[Place] = ()
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    metadata: Mapping[str, str] = field(default_factory=dict)
    retry_after_s: float | None = None

    def __post_init__(self) -> None:
        self.status = self.status or CATALOGUE[self.reason].status

    def __str__(self) -> str:
        return f"{self.reason}: {self.detail}"


def at_pointer(reason: str, pointer: str, detail: str) -> Problem:
    """A fault of the body."""
    return Problem(reason, detail, (Place("pointer", pointer, reason, detail),))


def at_parameter(reason: str, name: str, detail: str) -> Problem:
    """A fault of the query or the path."""
    return Problem(reason, detail, (Place("parameter", name, reason, detail),))


def at_header(reason: str, name: str, detail: str) -> Problem:
    """A fault of a header."""
    return Problem(reason, detail, (Place("header", name, reason, detail),))


def problem_json(problem: Problem, trace_id: str, language: str = languages.DEFAULT) -> bytes:
    """The document; only its title is in the language."""
    kind = CATALOGUE.get(problem.reason)
    title = kind.title if kind else HTTPStatus(problem.status).phrase
    if language != languages.DEFAULT:
        title = titles_in(language).get(problem.reason, title)
    document: dict[str, object] = {
        "type": kind.uri if kind else "about:blank",
        "title": title,
        "status": problem.status,
        "detail": problem.detail,
        "reason": problem.reason,
    }
    if problem.places:
        document["errors"] = [place.as_json() for place in problem.places]
    if problem.metadata:
        document["metadata"] = problem.metadata
    document["trace_id"] = trace_id
    return msgspec.json.encode(document)


# What the contracts call otherwise than the public API, and request wrappers that the body does not show.
_WRAPPERS = re.compile(r"^(?:(?:product|merchant|warehouse)\.|requests\[\d+\]\.)")
_HEADER_FIELDS = {"request_id": "Idempotency-Key", "etag": "If-Match"}
_RENAMED = {
    "units": "amount",
    "nanos": "amount",
    "payment_window": "payment_window_s",
    "grace_period": "grace_period_s",
    "query": "q",
}
_STEP = re.compile(r"[^.\[\]]+|\[([^\]]*)\]")


def pointer_of(path: str) -> str:
    """`lines[3].quantity` -> `/lines/3/quantity`, `titles[zh-CN]` -> `/titles/zh-CN` (RFC 6901)."""
    steps = []
    for found in _STEP.finditer(path):
        step = found.group(1) if found.group(1) is not None else found.group(0)
        step = _RENAMED.get(step, step)
        steps.append(step.strip("\"'").replace("~", "~0").replace("/", "~1"))
    return "".join(f"/{step}" for step in steps)


def problem_of(
    error: DomainError,
    *,
    has_body: bool,
    keep_wrapper: bool,
    references: frozenset[str],
    in_path: Collection[str] = (),
) -> Problem:
    """The problem for a service's refusal.

    `in_path` are the names of ids in the route's path: they are no part of its body.
    `references` are the NOT_FOUND reasons that speak of something named in the body: those are 422, since the
    path itself was found.
    """
    kind = CATALOGUE.get(error.reason)
    if kind is not None:
        status, reason = kind.status, error.reason
    else:
        status, reason = _BY_CODE.get(error.code, (500, "INTERNAL"))
    if reason in references:
        status = 422
    if status == HTTPStatus.INTERNAL_SERVER_ERROR:
        return Problem("INTERNAL", CATALOGUE["INTERNAL"].meaning)
    # What gRPC itself says names addresses and is for the log.
    detail = CATALOGUE[reason].meaning if error.domain == "grpc" else error.message
    metadata = {name: value for name, value in error.metadata.items() if name != "field"}
    places = (_place(error, reason, has_body, keep_wrapper, in_path),) if error.field else ()
    return Problem(
        reason,
        detail,
        places,
        status=status,
        headers={"www-authenticate": SIGNATURE_CHALLENGE} if status == HTTPStatus.UNAUTHORIZED else {},
        metadata=metadata,
        retry_after_s=_retry_after(error, reason),
    )


def _place(
    error: DomainError, reason: str, has_body: bool, keep_wrapper: bool, in_path: Collection[str]
) -> Place:
    path = error.field or ""
    if not keep_wrapper:
        path = _WRAPPERS.sub("", path)
    if path in _HEADER_FIELDS:
        return Place("header", _HEADER_FIELDS[path], reason, error.message)
    if has_body and path not in in_path:
        return Place("pointer", pointer_of(path), reason, error.message)
    return Place("parameter", _RENAMED.get(path, path), reason, error.message)


def _retry_after(error: DomainError, reason: str) -> float | None:
    if error.retry_after_s is not None:
        return error.retry_after_s
    return RETRY_AFTER_S_DEFAULT if CATALOGUE[reason].retry else None


_AT = re.compile(r"^(.*?) - at `\$(.*)`$", re.DOTALL)
_MISSING = re.compile(r"missing required field `([^`]+)`")
_UNKNOWN = re.compile(r"contains unknown field `([^`]*)`")


def validation_fault(error: msgspec.ValidationError) -> tuple[str, str, str]:
    """(reason, dotted field path, detail) of a body that does not fit its schema."""
    text = str(error)
    found = _AT.match(text)
    detail, path = (found.group(1), found.group(2)) if found else (text, "")
    path = path.replace("[...]", "").lstrip(".")
    if missing := _MISSING.search(detail):
        return "FIELD_REQUIRED", _joined(path, missing.group(1)), "the field is required"
    if unknown := _UNKNOWN.search(detail):
        return "FIELD_UNKNOWN", _joined(path, unknown.group(1)), "the schema does not know this field"
    detail = detail.replace("`", "").replace("Expected", "expected", 1)
    leaf = path.rpartition(".")[2]
    if leaf == "quantity":
        return "QUANTITY_INVALID", path, detail
    if "array of length <=" in detail:
        return ("TOO_MANY_LINES" if leaf == "lines" else "TOO_MANY_ITEMS"), path, detail
    return "FIELD_INVALID", path, detail


def problem_of_validation(error: msgspec.ValidationError) -> Problem:
    """The problem for a body that does not fit its schema."""
    reason, path, detail = validation_fault(error)
    return at_pointer(reason, pointer_of(path), detail)


def _joined(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
