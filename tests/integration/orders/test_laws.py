"""Orders in a database beside their models: events, payments, cancellations and deadlines in any order."""

from __future__ import annotations

import asyncio
import copy
from collections import defaultdict
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any
from uuid import UUID

import pytest
import uvloop
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from sampan.orders.v1 import order_service_pb2 as pb
from sampan.warehouse.v1 import events_pb2 as warehouse_events
from sampan.warehouse.v1 import parcel_service_pb2 as parcel_pb
from sampan.warehouse.v1 import reservation_service_pb2 as reservation_pb

from services.chassis.ids import uuid7
from services.orders import workers
from services.orders.commands import paying
from services.orders.domain.changes import TimerKind
from services.orders.domain.states import Trigger
from services.orders.payments.port import Answer, Outcome
from tests import laws
from tests.integration.orders.messages import TENANT, advanced
from tests.integration.orders.order_model import (
    AT_ONCE,
    BOOKED,
    CARDS,
    CONFIRMED,
    HELD,
    HOLDS,
    NEXT,
    STAGES,
    Impossible,
    OrderModel,
)
from tests.integration.orders.running import Running, running, succeeds

pytestmark = [pytest.mark.postgres, *laws.marks()]

EXAMPLES = 30
STEPS = 40
ORDERS_MAX = 3
REPEATED = (Outcome.AUTHORISED, Outcome.DECLINED, Outcome.CAPTURE_DECLINED, Outcome.REFUNDED)
SIMPLE = {
    Trigger.STOCK_REJECTED: warehouse_events.StockRejected,
    Trigger.HOLD_EXPIRED: warehouse_events.HoldExpired,
    Trigger.HOLD_VOIDED: warehouse_events.HoldVoided,
    Trigger.FULFILMENT_CANCELLED: warehouse_events.FulfilmentCancelled,
}
TABLES = (
    "orders",
    "order_lines",
    "order_transitions",
    "order_parcels",
    "request_key",
    "timers",
    "payments",
    "payment_notifications",
    "sandbox_payment",
    "sandbox_notification",
    "outbox",
)


