"""The checks that only a chaos run makes, against a small system in which one thing is wrong."""

import json
from pathlib import Path

import pytest

from deploy.audit.checks import examine_rows, run
from tests.chaos.history import History
from tests.chaos.operations import operation_checks
from tests.chaos.verify import ORPHANS
from tests.conftest import DatabaseFactory
from tests.integration.audit.world import CANCELLED, CONFIRMED, build, run_sql

pytestmark = pytest.mark.postgres


@pytest.mark.parametrize(
    "corruption",
    [
        f"DELETE FROM request_key WHERE order_id = '{CANCELLED}'",
        f"UPDATE request_key SET tenant_id = 'other' WHERE order_id = '{CANCELLED}'",
        f"UPDATE request_key SET route = 'pay' WHERE order_id = '{CANCELLED}'",
    ],
)
async def test_an_order_under_no_key_is_named(database_factory: DatabaseFactory, corruption: str) -> None:
    dsns = {name: database_factory(name) for name in ("orders", "warehouse")}
    await build(dsns["orders"], dsns["warehouse"])
    sound = await examine_rows(dsns["orders"], ORPHANS)
    assert (sound.examined, sound.failed) == (4, 0)
    await run_sql(dsns["orders"], corruption)
    found = await examine_rows(dsns["orders"], ORPHANS)
    assert (found.examined, found.offenders) == (4, [f"{CANCELLED}: made under no key"])


@pytest.mark.parametrize(
    ("check", "database", "corruption", "offender"),
    [
        ("6 bookings", "warehouse", "DELETE FROM ledger WHERE delta = 10", "receive a: was ok, asked for"),
        (
            "6 bookings",
            "warehouse",
            "INSERT INTO ledger (tenant_id, sku, warehouse_id, delta, reason, document, actor) "
            "VALUES ('t', 'S', 'w', 10, 'INBOUND_RECEIVE', 'receipt 1', 'operator')",
            "receive a: was ok, asked for",
        ),
        (
            "6 bookings",
            "warehouse",
            "INSERT INTO ledger (tenant_id, sku, warehouse_id, delta, reason, document, actor) "
            "VALUES ('t', 'S', 'w', -1, 'DAMAGE', 'count 1', 'operator')",
            "adjust b: was refused, asked for",
        ),
        ("6 paid", "orders", "DELETE FROM payments", f"order {CONFIRMED} was paid, no payment is stored"),
        (
            "6 cancelled",
            "orders",
            "DELETE FROM order_transitions WHERE cause = 'CancelOrder'",
            f"the cancellation of order {CANCELLED} was carried out 0 times, told were 1",
        ),
        (
            "6 cancelled",
            "orders",
            "INSERT INTO order_transitions (order_id, version, from_state, to_state, cause, detail) "
            f"VALUES ('{CANCELLED}', 3, 'CANCELLED', 'CANCELLED', 'CancelOrder', '')",
            f"the cancellation of order {CANCELLED} was carried out 2 times, told were 1",
        ),
    ],
)
async def test_an_operation_that_was_not_carried_out_as_told_is_named(
    database_factory: DatabaseFactory,
    tmp_path: Path,
    check: str,
    database: str,
    corruption: str,
    offender: str,
) -> None:
    dsns = {name: database_factory(name) for name in ("orders", "warehouse")}
    await build(dsns["orders"], dsns["warehouse"])
    await run_sql(
        dsns["orders"],
        f"UPDATE order_transitions SET cause = 'CancelOrder' WHERE order_id = '{CANCELLED}' AND version = 2",
    )
    with History(tmp_path) as history:
        history.operation("receive", "ok", key="a", request=_booking("receipt 1", 10))
        history.operation("adjust", "refused", key="b", request=_booking("count 1", -1))
        history.operation("pay", "ok", key="c", order_id=CONFIRMED)
        history.operation("cancel", "ok", key="d", order_id=CANCELLED)
        checks = operation_checks(history.path, "t", dsns)
        sound = [await run(one) for one in checks]
        assert [(one.examined, one.status) for one in sound] == [(2, "ok"), (1, "ok"), (1, "ok")]
        await run_sql(dsns[database], corruption)
        broken = {one.id: one for one in [await run(one) for one in checks] if one.status != "ok"}
    assert set(broken) == {check}
    assert offender in broken[check].offenders[0]


def _booking(document: str, units: int) -> bytes:
    lines = [{"sku": "S", "quantity": units}]
    return json.dumps({"warehouse_id": "w", "document": document, "lines": lines}).encode()
