"""Which SKUs are sold out, as the warehouse itself said at most a moment ago.

The read model only tells of which SKUs to ask: it may be behind without anybody noticing, so its word is not
enough to turn a buyer away. What it shows as empty is asked of the warehouse's database, many SKUs in one call,
and the answer counts for `ttl_s` from the moment of the question. An order that names a SKU without such an
answer takes the ordinary way. So stock that is there is refused for no longer than `ttl_s`, whatever is late,
cut off or down; and a flood of orders for an empty SKU costs the warehouse a call or two per `ttl_s`.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from prometheus_client import Counter, Gauge
from sampan.warehouse.v1 import stock_service_pb2 as pb

from services.chassis import log, trace
from services.chassis.errors import DomainError
from services.chassis.regions import REGIONS
from services.chassis.rpc import deadline
from services.gateway.readmodel.availability import AvailabilityModel

ASKED_SKUS_MAX = 500
WAITING_SKUS_MAX = 5_000
KNOWN_MAX = 20_000
RENEW_SHARE = 0.5
"""An answer older than this share of its time is asked for anew while orders for its SKU go on."""

_log = log.get(__name__)
_REFUSED = Counter("sampan_gateway_sold_out_total", "Orders passed on as sold out.")
_ASKED = Counter("sampan_gateway_sold_out_asked_total", "SKUs that the warehouse was asked about.")
_KNOWN = Gauge("sampan_gateway_sold_out_known", "SKUs by destination that the warehouse lately called empty.")

AskWarehouse = Callable[[pb.BatchGetAvailabilityRequest], Awaitable[pb.BatchGetAvailabilityResponse]]
Destination = tuple[str, str]
"""Tenant and country."""


class Line(Protocol):
    """What is read of an order's line."""

    sku: str


class SoldOut:
    """Bounded in SKUs remembered and in SKUs waiting to be asked about; beyond, orders take the ordinary way."""

    def __init__(
        self,
        model: AvailabilityModel,
        ask: AskWarehouse,
        *,
        ttl_s: float,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._model = model
        self._ask = ask
        self._ttl_s = ttl_s
        self._now_s = now_s
        # When the question was put that the warehouse answered with nothing.
        self._empty_since_s: OrderedDict[tuple[Destination, str], float] = OrderedDict()
        self._waiting: dict[Destination, dict[str, None]] = {}
        self._waiting_count = 0
        self._asking: asyncio.Task[None] | None = None
        self._pause_until_s = 0.0
        _KNOWN.set_function(lambda: len(self._empty_since_s))

    def line_number(self, tenant_id: str, region_code: str, lines: Sequence[Line]) -> int:
        """The number, from 1, of the first line whose SKU is sold out for the country; 0 where none is known to be."""
        if self._ttl_s <= 0:
            return 0
        for number, line in enumerate(lines, start=1):
            if (
                self._model.looks_empty(tenant_id, line.sku, region_code)
                and region_code in REGIONS
                and self._is_empty((tenant_id, region_code), line.sku)
            ):
                _REFUSED.inc()
                return number
        return 0

    async def close(self) -> None:
        """Ends the asking."""
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.gather(self._asking, return_exceptions=True)

    def _is_empty(self, destination: Destination, sku: str) -> bool:
        since_s = self._empty_since_s.get((destination, sku))
        age_s = self._now_s() - since_s if since_s is not None else self._ttl_s
        if age_s >= self._ttl_s * RENEW_SHARE:
            self._ask_about(destination, sku)
        return age_s < self._ttl_s

    def _ask_about(self, destination: Destination, sku: str) -> None:
        skus = self._waiting.get(destination, {})
        if sku not in skus and self._waiting_count < WAITING_SKUS_MAX:
            self._waiting.setdefault(destination, skus)[sku] = None
            self._waiting_count += 1
        if self._asking is None and self._now_s() >= self._pause_until_s:
            self._asking = asyncio.create_task(self._work_off(), name="sold out")
            self._asking.add_done_callback(self._on_asked)

    def _on_asked(self, _task: "asyncio.Task[None]") -> None:
        self._asking = None

    async def _work_off(self) -> None:
        # The call serves many requests: none of them lends it its deadline or its trace.
        deadline.forget()
        trace.set_current(None)
        while self._waiting:
            destination, skus = next(iter(self._waiting.items()))
            asked = list(skus)[:ASKED_SKUS_MAX]
            for sku in asked:
                del skus[sku]
            self._waiting_count -= len(asked)
            if not skus:
                del self._waiting[destination]
            try:
                await self._put(destination, asked)
            except DomainError as error:
                # Without the warehouse's word nothing is refused; and it is not asked all the time.
                _log.warning("the warehouse was not asked what is sold out", reason=error.reason)
                self._pause_until_s = self._now_s() + self._ttl_s
                self._waiting.clear()
                self._waiting_count = 0

    async def _put(self, destination: Destination, skus: Sequence[str]) -> None:
        tenant_id, region_code = destination
        asked_s = self._now_s()
        _ASKED.inc(len(skus))
        reply = await self._ask(
            pb.BatchGetAvailabilityRequest(tenant_id=tenant_id, region_code=region_code, skus=skus)
        )
        for answer in reply.availabilities:
            key = (destination, answer.sku)
            if answer.available > 0:
                self._empty_since_s.pop(key, None)
            else:
                self._empty_since_s[key] = asked_s
                self._empty_since_s.move_to_end(key)
        while self._empty_since_s and (
            len(self._empty_since_s) > KNOWN_MAX
            or next(iter(self._empty_since_s.values())) < asked_s - self._ttl_s
        ):
            self._empty_since_s.popitem(last=False)
