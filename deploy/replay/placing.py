"""Places every order through POST /v1/orders at full speed and keeps what the API said about each."""

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from deploy.replay import wire
from deploy.replay.catalogue import Naming
from deploy.replay.client import Api, PatienceEnded
from deploy.replay.history import History, Outcome
from deploy.replay.progress import Bar
from deploy.replay.retail import SaleOrder
from deploy.replay.workers import run_together


@dataclass(slots=True)
class Placement:
    """What became of one order's placement."""

    outcome: Outcome
    status: int = 0
    order_id: str = ""
    reason: str = ""
    """Why it was refused or is unknown."""
    attempts: int = 0
    latency_s: float = 0.0
    lines: int = 0
    units: int = 0
    total_pence: int = 0
    """As the API answered; zero where it did not accept."""
    digest: bytes = b""
    """SHA-256 of the answer, to compare with the answer to a repetition."""


@dataclass(slots=True)
class Placed:
    """The placements of a run, in the order of its sales."""

    placements: list[Placement]
    elapsed_s: float


async def place_all(
    api: Api, naming: Naming, orders: Sequence[SaleOrder], history: History, concurrency: int
) -> Placed:
    """Places the orders in their order, `concurrency` at a time."""
    placements: list[Placement] = [Placement("unknown", reason="never sent")] * len(orders)
    waiting = iter(range(len(orders)))
    started = time.perf_counter()
    with Bar("orders", len(orders)) as bar:

        async def work() -> None:
            for index in waiting:
                placements[index] = await place(api, naming, orders[index], history)
                bar.advance()

        await run_together([work] * min(concurrency, len(orders)))
    return Placed(placements, time.perf_counter() - started)


async def place(api: Api, naming: Naming, order: SaleOrder, history: History) -> Placement:
    """Places one order and records the operation."""
    key = naming.order_key(order.invoice)
    body = wire.order_body(order, naming)
    try:
        reply = await api.post("/v1/orders", body, key=key)
    except PatienceEnded as error:
        history.placed(key, "unknown", body, reason=str(error))
        return Placement("unknown", reason=str(error))
    if not reply.ok:
        reason = wire.refusal_of(reply.status, reply.body)
        history.placed(key, "refused", body, status=reply.status, reply=reply.body, reason=reason)
        return Placement(
            "refused", reply.status, reason=reason, attempts=reply.attempts, latency_s=reply.latency_s
        )
    placed = msgspec.json.decode(reply.body, type=wire.Order)
    history.placed(key, "ok", body, status=reply.status, order_id=placed.order_id, reply=reply.body)
    return Placement(
        "ok",
        reply.status,
        order_id=placed.order_id,
        attempts=reply.attempts,
        latency_s=reply.latency_s,
        lines=len(placed.lines),
        units=sum(line.quantity for line in placed.lines),
        total_pence=placed.total.minor,
        digest=hashlib.sha256(reply.body).digest(),
    )


@dataclass(frozen=True, slots=True)
class Repeated:
    """What repeating requests with their keys showed."""

    asked: int
    identical: int
    differing: tuple[str, ...]
    """The first keys whose answer was another."""


async def repeat_some(
    api: Api, naming: Naming, orders: Sequence[SaleOrder], placed: Placed, history: History, every: int
) -> Repeated:
    """Posts every n-th accepted order once more: the answer must be the same bytes, and no order is added."""
    chosen = [
        index
        for index in range(0, len(orders), every or len(orders) + 1)
        if every and placed.placements[index].outcome == "ok"
    ]
    differing: list[str] = []
    for index in chosen:
        again = await place(api, naming, orders[index], history)
        first = placed.placements[index]
        if (again.order_id, again.digest) != (first.order_id, first.digest):
            differing.append(naming.order_key(orders[index].invoice))
    return Repeated(len(chosen), len(chosen) - len(differing), tuple(differing[:5]))
