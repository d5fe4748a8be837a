"""What the judges make of all that a client was told under one key."""

import msgspec
import pytest

from deploy.audit.history_checks import Story, judge_refused
from deploy.replay.history import Entry, Outcome

STORED = {"key_order_id": "a", "order_id": "a"}


def story(*outcomes: Outcome) -> Story:
    return Story([Entry("place", "key", outcome, 1.0, msgspec.Raw(b"{}")) for outcome in outcomes])


@pytest.mark.parametrize("outcomes", [("refused",), ("refused", "refused"), ("unknown", "refused")])
def test_what_was_refused_in_the_end_must_not_be_stored(outcomes: tuple[Outcome, ...]) -> None:
    assert "yet order a is stored" in (judge_refused(story(*outcomes), STORED) or "")
    assert judge_refused(story(*outcomes), None) is None
    assert judge_refused(story(*outcomes), {"key_order_id": None, "order_id": None}) is None


@pytest.mark.parametrize(
    "outcomes", [("ok",), ("unknown",), ("refused", "unknown"), ("ok", "refused"), ("refused", "ok")]
)
def test_what_may_have_been_carried_out_may_be_stored(outcomes: tuple[Outcome, ...]) -> None:
    assert judge_refused(story(*outcomes), STORED) is None
