"""Every check finds the corruption it is for and names its place; in a sound system none finds anything."""

from collections.abc import Mapping

import pytest

from deploy.audit.audit import queue_checks
from deploy.audit.checks import Check, run
from deploy.audit.cross_checks import CrossExamination
from deploy.audit.sql_checks import sql_checks
from tests.integration.audit.world import (
    CANCELLED,
    CARD_PAYMENT,
    CONFIRMED,
    PARCEL,
    PAYMENT,
    REJECTED,
    WAITING,
    build,
    failed,
    run_sql,
)

pytestmark = pytest.mark.postgres


def database_checks(dsns: Mapping[str, str]) -> list[Check]:
    return [
        *sql_checks(dsns, late_s_max=60),
        *CrossExamination(dsns).checks(),
        *queue_checks(dsns, parked_expected=0),
    ]


PARK = (
    'INSERT INTO parked_event (grp, topic, part, "offset", record_time, record_key, header_names, header_values, '
    "payload, aggregate_id, version, type, cause, detail) VALUES ('g', 'topic', 0, 4, now(), '', '{}', '{}', '', 'a', "
    "3, 'sampan.Happened', 'FAILED', 'of a bug')"
)


async def test_a_sound_system_passes_and_everything_is_examined(dsns: Mapping[str, str]) -> None:
    await build(dsns["orders"], dsns["warehouse"])
    results = [await run(check) for check in database_checks(dsns)]
    assert {result.id: result.offenders for result in results if result.status != "ok"} == {}
    idle = {result.id for result in results if result.examined == 0}
    assert idle == {"9 stuck", "11 next step", "13 parked, applied"}


