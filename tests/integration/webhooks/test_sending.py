"""What reaches endpoints, over a real PostgreSQL and real HTTP: signed, until answered, each apart from the others."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import timedelta

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from sampan.webhooks.v1 import delivery_service_pb2 as delivery_pb
from sampan.webhooks.v1 import endpoint_service_pb2 as endpoint_pb
from standardwebhooks import WebhookVerificationError

from services.chassis import clock
from tests.conftest import DatabaseFactory
from tests.integration.webhooks.receiver import receiving
from tests.integration.webhooks.running import PATIENCE_S, TENANT, Client, refused, running, told

pytestmark = pytest.mark.postgres

DELIVERED = delivery_pb.DELIVERY_STATE_DELIVERED
FAILED = delivery_pb.DELIVERY_STATE_FAILED
PENDING = delivery_pb.DELIVERY_STATE_PENDING


async def rotate(client: Client, endpoint_id: str, request_id: str, grace_s: int) -> str:
    """The endpoint's new secret."""
    request = endpoint_pb.RotateSecretRequest(
        tenant_id=TENANT,
        endpoint_id=endpoint_id,
        request_id=request_id,
        grace_period=Duration(seconds=grace_s),
    )
    secret: str = (await client.endpoints.RotateSecret(request)).secret
    return secret


async def test_an_event_is_delivered_once_signed_to_those_who_want_it(
    database_factory: DatabaseFactory,
) -> None:
    async with running(database_factory("webhooks")) as client, receiving() as all_, receiving() as some:
        wants_all = await client.create(all_.url)
        wants_some = await client.create(some.url, "order.cancelled")
        await client.create(some.url, "order.placed", tenant_id="other")
        placed, cancelled = told(order_id="1"), told("order.cancelled", order_id="1")
        async with client.sending():
            await client.tell(placed, cancelled)
            # A batch that is consumed again, as after a lost answer, makes nothing new.
            await client.tell(placed, cancelled)
            await client.settled(wants_all.endpoint.endpoint_id, 2)
            await client.settled(wants_some.endpoint.endpoint_id, 1)
        # Both are under way at once: in which order they come is not promised.
        came = {one.id: one for one in all_.received}
        assert len(all_.received) == 2
        assert came.keys() == {placed.message_id, cancelled.message_id}
        assert [one.id for one in some.received] == [cancelled.message_id]
        first_sent = came[placed.message_id]
        assert first_sent.verified(wants_all.secret) == {
            "type": "order.placed",
            "timestamp": clock.rfc3339(placed.event_time),
            "data": {"order_id": "1"},
        }
        assert first_sent.headers["content-type"] == "application/json"
        with pytest.raises(WebhookVerificationError):
            first_sent.verified(wants_some.secret)
        [last, first] = await client.log(wants_all.endpoint.endpoint_id)
        assert (first.message_id, first.event_type) == (placed.message_id, "order.placed")
        assert (last.state, last.attempts, last.last_status, last.body) == (DELIVERED, 1, 200, "")


async def test_what_is_answered_by_500_is_sent_again_with_the_same_id_and_body(
    database_factory: DatabaseFactory,
) -> None:
    async with running(database_factory("webhooks")) as client, receiving() as receiver:
        receiver.status = lambda number: 500 if number < 2 else 204
        endpoint_id = (await client.create(receiver.url)).endpoint.endpoint_id
        async with client.sending():
            await client.tell(told())
            [ended] = await client.settled(endpoint_id, 1)
        assert (ended.state, ended.attempts, ended.last_status, ended.last_failure) == (DELIVERED, 3, 204, "")
        assert len({(one.id, one.body) for one in receiver.received}) == 1
        assert not (await client.get(endpoint_id)).HasField("failing_since_time")


