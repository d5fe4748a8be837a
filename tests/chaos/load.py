"""The mix of operations that customers and operators send while faults happen, at a fixed rate.

Open loop: an operation begins when its time has come, however long the others take, up to a bound.
"""

import asyncio
import json
import random
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.chaos.client import Client, Request, new_key
from tests.chaos.shop import CURRENCY, MERCHANT_ID, REGION, STOCK_AT_FIRST, WAREHOUSES, Shop

IN_FLIGHT_MAX = 700
REMEMBERED_ORDERS = 3_000
FOLLOWERS_MAX = 20
TOP_UP_UNITS = 250
SOLD_S_MAX = 30.0
SOLD_POLL_S = 0.2

CARDS = (
    *(("card_authorised",) * 10),
    *("card_declined", "card_declined_card_expired", "card_late_1", "card_late_3", "card_late_declined_2"),
    *("card_duplicated", "card_duplicated", "card_capture_retry", "card_timeout", "card_late_after_expiry"),
)
"""Answers at once, refused, late, several times, never, and after the order has expired (docs/payments.md)."""


@dataclass(slots=True, eq=False)
class Known:
    """An order that was acknowledged."""

    order_id: str
    placed: Request
    answer: bytes
    """Empty where the answer was waited for."""
    prepaid: bool
    payments: int = 0
    """How often somebody tried to pay for it."""


@dataclass(slots=True)
class Counts:
    """What the load did not send, and how many repetitions were compared."""

    skipped: int = 0
    repeated: int = 0


