"""PayOrder and what follows from it. The payment is stored before the provider is asked, and moved on afterwards:

PENDING committed -> provider.authorise -> settled by one conditional update; an answer that never comes
is asked for by `check_payment`, which the timer set with the payment brings about.
"""

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import NamedTuple
from uuid import UUID

from services.chassis import log, trace
from services.chassis.crash import crash_point
from services.chassis.errors import DomainError, FieldRequired, RequestIdReused
from services.chassis.ids import uuid7
from services.chassis.pg import Connection
from services.orders import measures, wire
from services.orders.commands.desk import Desk
from services.orders.domain.changes import Changes, TimerKind
from services.orders.domain.order import Order
from services.orders.domain.payment import LIVE, Payment, PaymentState
from services.orders.domain.placement import PAYMENT_TOKEN_CHARS_MAX, check_request_id, check_text
from services.orders.domain.states import OrderState, Trigger
from services.orders.errors import (
    NotificationIdReused,
    OrderNotFound,
    OrderStateWrong,
    PaymentDeclined,
    PaymentInProgress,
    PaymentTokenUnknown,
)
from services.orders.payments.port import Answer, Outcome, Providers
from services.orders.store import changes as store
from services.orders.store import payments as payment_store
from services.orders.store.placing import Key, load_keys, take_keys

ROUTE = "pay"
CAUSE = "PayOrder"
TOKEN_UNKNOWN = "payment_token_unknown"
NEVER_RECEIVED = "never_received"
RELEASED = "released"

_CAPTURE_ENDS = (Outcome.CAPTURED, Outcome.CAPTURE_DECLINED, Outcome.REFUNDED)

_log = log.get(__name__)


@dataclass(frozen=True, slots=True)
class PaymentPolicy:
    """How payments are made: through which provider, and how long a call may take."""

    providers: Providers
    provider: str
    call_s_max: float
    check_delay_s: float


class PaymentAsked(NamedTuple):
    """What a caller asks for. The token goes to the provider and nowhere else."""

    tenant_id: str
    order_id: UUID
    request_id: str
    payment_token: str


class _Begun(NamedTuple):
    """A payment to ask the provider for; `stored` where an earlier request had begun it, None where it is too late."""

    payment: Payment | None
    order: Order
    stored: bool


async def pay_order(desk: Desk, policy: PaymentPolicy, asked: PaymentAsked) -> None:
    """Pays the order. On return its payment is authorised, or pending until the provider answers.

    Raises `PaymentDeclined`, `PaymentTokenUnknown`, `PaymentInProgress`, `OrderStateWrong`, `OrderNotFound`,
    `RequestIdReused`. A repeated request charges nothing and ends as the first one did.
    """
    check_request_id(asked.request_id)
    if not asked.payment_token:
        raise FieldRequired("payment_token")
    check_text("payment_token", asked.payment_token, PAYMENT_TOKEN_CHARS_MAX)
    begun = await desk.change(lambda connection, changes: _begin(connection, changes, policy, asked))
    if begun.payment is None:
        raise OrderStateWrong(begun.order.state, CAUSE)
    if begun.stored:
        _raise_if_refused(begun.payment.state, begun.payment.decline_code)
        return
    payment = begun.payment
    crash_point("orders.authorise.before_provider")
    try:
        answer = await _authorise(policy, payment, begun.order, asked.payment_token)
    except PaymentTokenUnknown:
        answer = Answer(Outcome.DECLINED, TOKEN_UNKNOWN)
    crash_point("orders.authorise.after_provider")
    if answer.outcome is not Outcome.PENDING:
        settled = await settle(desk, payment.payment_id, answer)
        _raise_if_refused(settled.state, settled.decline_code)


