"""Reasons become problems: status, type, places."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from sampan.catalog.v1 import error_reason_pb2 as catalog_reasons
from sampan.operations.v1 import error_reason_pb2 as operations_reasons
from sampan.orders.v1 import error_reason_pb2 as orders_reasons
from sampan.warehouse.v1 import error_reason_pb2 as warehouse_reasons

from services.chassis.errors import (
    Aborted,
    AlreadyExists,
    DeadlineExceeded,
    DomainError,
    FailedPrecondition,
    Internal,
    InvalidArgument,
    NotFound,
    ResourceExhausted,
    Unavailable,
)
from services.gateway.catalogue import CATALOGUE, catalogue_markdown
from services.gateway.errors import Problem, pointer_of, problem_json, problem_of, problem_of_validation


def translated(
    error: DomainError, *, has_body: bool = True, references: frozenset[str] = frozenset()
) -> Problem:
    """The problem for an error on an ordinary route."""
    return problem_of(error, has_body=has_body, keep_wrapper=False, references=references)


@pytest.mark.parametrize("reasons", [catalog_reasons, operations_reasons, orders_reasons, warehouse_reasons])
def test_every_reason_of_the_contracts_has_a_problem(reasons: object) -> None:
    names = [name.removeprefix("ERROR_REASON_") for name in dict(reasons.ErrorReason.items())]  # type: ignore[attr-defined]
    assert [name for name in names if name not in CATALOGUE] == ["UNSPECIFIED"]


def test_types_are_stable_and_distinct() -> None:
    assert CATALOGUE["SKU_UNKNOWN"].uri == "/problems/sku-unknown"
    assert len({kind.uri for kind in CATALOGUE.values()}) == len(CATALOGUE)
    assert all(400 <= kind.status < 600 for kind in CATALOGUE.values())
    assert all(kind.uri in catalogue_markdown() for kind in CATALOGUE.values())


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (InvalidArgument("FIELD_INVALID", "m"), 400),
        (NotFound("ORDER_NOT_FOUND", "m"), 404),
        (Aborted("ETAG_MISMATCH", "m"), 412),
        (FailedPrecondition("REQUEST_ID_REUSED", "m"), 422),
        (FailedPrecondition("ORDER_STATE_WRONG", "m"), 409),
        (FailedPrecondition("PAYMENT_DECLINED", "m"), 402),
        (FailedPrecondition("TOTAL_CHANGED", "m"), 409),
        (ResourceExhausted("OVERLOADED", "m"), 429),
        (ResourceExhausted("RESOURCE_EXHAUSTED", "by gRPC"), 429),
        (Unavailable("UNAVAILABLE", "by gRPC"), 503),
        (DeadlineExceeded("DEADLINE_EXCEEDED", "by gRPC"), 503),
        (Internal("UNKNOWN", "by gRPC"), 500),
        (InvalidArgument("A_LATER_REASON", "m"), 400),
    ],
)
def test_statuses(error: DomainError, status: int) -> None:
    assert translated(error).status == status


@pytest.mark.parametrize(
    ("kind", "reason"),
    [(NotFound, "NOT_FOUND"), (AlreadyExists, "ALREADY_EXISTS"), (FailedPrecondition, "CONFLICT")],
)
def test_a_reason_of_a_newer_service_gets_a_neutral_type(kind: type[DomainError], reason: str) -> None:
    assert translated(kind("A_LATER_REASON", "m")).reason == reason


def test_what_can_be_repeated_says_when() -> None:
    assert translated(Unavailable("UNAVAILABLE", "m")).retry_after_s == 1
    assert translated(Unavailable("DEPENDENCY_UNAVAILABLE", "m", retry_after_s=7)).retry_after_s == 7
    assert translated(InvalidArgument("FIELD_INVALID", "m")).retry_after_s is None


def test_a_thing_that_the_body_names_is_422_where_it_does_not_exist() -> None:
    error = NotFound("MERCHANT_NOT_FOUND", "m", field="product.merchant_id")
    assert translated(error).status == 404
    problem = translated(error, references=frozenset({"MERCHANT_NOT_FOUND"}))
    assert problem.status == 422
    assert problem.places[0].as_json()["pointer"] == "/merchant_id"


@pytest.mark.parametrize(
    ("path", "pointer"),
    [
        ("lines[3].quantity", "/lines/3/quantity"),
        ("quantity", "/quantity"),
        ("titles[zh-CN]", "/titles/zh-CN"),
        ('titles["zh-CN"]', "/titles/zh-CN"),
        ("options[a/b~c]", "/options/a~1b~0c"),
        ("variants[0].prices[1].units", "/variants/0/prices/1/amount"),
        ("payment_window", "/payment_window_s"),
        ("", ""),
    ],
)
def test_pointers(path: str, pointer: str) -> None:
    assert pointer_of(path) == pointer


@pytest.mark.parametrize(
    ("path", "has_body", "place"),
    [
        ("requests[4].lines[0].sku", True, ("pointer", "/lines/0/sku")),
        ("warehouse.cell", True, ("pointer", "/cell")),
        ("warehouse_id", True, ("pointer", "/warehouse_id")),
        ("request_id", True, ("header", "Idempotency-Key")),
        ("product.etag", True, ("header", "If-Match")),
        ("page_token", False, ("parameter", "page_token")),
    ],
)
def test_places(path: str, has_body: bool, place: tuple[str, str]) -> None:
    found = translated(InvalidArgument("FIELD_INVALID", "m", field=path), has_body=has_body).places[0]
    assert (found.kind, found.name) == place


def test_metadata_is_shown_without_the_field_and_internals_are_not_shown() -> None:
    error = FailedPrecondition("TOTAL_CHANGED", "m", metadata={"total": "5.00"}, field="expected_total")
    document = msgspec.json.decode(problem_json(translated(error), "abc"))
    assert document["metadata"] == {"total": "5.00"}
    assert document["trace_id"] == "abc"
    hidden = translated(Internal("INTERNAL", "password=1", metadata={"dsn": "x"}))
    assert "password" not in problem_json(hidden, "abc").decode()
    assert not hidden.metadata


class _Inner(msgspec.Struct, forbid_unknown_fields=True):
    quantity: int


class _Outer(msgspec.Struct, forbid_unknown_fields=True):
    lines: list[_Inner]
    names: dict[str, str] = msgspec.field(default_factory=dict)


@pytest.mark.parametrize(
    ("body", "reason", "pointer"),
    [
        (b'{"lines": [{"quantity": 1}, {"quantity": "1"}]}', "QUANTITY_INVALID", "/lines/1/quantity"),
        (b'{"lines": [{}]}', "FIELD_REQUIRED", "/lines/0/quantity"),
        (b"{}", "FIELD_REQUIRED", "/lines"),
        (b'{"lines": [{"quantity": 1, "price": 2}]}', "FIELD_UNKNOWN", "/lines/0/price"),
        (b'{"lines": [], "names": {"a": 1}}', "FIELD_INVALID", "/names"),
        (b"[]", "FIELD_INVALID", ""),
    ],
)
def test_a_schema_fault_names_its_place(body: bytes, reason: str, pointer: str) -> None:
    with pytest.raises(msgspec.ValidationError) as caught:
        msgspec.json.decode(body, type=_Outer)
    problem = problem_of_validation(caught.value)
    assert (problem.reason, problem.places[0].name) == (reason, pointer)


def test_the_page_of_problems_is_made_from_the_catalogue() -> None:
    page = Path(__file__).parents[3] / "docs" / "problems.md"
    assert page.read_text("utf-8") == catalogue_markdown()
