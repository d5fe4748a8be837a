"""ParcelService."""

from sampan.warehouse.v1 import parcel_service_pb2 as pb
from sampan.warehouse.v1 import parcel_service_pb2_grpc as pb_grpc

from services.chassis import pages
from services.chassis.errors import DomainError, FieldInvalid
from services.chassis.rpc.status import status_of
from services.warehouse import wire
from services.warehouse.commands.parcels import Parcels
from services.warehouse.domain.parcels import Advance, Parcel, ParcelState
from services.warehouse.rpc import contract
from services.warehouse.rpc.contract import Context

BATCH_MAX = 500
PAGE_DEFAULT, PAGE_MAX = 50, 500
CARRIER_CHARS_MAX = 64
_STATES = {number: state for state, number in wire.PARCEL_STATES.items()}
_GOALS = frozenset({ParcelState.PACKED, ParcelState.SHIPPED, ParcelState.DELIVERED})


class ParcelService(pb_grpc.ParcelServiceServicer):
    """See parcel_service.proto."""

    def __init__(self, parcels: Parcels) -> None:
        self._parcels = parcels

    async def GetParcel(self, request: pb.GetParcelRequest, context: Context) -> pb.Parcel:
        """Reads one parcel."""
        tenant_id = contract.tenant(request.tenant_id)
        parcel_id = contract.uuid("parcel_id", request.parcel_id)
        return wire.parcel_message(await self._parcels.get(tenant_id, parcel_id))

    async def ListParcels(self, request: pb.ListParcelsRequest, context: Context) -> pb.ListParcelsResponse:
        """Reads a page of parcels."""
        size = pages.page_size(request.page_size, default=PAGE_DEFAULT, maximum=PAGE_MAX)
        tenant_id = contract.tenant(request.tenant_id)
        order_id = contract.uuid("order_id", request.order_id) if request.order_id else ""
        if request.warehouse_id:
            contract.slug("warehouse_id", request.warehouse_id)
        state = _STATES.get(request.state, "")
        if request.state and not state:
            raise FieldInvalid("state", "a known state")
        bound_to = pages.filter_hash(tenant_id, "parcels", order_id, request.warehouse_id, request.state)
        after = contract.page(bound_to, request.page_token, str)
        parcels = await self._parcels.list_after(
            tenant_id,
            contract.uuid("page_token", after[0]) if after else "",
            order_id=order_id,
            warehouse_id=request.warehouse_id,
            state=state,
            rows_max=size + 1,
        )
        page = parcels[:size]
        return pb.ListParcelsResponse(
            parcels=[wire.parcel_message(parcel) for parcel in page],
            next_page_token=pages.encode(bound_to, [page[-1].parcel_id]) if len(parcels) > size else "",
        )

    async def BatchAdvanceParcels(
        self, request: pb.BatchAdvanceParcelsRequest, context: Context
    ) -> pb.BatchAdvanceParcelsResponse:
        """Moves parcels on, each by itself."""
        contract.count("requests", len(request.requests), BATCH_MAX)
        wishes = [_checked(wish) for wish in request.requests]
        answers = iter(await self._parcels.advance([wish for wish in wishes if isinstance(wish, Advance)]))
        return pb.BatchAdvanceParcelsResponse(
            results=[_result(next(answers) if isinstance(wish, Advance) else wish) for wish in wishes]
        )


def _result(answer: Parcel | DomainError) -> pb.ParcelResult:
    if isinstance(answer, DomainError):
        return pb.ParcelResult(error=status_of(answer))
    return pb.ParcelResult(parcel=wire.parcel_message(answer))


def _checked(wish: pb.AdvanceParcelRequest) -> Advance | DomainError:
    try:
        state = _STATES.get(wish.state)
        if state not in _GOALS:
            raise FieldInvalid("state", "PACKED, SHIPPED or DELIVERED")
        carrier, tracking_number = "", ""
        if state is ParcelState.SHIPPED:
            carrier = contract.text("carrier", wish.carrier, CARRIER_CHARS_MAX)
            tracking_number = contract.text("tracking_number", wish.tracking_number, CARRIER_CHARS_MAX)
        return Advance(
            contract.tenant(wish.tenant_id),
            contract.uuid("parcel_id", wish.parcel_id),
            state,
            carrier,
            tracking_number,
        )
    except DomainError as error:
        return error