async def test_one_that_is_too_busy_is_sent_nothing_until_its_pause_is_over(
    database_factory: DatabaseFactory,
) -> None:
    async with running(database_factory("webhooks")) as client, receiving() as busy, receiving() as idle:
        busy.status, busy.headers = lambda number: 200 if number else 429, {"retry-after": "3000"}
        busy_id = (await client.create(busy.url, "order.placed")).endpoint.endpoint_id
        idle_id = (await client.create(idle.url)).endpoint.endpoint_id
        async with client.sending():
            await client.tell(told())
            while not (await client.log(busy_id))[0].attempts:
                await busy.take(1)
            # What happens meanwhile waits as well, though the sender looks whenever something is due.
            await client.tell(told(), told("order.cancelled"))
            await client.settled(idle_id, 3)
            [waits, failed] = await client.log(busy_id)
            assert (waits.attempts, failed.attempts, failed.last_status) == (0, 1, 429)
            pause_s = failed.next_attempt_time.seconds - failed.last_attempt_time.seconds
            assert pause_s == 3_000
            assert (await client.get(busy_id)).paused_until_time == failed.next_attempt_time
            assert await client.rows(
                "SELECT FROM endpoints WHERE due_time >= paused_until AND paused_until > now()"
            )
            await client.rows(
                "WITH d AS (UPDATE deliveries SET next_attempt_time = now() WHERE state = 1) "
                "UPDATE endpoints SET due_time = now(), paused_until = now() WHERE paused_until IS NOT NULL"
            )
            await client.settled(busy_id, 2)
        assert len(busy.received) == 3
        assert not (await client.get(busy_id)).HasField("paused_until_time")


async def test_a_dead_endpoint_takes_nothing_from_a_good_one(database_factory: DatabaseFactory) -> None:
    count = 60
    async with running(database_factory("webhooks")) as client, receiving() as dead, receiving() as good:
        dead.held = True
        dead_id = (await client.create(dead.url)).endpoint.endpoint_id
        good_id = (await client.create(good.url)).endpoint.endpoint_id
        async with client.sending(in_flight_max=4):
            await client.tell(*(told(number=number) for number in range(count)))
            await client.settled(good_id, count)
            # Nothing of what the dead one was sent has been answered, and it holds no more than its share.
            await dead.until(lambda: dead.open == 4)
            assert (len(good.received), len(dead.received)) == (count, 4)
            assert [one.attempts for one in await client.log(dead_id, page_size=count)] == [0] * count
            await dead.let_go()
            await client.settled(dead_id, count)
        assert {one.id for one in dead.received} == {one.id for one in good.received}
        assert dead.open_max <= 4


async def test_endpoints_that_fail_hold_no_place_that_others_need(database_factory: DatabaseFactory) -> None:
    async with running(database_factory("webhooks")) as client, receiving() as dead, receiving() as good:
        dead.status = lambda _: 503
        dead_id = (await client.create(dead.url)).endpoint.endpoint_id
        async with client.sending(endpoints_max=1):
            await client.tell(told())
            await dead.take(1)
            # From here on it takes requests and never answers: the only place for those that fail is gone.
            dead.held = True
            await dead.until(lambda: dead.open == 1 and len(dead.received) >= 2)
            good_id = (await client.create(good.url)).endpoint.endpoint_id
            await client.tell(told())
            await client.settled(good_id, 1)
            assert dead.open == 1
            assert (await client.get(dead_id)).HasField("failing_since_time")
            await dead.let_go()


async def test_two_senders_share_endpoints_and_send_each_message_once(
    database_factory: DatabaseFactory,
) -> None:
    count = 40
    async with running(database_factory("webhooks")) as client, receiving() as one, receiving() as two:
        ids = [(await client.create(receiver.url)).endpoint.endpoint_id for receiver in (one, two)]
        async with client.sending(in_flight_max=3), client.sending(in_flight_max=3):
            for number in range(count):
                await client.tell(told(number=number))
            for endpoint_id in ids:
                await client.settled(endpoint_id, count)
        for receiver in (one, two):
            assert len({received.id for received in receiver.received}) == len(receiver.received) == count
            assert receiver.open_max <= 3


