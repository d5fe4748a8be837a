"""Query parameters, headers and keys."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway import params
from services.gateway.auth import ApiKey, Caller, Callers, KeyRing
from services.gateway.call import read_query
from services.gateway.config import GatewaySettings
from services.gateway.errors import Problem
from services.gateway.params import PATH_IDS, Param

PAGING = {parameter.name: parameter for parameter in params.paging(200, 50)}
MOMENT = {"since": params.moment("since", "")}


def test_absent_parameters_have_their_default() -> None:
    assert read_query(b"", PAGING) == {"page_size": 0, "page_token": ""}
    assert read_query(b"&&", PAGING) == {"page_size": 0, "page_token": ""}


def test_a_page_size_above_the_maximum_is_left_for_the_service_to_coerce() -> None:
    assert read_query(b"page_size=1000", PAGING)["page_size"] == 1000


@pytest.mark.parametrize(
    "text", ["2026-03-01T10:30:00Z", "2026-03-01T11:30:00%2B01:00", "2026-03-01T11:30:00+01:00"]
)
def test_times_are_read_in_any_offset(text: str) -> None:
    assert read_query(b"since=" + text.encode(), MOMENT) == {
        "since": datetime(2026, 3, 1, 10, 30, tzinfo=UTC)
    }


@given(st.binary(max_size=60))
def test_no_query_makes_anything_but_a_problem(query: bytes) -> None:
    declared: dict[str, Param] = {**PAGING, **MOMENT}
    declared["skus"] = params.several("skus", "", items_max=3, chars_max=4, required=False)
    declared["order_id"] = params.uuid("order_id", "")
    for name in (b"page_size=", b"since=", b"skus=", b"order_id=", b""):
        try:
            read_query(name + query, declared)
        except Problem:
            continue


@given(st.text(max_size=80))
def test_no_text_makes_anything_but_an_answer_of_an_id_check(text: str) -> None:
    for is_valid, _, _ in PATH_IDS.values():
        assert is_valid(text) in (True, False)


def callers() -> Callers:
    """Two of them."""
    ring = KeyRing(
        [
            ApiKey(key="storefront-key-01", tenant_id="a", role="storefront"),
            ApiKey(key="operator-key-0001", tenant_id="b", role="operator"),
        ]
    )
    return Callers(ring, is_caught_up=lambda: True)


def test_the_key_decides_tenant_and_role() -> None:
    shop = callers().known({b"x-api-key": b"storefront-key-01"})
    assert shop is not None
    assert (shop.tenant_id, set(shop.roles)) == ("a", {"storefront"})
    operator = callers().known({b"authorization": b"bearer  operator-key-0001"})
    assert operator is not None
    assert (operator.tenant_id, set(operator.roles)) == ("b", {"administrator"})


@pytest.mark.parametrize("key", [b"", b"storefront-key-0", b"storefront-key-012", b"\xff" * 40])
async def test_any_other_key_is_refused(key: bytes) -> None:
    async def caller() -> Caller:
        headers = {b"x-api-key": key}
        return callers().known(headers) or await callers().verified(headers)

    with pytest.raises(Problem) as caught:
        await caller()
    assert caught.value.status == 401


@pytest.mark.parametrize(
    "listed",
    [
        '{"key": "k"}',
        '[{"key": "short", "tenant_id": "a", "role": "operator"}]',
        '[{"key": "long-enough-key-1", "tenant_id": "A B", "role": "operator"}]',
        '[{"key": "long-enough-key-1", "tenant_id": "a", "role": "god"}]',
        '[{"key": "long-enough-key-1", "tenant_id": "a", "role": "platform"}]',
        '[{"key": "long-enough-key-1", "tenant_id": "platform", "role": "operator"}]',
        '[{"key": "long-enough-key-1", "tenant_id": "a", "role": "operator", "x": 1}]',
        "nonsense",
    ],
)
def test_a_wrong_keys_file_is_refused_at_the_start(listed: str) -> None:
    with pytest.raises(ValueError, match="api_keys"):
        GatewaySettings(api_keys=listed)
