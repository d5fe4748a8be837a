"""ReservationService: holds by call, through the same micro-batcher whatever the kind of command."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from sampan.warehouse.v1 import reservation_service_pb2 as pb
from sampan.warehouse.v1 import reservation_service_pb2_grpc as pb_grpc

from services.chassis import clock, trace
from services.chassis.batcher import MicroBatcher
from services.chassis.errors import DomainError, FieldInvalid
from services.chassis.rpc.status import status_of
from services.warehouse import wire
from services.warehouse.commands.holds import Holds
from services.warehouse.domain.holds import (
    LINES_MAX,
    QUANTITY_MAX,
    Command,
    Fulfilment,
    Post,
    Reserve,
    Void,
    merge_lines,
)
from services.warehouse.errors import QuantityInvalid
from services.warehouse.rpc import contract
from services.warehouse.rpc.contract import Context

M = TypeVar("M", pb.ReserveRequest, pb.HoldName)

BATCH_MAX = 256
LINE_BYTES = 64
BATCH_BYTES_MAX = 2_000_000


def size_of(command: Command) -> int:
    """About what a command costs its batch, in bytes."""
    return LINE_BYTES * (4 + len(command.lines)) if isinstance(command, Reserve) else LINE_BYTES * 4


class ReservationService(pb_grpc.ReservationServiceServicer):
    """See reservation_service.proto."""

    def __init__(self, holds: Holds, batcher: MicroBatcher[Command, Fulfilment]) -> None:
        self._holds = holds
        self._batcher = batcher

    async def BatchReserve(
        self, request: pb.BatchReserveRequest, context: Context
    ) -> pb.BatchReserveResponse:
        """Reserves each request or nothing of it."""
        contract.count("requests", len(request.requests), BATCH_MAX)
        commands = [_checked(_reserve, wish) for wish in request.requests]
        return pb.BatchReserveResponse(results=await self._results(commands))

    async def BatchPostHolds(
        self, request: pb.BatchPostHoldsRequest, context: Context
    ) -> pb.BatchPostHoldsResponse:
        """Posts holds."""
        contract.count("names", len(request.names), BATCH_MAX)
        commands = [_checked(_post, name) for name in request.names]
        return pb.BatchPostHoldsResponse(results=await self._results(commands))

    async def BatchVoidHolds(
        self, request: pb.BatchVoidHoldsRequest, context: Context
    ) -> pb.BatchVoidHoldsResponse:
        """Voids holds."""
        contract.count("names", len(request.names), BATCH_MAX)
        commands = [_checked(_void, name) for name in request.names]
        return pb.BatchVoidHoldsResponse(results=await self._results(commands))

    async def ExtendHold(self, request: pb.ExtendHoldRequest, context: Context) -> pb.Hold:
        """Moves a deadline later."""
        tenant_id = contract.tenant(request.tenant_id)
        order_id = contract.uuid("order_id", request.order_id)
        expire_time = contract.moment("expire_time", request)
        return wire.hold_message(await self._holds.extend(tenant_id, order_id, expire_time))

    async def GetHold(self, request: pb.GetHoldRequest, context: Context) -> pb.Hold:
        """Reads a hold."""
        tenant_id = contract.tenant(request.tenant_id)
        order_id = contract.uuid("order_id", request.order_id)
        return wire.hold_message(await self._holds.get(tenant_id, order_id))

    async def _results(self, commands: Sequence[Command | DomainError]) -> list[pb.HoldResult]:
        valid = [command for command in commands if isinstance(command, Command)]
        answers = iter(await self._batcher.submit_many(valid))
        return [_result(next(answers) if isinstance(command, Command) else command) for command in commands]


def _result(answer: Fulfilment | DomainError) -> pb.HoldResult:
    if isinstance(answer, DomainError):
        return pb.HoldResult(error=status_of(answer))
    return pb.HoldResult(hold=wire.hold_message(answer))


def _checked(read: Callable[[M], Command], message: M) -> Command | DomainError:
    """The command, or what is wrong with it: one bad item does not spoil the batch."""
    try:
        return read(message)
    except DomainError as error:
        return error


def _reserve(wish: pb.ReserveRequest) -> Reserve:
    contract.count("lines", len(wish.lines), LINES_MAX)
    for index, line in enumerate(wish.lines):
        contract.sku(f"lines[{index}].sku", line.sku)
        if not 0 < line.quantity <= QUANTITY_MAX:
            raise QuantityInvalid(f"lines[{index}].quantity", f"1 to {QUANTITY_MAX}")
    expire_time = contract.moment("expire_time", wish)
    if expire_time <= clock.now_utc():
        raise FieldInvalid("expire_time", "in the future")
    lines, _ = merge_lines([(line.sku, line.quantity, line.hazardous) for line in wish.lines])
    return Reserve(
        order_id=contract.uuid("order_id", wish.order_id),
        tenant_id=contract.tenant(wish.tenant_id),
        merchant_id=contract.slug("merchant_id", wish.merchant_id),
        traceparent=trace.current_traceparent(),
        region_code=contract.region("region_code", wish.region_code),
        lines=lines,
        expire_time=expire_time,
    )


def _post(name: pb.HoldName) -> Post:
    return Post(
        order_id=contract.uuid("order_id", name.order_id),
        tenant_id=contract.tenant(name.tenant_id),
        traceparent=trace.current_traceparent(),
    )


def _void(name: pb.HoldName) -> Void:
    return Void(
        order_id=contract.uuid("order_id", name.order_id),
        tenant_id=contract.tenant(name.tenant_id),
        traceparent=trace.current_traceparent(),
    )
