"""A small system at rest in which every invariant holds, written by hand; tests then break one thing of it."""

from collections import defaultdict
from collections.abc import Callable
from typing import Any, TypeVar

import asyncpg

from deploy.audit.checks import Check, Result, run

CATCHERS: defaultdict[str, set[str]] = defaultdict(set)
"""The tests that see a check fail, by its id."""

F = TypeVar("F", bound=Callable[..., Any])

CONFIRMED = "00000000-0000-7000-8000-00000000000a"
WAITING = "00000000-0000-7000-8000-00000000000b"
REJECTED = "00000000-0000-7000-8000-00000000000c"
CANCELLED = "00000000-0000-7000-8000-00000000000d"
PAYMENT = "00000000-0000-7000-8000-0000000000aa"
CARD_PAYMENT = "00000000-0000-7000-8000-0000000000ab"
PARCEL = "00000000-0000-7000-8000-0000000000ff"

WAREHOUSE = f"""
INSERT INTO stock_owners VALUES ('t', 'S', 'm');
INSERT INTO stock (tenant_id, sku, warehouse_id, merchant_id, on_hand, reserved, version)
VALUES ('t', 'S', 'w', 'm', 8, 3, 3);
INSERT INTO ledger (tenant_id, sku, warehouse_id, delta, reason, document, actor) VALUES
    ('t', 'S', 'w', 10, 'INBOUND_RECEIVE', 'receipt 1', 'operator'),
    ('t', 'S', 'w', -2, 'PICK', '{CONFIRMED}', 'orders');
INSERT INTO fulfilments (order_id, tenant_id, merchant_id, hold_state, version, region_code, expire_time, lines,
                         sourcing, rejection) VALUES
    ('{CONFIRMED}', 't', 'm', 'POSTED', 2, 'GB', now() + '1 day', '[["S", 2, false]]', 'w', NULL),
    ('{WAITING}', 't', 'm', 'PENDING', 1, 'GB', now() + '1 day', '[["S", 3, false]]', 'w', NULL),
    ('{REJECTED}', 't', 'm', 'REJECTED', 1, 'GB', now() + '1 day', '[["S", 99, false]]', '', 'STOCK_INSUFFICIENT'),
    ('{CANCELLED}', 't', 'm', 'VOIDED', 2, 'GB', now() + '1 day', '[["S", 1, false]]', 'w', NULL);
INSERT INTO allocations VALUES
    ('{CONFIRMED}', 'S', 'w', 2), ('{WAITING}', 'S', 'w', 3), ('{CANCELLED}', 'S', 'w', 1);
INSERT INTO parcels (tenant_id, parcel_id, order_id, merchant_id, warehouse_id, region_code, state)
VALUES ('t', '{PARCEL}', '{CONFIRMED}', 'm', 'w', 'GB', 'ALLOCATED');
"""


def _order(order_id: str, key: str, quantity: int, terms: str, states: list[str]) -> str:
    window = "now() + '1 hour'" if terms == "PAY_LATER" else "NULL"
    steps = ", ".join(
        f"('{order_id}', {version}, {before}, '{state}', 'Cause', '')"
        for version, (before, state) in enumerate(
            zip(["NULL", *(f"'{state}'" for state in states)], states, strict=False), start=1
        )
    )
    return f"""
INSERT INTO orders (order_id, tenant_id, merchant_id, buyer_ref, currency_code, total_minor, line_count, ship_to,
                    region_code, payment_terms, payment_expire_time, language_code, create_time, state, version,
                    update_time)
VALUES ('{order_id}', 't', 'm', 'buyer', 'GBP', {quantity * 250}, 2, '{{}}', 'GB', '{terms}', {window}, 'en', now(),
        '{states[-1]}', {len(states)}, now());
INSERT INTO order_lines (order_id, line_number, sku, product_id, title, quantity, unit_price_minor, amount_minor,
                         hs_code, origin_region_code, weight_grams, hazardous) VALUES
    ('{order_id}', 1, 'S', 'p', 'Title', {quantity - 1}, 250, {(quantity - 1) * 250}, '', '', 0, false),
    ('{order_id}', 2, 'S', 'p', 'Title', 1, 250, 250, '', '', 0, false);
INSERT INTO order_transitions (order_id, version, from_state, to_state, cause, detail) VALUES {steps};
INSERT INTO request_key (tenant_id, route, request_id, digest, order_id)
VALUES ('t', 'place', '{key}', '', '{order_id}');
"""


ORDERS = "".join(
    [
        _order(CONFIRMED, "run/1", 2, "PREPAID", ["PENDING", "CONFIRMED", "CONFIRMED"]),
        _order(WAITING, "run/2", 3, "PAY_LATER", ["PENDING", "AWAITING_PAYMENT"]),
        _order(REJECTED, "run/3", 99, "PREPAID", ["PENDING", "REJECTED"]),
        _order(CANCELLED, "run/4", 2, "PREPAID", ["PENDING", "CANCELLED"]),
        f"""
INSERT INTO request_key (tenant_id, route, request_id, digest, order_id) VALUES ('t', 'place', 'run/5', '', NULL);
INSERT INTO payments (payment_id, order_id, tenant_id, provider, state, amount_minor, currency_code)
VALUES ('{PAYMENT}', '{CONFIRMED}', 't', 'external', 'CAPTURED', 500, 'GBP');
UPDATE orders SET payment_id = '{PAYMENT}', payment_state = 'CAPTURED' WHERE order_id = '{CONFIRMED}';
INSERT INTO payments (payment_id, order_id, tenant_id, provider, state, amount_minor, currency_code)
VALUES ('{CARD_PAYMENT}', '{WAITING}', 't', 'sandbox', 'DECLINED', 750, 'GBP');
INSERT INTO sandbox_payment (payment_id, card, state, amount_minor, currency_code, decline_code)
VALUES ('{CARD_PAYMENT}', 'card_declined', 'DECLINED', 750, 'GBP', 'insufficient_funds');
UPDATE orders SET payment_id = '{CARD_PAYMENT}', payment_state = 'DECLINED' WHERE order_id = '{WAITING}';
INSERT INTO timers (kind, subject_id, order_id, due_time)
SELECT 'PAYMENT_DEADLINE', order_id, order_id, payment_expire_time FROM orders WHERE order_id = '{WAITING}';
INSERT INTO order_parcels VALUES ('{CONFIRMED}', '{PARCEL}', 'w', 'ALLOCATED', '', '');
""",
    ]
)


def catches(*checks: str) -> Callable[[F], F]:
    """Marks a test that corrupts something and sees these checks name it; a tidy test wants one for each check."""

    def mark(test: F) -> F:
        for check in checks:
            CATCHERS[check].add(test.__name__)
        return test

    return mark


async def run_sql(dsn: str, sql: str) -> None:
    """Runs statements as they stand."""
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(sql)
    finally:
        await connection.close()


async def build(orders_dsn: str, warehouse_dsn: str) -> None:
    """Fills two empty databases."""
    await run_sql(orders_dsn, ORDERS)
    await run_sql(warehouse_dsn, WAREHOUSE)


async def failed(checks: list[Check]) -> dict[str, Result]:
    """The results of the checks that failed, by id; all of them could be made."""
    results = [await run(check) for check in checks]
    assert all(result.status != "could not run" for result in results), results
    return {result.id: result for result in results if result.status == "failed"}
