"""Domain errors survive the wire."""

import pytest
from google.rpc.status_pb2 import Status
from hypothesis import given
from hypothesis import strategies as st

from services.chassis import errors
from services.chassis.rpc import status


@pytest.mark.parametrize("kind", errors.classes_by_code().values())
def test_an_error_comes_back_as_itself(kind: type[errors.DomainError]) -> None:
    error = kind(
        "SKU_UNKNOWN", "no such SKU", metadata={"sku": "A-1"}, field="lines[3].sku", retry_after_s=1.5
    )
    wire = status.status_of(error)
    back = status.error_of(Status.FromString(wire.SerializeToString()))
    assert type(back) is kind
    assert (back.reason, back.message) == ("SKU_UNKNOWN", "no such SKU")
    assert back.metadata == {"sku": "A-1", "field": "lines[3].sku"}
    assert (back.field, back.retry_after_s) == ("lines[3].sku", 1.5)


def test_there_is_exactly_one_error_info_with_the_domain_of_the_service() -> None:
    status.set_own_domain("orders")
    wire = status.status_of(errors.NotFound("ORDER_NOT_FOUND", "no such order"))
    assert [detail.TypeName() for detail in wire.details] == ["google.rpc.ErrorInfo"]
    assert status.error_of(wire).domain == "sampan.orders"


def test_an_error_passed_on_keeps_its_origin() -> None:
    status.set_own_domain("orders")
    error = errors.NotFound("SKU_UNKNOWN", "no such SKU", domain="sampan.catalog")
    assert status.error_of(status.status_of(error)).domain == "sampan.catalog"


def test_a_subclass_of_a_service_arrives_as_its_base() -> None:
    class OrderNotFound(errors.NotFound):
        def __init__(self) -> None:
            super().__init__("ORDER_NOT_FOUND", "no such order")

    assert type(status.error_of(status.status_of(OrderNotFound()))) is errors.NotFound


@pytest.mark.parametrize(
    ("code", "kind"),
    [(14, errors.Unavailable), (1, errors.Unavailable), (2, errors.Internal), (999, errors.Internal)],
)
def test_a_status_without_details_is_understood(code: int, kind: type[errors.DomainError]) -> None:
    error = status.error_of(Status(code=code))
    assert type(error) is kind
    assert error.domain == "grpc"


@given(st.text(max_size=5000), st.dictionaries(st.text(max_size=20), st.text(max_size=2000), max_size=40))
def test_the_wire_form_is_bounded(message: str, metadata: dict[str, str]) -> None:
    printable = message.encode(errors="replace").decode()
    clean = {
        k.encode(errors="replace").decode(): v.encode(errors="replace").decode() for k, v in metadata.items()
    }
    wire = status.status_of(errors.InvalidArgument("X", printable, metadata=clean))
    assert wire.ByteSize() < 45_000


def test_internal_from_grpc_itself_is_a_broken_connection() -> None:
    error = status.error_of(Status(code=13, message="Internal error from Core"))
    assert isinstance(error, errors.Unavailable)
    assert error.domain == "grpc"
