"""The arithmetic of the account: whatever is missing, added or changed makes it fail."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from deploy.replay import account, wire
from deploy.replay.catalogue import Naming, money
from deploy.replay.placing import Placed, Placement, Repeated
from deploy.replay.report import Agreement, Balance, MustBeNone, Report, percentile
from deploy.replay.retail import RowKind, SaleOrder, Sales

NAMING = Naming("r")
ORDERS = [
    SaleOrder("1", "United Kingdom", "GB", [("A", 100, 1), ("B", 250, 2)]),
    SaleOrder("2", "United Kingdom", "GB", [("A", 100, 3)]),
]


def listed(order_id: str, order: SaleOrder, state: str = "delivered") -> wire.Order:
    lines = [
        wire.OrderLine(NAMING.sku((code, price)), units, amount(price), amount(price * units))
        for code, price, units in order.lines
    ]
    return wire.Order(
        order_id, state, amount(order.total_pence), lines, parcels=[wire.OrderParcel("delivered")]
    )


def amount(pence: int) -> wire.Amount:
    return wire.Amount("GBP", money(pence))


def placed(order: SaleOrder, order_id: str) -> Placement:
    return Placement(
        "ok", 201, order_id, lines=len(order.lines), units=order.units, total_pence=order.total_pence
    )


def account_of(listing: list[wire.Order], placements: list[Placement] | None = None) -> Report:
    placements = placements or [placed(ORDERS[0], "a"), placed(ORDERS[1], "b")]
    comparison = account.Comparison(NAMING, ORDERS, placements)
    for order in listing:
        comparison.take(order)
    report = Report("r")
    stored = comparison.finish()
    account.account_of_orders(report, ORDERS, Placed(placements, 1.0), stored, Repeated(2, 2, ()))
    account.account_of_end(report, stored, 6, (6 - stored.units_delivered, 0))
    return report


def broken(report: Report) -> set[str]:
    return {statement.name for statement in report.statements if not statement.holds}


def test_an_account_of_all_orders_delivered_holds() -> None:
    report = account_of([listed("b", ORDERS[1]), listed("a", ORDERS[0])])
    assert report.holds, broken(report)
    report.print(Console(quiet=True))
    assert report.as_json()["holds"] is True


def test_a_lost_order_is_named() -> None:
    report = account_of([listed("a", ORDERS[0])])
    assert "acknowledged but not stored" in broken(report)
    assert "lines of accepted orders" in broken(report)
    lost = next(one for one in report.statements if one.name == "acknowledged but not stored")
    assert lost == MustBeNone("acknowledged but not stored", 1, ("r/2",))


def test_an_invented_order_is_named() -> None:
    report = account_of([listed("a", ORDERS[0]), listed("b", ORDERS[1]), listed("c", ORDERS[1])])
    assert broken(report) == {"stored but never sent or answered"}


def test_an_order_listed_twice_is_named() -> None:
    report = account_of([listed("a", ORDERS[0]), listed("b", ORDERS[1]), listed("b", ORDERS[1])])
    assert broken(report) == {"listed twice"}


def test_changed_content_is_named() -> None:
    changed = listed("b", ORDERS[1])
    changed.lines[0].quantity = 4
    assert "stored with other lines or another total" in broken(account_of([listed("a", ORDERS[0]), changed]))


def test_an_order_that_is_not_final_is_named() -> None:
    report = account_of([listed("a", ORDERS[0]), listed("b", ORDERS[1], "shipped")])
    assert broken(report) == {"orders not in a final state"}


def test_an_unknown_outcome_fails_the_account_even_when_it_is_found() -> None:
    placements = [placed(ORDERS[0], "a"), Placement("unknown", reason="timeout")]
    report = account_of([listed("a", ORDERS[0]), listed("b", ORDERS[1])], placements)
    assert broken(report) == {"outcome unknown"}
    assert "1 of the unknown ones turned out to be stored." in report.notes


def test_a_refusal_is_accounted_for_by_its_reason() -> None:
    placements = [placed(ORDERS[0], "a"), Placement("refused", 409, reason="409 TOTAL_CHANGED")]
    report = account_of([listed("a", ORDERS[0])], placements)
    assert report.holds, broken(report)
    sent = next(one for one in report.statements if one.name == "orders sent")
    assert sent == Balance("orders sent", 2, {"accepted": 1, "refused 409 TOTAL_CHANGED": 1})


@given(st.lists(st.sampled_from(RowKind)))
def test_rows_read_are_the_sum_of_their_kinds(kinds: list[RowKind]) -> None:
    report = Report("r")
    sales = Sales(Counter(kinds), [], {}, 0, 0)
    account.account_of_rows(report, sales, [])
    rows = report.statements[0]
    assert isinstance(rows, Balance)
    assert rows.total == len(kinds)
    assert rows.holds


def test_orders_beyond_the_limit_stay_in_the_account() -> None:
    report = Report("r")
    sales = Sales(Counter({RowKind.SALE: 3, RowKind.CANCELLATION: 2}), ORDERS, {}, 0, 0)
    account.account_of_rows(report, sales, ORDERS[:1])
    assert report.holds, broken(report)
    assert report.statements[1] == Balance("sale rows", 3, {"in orders sent": 2, "beyond ORDERS": 1})


@pytest.mark.parametrize(
    ("statement", "holds"),
    [
        (Balance("x", 3, {"a": 1, "b": 2}), True),
        (Balance("x", 3, {"a": 1}), False),
        (Balance("x", 0, {}), True),
        (Agreement("x", {"a": 1, "b": 1}), True),
        (Agreement("x", {"a": 1, "b": 2}), False),
        (MustBeNone("x", 0), True),
        (MustBeNone("x", 1), False),
    ],
)
def test_a_statement_holds_only_when_it_adds_up(
    statement: Balance | Agreement | MustBeNone, holds: bool
) -> None:
    assert statement.holds is holds


@given(st.lists(st.floats(0, 1e6), min_size=1), st.sampled_from([50.0, 99.0, 100.0]))
def test_a_percentile_is_one_of_the_values_and_bounds_its_share(values: list[float], percent: float) -> None:
    bound = percentile(values, percent)
    assert bound in values
    assert sum(value <= bound for value in values) * 100 >= percent * len(values)
