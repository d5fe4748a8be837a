"""Turns what was read, sent, answered and stored into the statements of the report."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from deploy.replay import wire
from deploy.replay.catalogue import Naming, parcels_needed
from deploy.replay.countries import ASSUMED, COUNTRIES
from deploy.replay.placing import Placed, Placement, Repeated
from deploy.replay.report import Agreement, Balance, MustBeNone, Report, counted
from deploy.replay.retail import RowKind, SaleOrder, Sales

OFFENDERS_MAX = 5
FINAL = frozenset({"delivered", "rejected", "cancelled", "expired"})


@dataclass(slots=True)
class Stored:
    """What the API lists of the run at its end, compared with what was sent, order by order."""

    states: Counter[str] = field(default_factory=Counter)
    """Accepted orders by final state, with the reason where there is one."""
    open_states: Counter[str] = field(default_factory=Counter)
    """Orders that are not final."""
    lines: int = 0
    units: int = 0
    total_pence: int = 0
    lost: list[str] = field(default_factory=list)
    """Keys of acknowledged orders that are not listed."""
    invented: list[str] = field(default_factory=list)
    """Ids of listed orders that nobody was told of."""
    doubled: list[str] = field(default_factory=list)
    """Ids listed more than once."""
    changed: list[str] = field(default_factory=list)
    """Keys of orders whose stored lines or total are not what was sent."""
    units_delivered: int = 0
    parcels_expected: int = 0
    parcels_delivered: int = 0
    """Of the delivered orders."""
    found_unknown: int = 0
    """Listed orders whose placement was never answered."""


class Comparison:
    """Takes the listed orders one by one, keeping only sums and offenders."""

    def __init__(self, naming: Naming, orders: Sequence[SaleOrder], placements: Sequence[Placement]) -> None:
        self._naming = naming
        self._orders = orders
        self._expected = {one.order_id: index for index, one in enumerate(placements) if one.outcome == "ok"}
        self._unknown_bodies = {
            tuple(wire.sent_lines(orders[index], naming))
            for index, one in enumerate(placements)
            if one.outcome == "unknown"
        }
        self._seen: set[str] = set()
        self.stored = Stored()

    def take(self, listed: wire.Order) -> None:
        """Compares one listed order."""
        stored = self.stored
        if listed.order_id in self._seen:
            stored.doubled.append(listed.order_id)
            return
        self._seen.add(listed.order_id)
        index = self._expected.get(listed.order_id)
        lines = wire.stored_lines(listed)
        if index is None:
            if tuple(lines) in self._unknown_bodies:
                stored.found_unknown += 1
            else:
                stored.invented.append(listed.order_id)
            return
        order = self._orders[index]
        stored.states[f"{listed.state} {listed.reason}".strip()] += 1
        if listed.state not in FINAL:
            stored.open_states[listed.state] += 1
        stored.lines += len(lines)
        stored.units += sum(quantity for _, quantity, _ in lines)
        stored.total_pence += listed.total.minor
        if listed.state == "delivered":
            stored.units_delivered += sum(quantity for _, quantity, _ in lines)
            stored.parcels_expected += parcels_needed(order)
            stored.parcels_delivered += sum(parcel.state == "delivered" for parcel in listed.parcels)
        if lines != wire.sent_lines(order, self._naming) or listed.total.minor != order.total_pence:
            stored.changed.append(self._naming.order_key(order.invoice))

    def finish(self) -> Stored:
        """The result, once every order was taken."""
        self.stored.lost = [
            self._naming.order_key(self._orders[index].invoice)
            for order_id, index in self._expected.items()
            if order_id not in self._seen
        ]
        return self.stored


def account_of_rows(report: Report, sales: Sales, sent: Sequence[SaleOrder]) -> None:
    """From the file's rows to the orders that are sent."""
    kinds = {kind.value: sales.rows[kind] for kind in RowKind if sales.rows[kind] or kind is RowKind.SALE}
    report.statements.append(Balance("rows read", sales.rows_read, dict(sorted(kinds.items(), reverse=True))))
    lines_sent = sum(len(order.lines) for order in sent)
    not_asked = len(sales.orders) - len(sent)
    parts = {"in orders sent": lines_sent}
    if not_asked:
        parts["beyond ORDERS"] = sum(len(order.lines) for order in sales.orders[len(sent) :])
    report.statements.append(Balance("sale rows", sales.rows[RowKind.SALE], parts))
    orders = {"sent": len(sent)} | ({"beyond ORDERS": not_asked} if not_asked else {})
    report.statements.append(Balance("orders in the file", len(sales.orders), orders))
    assumed = Counter(order.country for order in sent if order.country in ASSUMED)
    report.notes.extend(
        f"Assumed: {country} -> {COUNTRIES[country]} ({ASSUMED[country]}), {count:,} orders."
        for country, count in sorted(assumed.items())
    )
    if sales.rounded_prices:
        report.notes.append(f"{sales.rounded_prices} prices were finer than a penny and rounded half-up.")
    if sales.invoices_of_several_countries:
        report.notes.append(
            f"{sales.invoices_of_several_countries} invoices named several countries; the first was taken."
        )


