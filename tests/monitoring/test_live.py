"""A stopped consumer wakes somebody, and no panel of a dashboard is empty: with the real servers, over a real stack."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from deploy.grafana.__main__ import boards
from deploy.local.settings import ROOT, SERVICES
from tests.e2e.conftest import Shop, order_body
from tests.monitoring import work
from tests.monitoring.conftest import Prometheus
from tests.monitoring.receiver import Receiver
from tests.monitoring.test_rules import expressions
from tests.series import series_max

pytestmark = [pytest.mark.stack, pytest.mark.slow, pytest.mark.timeout(300)]

PATIENCE_S = 60.0
PARSED_WINDOW = "1m"
GROUP = {"group": "warehouse.orders"}


@contextmanager
def frozen(shop: Shop, service: str) -> Iterator[None]:
    """A process that hangs."""
    process = shop.stack.services[service].process
    process.freeze()
    try:
        yield
    finally:
        process.thaw()


def calm(shop: Shop, prometheus: Prometheus) -> None:
    """Waits until everything was scraped and no alert of the order path is about to fire."""
    shop.eventually(
        lambda: (
            set(prometheus.values("up == 1", "job")) >= set(SERVICES)
            and not prometheus.query('ALERTS{alertname!~"Gateway.*"}')
        ),
        timeout_s=PATIENCE_S,
    )


def scraped_since(shop: Shop, prometheus: Prometheus, moment_s: float) -> None:
    """Waits until orders was scraped after a moment."""
    shop.eventually(lambda: float(prometheus.query('timestamp(up{job="orders"})')[0]["value"][1]) > moment_s)


def test_a_stopped_consumer_wakes_somebody_and_its_return_is_told(
    watched_shop: Shop, prometheus: Prometheus, receiver: Receiver
) -> None:
    shop = watched_shop
    sku = shop.new_sku(1000)
    assert shop.place(order_body((sku, 1)))["state"] == "awaiting_payment"
    calm(shop, prometheus)
    before = len(receiver.told)
    expected: tuple[tuple[str, dict[str, str]], ...] = (
        ("ServiceDown", {"job": "warehouse"}),
        ("ConsumerMissing", GROUP),
        ("OrdersUndecided", {}),
    )
    with frozen(shop, "warehouse"):
        order_id = work.place(shop, sku)
        for name, labels in expected:
            told = receiver.await_told(name, labels, after=before, timeout_s=PATIENCE_S)
            assert told.receiver == "page"
            assert (ROOT / told.annotations["runbook_url"]).is_file()
        firing = [told for told in receiver.told[before:] if told.firing]
        assert not [told for told in firing if told.is_of("InstanceDown")], "inhibited by ServiceDown"
        assert {told.labels["job"] for told in firing if "job" in told.labels} == {"warehouse"}
        after = len(receiver.told)
    for name, labels in expected:
        receiver.await_told(name, labels, firing=False, after=after, timeout_s=PATIENCE_S)
    shop.eventually(lambda: shop.order(order_id)["state"] == "awaiting_payment")


async def test_a_consumer_that_waits_for_its_database_is_told_by_its_lag(
    watched_shop: Shop, prometheus: Prometheus, receiver: Receiver
) -> None:
    shop = watched_shop
    sku = await asyncio.to_thread(shop.new_sku, 100)
    await asyncio.to_thread(calm, shop, prometheus)
    before = len(receiver.told)
    connection = await asyncpg.connect(shop.stack.dsns["warehouse"])
    try:
        async with connection.transaction():
            # Its process lives and answers, but no batch can be committed.
            await connection.execute("LOCK TABLE consumer_offset IN ACCESS EXCLUSIVE MODE")
            order_id = await asyncio.to_thread(work.place, shop, sku)
            told = await asyncio.to_thread(
                lambda: receiver.await_told("ConsumerLate", GROUP, after=before, timeout_s=2 * PATIENCE_S)
            )
        assert told.receiver == "page"
        assert told.labels["topic"] == "sampan.orders.orders.v1"
        assert not [one for one in receiver.told[before:] if one.is_of("ServiceDown")]
    finally:
        await connection.close()
    await asyncio.to_thread(
        lambda: receiver.await_told("ConsumerLate", GROUP, firing=False, after=before, timeout_s=PATIENCE_S)
    )
    await asyncio.to_thread(
        shop.eventually, lambda: shop.order(order_id)["state"] == "awaiting_payment", timeout_s=PATIENCE_S
    )


def run_audit(shop: Shop, audit_file: Path) -> None:
    """What an operator's timer does."""
    environment = {
        **os.environ,
        **{f"{name.upper()}_DSN": dsn for name, dsn in shop.stack.dsns.items()},
        "KAFKA_BOOTSTRAP": shop.stack.bootstrap,
        "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "gen"))),
    }
    command = [sys.executable, "-m", "deploy.audit", "--metrics", str(audit_file)]
    ran = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def is_filled(series: list[dict[str, Any]]) -> bool:
    """Whether something would be drawn: a quantile of nothing is no number."""
    return any(one["value"][1] != "NaN" for one in series)