class Orders(RuleBasedStateMachine):
    """A few orders, and everything that can happen to them. Ids are known by their place: they are drawn anew."""

    def __init__(self, service: Running, run: Callable[[Coroutine[Any, Any, Any]], Any]) -> None:
        super().__init__()
        self.service = service
        self.wait_for = run
        self.orders: list[pb.Order] = []
        self.models: list[OrderModel] = []
        self.wait_for(self.execute("".join(f"DELETE FROM {table};" for table in TABLES)))

    async def execute(self, statement: str, *values: object) -> list[Any]:
        async with self.service.desk.db.connection() as connection:
            if not values:
                await connection.execute(statement)
                return []
            return list(await connection.fetch(statement, *values))

    def attempt(self, number: int, expected: Callable[[OrderModel], object], step: Awaitable[object]) -> bool:
        """Takes a step on both sides: both take it, or both refuse it and change nothing."""
        before = copy.deepcopy(self.models[number])
        possible = True
        try:
            expected(self.models[number])
        except Impossible:
            self.models[number] = before
            possible = False
        assert self.wait_for(succeeds(step)) == possible
        return possible

    @precondition(lambda self: len(self.orders) < ORDERS_MAX)
    @rule(prepaid=st.booleans())
    def place(self, prepaid: bool) -> None:
        terms = pb.PAYMENT_TERMS_PREPAID if prepaid else pb.PAYMENT_TERMS_PAY_LATER
        self.orders.append(self.wait_for(self.service.placed(payment_terms=terms)))
        self.models.append(OrderModel(prepaid))

    @precondition(lambda self: bool(self.orders))
    @rule(data=st.data())
    def reserved(self, data: st.DataObject) -> None:
        number = self.draw(data)
        message = warehouse_events.StockReserved(tenant_id=TENANT, order_id=self.orders[number].order_id)
        self.attempt(number, OrderModel.reserved, self.service.tell(message))
        self.note_prepayment(number)

    @precondition(lambda self: bool(self.orders))
    @rule(data=st.data(), trigger=st.sampled_from(list(SIMPLE)))
    def told(self, data: st.DataObject, trigger: Trigger) -> None:
        number = self.draw(data)
        message = SIMPLE[trigger](tenant_id=TENANT, order_id=self.orders[number].order_id)
        self.attempt(number, lambda model: model.ended_by(trigger), self.service.tell(message))

    @precondition(lambda self: bool(self.orders))
    @rule(data=st.data(), count=st.integers(1, 2))
    def opened(self, data: st.DataObject, count: int) -> None:
        number = self.draw(data)
        if self.models[number].parcels:
            return  # the warehouse posts once
        parcel_ids: list[str] = []

        async def step() -> None:
            parcel_ids.extend(await self.service.opened(self.orders[number], count))

        if self.attempt(number, lambda model: model.opened([]), step()):
            self.models[number].parcels |= dict.fromkeys(parcel_ids, "ALLOCATED")

    @precondition(lambda self: any(model.parcels for model in self.models))
    @rule(data=st.data())
    def parcel_moved(self, data: st.DataObject) -> None:
        number = data.draw(st.sampled_from([n for n, model in enumerate(self.models) if model.parcels]))
        parcels = sorted(self.models[number].parcels.items())
        parcel_id, state = parcels[data.draw(st.integers(0, len(parcels) - 1))]
        if state not in NEXT:
            return  # the warehouse moves a parcel forward only
        after = NEXT[state]
        message = advanced(self.orders[number], parcel_id, after)
        self.attempt(number, lambda model: model.advanced(parcel_id, after), self.service.tell(message))

    @precondition(lambda self: bool(self.orders))
    @rule(data=st.data(), hold=st.sampled_from(HOLDS))
    def reported(self, data: st.DataObject, hold: str) -> None:
        """The answer to an order that has waited too long: what came before it may have been lost."""
        number = self.draw(data)
        model = self.models[number]
        if hold != "POSTED" and model.parcels:
            return  # what is posted stays so
        parcels = self.draw_parcels(data, model) if hold == "POSTED" else {}
        message = warehouse_events.FulfilmentReported(
            tenant_id=TENANT,
            order_id=self.orders[number].order_id,
            state=reservation_pb.HoldState.Value(f"HOLD_STATE_{hold}"),
            parcels=[
                warehouse_events.ReportedParcel(
                    parcel_id=parcel_id,
                    warehouse_id="mad",
                    state=parcel_pb.ParcelState.Value(f"PARCEL_STATE_{state}"),
                )
                for parcel_id, state in parcels.items()
            ],
        )
        self.attempt(number, lambda model: model.reported(hold, parcels), self.service.tell(message))
        self.note_prepayment(number)

    @precondition(lambda self: bool(self.orders))
    @rule(data=st.data())
    def not_intercepted(self, data: st.DataObject) -> None:
        number = self.draw(data)
        message = warehouse_events.CancellationRefused(
            tenant_id=TENANT, order_id=self.orders[number].order_id
        )
        self.attempt(number, OrderModel.refused, self.service.tell(message))

    @precondition(lambda self: bool(self.orders))
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        number = self.draw(data)
        step = self.service.cancel(self.orders[number])
        self.attempt(number, lambda model: model.ended_by(Trigger.CANCEL), step)

    @precondition(lambda self: any(model.state == "AWAITING_PAYMENT" for model in self.models))
    @rule(data=st.data(), card=st.sampled_from(CARDS))
    def pay(self, data: st.DataObject, card: str) -> None:
        number = data.draw(self.waiting())
        model = self.models[number]
        begun = model.begin_payment()
        paid = self.wait_for(succeeds(self.service.pay(self.orders[number], card)))
        assert paid == (begun and card != "card_declined")
        if begun:
            payment_id = self.newest_payment(number)
            model.payments[payment_id] = "PENDING"
            if card in AT_ONCE:
                model.answered(payment_id, AT_ONCE[card])
            if card == "card_capture_declined":
                model.worthless.add(payment_id)

    @precondition(lambda self: any(model.payments for model in self.models))
    @rule(data=st.data())
    def answer_again(self, data: st.DataObject) -> None:
        """The provider repeats what it knows, however late."""
        number = data.draw(st.sampled_from([n for n, model in enumerate(self.models) if model.payments]))
        payment_id = data.draw(st.sampled_from(list(self.models[number].payments)))
        outcome = data.draw(st.sampled_from(REPEATED))
        known_state = self.models[number].payments[payment_id]
        if known_state == "AUTHORISED" and outcome is Outcome.CAPTURE_DECLINED:
            return  # nobody has asked for the money yet
        if known_state == "PENDING":
            known = self.wait_for(self.service.sandbox.look_up(UUID(payment_id))).outcome
            if known is Outcome.PENDING:
                return  # it does not know yet
            outcome = known
        step = paying.settle(self.service.desk, UUID(payment_id), Answer(outcome, "again"))
        self.attempt(number, lambda model: model.answered(payment_id, str(outcome)), step)

    @precondition(lambda self: any(model.payments for model in self.models))
    @rule()
    def deliver(self) -> None:
        """Late answers arrive, some of them several times."""
        due = self.wait_for(
            self.execute(
                "UPDATE sandbox_notification SET due_time = now() WHERE $1 RETURNING payment_id, outcome",
                True,
            )
        )
        for row in due:
            for model in self.models:
                if model.payments.get(str(row["payment_id"])) not in (None, "REFUNDED"):
                    before = copy.deepcopy(model.__dict__)
                    try:
                        model.answered(str(row["payment_id"]), row["outcome"])
                    except Impossible:
                        model.__dict__.update(before)
        self.wait_for(workers.deliver_notifications(self.service.desk, self.service.sandbox, limit=100))

    @precondition(lambda self: any(model.payments for model in self.models))
    @rule(kind=st.sampled_from((TimerKind.CAPTURE, TimerKind.REFUND, TimerKind.PAYMENT_CHECK)))
    def work(self, kind: TimerKind) -> None:
        """The workers collect and give back."""
        self.work_off(kind)
        moved = {
            TimerKind.CAPTURE: ("AUTHORISED", "CAPTURED"),
            TimerKind.REFUND: ("REFUND_PENDING", "REFUNDED"),
        }
        for model in self.models:
            for payment_id, state in list(model.payments.items()):
                if kind in moved and state == moved[kind][0]:
                    refused = kind is TimerKind.CAPTURE and payment_id in model.worthless
                    model.answered(payment_id, "CAPTURE_DECLINED" if refused else moved[kind][1])

    @precondition(lambda self: any(model.state == "AWAITING_PAYMENT" for model in self.models))
    @rule(data=st.data())
    def pass_deadline(self, data: st.DataObject) -> None:
        """The time to pay is over; nobody has looked yet."""
        number = data.draw(self.waiting())
        self.models[number].deadline_passed = True
        order_id = UUID(self.orders[number].order_id)
        past = "now() - interval '1 second'"
        self.wait_for(
            self.execute(f"UPDATE orders SET payment_expire_time = {past} WHERE order_id = $1", order_id)
        )
        self.wait_for(self.execute(f"UPDATE timers SET due_time = {past} WHERE subject_id = $1", order_id))

    @precondition(lambda self: any(model.deadline_passed for model in self.models))
    @rule()
    def expire(self) -> None:
        for model in self.models:
            if model.deadline_passed and model.state == "AWAITING_PAYMENT":
                model.take(Trigger.PAYMENT_DEADLINE)
        self.wait_for(workers.expire_unpaid(self.service.desk, limit=100))

    @invariant()
    def the_same_on_both_sides(self) -> None:
        self.wait_for(self.compare())

    @invariant()
    def money_is_held_for_confirmed_orders_only(self) -> None:
        for model in self.models:
            held = sum(state in HELD for state in model.payments.values())
            assert held + model.uncollected == (model.state in CONFIRMED), (model.state, model.payments)

    def teardown(self) -> None:
        """Once nothing more comes from outside, the provider holds the money of confirmed orders and no other.

        Save for those from which it could not collect it.
        """
        while self.models and self.wait_for(
            self.execute("SELECT 1 FROM sandbox_notification WHERE $1", True)
        ):
            self.deliver()
        for kind in (TimerKind.PAYMENT_CHECK, TimerKind.CAPTURE, TimerKind.REFUND):
            self.work(kind)
        self.wait_for(self.compare())
        for order, model in zip(self.orders, self.models, strict=True):
            rows = self.wait_for(
                self.execute(
                    """SELECT p.provider, p.state, s.state AS book FROM payments p
                       LEFT JOIN sandbox_payment s USING (payment_id) WHERE p.order_id = $1""",
                    UUID(order.order_id),
                )
            )
            assert {row["state"] for row in rows} <= {"CAPTURED", "DECLINED", "REFUNDED", "CAPTURE_FAILED"}
            booked = [row for row in rows if row["provider"] == "sandbox"]
            assert all(BOOKED.get(row["state"], row["state"]) == row["book"] for row in booked)
            captured = sum(row["state"] == "CAPTURED" for row in rows)
            assert captured + model.uncollected == (model.state in CONFIRMED)

    async def compare(self) -> None:
        ids = [UUID(order.order_id) for order in self.orders]
        rows = {
            row["order_id"]: row
            for row in await self.execute("SELECT * FROM orders WHERE order_id = ANY ($1)", ids)
        }
        history = await self.execute(
            "SELECT * FROM order_transitions WHERE order_id = ANY ($1) ORDER BY version", ids
        )
        payments = await self.execute("SELECT * FROM payments WHERE order_id = ANY ($1)", ids)
        parcels = await self.execute("SELECT * FROM order_parcels WHERE order_id = ANY ($1)", ids)
        timers = await self.execute("SELECT * FROM timers WHERE order_id = ANY ($1)", ids)
        told = await self.execute("SELECT * FROM outbox WHERE $1 ORDER BY id", True)
        events: dict[str, list[tuple[int, str]]] = defaultdict(list)
        for row in told:
            events[row["aggregate_id"]].append((row["version"], row["type"].rpartition(".")[2]))
        for order_id, model in zip(ids, self.models, strict=True):
            row = rows[order_id]
            assert (row["state"], row["version"]) == (model.state, model.version)
            assert row["payment_state"] == model.payment_state
            mine = [line for line in history if line["order_id"] == order_id]
            assert [(line["to_state"], line["cause"]) for line in mine] == model.history
            assert [line["version"] for line in mine] == list(range(1, model.version + 1))
            assert events[str(order_id)] == list(enumerate(model.events, 1))
            assert {
                str(line["payment_id"]): line["state"] for line in payments if line["order_id"] == order_id
            } == model.payments
            assert {
                str(line["parcel_id"]): line["state"] for line in parcels if line["order_id"] == order_id
            } == model.parcels
            due = {(line["kind"], str(line["subject_id"])) for line in timers if line["order_id"] == order_id}
            assert due - model.overtaken() == model.timers(str(order_id))

    def draw(self, data: st.DataObject) -> int:
        return int(data.draw(st.integers(0, len(self.orders) - 1)))

    def waiting(self) -> st.SearchStrategy[int]:
        return st.sampled_from(
            [n for n, model in enumerate(self.models) if model.state == "AWAITING_PAYMENT"]
        )

    def draw_parcels(self, data: st.DataObject, model: OrderModel) -> dict[str, str]:
        """Parcels as the warehouse may have them: opened unheard, further than is known, or all intercepted."""
        known = model.parcels
        if not known:
            known = {str(uuid7()): "ALLOCATED" for _ in range(data.draw(st.integers(1, 2)))}
        untouched = set(known.values()) == {"ALLOCATED"}
        if model.state == "CANCELLING" and untouched and data.draw(st.booleans()):
            return dict.fromkeys(known, "CANCELLED")
        return {
            parcel_id: data.draw(st.sampled_from(STAGES[STAGES.index(state) :])) if state in STAGES else state
            for parcel_id, state in known.items()
        }

    def note_prepayment(self, number: int) -> None:
        """A prepaid order is paid as soon as it is reserved."""
        model = self.models[number]
        if model.prepaid and model.state == "CONFIRMED" and not model.payments:
            model.payments[self.newest_payment(number)] = "CAPTURED"

    def newest_payment(self, number: int) -> str:
        rows = self.wait_for(
            self.execute(
                "SELECT payment_id FROM payments WHERE order_id = $1 ORDER BY payment_id DESC LIMIT 1",
                UUID(self.orders[number].order_id),
            )
        )
        return str(rows[0]["payment_id"])

    def work_off(self, kind: TimerKind) -> None:
        self.wait_for(self.execute("UPDATE timers SET due_time = now() WHERE kind = $1", kind))
        self.wait_for(workers.work_off(self.service.desk, self.service.payments, kind, limit=100))


def test_whatever_happens_in_whatever_order(dsn: str) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        service = running(dsn)
        opened = runner.run(service.__aenter__())
        try:
            laws.run_machine(lambda: Orders(opened, runner.run), examples_in_ci=EXAMPLES, steps=STEPS)
        finally:
            runner.run(service.__aexit__(None, None, None))
