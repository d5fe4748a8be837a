"""The checks that one query in one database can make."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from deploy.audit.checks import Check, examine_rows
from services.chassis.queries import load_queries


@dataclass(frozen=True, slots=True)
class SqlCheck:
    """A query of queries.sql as a check. `takes_lateness`: its $1 is how many seconds late something may be."""

    id: str
    query: str
    database: str
    sentence: str
    takes_lateness: bool = False


SQL_CHECKS: Sequence[SqlCheck] = (
    SqlCheck(
        "1 ledger",
        "stock_is_the_sum_of_its_ledger",
        "warehouse",
        "Units on hand of a SKU in a warehouse are the sum of its ledger.",
    ),
    SqlCheck(
        "2 reserved",
        "reserved_is_the_sum_of_pending_holds",
        "warehouse",
        "Reserved units are the sum of the pending holds.",
    ),
    SqlCheck("3 bounds", "reserved_is_within_on_hand", "warehouse", "0 <= reserved <= on hand."),
    SqlCheck(
        "4 oversold",
        "posted_is_within_received",
        "warehouse",
        "No more units of a SKU left for orders than ever came in.",
    ),
    SqlCheck(
        "5 one end",
        "hold_has_at_most_one_end",
        "warehouse",
        "A hold has at most one end: posted ones were picked exactly once, others never.",
    ),
    SqlCheck(
        "5 parcels",
        "parcels_are_the_posted_allocations",
        "warehouse",
        "Every posted hold has one parcel per warehouse, every other hold has none.",
    ),
    SqlCheck(
        "6 lines",
        "order_equals_its_lines",
        "orders",
        "An order's total and number of lines are those of its lines.",
    ),
    SqlCheck(
        "8 keys", "one_order_per_key", "orders", "One Idempotency-Key of a tenant names at most one order."
    ),
    SqlCheck(
        "9 stuck",
        "no_order_is_stuck",
        "orders",
        "No order waits longer than the bound for another service.",
        takes_lateness=True,
    ),
    SqlCheck(
        "9 deadline",
        "waiting_orders_have_a_timer",
        "orders",
        "An order that awaits payment has a timer at its deadline.",
        takes_lateness=True,
    ),
    SqlCheck(
        "9 timers", "timers_run", "orders", "No timer is overdue, none is an orphan.", takes_lateness=True
    ),
    SqlCheck(
        "9 holds",
        "pending_holds_are_not_overdue",
        "warehouse",
        "No hold is pending past its deadline.",
        takes_lateness=True,
    ),
    SqlCheck(
        "11 payments",
        "payments_match_their_orders",
        "orders",
        "A payment is of its order's amount, and the order says the payment's state.",
    ),
    SqlCheck(
        "11 money",
        "money_is_held_only_for_confirmed_orders",
        "orders",
        "Money is held if and only if the order is confirmed; else it is given back, or known as lost.",
    ),
    SqlCheck(
        "11 provider",
        "payments_match_the_provider",
        "orders",
        "What orders says of a payment is what the provider's books say.",
    ),
    SqlCheck(
        "11 next step",
        "open_payments_have_a_timer",
        "orders",
        "Whatever is still to be done for a payment has a timer.",
    ),
    SqlCheck(
        "12 history",
        "history_is_gapless",
        "orders",
        "An order has one transition per version, without gaps, ending in its state.",
    ),
)


def sql_checks(dsns: Mapping[str, str], *, late_s_max: float) -> list[Check]:
    """All of them, bound to their databases."""
    queries = load_queries("deploy.audit")
    return [
        Check(
            check.id,
            check.sentence,
            partial(
                examine_rows,
                dsns[check.database],
                queries[check.query],
                *([late_s_max] if check.takes_lateness else []),
            ),
        )
        for check in SQL_CHECKS
    ]
