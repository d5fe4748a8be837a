"""Orders by state and country, money by currency: counted once, with bounds on the number of series."""

from __future__ import annotations

from uuid import UUID

import pytest
from prometheus_client import REGISTRY

from services.chassis.ids import uuid7
from services.orders import measures
from services.orders.domain.changes import Changes
from services.orders.domain.order import Order
from services.orders.domain.payment import Payment, PaymentState
from services.orders.domain.placement import PaymentTerms
from services.orders.domain.states import OrderState


@pytest.fixture(autouse=True)
def no_countries_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that has met no country."""
    monkeypatch.setattr(measures, "_countries", set())


def order_of(terms: PaymentTerms, *, total_minor: int = 1250, currency_code: str = "EUR") -> Order:
    """An order for Spain that waits for the warehouse."""
    return Order(
        uuid7(),
        "fair",
        "xuchang-hair",
        OrderState.PENDING,
        1,
        currency_code,
        total_minor,
        terms,
        None,
        region_code="ES",
    )


def counted(name: str, **labels: str) -> float:
    """A counter's value."""
    return REGISTRY.get_sample_value(name, labels) or 0.0


def moved(state: str, region_code: str = "ES") -> float:
    return counted("sampan_orders_moved_total", to_state=state, region_code=region_code)


def collected(currency_code: str) -> float:
    return counted("sampan_orders_captured_amount_total", currency_code=currency_code)


def owed(currency_code: str) -> float:
    return counted("sampan_orders_refund_owed_amount_total", currency_code=currency_code)


def payment_of(order: Order, payment_id: UUID, state: PaymentState) -> Payment:
    return Payment(
        payment_id,
        order.order_id,
        order.tenant_id,
        "sandbox",
        state,
        order.total_minor,
        order.currency_code,
        "",
    )


def test_a_prepaid_order_is_revenue_when_it_is_confirmed_and_owed_when_it_is_cancelled() -> None:
    order = order_of(PaymentTerms.PREPAID)
    before = moved("CONFIRMED"), moved("CANCELLING"), moved("CANCELLED"), collected("EUR"), owed("EUR")
    changes = Changes(uuid7)
    changes.stock_reserved(order, "in-country", None)
    changes.cancel(order, "", None)
    changes.fulfilment_cancelled(order, [], None)
    measures.count(changes)
    after = moved("CONFIRMED"), moved("CANCELLING"), moved("CANCELLED"), collected("EUR"), owed("EUR")
    assert after == tuple(old + new for old, new in zip(before, (1, 1, 1, 12.5, 12.5), strict=True))


def test_a_payment_is_revenue_when_it_is_captured_and_not_before() -> None:
    order = order_of(PaymentTerms.PAY_LATER, total_minor=500, currency_code="JPY")
    before = collected("JPY")
    changes = Changes(uuid7)
    changes.stock_reserved(order, "in-country", None)
    payment_id = uuid7()
    changes.start_payment(order, payment_id, "sandbox", 1.0, None)
    changes.payment_authorised(order, payment_of(order, payment_id, PaymentState.PENDING), None)
    measures.count(changes)
    assert collected("JPY") == before
    changes = Changes(uuid7)
    changes.payment_captured(order, payment_of(order, payment_id, PaymentState.AUTHORISED), None)
    changes.payment_captured(order, payment_of(order, payment_id, PaymentState.CAPTURED), None)
    measures.count(changes)
    assert collected("JPY") == before + 500


def test_what_was_only_authorised_is_not_owed_as_revenue() -> None:
    order = order_of(PaymentTerms.PAY_LATER)
    before = owed("EUR")
    changes = Changes(uuid7)
    changes.stock_reserved(order, "in-country", None)
    payment_id = uuid7()
    changes.start_payment(order, payment_id, "sandbox", 1.0, None)
    changes.payment_authorised(order, payment_of(order, payment_id, PaymentState.PENDING), None)
    changes.cancel(order, "", None)
    changes.fulfilment_cancelled(order, [], None)
    measures.count(changes)
    assert order.payment_state is PaymentState.REFUND_PENDING
    assert owed("EUR") == before


def test_what_is_recorded_without_a_move_is_no_move() -> None:
    order = order_of(PaymentTerms.PREPAID)
    changes = Changes(uuid7)
    changes.stock_reserved(order, "in-country", None)
    changes.parcels_allocated(order, [], "in-country", None)
    assert changes.moves == {(OrderState.CONFIRMED, "ES"): 1}


def test_countries_beyond_the_bound_are_counted_together() -> None:
    before = moved("PENDING", "other")
    codes = [f"{first}{second}" for first in "QX" for second in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"]
    for code in codes:
        measures.note_moved(OrderState.PENDING, code)
    apart = [code for code in codes if moved("PENDING", code)]
    assert len(apart) == measures.COUNTRIES_MAX
    assert moved("PENDING", "other") == before + len(codes) - measures.COUNTRIES_MAX