async def settle(
    desk: Desk, payment_id: UUID, answer: Answer, *, notification_id: str | None = None
) -> Payment:
    """Applies a provider's answer under the order's lock; a repeated or overtaken one changes nothing.

    Returns the payment as it is afterwards. With a `notification_id`, the provider's own, its effect and its being
    seen are one transaction. Raises `NotificationIdReused`, and `PaymentMoveIllegal` for what the payment's state rules
    out, which is then not noted as seen.
    """

    async def work(connection: Connection, changes: Changes) -> Payment:
        payment = await payment_store.load_payment(connection, payment_id)
        if payment is None:
            raise LookupError(f"payment {payment_id} does not exist")
        order = (await store.lock_orders(connection, [payment.order_id]))[payment.order_id]
        # Read again: it may have moved before the order was locked.
        payment = await payment_store.load_payment(connection, payment_id) or payment
        if notification_id is not None:
            # Providers choose their ids by themselves: two may choose the same.
            seen_id = f"{payment.provider}:{notification_id}"
            told = (payment_id, answer.outcome)
            if not await payment_store.note_notification(connection, seen_id, *told):
                if await payment_store.load_notification(connection, seen_id) not in (told, None):
                    raise NotificationIdReused
                return payment
        changed = await _apply(connection, changes, order, payment, answer)
        if not changed:
            return payment
        last = changes.payment_moves[-1]
        return payment._replace(state=last.to_state, decline_code=last.decline_code)

    return await desk.change(work)


def note_contradiction(error: DomainError, payment_id: UUID) -> None:
    """A payment was told what its state rules out: a person must look, and an alarm watches the counter."""
    measures.CONTRADICTIONS.inc()
    _log.error("a payment contradicts its state", payment_id=str(payment_id), reason=str(error))


async def check_payment(desk: Desk, policy: PaymentPolicy, payment_id: UUID) -> bool:
    """Asks the provider what became of a payment whose answer is missing; False where it does not know yet."""
    payment = await _load(desk, payment_id)
    if payment.state is not PaymentState.PENDING:
        await _forget(desk, TimerKind.PAYMENT_CHECK, payment_id)
        return True
    provider = policy.providers[payment.provider]
    crash_point("orders.check.before_provider")
    answer = await _call(policy, "look_up", provider.look_up(payment_id))
    crash_point("orders.check.after_provider")
    if answer is not None and answer.outcome is Outcome.NEVER_SEEN:
        # It may still be on its way: refuse it for good before calling it declined.
        await _call(policy, "refund", provider.refund(payment_id))
        answer = await _call(policy, "look_up", provider.look_up(payment_id))
    if answer is None or answer.outcome in (Outcome.PENDING, Outcome.NEVER_SEEN):
        return False
    if answer.outcome is Outcome.REFUNDED:
        answer = Answer(Outcome.DECLINED, NEVER_RECEIVED)
    await settle(desk, payment_id, answer)
    return True


async def capture_payment(desk: Desk, policy: PaymentPolicy, payment_id: UUID) -> bool:
    """Collects an authorised amount, or learns that it never will be; False where the provider could not do it now."""
    payment = await _load(desk, payment_id)
    if payment.state is not PaymentState.AUTHORISED:
        await _forget(desk, TimerKind.CAPTURE, payment_id)
        return True
    crash_point("orders.capture.before_provider")
    answer = await _call(policy, "capture", policy.providers[payment.provider].capture(payment_id))
    crash_point("orders.capture.after_provider")
    if answer is None or answer.outcome not in _CAPTURE_ENDS:
        return False
    if answer.outcome is Outcome.REFUNDED:
        # Not by us: the authorisation has run out, or somebody has released it at the provider.
        answer = Answer(Outcome.CAPTURE_DECLINED, RELEASED)
    await settle(desk, payment_id, answer)
    return True


async def refund_payment(desk: Desk, policy: PaymentPolicy, payment_id: UUID) -> bool:
    """Gives money back; False where the provider could not do it now."""
    payment = await _load(desk, payment_id)
    if payment.state is not PaymentState.REFUND_PENDING:
        await _forget(desk, TimerKind.REFUND, payment_id)
        return True
    crash_point("orders.refund.before_provider")
    answer = await _call(policy, "refund", policy.providers[payment.provider].refund(payment_id))
    crash_point("orders.refund.after_provider")
    if answer is None or answer.outcome is not Outcome.REFUNDED:
        return False
    await settle(desk, payment_id, answer)
    return True


