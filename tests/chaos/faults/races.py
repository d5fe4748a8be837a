"""Operations that meet at the worst moment: payment and expiry, cancellation and shipment, the same request twice."""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

import asyncpg

from tests.chaos.client import Answer, Request, new_key
from tests.chaos.cluster import Cluster
from tests.chaos.fault import BaseFault, Fault

ROUND_S = 0.3
ORDERS_AT_ONCE = 4
SAME_POSTS = 8
SOON_S = 3.0
AROUND_S = 0.03
REPEATED_NOTIFICATIONS = 3
DECIDED_S = 5

UNREACHABLE = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError)
EXPIRING = """
SELECT order_id::text, extract(epoch FROM payment_expire_time - clock_timestamp())::float8 AS in_s FROM orders
WHERE state = 'AWAITING_PAYMENT'
  AND payment_expire_time BETWEEN clock_timestamp() AND clock_timestamp() + $1 * interval '1 s'
ORDER BY payment_expire_time LIMIT 20
"""
REPEAT_NOTIFICATIONS = """
INSERT INTO sandbox_notification (notification_id, payment_id, outcome, decline_code, due_time, deliveries_left)
SELECT 'sandbox-' || payment_id, payment_id, CASE state WHEN 'DECLINED' THEN 'DECLINED' ELSE 'AUTHORISED' END,
       decline_code, now() + random() * interval '2 s', $1
FROM sandbox_payment WHERE state IN ('AUTHORISED', 'CAPTURED', 'DECLINED', 'REFUNDED') AND card <> ''
ORDER BY create_time DESC LIMIT $2
ON CONFLICT (notification_id) DO NOTHING
"""
"""The provider gives answers again that it has given before, whatever became of the payments since."""


class _Race(BaseFault):
    """Rounds, one after another, as long as it lasts."""

    duration_s = (5.0, 9.0)

    def targets(self, cluster: Cluster) -> Sequence[str]:
        """The system as a whole."""
        return [self.name]

    @asynccontextmanager
    async def inject(self, cluster: Cluster, target: str, rng: random.Random) -> AsyncIterator[None]:
        """Races until left; what is under way then comes to its end."""
        leaving = asyncio.Event()

        async def rounds() -> None:
            while not leaving.is_set():
                with suppress(*UNREACHABLE):
                    await self._round(cluster, rng)
                with suppress(TimeoutError):
                    async with asyncio.timeout(ROUND_S):
                        await leaving.wait()

        task = asyncio.create_task(rounds())
        try:
            yield
        finally:
            leaving.set()
            await task

    async def _round(self, cluster: Cluster, rng: random.Random) -> None:
        raise NotImplementedError


class PayAtExpiry(_Race):
    """Orders are paid around the very moment of their deadline, at both gateways at once."""

    name = "races.pay-at-expiry"
    duration_s = (12.0, 20.0)

    async def _round(self, cluster: Cluster, rng: random.Random) -> None:
        connection = await asyncpg.connect(cluster.dsn("orders"), timeout=SOON_S)
        try:
            due = await connection.fetch(EXPIRING, SOON_S)
        finally:
            connection.terminate()

        async def pay_then(order_id: str, in_s: float, gateway: int) -> None:
            await asyncio.sleep(max(0.0, in_s + rng.uniform(-AROUND_S, AROUND_S)))
            await pay(cluster, order_id, "card_authorised", gateway)

        gateways = range(len(cluster.gateway_urls))
        await asyncio.gather(
            *(pay_then(row["order_id"], row["in_s"], one) for row in due for one in gateways)
        )


class CancelAtPayment(_Race):
    """Fresh orders are paid and cancelled in the same moment, paid twice, and cancelled before they are reserved."""

    name = "races.cancel-at-payment"

    async def _round(self, cluster: Cluster, rng: random.Random) -> None:
        orders = await asyncio.gather(*(place(cluster, rng, prepaid=False) for _ in range(ORDERS_AT_ONCE)))
        steps = []
        for order in filter(None, orders):
            order_id = str(order["order_id"])
            card = rng.choice(("card_authorised", "card_duplicated", "card_late_1", "card_timeout"))
            steps += [pay(cluster, order_id, card, 0), pay(cluster, order_id, "card_authorised", -1)]
            if rng.random() < 0.8:
                steps.append(cancel(cluster, order_id, rng.choice((0, -1))))
        rng.shuffle(steps)
        await asyncio.gather(*steps)


