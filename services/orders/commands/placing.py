"""PlaceOrder and QuoteOrder: a whole batch of placements is one transaction of a few statements."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from services.chassis import log, pg, trace
from services.chassis.crash import crash_point
from services.chassis.envelope import OutboxMessage
from services.chassis.errors import DomainError, Internal, RequestIdReused
from services.chassis.ids import uuid7
from services.chassis.pg import Database
from services.chassis.pg_errors import describe
from services.orders import measures, published, wire
from services.orders.commands.desk import Desk
from services.orders.domain import pricing
from services.orders.domain.order import Order, OrderView
from services.orders.domain.placement import Cart, PaymentTerms, Placement
from services.orders.domain.pricing import Offer, PricedCart
from services.orders.domain.states import OrderState
from services.orders.errors import SoldOut
from services.orders.store import offers as offer_store
from services.orders.store import placing as store

ROUTE = "place"

_log = log.get(__name__)


@dataclass(frozen=True, slots=True)
class PlacementPolicy:
    """Times that the operator decides. The hold outlasts the payment window, so that a late payer still finds it."""

    payment_window_default_s: int
    hold_grace_s: int
    prepaid_hold_s: int


class Answer(NamedTuple):
    """What became of a placement: the serialized PlaceOrderResult, and whether it had been given before."""

    response: bytes
    replayed: bool


class _Decided(NamedTuple):
    """A placement with its outcome, not yet stored; `order` and `event` are None for a refusal."""

    placement: Placement
    response: bytes
    outcome: str
    order: store.NewOrder | None = None
    event: OutboxMessage | None = None


async def place_orders(
    desk: Desk, placing_db: Database, policy: PlacementPolicy, placements: Sequence[Placement]
) -> list[Answer | DomainError]:
    """Places checked orders, each by itself; refusals by the catalog are answers and stored like orders.

    `placing_db` is a pool whose sessions keep their plans (`pg.ONE_PLAN`).

    Of several with one request id the first is placed and the others get its answer. Raises `Unavailable`
    when the database is, for all of them: nothing or everything may then be stored.
    """
    try:
        return await _place(desk, placing_db, policy, placements)
    except DomainError:
        raise
    except Exception as error:
        # One order that the database refuses must not take its neighbours along.
        if pg.is_transient(error):
            raise
        if len(placements) == 1:
            _log.error("an order cannot be stored", error=describe(error), exc_info=error)
            return [Internal("INTERNAL", "the order cannot be stored")]
    half = len(placements) // 2
    return [
        *await place_orders(desk, placing_db, policy, placements[:half]),
        *await place_orders(desk, placing_db, policy, placements[half:]),
    ]


async def quote_order(db: Database, cart: Cart) -> PricedCart:
    """What the cart costs now; raises as pricing does."""
    async with db.connection() as connection:
        _, offers = await offer_store.load_offers(connection, _keys_of([cart]))
    return pricing.price(cart, offers)


async def _place(
    desk: Desk, placing_db: Database, policy: PlacementPolicy, placements: Sequence[Placement]
) -> list[Answer | DomainError]:
    firsts: dict[tuple[str, str], Placement] = {}
    for placement in placements:
        firsts.setdefault(placement.key, placement)
    ordered = sorted(firsts.values(), key=lambda placement: placement.key)

    async with desk.db.connection() as connection:
        now, offers = await offer_store.load_offers(connection, _keys_of([p.cart for p in ordered]))
    decided = [_decide(placement, offers, now, policy) for placement in ordered]
    crash_point("orders.place.before_commit")
    with trace.ending(*(_begin_span(one.placement, len(decided)) for one in decided)):
        taken = await store.place(
            placing_db,
            [_key_of(one) for one in decided],
            [one.order for one in decided if one.order is not None],
            [one.event for one in decided if one.event is not None],
            now,
        )
    crash_point("orders.place.after_commit")
    new = [one for place, one in enumerate(decided) if place in taken]
    known = {}
    if len(new) < len(decided):
        old = [one.placement.key for place, one in enumerate(decided) if place not in taken]
        async with desk.db.connection() as connection:
            known = dict(await store.load_keys(connection, ROUTE, old))
    desk.wake()
    return _answers(placements, new, known)


def _keys_of(carts: Sequence[Cart]) -> set[tuple[str, str]]:
    return {(cart.tenant_id, sku) for cart in carts for sku, _ in cart.lines}


def _decide(
    placement: Placement, offers: dict[tuple[str, str], Offer], now: datetime, policy: PlacementPolicy
) -> _Decided:
    cart = placement.cart
    try:
        priced = pricing.price(cart, offers)
        pricing.check_expected(priced, placement.expected_total)
        if placement.sold_out_line:
            # Stored like every refusal: an earlier attempt that is still on its way finds it and cannot contradict.
            line_index = placement.sold_out_line - 1
            raise SoldOut(line_index, cart.lines[line_index][0])
    except DomainError as refusal:
        return _Decided(placement, wire.refused_result(refusal), refusal.reason)
    later = placement.payment_terms is PaymentTerms.PAY_LATER
    expire_time = now + timedelta(seconds=placement.payment_window_s or policy.payment_window_default_s)
    hold_expire_time = (
        expire_time + timedelta(seconds=policy.hold_grace_s)
        if later
        else now + timedelta(seconds=policy.prepaid_hold_s)
    )
    traceparent = placement.traceparent
    view = OrderView(
        Order(
            uuid7(),
            cart.tenant_id,
            priced.merchant_id,
            OrderState.PENDING,
            1,
            cart.currency_code,
            priced.total_minor,
            placement.payment_terms,
            expire_time if later else None,
            traceparent=traceparent if trace.is_sampled(traceparent) else None,
            region_code=placement.ship_to.region_code,
        ),
        placement.buyer_ref,
        placement.ship_to,
        now,
        now,
        priced.lines,
    )
    event = published.order_placed(view, hold_expire_time=hold_expire_time, traceparent=traceparent)
    new = store.NewOrder(view, cart.language_code)
    return _Decided(placement, wire.placed_result(view), measures.ACCEPTED, new, event)


def _key_of(decided: _Decided) -> store.Key:
    placement, order = decided.placement, decided.order
    return store.Key(
        placement.cart.tenant_id,
        ROUTE,
        placement.request_id,
        placement.digest,
        decided.response,
        order.view.order.order_id if order is not None else None,
    )


def _answers(
    placements: Sequence[Placement],
    new: Sequence[_Decided],
    known: dict[tuple[str, str], store.StoredKey],
) -> list[Answer | DomainError]:
    """One answer per placement; the first of a new request id gets it as new, its repetitions as replayed."""
    fresh = {one.placement.key: one for one in new}
    stored = known | {
        key: store.StoredKey(one.placement.digest, one.response, None) for key, one in fresh.items()
    }
    answers: list[Answer | DomainError] = []
    for placement in placements:
        key = stored[placement.key]
        first = fresh.pop(placement.key, None)
        if first is not None:
            measures.PLACED[first.outcome].inc()
            if first.order is not None:
                measures.note_moved(OrderState.PENDING, first.order.view.order.region_code)
            _log_placed(first)
        elif key.digest == placement.digest:
            measures.PLACED[measures.REPLAYED].inc()
        else:
            reused = RequestIdReused()
            measures.PLACED[reused.reason].inc()
            answers.append(reused)
            continue
        answers.append(Answer(key.response or b"", first is None))
    return answers


def _begin_span(placement: Placement, batch_size: int) -> trace.OpenSpan | None:
    if not trace.is_sampled(placement.traceparent):
        return None
    about: trace.Attributes = {"db.system.name": "postgresql", "db.operation.batch.size": batch_size}
    return trace.start("place orders", "client", parent=placement.traceparent, attributes=about)


def _log_placed(decided: _Decided) -> None:
    traceparent = decided.placement.traceparent
    if not trace.is_sampled(traceparent):
        return
    if decided.order is None:
        _log.info("order refused", reason=decided.outcome, **trace.fields(traceparent))
    else:
        order = decided.order.view.order
        _log.info(
            "order placed",
            order_id=str(order.order_id),
            lines=len(decided.order.view.lines),
            **trace.fields(traceparent),
        )
