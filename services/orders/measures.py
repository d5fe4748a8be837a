"""The metrics of orders. Labels are closed sets: outcomes, reasons, states, kinds."""

from prometheus_client import Counter, Gauge

from services.chassis import metrics, money
from services.orders.domain.changes import Changes, TimerKind
from services.orders.domain.states import FINAL, OrderState

COUNTRIES_MAX = 40
"""Countries that are counted apart, the first that are met; the others together."""
OPEN_COUNTED_MAX = 10_000

ACCEPTED = "accepted"
REPLAYED = "replayed"

PLACED = metrics.Kept(
    Counter(
        "sampan_orders_placed_total",
        "Placements answered: accepted, replayed, or the reason of the refusal.",
        ["outcome"],
    ),
    children_max=32,
)
TRANSITIONS = metrics.Kept(
    Counter("sampan_orders_transitions_total", "Changes of orders by the state after them.", ["to_state"]),
    children_max=16,
)
MOVED = metrics.Kept(
    Counter(
        "sampan_orders_moved_total",
        "Orders that came into a state, the first included, by country of destination.",
        ["to_state", "region_code"],
    ),
    children_max=len(OrderState) * (COUNTRIES_MAX + 1),
)
CAPTURED = metrics.Kept(
    Counter(
        "sampan_orders_captured_amount_total",
        "Money collected, in units of its currency. No books: a transaction that is repeated counts again.",
        ["currency_code"],
    ),
    children_max=len(money.CURRENCIES),
)
REFUND_OWED = metrics.Kept(
    Counter(
        "sampan_orders_refund_owed_amount_total",
        "Money collected that is to be given back, in units of its currency.",
        ["currency_code"],
    ),
    children_max=len(money.CURRENCIES),
)
OPEN = metrics.Kept(
    Gauge(
        "sampan_orders_open",
        f"Orders in a state that is not final, counted up to {OPEN_COUNTED_MAX} each.",
        ["state"],
    ),
    children_max=16,
)
IGNORED = metrics.Kept(
    Counter(
        "sampan_orders_ignored_total",
        "Causes that rightly changed nothing, as an answer that came after the order's end.",
        ["cause"],
    ),
    children_max=32,
)
OFFERS_REPLACED = Counter(
    "sampan_orders_product_snapshots_applied_total", "Product snapshots newer than the offers."
)
OLDEST_WAITING_S = metrics.Kept(
    Gauge(
        "sampan_orders_oldest_waiting_seconds",
        "Age of the oldest order in a state that is not final.",
        ["state"],
    ),
    children_max=16,
)
UNDECIDED_AGE_S = Gauge(
    "sampan_orders_undecided_age_seconds",
    "Age of the oldest undecided order, without those asked for again and the few oldest others.",
)
HELD_BACK = Counter(
    "sampan_orders_held_back_total", "Placements refused because placed orders waited too long."
)
TIMERS_OVERDUE = metrics.Kept(
    Gauge("sampan_orders_timers_overdue", "Timers that were due a while ago and are still there.", ["kind"]),
    children_max=8,
)
PROVIDER_CALLS = metrics.Kept(
    Counter(
        "sampan_orders_payment_provider_calls_total", "Calls to the payment provider.", ["call", "outcome"]
    ),
    children_max=64,
)
REQUEST_KEYS_FORGOTTEN = Counter(
    "sampan_orders_request_keys_forgotten_total", "Request ids that were too old to be kept."
)
NOTIFICATIONS_FORGOTTEN = Counter(
    "sampan_orders_payment_notifications_forgotten_total",
    "Notifications of payments that were through, too old to be repeated.",
)
NOTIFICATIONS = metrics.Kept(
    Counter(
        "sampan_orders_payment_notifications_total",
        "Notifications that came through the door: accepted, repeated ones too, or the reason of the refusal.",
        ["provider", "result"],
    ),
    children_max=64,
)
CONTRADICTIONS = Counter(
    "sampan_orders_payment_contradictions_total",
    "Answers of the payment provider that the payment's state rules out.",
)

STUCK = metrics.Kept(
    Gauge(
        "sampan_orders_stuck",
        "Orders that wait for the warehouse for longer than they should, by the last walk over them.",
        ["state"],
    ),
    children_max=8,
)
UNANSWERED = metrics.Kept(
    Gauge(
        "sampan_orders_unanswered",
        "Those of them for which the warehouse was asked again and again: a person must look.",
        ["state"],
    ),
    children_max=8,
)
REMINDERS = metrics.Kept(
    Counter("sampan_orders_reminders_total", "Orders for which the warehouse was asked again.", ["state"]),
    children_max=8,
)
UNPAID_GOODS = Counter(
    "sampan_orders_unpaid_goods_total",
    "Orders whose payment could never be collected and whose goods could not be kept back.",
)

WAITING = [state for state in OrderState if state not in FINAL]
ANSWERED_BY_WAREHOUSE = (OrderState.PENDING, OrderState.CONFIRMED, OrderState.CANCELLING)
"""The states in which an order may wait for an event of the warehouse: the decision, the parcels, the answer."""

_countries: set[str] = set()


def count(changes: Changes) -> None:
    """Counts what a transaction has changed."""
    for transition in changes.transitions:
        TRANSITIONS[transition.to_state].inc()
    for cause, times in changes.ignored.items():
        IGNORED[cause].inc(times)
    for (to_state, region_code), orders in changes.moves.items():
        note_moved(to_state, region_code, orders)
    for currency_code, minor in changes.captured_minor.items():
        CAPTURED[currency_code].inc(float(money.from_minor(minor, currency_code)))
    for currency_code, minor in changes.refund_owed_minor.items():
        REFUND_OWED[currency_code].inc(float(money.from_minor(minor, currency_code)))
    UNPAID_GOODS.inc(changes.unpaid_goods)


def note_moved(to_state: OrderState, region_code: str, orders: int = 1) -> None:
    """Counts orders that came into a state."""
    if region_code not in _countries:
        if len(_countries) >= COUNTRIES_MAX:
            region_code = metrics.OTHER
        else:
            _countries.add(region_code)
    MOVED[to_state, region_code].inc(orders)


def note_waiting(state: OrderState, stuck: int, unanswered: int) -> None:
    """Publishes what a walk over a state has counted."""
    STUCK[state].set(stuck)
    UNANSWERED[state].set(unanswered)


def note_open(orders: dict[str, int]) -> None:
    """Publishes how many orders are in each state that is not final."""
    for state in WAITING:
        OPEN[state].set(orders.get(state, 0))


def sample(oldest_s: dict[str, float], overdue: dict[str, int]) -> None:
    """Publishes what a worker has measured; states and kinds that were not met are zero."""
    for state in WAITING:
        OLDEST_WAITING_S[state].set(oldest_s.get(state, 0.0))
    for kind in TimerKind:
        TIMERS_OVERDUE[kind].set(overdue.get(kind, 0))