class CancelAtShipment(_Race):
    """Confirmed orders are cancelled while their parcels are packed and shipped."""

    name = "races.cancel-at-shipment"

    async def _round(self, cluster: Cluster, rng: random.Random) -> None:
        query = {"state": "allocated", "page_size": "50"}
        listed = await cluster.client.send(Request("parcels", "operator", "GET", "/v1/parcels", query=query))
        parcels = listed.document["parcels"] if listed.ok else []
        await asyncio.gather(
            *(
                step
                for parcel in rng.sample(parcels, min(ORDERS_AT_ONCE, len(parcels)))
                for step in (
                    cancel(cluster, str(parcel["order_id"]), rng.choice((0, -1))),
                    self._ship(cluster, str(parcel["parcel_id"])),
                )
            )
        )

    async def _ship(self, cluster: Cluster, parcel_id: str) -> None:
        shipping = json.dumps({"carrier": "chaos-post", "tracking_number": parcel_id}).encode()
        for verb, body in (("pack", b""), ("ship", shipping)):
            path = f"/v1/parcels/{parcel_id}:{verb}"
            answer = await cluster.client.send(Request(verb, "operator", "POST", path, body))
            if not answer.ok:
                return


class SamePost(_Race):
    """The same request many times at once, over both gateways: one order, and the same bytes to all who ask."""

    name = "races.same-post"

    async def _round(self, cluster: Cluster, rng: random.Random) -> None:
        request = _placing(cluster, rng, prepaid=rng.random() < 0.5)
        gateways = [number % len(cluster.gateway_urls) for number in range(SAME_POSTS)]
        answers = await asyncio.gather(*(cluster.client.send(request, gateway=one) for one in gateways))
        told = {answer.body for answer in answers if answer.ok}
        if len(told) > 1:
            cluster.client.violations.append(f"{request.key}: {len(told)} different answers to one request")


class Notifications(_Race):
    """The payment provider repeats its answers, late, several times and to payments that have long moved on."""

    name = "races.notifications"

    async def _round(self, cluster: Cluster, rng: random.Random) -> None:
        connection = await asyncpg.connect(cluster.dsn("orders"), timeout=SOON_S)
        try:
            await connection.execute(REPEAT_NOTIFICATIONS, REPEATED_NOTIFICATIONS, rng.randint(5, 40))
        finally:
            connection.terminate()


def _placing(cluster: Cluster, rng: random.Random, *, prepaid: bool, wait_s: int = 0) -> Request:
    body: dict[str, Any] = cluster.shop.order(rng, buyer_ref=f"buyer-{rng.randrange(500)}")
    body["payment_terms"] = "prepaid" if prepaid else "pay_later"
    body.pop("payment_window_s", None)
    content = json.dumps(body).encode()
    return Request("place", "storefront", "POST", "/v1/orders", content, key=new_key(), wait_s=wait_s)


async def place(cluster: Cluster, rng: random.Random, *, prepaid: bool) -> dict[str, Any] | None:
    """A fresh order, decided or not yet."""
    wait_s = rng.choice((0, DECIDED_S, DECIDED_S))
    answer = await cluster.client.send(_placing(cluster, rng, prepaid=prepaid, wait_s=wait_s))
    return answer.document if answer.ok else None


async def pay(cluster: Cluster, order_id: str, card: str, gateway: int) -> Answer:
    """Pays with a test card, at one gateway."""
    body = json.dumps({"payment_token": card}).encode()
    request = Request("pay", "storefront", "POST", f"/v1/orders/{order_id}:pay", body, key=new_key())
    return await cluster.client.send(request, gateway=gateway)


async def cancel(cluster: Cluster, order_id: str, gateway: int) -> Answer:
    """Cancels, at one gateway."""
    request = Request("cancel", "storefront", "POST", f"/v1/orders/{order_id}:cancel", b"{}", key=new_key())
    return await cluster.client.send(request, gateway=gateway)


FAULTS: Sequence[Fault] = (
    PayAtExpiry(),
    CancelAtPayment(),
    CancelAtShipment(),
    SamePost(),
    Notifications(),
)
