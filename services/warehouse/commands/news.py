"""How the use cases tell what they did: who builds the events is wired in, since that is protobuf's side."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from services.chassis.envelope import OutboxMessage
from services.warehouse.domain.holds import Fact
from services.warehouse.domain.stock import SkuStock
from services.warehouse.domain.warehouses import Warehouse


@dataclass(frozen=True, slots=True)
class News:
    """Builders of events, and what to call once they are committed."""

    messages_of: Callable[[Iterable[Fact], Iterable[SkuStock]], list[OutboxMessage]]
    warehouse_message: Callable[[Warehouse], OutboxMessage]
    after_commit: Callable[[], None]
