"""Page tokens: opaque, bound to their filter, harmless when forged."""

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.chassis import pages
from services.chassis.errors import InvalidArgument

BOUND = pages.filter_hash("acme", "orders.list", "PENDING")

storable = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40)


@given(st.lists(storable | st.integers(-(2**63) + 1, 2**63 - 1), max_size=4))
def test_a_cursor_comes_back(cursor: list[str | int]) -> None:
    assert pages.decode(BOUND, pages.encode(BOUND, cursor)) == cursor


def test_no_token_is_the_first_page() -> None:
    assert pages.decode(BOUND, "") is None


def test_a_token_of_another_filter_is_refused() -> None:
    other = pages.filter_hash("acme", "orders.list", "CONFIRMED")
    with pytest.raises(InvalidArgument) as refused:
        pages.decode(other, pages.encode(BOUND, ["x"]))
    assert refused.value.reason == "PAGE_TOKEN_MISMATCH"
    assert refused.value.field == "page_token"


def forged(payload: bytes) -> str:
    return base64.urlsafe_b64encode(payload).rstrip(b"=").decode()


@pytest.mark.parametrize(
    "token",
    [
        "!",
        "a",
        "é",
        "a" * 2000,
        forged(BOUND),
        forged(BOUND + b"\xff"),
        forged(BOUND + b"{}"),
        forged(BOUND + b"[null]"),
        forged(BOUND + b"[true]"),
        forged(BOUND + b"[1.5]"),
        forged(BOUND + json.dumps(["\0"]).encode()),
        forged(BOUND + json.dumps(["\ud800"]).encode()),
        forged(BOUND + json.dumps([2**63]).encode()),
        forged(BOUND + b"[" * 700),
    ],
)
def test_what_we_never_issued_is_refused(token: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        pages.decode(BOUND, token)
    assert refused.value.reason == "PAGE_TOKEN_INVALID"


@given(st.text(max_size=60))
def test_no_text_does_worse_than_be_refused(token: str) -> None:
    try:
        pages.decode(BOUND, token)
    except InvalidArgument:
        return
    assert token == ""


def test_page_size_has_default_and_maximum() -> None:
    assert [pages.page_size(size, default=20, maximum=100) for size in (0, 7, 1000)] == [20, 7, 100]
    with pytest.raises(InvalidArgument):
        pages.page_size(-1, default=20, maximum=100)