async def test_a_redelivery_has_the_same_id_and_is_retried_as_at_first(
    database_factory: DatabaseFactory,
) -> None:
    async with running(database_factory("webhooks")) as client, receiving() as receiver:
        endpoint_id = (await client.create(receiver.url)).endpoint.endpoint_id
        async with client.sending():
            await client.tell(told())
            [first] = await client.settled(endpoint_id, 1)
            receiver.status = lambda number: 500 if number == 1 else 200
            again = await client.redeliver(first.delivery_id)
            assert (again.state, again.message_id) == (PENDING, first.message_id)
            await receiver.take(3)
            [ended] = await client.settled(endpoint_id, 1)
        assert (ended.delivery_id, ended.state, ended.attempts) == (first.delivery_id, DELIVERED, 3)
        assert len({(one.id, one.body) for one in receiver.received}) == 1


async def test_during_a_rotation_either_secret_verifies_and_afterwards_the_new_one(
    database_factory: DatabaseFactory,
) -> None:
    async with running(database_factory("webhooks")) as client, receiving() as receiver:
        issued = await client.create(receiver.url)
        endpoint_id = issued.endpoint.endpoint_id
        async with client.sending():
            second = await rotate(client, endpoint_id, "r2", 3_600)
            await client.tell(told())
            [both] = await receiver.take(1)
            assert len(both.headers["webhook-signature"].split()) == 2
            assert both.verified(issued.secret) == both.verified(second)
            third = await rotate(client, endpoint_id, "r3", 0)
            await client.tell(told())
            alone = (await receiver.take(2))[1]
            alone.verified(third)
            for secret in (issued.secret, second):
                with pytest.raises(WebhookVerificationError):
                    alone.verified(secret)
            await client.settled(endpoint_id, 2)


async def test_410_disables_until_the_tenant_enables_again_and_what_waits_is_then_sent(
    database_factory: DatabaseFactory,
) -> None:
    async with running(database_factory("webhooks")) as client, receiving() as receiver:
        receiver.status = lambda number: 410 if number == 0 else 200
        endpoint_id = (await client.create(receiver.url)).endpoint.endpoint_id
        async with client.sending(in_flight_max=1):
            await client.tell(told(), told())
            [gone] = await client.settled(endpoint_id, 1)
            assert (gone.state, gone.last_status) == (FAILED, 410)
            endpoint = await client.get(endpoint_id)
            assert endpoint.state == endpoint_pb.ENDPOINT_STATE_DISABLED
            assert endpoint.disable_reason == endpoint_pb.DISABLE_REASON_GONE
            await client.tell(told())
            with refused("FAILED_PRECONDITION", "ENDPOINT_DISABLED"):
                await client.redeliver(gone.delivery_id)
            enable = endpoint_pb.EnableEndpointRequest(tenant_id=TENANT, endpoint_id=endpoint_id)
            assert (await client.endpoints.EnableEndpoint(enable)).version == endpoint.version + 1
            await client.settled(endpoint_id, 2)
        # What happened while it was disabled was not kept for it.
        assert len(await client.log(endpoint_id)) == len(receiver.received) == 2


async def test_an_endpoint_that_has_only_failed_for_so_long_is_disabled(
    database_factory: DatabaseFactory,
) -> None:
    async with running(database_factory("webhooks")) as client, receiving() as receiver:
        receiver.status = lambda _: 500
        endpoint_id = (await client.create(receiver.url)).endpoint.endpoint_id
        async with client.sending(disable_after=timedelta(seconds=0.2)):
            await client.tell(told())
            while (await client.get(endpoint_id)).state != endpoint_pb.ENDPOINT_STATE_DISABLED:
                await receiver.until(lambda: bool(receiver.received))
        endpoint = await client.get(endpoint_id)
        assert endpoint.disable_reason == endpoint_pb.DISABLE_REASON_FAILING
        [waits] = await client.log(endpoint_id)
        assert (waits.state, waits.last_failure) == (PENDING, "STATUS")
        assert waits.attempts == len(receiver.received) >= 2