CORRUPTIONS = [
    ("1 ledger", "warehouse", "UPDATE stock SET on_hand = on_hand + 1", "t S in w: on hand 9"),
    ("1 ledger", "warehouse", "UPDATE ledger SET sku = 'T' WHERE delta = 10", "t T in w: on hand nothing"),
    ("2 reserved", "warehouse", "UPDATE stock SET reserved = 4", "t S in w: reserved 4"),
    ("2 reserved", "warehouse", "UPDATE allocations SET quantity = 1", "pending holds keep 1"),
    (
        "3 bounds",
        "warehouse",
        "ALTER TABLE stock DROP CONSTRAINT stock_reserved_within_on_hand; UPDATE stock SET reserved = 9",
        "t S in w: 9 reserved of 8",
    ),
    ("4 oversold", "warehouse", "UPDATE ledger SET delta = 1 WHERE delta = 10", "t S: 2 left, 1 came"),
    (
        "5 one end",
        "warehouse",
        "INSERT INTO ledger (tenant_id, sku, warehouse_id, delta, reason, document, actor) "
        f"VALUES ('t', 'S', 'w', -2, 'PICK', '{CONFIRMED}', 'orders')",
        f"{CONFIRMED} S in w: hold POSTED of 2, picked 2 times, away 4",
    ),
    (
        "5 one end",
        "warehouse",
        f"UPDATE fulfilments SET hold_state = 'VOIDED' WHERE order_id = '{CONFIRMED}'",
        f"{CONFIRMED} S in w: hold not posted",
    ),
    ("5 parcels", "warehouse", "DELETE FROM parcels", f"{CONFIRMED} in w: posted without a parcel"),
    (
        "5 parcels",
        "warehouse",
        f"UPDATE fulfilments SET hold_state = 'PENDING' WHERE order_id = '{CONFIRMED}'",
        f"{CONFIRMED} in w: a parcel without a posted hold",
    ),
    (
        "6 lines",
        "orders",
        f"DELETE FROM order_lines WHERE order_id = '{WAITING}' AND line_number = 2",
        f"{WAITING}: total 750 of 2 lines, the lines say 500 of 1",
    ),
    ("6 lines", "orders", "UPDATE orders SET total_minor = total_minor + 1", f"{CONFIRMED}: total 501"),
    (
        "8 keys",
        "orders",
        "INSERT INTO request_key (tenant_id, route, request_id, digest, order_id) "
        f"VALUES ('t', 'place', 'again', '', '{WAITING}')",
        f"t again: one of 2 keys of order {WAITING}",
    ),
    (
        "8 keys",
        "orders",
        f"DELETE FROM orders WHERE order_id = '{REJECTED}'",
        f"t run/3: names order {REJECTED}, which does not exist",
    ),
    (
        "9 stuck",
        "orders",
        f"UPDATE orders SET state = 'PENDING' WHERE order_id = '{REJECTED}'; "
        "UPDATE order_transitions SET time = now() - '5 min'::interval",
        f"{REJECTED}: PENDING since",
    ),
    (
        "9 stuck",
        "orders",
        "DELETE FROM order_parcels; UPDATE order_transitions SET time = now() - '5 min'::interval",
        f"{CONFIRMED}: CONFIRMED since",
    ),
    (
        "9 stuck",
        "orders",
        # Asked again a moment ago: that is no progress.
        f"UPDATE orders SET state = 'CANCELLING', version = 4 WHERE order_id = '{CONFIRMED}'; "
        "INSERT INTO order_transitions (order_id, version, from_state, to_state, cause, detail) VALUES "
        f"('{CONFIRMED}', 4, 'CANCELLING', 'CANCELLING', 'OrderStalled', ''); "
        "UPDATE order_transitions SET time = now() - '5 min'::interval WHERE cause <> 'OrderStalled'",
        "asked again 1 times",
    ),
    ("9 deadline", "orders", "DELETE FROM timers", f"{WAITING}: awaits payment until"),
    (
        "9 timers",
        "orders",
        "UPDATE timers SET due_time = now() - '5 min'::interval",
        f"PAYMENT_DEADLINE of {WAITING}: due",
    ),
    (
        "9 holds",
        "warehouse",
        "UPDATE fulfilments SET expire_time = now() - '5 min'::interval",
        f"{WAITING}: pending, its deadline was",
    ),
    (
        "11 payments",
        "orders",
        "UPDATE payments SET amount_minor = 499",
        f"{CONFIRMED}: says CAPTURED, payment {PAYMENT}",
    ),
    ("11 payments", "orders", "DELETE FROM payments", f"{CONFIRMED}: says CAPTURED, payment none is missing"),
    (
        "11 money",
        "orders",
        "UPDATE payments SET state = 'REFUNDED'; UPDATE orders SET payment_state = 'REFUNDED' "
        "WHERE payment_id IS NOT NULL",
        f"{CONFIRMED}: CONFIRMED with no money",
    ),
    (
        "11 money",
        "orders",
        f"UPDATE payments SET order_id = '{CANCELLED}'",
        f"{CANCELLED}: CANCELLED with CAPTURED money",
    ),
    (
        "11 money",
        "orders",
        "UPDATE payments SET state = 'CAPTURE_FAILED'; UPDATE orders SET payment_state = 'CAPTURE_FAILED' "
        "WHERE payment_id IS NOT NULL",
        f"{CONFIRMED}: CONFIRMED with no money",
    ),
    (
        "11 provider",
        "orders",
        "UPDATE sandbox_payment SET state = 'CAPTURED'",
        f"{CARD_PAYMENT}: DECLINED over 750, the provider says CAPTURED over 750",
    ),
    (
        "11 provider",
        "orders",
        f"DELETE FROM payments WHERE payment_id = '{CARD_PAYMENT}'",
        f"{CARD_PAYMENT}: unknown, the provider says DECLINED",
    ),
    (
        "11 provider",
        "orders",
        "UPDATE payments SET state = 'CAPTURED', provider = 'sandbox' WHERE provider = 'external'",
        f"{PAYMENT}: CAPTURED over 500, the provider says nothing",
    ),
    (
        "11 provider",
        "orders",
        "UPDATE sandbox_payment SET amount_minor = 1",
        f"{CARD_PAYMENT}: DECLINED over 750, the provider says DECLINED over 1",
    ),
    (
        "11 next step",
        "orders",
        "UPDATE payments SET state = 'REFUND_PENDING'",
        f"{PAYMENT} of order {CONFIRMED}: REFUND_PENDING without a timer",
    ),
    (
        "12 history",
        "orders",
        f"DELETE FROM order_transitions WHERE order_id = '{CONFIRMED}' AND version = 2",
        f"{CONFIRMED}: version 3 CONFIRMED, history of 2 steps",
    ),
    (
        "12 history",
        "orders",
        f"UPDATE order_transitions SET from_state = 'EXPIRED' WHERE order_id = '{CONFIRMED}' AND version = 2",
        "broken in between",
    ),
    (
        "10 states",
        "warehouse",
        f"UPDATE fulfilments SET hold_state = 'EXPIRED' WHERE order_id = '{WAITING}'",
        f"{WAITING}: AWAITING_PAYMENT, but its hold is EXPIRED",
    ),
    (
        "10 states",
        "warehouse",
        f"DELETE FROM fulfilments WHERE order_id = '{CONFIRMED}'",
        f"{CONFIRMED}: CONFIRMED, but the warehouse does not know it",
    ),
    (
        "10 states",
        "orders",
        f"DELETE FROM orders WHERE order_id = '{WAITING}'",
        f"{WAITING}: hold PENDING of an order that does not exist",
    ),
    (
        "10 states",
        "orders",
        f"UPDATE orders SET state = 'CANCELLED' WHERE order_id = '{CONFIRMED}'",
        f"{CONFIRMED}: CANCELLED, but its goods are on their way",
    ),
    (
        "10 quantities",
        "warehouse",
        f"UPDATE allocations SET quantity = 4 WHERE order_id = '{WAITING}'",
        f"{WAITING}: other units are held than were ordered",
    ),
    (
        "16 parcels",
        "orders",
        "DELETE FROM order_parcels",
        f"{CONFIRMED}: orders knows none; the warehouse has {PARCEL} w ALLOCATED",
    ),
    (
        "16 parcels",
        "warehouse",
        "UPDATE parcels SET state = 'PACKED'",
        f"{CONFIRMED}: orders knows {PARCEL} w ALLOCATED; the warehouse has {PARCEL} w PACKED",
    ),
    (
        "10 states",
        "warehouse",
        f"UPDATE fulfilments SET hold_state = 'VOIDED', rejection = NULL WHERE order_id = '{REJECTED}'",
        f"{REJECTED}: REJECTED, but its hold is VOIDED",
    ),
    (
        "13 parked, applied",
        "orders",
        f"{PARK}; INSERT INTO consumer_applied (aggregate_id, topic, grp, version) VALUES ('a', 'topic', 'g', 3)",
        "orders: g topic a version 3 is parked, applied is 3",
    ),
    (
        "15 outbox",
        "warehouse",
        "INSERT INTO outbox (bucket, topic, key, aggregate_id, version, type, payload, event_id, event_time) "
        "VALUES (0, 'topic', 'k', 'a', 2, 't', '', gen_random_uuid(), now())",
        "warehouse: topic a version 2 since",
    ),
    ("15 parked", "orders", PARK, "orders: g topic a version 3: FAILED of a bug"),
]