def account_of_orders(
    report: Report, orders: Sequence[SaleOrder], placed: Placed, stored: Stored, repeated: Repeated
) -> None:
    """From the orders sent to the orders stored."""
    placements = placed.placements
    outcomes = Counter(one.outcome for one in placements)
    refused = Counter(one.reason for one in placements if one.outcome == "refused")
    parts = {"accepted": outcomes["ok"], **counted(refused, "refused ")}
    if outcomes["unknown"]:
        parts["unknown"] = outcomes["unknown"]
    report.statements.append(Balance("orders sent", len(orders), parts))
    report.statements.append(Balance("accepted", outcomes["ok"], counted(stored.states)))
    accepted = [order for order, one in zip(orders, placements, strict=True) if one.outcome == "ok"]
    answered = [one for one in placements if one.outcome == "ok"]
    report.statements += [
        Agreement(
            "lines of accepted orders",
            {
                "sent": sum(len(order.lines) for order in accepted),
                "answered": sum(one.lines for one in answered),
                "stored": stored.lines,
            },
        ),
        Agreement(
            "units of accepted orders",
            {
                "sent": sum(order.units for order in accepted),
                "answered": sum(one.units for one in answered),
                "stored": stored.units,
            },
        ),
        Agreement(
            "value of accepted orders",
            {
                "sent": sum(order.total_pence for order in accepted),
                "answered": sum(one.total_pence for one in answered),
                "stored": stored.total_pence,
            },
            "pence",
        ),
        _none("acknowledged but not stored", stored.lost),
        _none("stored but never sent or answered", stored.invented),
        _none("listed twice", stored.doubled),
        _none("stored with other lines or another total", stored.changed),
        MustBeNone("outcome unknown", outcomes["unknown"], _unknown(placements)),
    ]
    if outcomes["unknown"]:
        report.notes.append(f"{stored.found_unknown} of the unknown ones turned out to be stored.")
    if repeated.asked:
        report.statements.append(
            Balance(
                "repeated under the same key",
                repeated.asked,
                {"answered with the same bytes": repeated.identical},
            )
        )


def account_of_end(report: Report, stored: Stored, received: int, left: tuple[int, int]) -> None:
    """What the warehouse has at the end: `received` units, `left` as (on hand, reserved)."""
    report.statements += [
        MustBeNone("orders not in a final state", stored.open_states.total(), tuple(stored.open_states)),
        Agreement(
            "parcels of delivered orders",
            {"one per order and site": stored.parcels_expected, "delivered": stored.parcels_delivered},
        ),
        Balance("units received", received, {"delivered": stored.units_delivered, "left on hand": left[0]}),
        MustBeNone("units still reserved", left[1]),
    ]


def _none(name: str, offenders: Sequence[str]) -> MustBeNone:
    return MustBeNone(name, len(offenders), tuple(offenders[:OFFENDERS_MAX]))


def _unknown(placements: Iterable[Placement]) -> tuple[str, ...]:
    return tuple(one.reason for one in placements if one.outcome == "unknown")[:OFFENDERS_MAX]