async def _begin(
    connection: Connection, changes: Changes, policy: PaymentPolicy, asked: PaymentAsked
) -> _Begun:
    """Stores the payment that is about to be asked for, together with the request id."""
    locked = await store.lock_order(connection, asked.tenant_id, asked.order_id)
    if locked is None:
        raise OrderNotFound
    order, now = locked
    digest = wire.digest_of(str(asked.order_id), asked.request_id, asked.payment_token)
    payment_id = uuid7()
    known = await _known(connection, asked, digest)
    if known is not None:
        return _Begun(known, order, stored=True)
    if order.state is not OrderState.AWAITING_PAYMENT:
        raise OrderStateWrong(order.state, CAUSE)
    if order.payment_expire_time is not None and order.payment_expire_time <= now:
        # The deadline is decided here, where it matters; the timer only tidies up.
        changes.apply(order, Trigger.PAYMENT_DEADLINE, traceparent=trace.current_traceparent())
        return _Begun(None, order, stored=False)
    if order.payment_state in LIVE:
        raise PaymentInProgress
    key = Key(asked.tenant_id, ROUTE, asked.request_id, digest, payment_id.bytes, asked.order_id)
    if not await take_keys(connection, [key]):
        raise RequestIdReused
    changes.start_payment(
        order, payment_id, policy.provider, policy.check_delay_s, trace.current_traceparent()
    )
    return _Begun(changes.new_payments[-1], order, stored=False)


async def _known(connection: Connection, asked: PaymentAsked, digest: bytes) -> Payment | None:
    """The payment that an earlier request with this id began."""
    name = (asked.tenant_id, asked.request_id)
    stored = (await load_keys(connection, ROUTE, [name])).get(name)
    if stored is None:
        return None
    if stored.digest != digest or stored.response is None:
        raise RequestIdReused
    return await payment_store.load_payment(connection, UUID(bytes=stored.response))


async def _authorise(policy: PaymentPolicy, payment: Payment, order: Order, payment_token: str) -> Answer:
    """The provider's answer; PENDING where it is not known, whether the provider said so or said nothing."""
    if order.payment_expire_time is None:
        raise LookupError("an order that awaits payment has a deadline")
    call = policy.providers[payment.provider].authorise(
        payment.payment_id,
        payment.amount_minor,
        payment.currency_code,
        payment_token,
        useful_until=order.payment_expire_time,
    )
    return await _call(policy, "authorise", call) or Answer(Outcome.PENDING)


async def _call(policy: PaymentPolicy, call: str, answer: Awaitable[Answer]) -> Answer | None:
    """A provider's answer; None where there is none, which says nothing about what the provider has done."""
    try:
        async with asyncio.timeout(policy.call_s_max):
            given = await answer
    except TimeoutError:
        measures.PROVIDER_CALLS[call, "timeout"].inc()
        return None
    except DomainError as error:
        measures.PROVIDER_CALLS[call, error.reason].inc()
        if not error.retryable:
            raise
        _log.warning("payment provider failed", call=call, reason=error.reason)
        return None
    measures.PROVIDER_CALLS[call, given.outcome].inc()
    return given


async def _apply(
    connection: Connection, changes: Changes, order: Order, payment: Payment, answer: Answer
) -> bool:
    """Decides and forgets the timer that the answer makes pointless; False where nothing changed."""
    traceparent = trace.current_traceparent()
    match answer.outcome:
        case Outcome.AUTHORISED:
            kind, changed = TimerKind.PAYMENT_CHECK, changes.payment_authorised(order, payment, traceparent)
        case Outcome.DECLINED:
            kind = TimerKind.PAYMENT_CHECK
            changed = changes.payment_declined(order, payment, answer.decline_code, traceparent)
        case Outcome.CAPTURED:
            kind, changed = TimerKind.CAPTURE, changes.payment_captured(order, payment, traceparent)
        case Outcome.CAPTURE_DECLINED:
            kind = TimerKind.CAPTURE
            changed = changes.capture_declined(order, payment, answer.decline_code, traceparent)
        case Outcome.REFUNDED:
            kind, changed = TimerKind.REFUND, changes.payment_refunded(order, payment, traceparent)
        case _:
            return False
    await payment_store.delete_timer(connection, kind, payment.payment_id)
    return changed


async def _load(desk: Desk, payment_id: UUID) -> Payment:
    async with desk.db.connection() as connection:
        payment = await payment_store.load_payment(connection, payment_id)
    if payment is None:
        raise LookupError(f"payment {payment_id} does not exist")
    return payment


async def _forget(desk: Desk, kind: TimerKind, payment_id: UUID) -> None:
    """Removes a timer whose payment has moved on by another way."""

    async def work(connection: Connection) -> None:
        await payment_store.delete_timer(connection, kind, payment_id)

    await desk.db.transact(work)


def _raise_if_refused(state: PaymentState, decline_code: str) -> None:
    if state is not PaymentState.DECLINED:
        return
    if decline_code == TOKEN_UNKNOWN:
        raise PaymentTokenUnknown
    raise PaymentDeclined(decline_code)
