"""The law of retries, and what failing and rotating do to an endpoint."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.chassis.errors import FieldInvalid, TooManyItems
from services.webhooks.domain import deliveries, endpoints
from services.webhooks.domain.deliveries import (
    Delivery,
    DeliveryState,
    Failure,
    Outcome,
    RetryPolicy,
)
from services.webhooks.domain.endpoints import (
    DisableReason,
    Endpoint,
    EndpointContent,
    EndpointState,
    Secret,
)
from services.webhooks.errors import EventTypeUnknown

NOW = datetime(2026, 3, 1, 9, 30, tzinfo=UTC)
POLICY = RetryPolicy()
DELIVERY = Delivery(
    "d", "e", "msg_1", "order.placed", NOW, "{}", DeliveryState.PENDING, 0, 0, NOW, 0, "", None, NOW, NOW
)
ENDPOINT = Endpoint(
    "acme",
    "e",
    EndpointContent("https://hooks.example.com/"),
    EndpointState.ENABLED,
    DisableReason.NONE,
    None,
    None,
    1,
    NOW,
    NOW,
    (Secret("s1", b"1", NOW),),
)
chances = st.floats(min_value=0, max_value=1, exclude_max=True)


def answered(status: int, retry_after: str = "") -> Outcome:
    return Outcome.of_answer(status, retry_after, NOW)


@given(attempts=st.integers(min_value=1, max_value=10_000), chance=chances)
def test_a_pause_grows_to_eight_hours_and_varies_by_a_quarter(attempts: int, chance: float) -> None:
    pause = POLICY.delay(attempts, chance)
    middle = POLICY.delay(attempts, 0.5)
    assert middle * 0.75 <= pause <= middle * 1.25
    assert POLICY.delay(1, 0.5) == timedelta(seconds=5)
    assert middle <= POLICY.delay(attempts + 1, 0.5) <= timedelta(hours=8)


@given(chance=chances)
def test_what_always_fails_is_tried_for_three_days_and_then_given_up(chance: float) -> None:
    delivery, now = DELIVERY, NOW
    while delivery.state == DeliveryState.PENDING:
        due = delivery.next_attempt_time
        assert due is not None
        now = max(now, due)
        delivery = deliveries.attempted(delivery, Outcome(0, Failure.TIMEOUT), now, POLICY, chance)
        assert delivery.attempts < 30
    assert delivery.state == DeliveryState.FAILED
    assert delivery.next_attempt_time is None
    # It was not given up while another attempt would have been in time.
    assert timedelta(days=3) - timedelta(hours=10) <= now - NOW <= timedelta(days=3)


@pytest.mark.parametrize("status", [200, 202, 204, 299])
def test_any_2xx_delivers(status: int) -> None:
    after = deliveries.attempted(DELIVERY, answered(status), NOW, POLICY, 0.5)
    assert (after.state, after.last_status, after.last_failure) == (DeliveryState.DELIVERED, status, "")


@pytest.mark.parametrize("status", [199, 301, 302, 307, 400, 404, 429, 500, 503])
def test_anything_else_is_tried_again_a_redirect_too(status: int) -> None:
    after = deliveries.attempted(DELIVERY, answered(status), NOW, POLICY, 0.5)
    assert (after.state, after.last_failure) == (DeliveryState.PENDING, "STATUS")
    assert after.next_attempt_time == NOW + timedelta(seconds=5)


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(
    ("retry_after", "pause_s"),
    [
        ("120", 120),
        ("Sun, 01 Mar 2026 09:32:00 GMT", 120),
        ("Sun, 01 Mar 2026 09:32:00 -0000", 120),
        ("1", 5),
        ("86400", 3_600),
        ("Mon, 02 Mar 2026 09:30:00 GMT", 3_600),
        ("9" * 5_000, 3_600),
        ("Sun, 01 Mar 2020 09:30:00 GMT", 5),
        ("-120", 5),
        ("Sun, 01 Mar 99999999999999999999 09:32:00 GMT", 5),
        ("soon", 5),
        ("", 5),
    ],
)
def test_one_that_is_too_busy_is_left_alone_for_as_long_as_it_asks_but_for_an_hour_at_most(
    status: int, retry_after: str, pause_s: int
) -> None:
    after = deliveries.attempted(DELIVERY, answered(status, retry_after), NOW, POLICY, 0.5)
    assert after.next_attempt_time == NOW + timedelta(seconds=pause_s)


@given(retry_after=st.text())
def test_whatever_an_endpoint_asks_for_is_a_pause_within_the_bound(retry_after: str) -> None:
    assert 0 <= answered(503, retry_after).retry_after_s <= deliveries.RETRY_AFTER_S_MAX


@pytest.mark.parametrize("status", [200, 301, 400, 410, 500])
def test_no_other_answer_asks_for_a_pause(status: int) -> None:
    assert answered(status, "120").retry_after_s == 0


def test_410_is_not_tried_again() -> None:
    after = deliveries.attempted(DELIVERY, answered(410), NOW, POLICY, 0.5)
    assert (after.state, after.next_attempt_time) == (DeliveryState.FAILED, None)


def test_a_redelivery_keeps_the_id_and_the_count_and_begins_the_retries_anew() -> None:
    failed = msgspec.structs.replace(
        DELIVERY, state=DeliveryState.FAILED, attempts=17, round_attempts=17, next_attempt_time=None
    )
    later = NOW + timedelta(days=10)
    again = deliveries.again(failed, later)
    assert (again.message_id, again.attempts, again.next_attempt_time) == ("msg_1", 17, later)
    after = deliveries.attempted(again, answered(500), later, POLICY, 0.5)
    assert (after.attempts, after.next_attempt_time) == (18, later + timedelta(seconds=5))


def tried(
    endpoint: Endpoint,
    now: datetime,
    *,
    succeeded: bool = False,
    gone: bool = False,
    retry_after_s: float = 0,
) -> Endpoint:
    return endpoints.after_attempts(
        endpoint,
        succeeded=succeeded,
        gone=gone,
        retry_after_s=retry_after_s,
        now=now,
        disable_after=timedelta(days=5),
    )


def test_an_endpoint_that_only_fails_is_disabled_after_days_and_one_success_forgets_them() -> None:
    failing = tried(ENDPOINT, NOW)
    assert (failing.failing_since, failing.state) == (NOW, EndpointState.ENABLED)
    almost = NOW + timedelta(days=5) - timedelta(seconds=1)
    assert tried(failing, almost).state == EndpointState.ENABLED
    assert tried(failing, almost).failing_since == NOW
    assert tried(failing, almost, succeeded=True).failing_since is None
    ended = tried(failing, NOW + timedelta(days=5))
    assert (ended.state, ended.disable_reason) == (EndpointState.DISABLED, DisableReason.FAILING)
    assert ended.version == failing.version + 1


@pytest.mark.parametrize("succeeded", [False, True])
def test_an_endpoint_is_paused_until_what_it_asked_for_is_over(succeeded: bool) -> None:
    paused = tried(ENDPOINT, NOW, succeeded=succeeded, retry_after_s=120)
    assert paused.paused_until == NOW + timedelta(seconds=120)
    assert tried(paused, NOW + timedelta(seconds=120), succeeded=succeeded).paused_until is None


def test_one_that_is_gone_is_disabled_at_once_and_can_be_enabled_again() -> None:
    gone = tried(ENDPOINT, NOW, gone=True)
    assert (gone.state, gone.disable_reason) == (EndpointState.DISABLED, DisableReason.GONE)
    again = endpoints.enabled(gone, NOW)
    assert (again.state, again.disable_reason, again.failing_since) == (
        EndpointState.ENABLED,
        DisableReason.NONE,
        None,
    )
    assert endpoints.enabled(again, NOW) is again


def test_two_secrets_sign_for_the_grace_period_and_a_third_ends_the_oldest() -> None:
    day = timedelta(days=1)
    second = endpoints.rotated(ENDPOINT, Secret("s2", b"2", NOW), day, NOW)
    assert [(one.secret_id, one.expire_time) for one in second.secrets] == [("s2", None), ("s1", NOW + day)]
    assert [one.signs(NOW + day) for one in second.secrets] == [True, False]
    later = NOW + timedelta(hours=1)
    third = endpoints.rotated(second, Secret("s3", b"3", later), day, later)
    assert [one.secret_id for one in third.secrets] == ["s3", "s2"]
    alone = endpoints.rotated(third, Secret("s4", b"4", later), timedelta(0), later)
    assert [one.secret_id for one in alone.secrets] == ["s4"]


def test_a_grace_period_is_a_day_unless_stated_and_thirty_at_most() -> None:
    assert endpoints.grace(None) == timedelta(days=1)
    assert endpoints.grace(timedelta(days=30)) == timedelta(days=30)
    for period in (timedelta(seconds=-1), timedelta(days=31)):
        with pytest.raises(FieldInvalid):
            endpoints.grace(period)


def test_types_of_events_are_known_each_once_and_in_order() -> None:
    def content(*types: str) -> tuple[str, ...]:
        return endpoints.content("https://hooks.example.com/", "", types, insecure=False).event_types

    assert content("parcel.shipped", "order.placed") == ("order.placed", "parcel.shipped")
    with pytest.raises(EventTypeUnknown) as caught:
        content("order.placed", "order.eaten")
    assert caught.value.field == "event_types[1]"
    with pytest.raises(FieldInvalid):
        content("order.placed", "order.placed")
    with pytest.raises(TooManyItems):
        content(*["order.placed"] * 51)
