"""Named crash points: a replica kills itself at an exact place of its code, again and again while the fault lasts.

`CATALOGUE` names every point that there is (tests/unit/chaos holds it against the code), in groups that are armed
together two at a time, each at a random pass, so that neither the first event nor one busy point takes all deaths.
What the load does not bring about by itself, imports, new products and poison, the fault does.
"""

import asyncio
import contextlib
import json
import random
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import NamedTuple

import aiohttp
from aiokafka.errors import KafkaError

from tests.chaos import tasks
from tests.chaos.client import BROKEN, Request, new_key
from tests.chaos.cluster import Cluster
from tests.chaos.fault import BaseFault, Fault
from tests.chaos.faults.events import PoisonEvents
from tests.chaos.faults.races import cancel, pay, place
from tests.chaos.members import Member
from tests.chaos.poison import FULFILMENTS, ORDERS
from tests.chaos.shop import CURRENCY, MERCHANT_ID

POINTS_ARMED = 2
DRIVE_S = 0.3
CARDS = ("card_authorised", "card_timeout", "card_late_1", "card_capture_retry", "card_duplicated")
IMPORT_ROWS = 600
IMPORT_S_MAX = 20.0


class Group(NamedTuple):
    """Points that belong together: in which services they are passed, and at which pass at most they kill."""

    services: tuple[str, ...]
    passes_max: int
    points: tuple[str, ...]


CATALOGUE: Mapping[str, Group] = {
    "relay": Group(
        ("catalog", "orders", "warehouse"),
        6,
        (
            "relay.before_send",
            "relay.before_acknowledgement",
            "relay.before_delete",
            "relay.after_delete",
        ),
    ),
    "consumer": Group(
        ("orders", "warehouse"),
        6,
        ("consumer.before_commit", "consumer.after_commit", "consumer.park.before_commit"),
    ),
    "placement": Group(("orders",), 6, ("orders.place.before_commit", "orders.place.after_commit")),
    "order": Group(
        ("orders",),
        5,
        (
            "orders.change.before_commit",
            "orders.change.after_commit",
            "orders.expire.before_commit",
            "orders.timers.after_claim",
        ),
    ),
    "payment": Group(
        ("orders",),
        3,
        (
            "orders.authorise.before_provider",
            "orders.authorise.after_provider",
            "orders.capture.before_provider",
            "orders.capture.after_provider",
            "orders.refund.before_provider",
            "orders.refund.after_provider",
            "orders.check.before_provider",
            "orders.check.after_provider",
            "orders.notification.after_settle",
        ),
    ),
    "decision": Group(("warehouse",), 6, ("warehouse.decide.before_commit", "warehouse.decide.after_commit")),
    "warehouse": Group(
        ("warehouse",),
        2,
        (
            "warehouse.expire.before_commit",
            "warehouse.expire.after_commit",
            "warehouse.parcels.before_commit",
            "warehouse.parcels.after_commit",
            "warehouse.stock.before_commit",
            "warehouse.stock.after_commit",
        ),
    ),
    "catalog": Group(
        ("catalog",),
        4,
        ("catalog.write.before_outbox", "catalog.write.before_commit", "catalog.write.after_commit"),
    ),
    "gateway": Group(
        ("gateway",),
        6,
        ("gateway.place.before_call", "gateway.place.before_answer", "gateway.import.after_chunk"),
    ),
}