async def test_no_redirect_is_followed(database_factory: DatabaseFactory) -> None:
    async with running(database_factory("webhooks")) as client, receiving() as first, receiving() as inside:
        first.status, first.headers = lambda _: 307, {"location": inside.url}
        endpoint_id = (await client.create(first.url)).endpoint.endpoint_id
        async with client.sending():
            await client.tell(told())
            await first.take(2)
        assert inside.received == []
        [delivery] = await client.log(endpoint_id)
        assert (delivery.last_status, delivery.last_failure) == (307, "STATUS")


async def test_a_name_that_leads_inside_is_found_out_when_it_is_used(
    database_factory: DatabaseFactory,
) -> None:
    async with running(database_factory("webhooks"), insecure=False) as client, receiving() as inside:
        endpoint_id = (await client.create(f"https://localhost:{inside.port}/")).endpoint.endpoint_id
        async with client.sending():
            await client.tell(told())
            while not (await client.log(endpoint_id))[0].attempts:
                pass
        [delivery] = await client.log(endpoint_id)
        assert (delivery.last_status, delivery.last_failure) == (0, "ADDRESS_REFUSED")
        assert inside.received == []


@pytest.mark.parametrize(
    ("url", "failure"),
    [
        ("http://127.0.0.1:1/", "CONNECTION"),
        ("http://nobody.invalid/", "NAME"),
        ("https://127.0.0.1:{port}/", "TLS"),
    ],
)
async def test_what_keeps_an_attempt_from_being_answered_is_told(
    database_factory: DatabaseFactory, url: str, failure: str
) -> None:
    async with running(database_factory("webhooks")) as client, receiving() as receiver:
        endpoint_id = (await client.create(url.format(port=receiver.port))).endpoint.endpoint_id
        async with client.sending():
            await client.tell(told())
            while not (await client.log(endpoint_id))[0].attempts:
                pass
        [delivery] = await client.log(endpoint_id)
        assert (delivery.last_status, delivery.last_failure) == (0, failure)
        assert delivery.HasField("next_attempt_time")


async def test_an_endpoint_that_does_not_answer_in_time_is_told_again(
    database_factory: DatabaseFactory,
) -> None:
    async with running(database_factory("webhooks")) as client, receiving() as receiver:
        receiver.held = True
        endpoint_id = (await client.create(receiver.url)).endpoint.endpoint_id
        async with client.sending(attempt_s_max=0.2):
            await client.tell(told())
            await receiver.take(2)
            [delivery] = await client.log(endpoint_id)
            assert (delivery.last_status, delivery.last_failure) == (0, "TIMEOUT")
            await receiver.let_go()
            [ended] = await client.settled(endpoint_id, 1)
        assert ended.state == DELIVERED


async def test_a_database_that_breaks_off_while_an_answer_comes_makes_no_second_attempt(
    database_factory: DatabaseFactory,
) -> None:
    async with running(database_factory("webhooks")) as client, receiving() as receiver:
        receiver.held = True
        endpoint_id = (await client.create(receiver.url)).endpoint.endpoint_id
        async with client.sending():
            await client.tell(told())
            await receiver.take(1)
            ended = await client.rows(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            assert ended
            await receiver.let_go()
            async with asyncio.timeout(PATIENCE_S):
                while True:
                    # Those who ask meet a dead connection as well.
                    with contextlib.suppress(grpc.aio.AioRpcError):
                        [delivery] = await client.log(endpoint_id)
                        if delivery.state == DELIVERED:
                            break
                    await asyncio.sleep(0.05)
        assert (delivery.attempts, len(receiver.received)) == (1, 1)