@pytest.mark.parametrize(("check", "database", "sql", "offender"), CORRUPTIONS)
async def test_a_corruption_is_caught_and_its_place_named(
    dsns: Mapping[str, str], check: str, database: str, sql: str, offender: str
) -> None:
    await build(dsns["orders"], dsns["warehouse"])
    await run_sql(dsns[database], sql)
    found = await failed(database_checks(dsns))
    assert check in found, f"only {sorted(found)} failed"
    assert any(offender in text for text in found[check].offenders), found[check].offenders


async def test_what_was_poisoned_on_purpose_is_expected_exactly(dsns: Mapping[str, str]) -> None:
    await build(dsns["orders"], dsns["warehouse"])
    found = await failed(queue_checks(dsns, parked_expected=1))
    assert found["15 parked"].offenders == ("nothing is, 1 expected",)
    await run_sql(dsns["warehouse"], PARK)
    assert await failed(queue_checks(dsns, parked_expected=1)) == {}


async def test_an_order_that_was_voided_before_the_warehouse_heard_of_it_is_rejected_and_sound(
    dsns: Mapping[str, str],
) -> None:
    await build(dsns["orders"], dsns["warehouse"])
    await run_sql(
        dsns["warehouse"],
        "UPDATE fulfilments SET hold_state = 'VOIDED', rejection = 'VOIDED_BEFORE' "
        f"WHERE order_id = '{REJECTED}'",
    )
    assert await failed(database_checks(dsns)) == {}


async def test_a_database_that_is_not_there_is_no_pass(dsns: Mapping[str, str]) -> None:
    gone = {name: dsn + "_gone" for name, dsn in dsns.items()}
    assert {(await run(check)).status for check in database_checks(gone)} == {"could not run"}