def test_no_panel_of_a_dashboard_is_empty(
    watched_shop: Shop, prometheus: Prometheus, audit_file: Path
) -> None:
    shop = watched_shop
    calm(shop, prometheus)
    run_audit(shop, audit_file)
    sku = shop.new_sku(1000)
    work.sell_out(shop)
    work.deliver_one(shop, sku)
    work.cancel_one(shop, sku)
    payment_id = work.owe_notification(shop)
    work.limit_scratch(shop)
    assert shop.anonymous.get("/v1/orders").status_code == 401
    wanted = {
        (uid, title, expr.replace("$__rate_interval", PARSED_WINDOW))
        for uid, text in boards().items()
        for title, expr in expressions(json.loads(text))
    }
    assert wanted
    empty = wanted

    def all_filled() -> bool:
        nonlocal empty
        # Rates want work that goes on, and their windows two scrapes.
        work.hear_of_delivery(lines, work.deliver_one(shop, sku))
        work.notify_again(shop, payment_id)
        work.read_beyond_limit(shop)
        empty = {one for one in empty if not is_filled(prometheus.query(one[2]))}
        return not empty

    try:
        with work.told_by_webhook(shop), work.following(shop) as lines:
            shop.eventually(all_filled, timeout_s=PATIENCE_S)
    except AssertionError:
        pytest.fail(f"{len(empty)} of {len(wanted)} are empty: {sorted(empty)}")


def test_the_shop_is_counted_as_it_was(watched_shop: Shop, prometheus: Prometheus) -> None:
    shop = watched_shop
    sku = shop.new_sku(100, price="7.50")

    def by_state() -> dict[str, float]:
        return prometheus.values('sampan_orders_moved_total{region_code="ES"}', "to_state")

    def collected() -> float:
        return prometheus.values("sampan_orders_captured_amount_total", "currency_code").get("EUR", 0.0)

    scraped_since(shop, prometheus, time.time())
    before, money_before = by_state(), collected()
    work.deliver_one(shop, sku)
    states = ("PENDING", "AWAITING_PAYMENT", "CONFIRMED", "FULFILLING", "SHIPPED", "DELIVERED")
    shop.eventually(lambda: all(by_state()[state] == before.get(state, 0) + 1 for state in states))
    shop.eventually(lambda: collected() == money_before + 7.5)


def test_each_service_has_no_more_series_than_the_page_allows(
    watched_shop: Shop, prometheus: Prometheus
) -> None:
    calm(watched_shop, prometheus)
    measured = prometheus.values("scrape_samples_scraped", "job")
    assert {service: 0 < measured[service] <= series_max(service) for service in SERVICES} == dict.fromkeys(
        SERVICES, True
    )
    print({service: int(measured[service]) for service in SERVICES})