@dataclass(slots=True)
class Load:
    """Sends until stopped."""

    client: Client
    shop: Shop
    rng: random.Random
    rate_per_s: float
    orders: deque[Known] = field(default_factory=lambda: deque(maxlen=REMEMBERED_ORDERS))
    counts: Counts = field(default_factory=Counts)
    _running: set["asyncio.Task[None]"] = field(default_factory=set)
    _followers: int = 0
    _numbers: int = 0

    async def open_shop(self) -> None:
        """Puts the articles on sale; everything has to be accepted."""
        await self._must("operator", "/v1/merchants", self.shop.merchant())
        for warehouse in self.shop.warehouses():
            await self._must("operator", "/v1/warehouses", warehouse)
        for product in self.shop.products():
            await self._must("operator", "/v1/products", product, key=new_key())
        for warehouse_id, *_ in WAREHOUSES:
            lines = [(sku, STOCK_AT_FIRST) for sku in self.shop.skus]
            body = self.shop.receipt(f"first {warehouse_id}", warehouse_id, lines)
            await self._must("operator", "/v1/stock:receive", body, key=new_key())
        await self._until_sold(self.shop.skus)

    async def run(self, stopping: asyncio.Event) -> None:
        """Sends the mix at the rate until told to stop, then waits for what is under way."""
        loop = asyncio.get_running_loop()
        actions, weights = zip(*self._mix(), strict=True)
        due = loop.time()
        while not stopping.is_set():
            due = max(due + self.rng.expovariate(self.rate_per_s), loop.time() - 1.0)
            if (delay_s := due - loop.time()) > 0:
                await asyncio.sleep(delay_s)
            (action,) = self.rng.choices(actions, weights)
            if len(self._running) >= IN_FLIGHT_MAX:
                self.counts.skipped += 1
                continue
            task = asyncio.create_task(action())
            self._running.add(task)
            task.add_done_callback(self._done)
        await self.drain()

    async def drain(self) -> None:
        """Waits for everything under way."""
        while self._running:
            await asyncio.wait(self._running)

    def _done(self, task: "asyncio.Task[None]") -> None:
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.client.violations.append(f"an answer could not be understood: {error!r}")

    def _mix(self) -> Sequence[tuple[Callable[[], Awaitable[None]], float]]:
        return (
            (self._place, 30),
            (self._repeat, 8),
            (self._reuse, 2),
            (self._pay, 16),
            (self._cancel, 6),
            (self._read, 10),
            (self._list, 3),
            (self._read_history, 2),
            (self._availability, 7),
            (self._quote, 2),
            (self._receive, 2),
            (self._adjust, 2),
            (self._advance_many, 3),
            (self._advance_one, 4),
            (self._products, 2),
            (self._follow, 1),
        )

    # --- Orders

    async def _place(self) -> None:
        self._numbers += 1
        body = self.shop.order(self.rng, buyer_ref=f"buyer-{self._numbers % 500}")
        wait_s = 3 if self.rng.random() < 0.15 else 0
        request = Request(
            "place", "storefront", "POST", "/v1/orders", _encode(body), key=new_key(), wait_s=wait_s
        )
        answer = await self.client.send(request)
        if answer.ok:
            order_id = str(answer.document["order_id"])
            prepaid = body["payment_terms"] == "prepaid"
            self.orders.append(Known(order_id, request, b"" if wait_s else answer.body, prepaid))

    async def _repeat(self) -> None:
        """The same key and body again: the same bytes again."""
        if (known := self._any_order(lambda one: bool(one.answer))) is None:
            return
        answer = await self.client.send(known.placed)
        if answer.outcome == "unknown":
            return
        self.counts.repeated += 1
        if answer.body != known.answer:
            self.client.violations.append(
                f"{known.placed.key}: another answer on repetition: {answer.status} {answer.body[:200]!r}"
            )

    async def _reuse(self) -> None:
        """The same key with another body must be refused."""
        if (known := self._any_order()) is None:
            return
        body = _encode(self.shop.order(self.rng, buyer_ref="somebody else"))
        request = Request("reuse", "storefront", "POST", "/v1/orders", body, key=known.placed.key)
        answer = await self.client.send(request)
        if answer.outcome != "unknown" and answer.reason != "REQUEST_ID_REUSED":
            self.client.violations.append(f"{known.placed.key} was reused: {answer.status} {answer.reason}")

    async def _pay(self) -> None:
        """Newer orders are paid more often; some twice, some never."""
        often = 2 if self.rng.random() < 0.2 else 1
        known = self._any_order(lambda one: not one.prepaid and one.payments < often, newest=200)
        # The newest are not reserved yet; every fifth is never paid.
        if known is None or known in list(self.orders)[-5:] or known.order_id[-1] in "01a":
            return
        known.payments += 1
        body = _encode({"payment_token": self.rng.choice(CARDS)})
        await self.client.send(
            Request("pay", "storefront", "POST", f"/v1/orders/{known.order_id}:pay", body, key=new_key())
        )

    async def _cancel(self) -> None:
        if (known := self._any_order(newest=300)) is None:
            return
        body = _encode({"reason": "changed my mind"})
        await self.client.send(
            Request(
                "cancel", "storefront", "POST", f"/v1/orders/{known.order_id}:cancel", body, key=new_key()
            )
        )

    async def _read(self) -> None:
        if (known := self._any_order()) is None:
            return
        answer = await self.client.send(Request("read", "storefront", "GET", f"/v1/orders/{known.order_id}"))
        if answer.outcome == "refused":
            self.client.violations.append(
                f"order {known.order_id} was acknowledged, reading it gives {answer.status} {answer.reason}"
            )

    async def _list(self) -> None:
        query = {"page_size": "20", "buyer_ref": f"buyer-{self.rng.randrange(500)}"}
        await self.client.send(Request("list", "storefront", "GET", "/v1/orders", query=query))

    async def _read_history(self) -> None:
        if (known := self._any_order()) is None:
            return
        answer = await self.client.send(
            Request("history", "storefront", "GET", f"/v1/orders/{known.order_id}/history")
        )
        if answer.ok:
            versions = [one["version"] for one in answer.document["transitions"]]
            if versions != list(range(1, len(versions) + 1)):
                self.client.violations.append(f"history of {known.order_id} has versions {versions}")

    async def _follow(self) -> None:
        known = self._any_order(newest=20)
        if known is None or self._followers >= FOLLOWERS_MAX:
            return
        self._followers += 1
        try:
            await self.client.follow(known.order_id, s_max=self.rng.uniform(3, 15))
        finally:
            self._followers -= 1

    async def _quote(self) -> None:
        body = {"currency_code": CURRENCY, "lines": [{"sku": self.shop.pick(self.rng), "quantity": 2}]}
        await self.client.send(Request("quote", "storefront", "POST", "/v1/quotes", _encode(body)))

    # --- Stock, parcels, catalogue

    async def _availability(self) -> None:
        skus = ",".join(self.rng.sample(list(self.shop.skus), 5))
        query = {"skus": skus, "region_code": REGION}
        answer = await self.client.send(
            Request("availability", "storefront", "GET", "/v1/availability", query=query)
        )
        if answer.ok:
            for one in answer.document["availabilities"]:
                if one["available"] < 0:
                    self.client.violations.append(f"{one['sku']}: {one['available']} available")

    async def _receive(self) -> None:
        warehouse_id = self.rng.choice(WAREHOUSES)[0]
        skus = {self.shop.pick(self.rng) for _ in range(3)}
        lines = [(sku, self.rng.randint(1, TOP_UP_UNITS)) for sku in sorted(skus)]
        body = self.shop.receipt(f"receipt {new_key()}", warehouse_id, lines)
        await self.client.send(
            Request("receive", "operator", "POST", "/v1/stock:receive", _encode(body), key=new_key())
        )

    async def _adjust(self) -> None:
        gain = self.rng.random() < 0.5
        quantity = self.rng.randint(1, 5)
        body = {
            "warehouse_id": self.rng.choice(WAREHOUSES)[0],
            "merchant_id": MERCHANT_ID,
            "document": f"count {new_key()}",
            "reason": "count_gain" if gain else self.rng.choice(("count_loss", "damage", "dispose")),
            "lines": [{"sku": self.shop.pick(self.rng), "quantity": quantity if gain else -quantity}],
        }
        await self.client.send(
            Request("adjust", "operator", "POST", "/v1/stock:adjust", _encode(body), key=new_key())
        )

    async def _advance_many(self) -> None:
        state, next_state = self.rng.choice(
            (("allocated", "packed"), ("packed", "shipped"), ("shipped", "delivered"))
        )
        parcels = await self._parcels(state, 50)
        if not parcels:
            return
        requests = [
            {"parcel_id": parcel["parcel_id"], "state": next_state} | _shipping(next_state, parcel)
            # Some stay behind, to be cancelled later.
            for parcel in parcels
            if self.rng.random() < 0.7
        ]
        if requests:
            await self.client.send(
                Request(
                    "advance",
                    "operator",
                    "POST",
                    "/v1/parcels:batchAdvance",
                    _encode({"requests": requests}),
                )
            )

    async def _advance_one(self) -> None:
        state, verb, next_state = self.rng.choice(
            (
                ("allocated", "pack", "packed"),
                ("packed", "ship", "shipped"),
                ("shipped", "deliver", "delivered"),
            )
        )
        parcels = await self._parcels(state, 20)
        if not parcels:
            return
        parcel = self.rng.choice(parcels)
        shipping = _shipping(next_state, parcel)
        await self.client.send(
            Request(
                verb,
                "operator",
                "POST",
                f"/v1/parcels/{parcel['parcel_id']}:{verb}",
                _encode(shipping) if shipping else b"",
            )
        )

    async def _parcels(self, state: str, page_size: int) -> list[dict[str, Any]]:
        query = {"state": state, "page_size": str(page_size)}
        answer = await self.client.send(Request("parcels", "operator", "GET", "/v1/parcels", query=query))
        return list(answer.document["parcels"]) if answer.ok else []

    async def _products(self) -> None:
        product_id = self.shop.pick(self.rng).lower()
        answer = await self.client.send(Request("product", "storefront", "GET", f"/v1/products/{product_id}"))
        if answer.outcome == "refused":
            self.client.violations.append(f"product {product_id}: {answer.status} {answer.reason}")

    # --- Parts

    def _any_order(
        self, fits: Callable[[Known], bool] = lambda _: True, *, newest: int = REMEMBERED_ORDERS
    ) -> Known | None:
        """Some order among the newest that fits; None after a few looks."""
        count = min(newest, len(self.orders))
        for _ in range(10 if count else 0):
            known = self.orders[-1 - self.rng.randrange(count)]
            if fits(known):
                return known
        return None

    async def _must(self, role: Any, path: str, body: object, *, key: str = "") -> None:
        answer = await self.client.send(Request("prepare", role, "POST", path, _encode(body), key=key))
        if not answer.ok:
            raise RuntimeError(f"{path}: {answer.status} {answer.reason} {answer.body[:300]!r}")

    async def _until_sold(self, skus: Sequence[str]) -> None:
        """Orders learns of articles a moment after the catalogue has them."""
        for sku in skus:
            body = _encode({"currency_code": CURRENCY, "lines": [{"sku": sku, "quantity": 1}]})
            request = Request("prepare", "storefront", "POST", "/v1/quotes", body)
            async with asyncio.timeout(SOLD_S_MAX):
                answer = await self.client.send(request)
                while not answer.ok:
                    await asyncio.sleep(SOLD_POLL_S)
                    answer = await self.client.send(request)


def _shipping(next_state: str, parcel: dict[str, Any]) -> dict[str, str]:
    if next_state != "shipped":
        return {}
    return {"carrier": "chaos-post", "tracking_number": str(parcel["parcel_id"])}


def _encode(body: object) -> bytes:
    return json.dumps(body).encode()
