"""Which refusals a client of sound requests takes as they are."""

import pytest

from tests.chaos.client import REFUSALS, is_unexpected


@pytest.mark.parametrize("op", REFUSALS)
def test_a_sound_request_is_refused_for_a_known_reason_only(op: str) -> None:
    assert is_unexpected(op, "SKU_UNKNOWN")
    assert is_unexpected(op, "")
    assert not any(is_unexpected(op, reason) for reason in REFUSALS[op])


def test_what_is_refused_on_purpose_is_judged_where_it_is_sent() -> None:
    assert not is_unexpected("reuse", "REQUEST_ID_REUSED")