class CrashPoint(BaseFault):
    """A replica runs with two points of one group armed; the supervisor starts it again after every death."""

    duration_s = (10.0, 18.0)

    def __init__(self, group: str) -> None:
        self.name = f"crash.{group}"
        self._group = CATALOGUE[group]

    def targets(self, cluster: Cluster) -> Sequence[str]:
        """Every replica that passes the points."""
        return [name for name in cluster.replica_names if name.partition("-")[0] in self._group.services]

    @asynccontextmanager
    async def inject(self, cluster: Cluster, target: str, rng: random.Random) -> AsyncIterator[None]:
        """Arms, lets it die as often as it does, disarms; the log tells at which points it died."""
        group, member = self._group, cluster.processes[target]
        points = rng.sample(group.points, POINTS_ARMED)
        armed = {point: rng.randint(1, group.passes_max) for point in points}
        before = _hits(member)
        driving = asyncio.create_task(_drive(cluster, rng, _WORK.get(self.name)))
        try:
            with member.excused():
                async with member.restarted_with(
                    TEST_CONFIGURATION="true",
                    CRASH_POINTS=",".join(f"{point}:{passes}" for point, passes in armed.items()),
                ):
                    yield
        finally:
            await tasks.end([driving])
            hits = _hits(member) - before
            cluster.crash_hits.update(hits)
            if not hits:
                cluster.nothing_came_of(self.name, target, f"{', '.join(points)} were not passed")
            cluster.history.note("crash points", target=target, armed=armed, hits=dict(hits))


def _hits(member: Member) -> Counter[str]:
    """How often it has died at each point, as its log tells."""
    prefix = "crash point "
    try:
        with member.log_file.open(errors="replace") as log:
            return Counter(line.removeprefix(prefix).strip() for line in log if line.startswith(prefix))
    except FileNotFoundError:
        return Counter()


Work = Callable[[Cluster, random.Random], Awaitable[None]]


async def _drive(cluster: Cluster, rng: random.Random, work: Work | None) -> None:
    while work is not None:
        await work(cluster, rng)
        await asyncio.sleep(DRIVE_S)


async def _poison(cluster: Cluster, rng: random.Random) -> None:
    for topic in (ORDERS, FULFILMENTS):
        with contextlib.suppress(KafkaError, OSError, TimeoutError):
            await PoisonEvents().put(cluster, topic, rng, count=1)
    await asyncio.sleep(2.0)


async def _new_product(cluster: Cluster, rng: random.Random) -> None:
    body = json.dumps(_product(f"crash-{rng.getrandbits(64):x}")).encode()
    await cluster.client.send(Request("product", "operator", "POST", "/v1/products", body, key=new_key()))


async def _payments(cluster: Cluster, rng: random.Random) -> None:
    """Orders whose payments are captured, asked about, notified late, and given back."""
    order = await place(cluster, rng, prepaid=False)
    if order is not None:
        order_id = str(order["order_id"])
        paid = await pay(cluster, order_id, rng.choice(CARDS), 0)
        if paid.ok and rng.random() < 0.5:
            await cancel(cluster, order_id, 0)


async def _import(cluster: Cluster, rng: random.Random) -> None:
    """The same rows until an answer comes: what an earlier attempt has stored is unchanged then, never a fault."""
    names = [f"import-{uuid.UUID(int=rng.getrandbits(128))}" for _ in range(IMPORT_ROWS)]
    body = b"".join(json.dumps(_product(name)).encode() + b"\n" for name in names)
    url = f"{rng.choice(cluster.gateway_urls)}/v1/imports/products"
    headers = {
        "Authorization": f"Bearer {cluster.api_keys['operator']}",
        "Content-Type": "application/x-ndjson",
    }
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=IMPORT_S_MAX)) as session:
        while True:
            try:
                async with session.post(url, data=body, headers=headers) as answer:
                    if answer.status == 200:
                        report = await answer.json()
                        if report["failed"] or report["read"] != IMPORT_ROWS:
                            cluster.client.violations.append(f"an import repeated after a crash: {report}")
                        return
            except BROKEN:
                pass
            await asyncio.sleep(DRIVE_S)


def _product(name: str) -> dict[str, object]:
    variant = {"sku": name.upper(), "prices": [{"currency_code": CURRENCY, "amount": "1.00"}]}
    return {"product_id": name, "merchant_id": MERCHANT_ID, "titles": {"en": name}, "variants": [variant]}


_WORK: Mapping[str, Work] = {
    "crash.consumer": _poison,
    "crash.catalog": _new_product,
    "crash.relay": _new_product,
    "crash.payment": _payments,
    "crash.order": _payments,
    "crash.gateway": _import,
}

FAULTS: Sequence[Fault] = tuple(CrashPoint(group) for group in CATALOGUE)
