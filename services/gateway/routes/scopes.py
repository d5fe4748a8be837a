"""What a restricted key sees: of merchants and warehouses outside its scope it is told what it would be told of
those that do not exist, in the words of the service that owns them.
"""

from sampan.orders.v1 import order_service_pb2 as order_pb

from services.chassis.errors import NotFound
from services.gateway.call import Call
from services.gateway.errors import at_parameter
from services.gateway.roles import ScopeKind

_NAMES: dict[ScopeKind, str] = {"merchants": "merchant_id", "warehouses": "warehouse_id"}


def merchant_missing(merchant_id: str) -> NotFound:
    """As the catalog says it."""
    return NotFound(
        "MERCHANT_NOT_FOUND",
        "there is no such merchant",
        field="merchant_id",
        metadata={"merchant_id": merchant_id},
    )


def product_missing() -> NotFound:
    """As the read model says it."""
    return NotFound("PRODUCT_NOT_FOUND", "there is no product of this id")


def warehouse_missing(warehouse_id: str) -> NotFound:
    """As the warehouse says it."""
    return NotFound(
        "WAREHOUSE_NOT_FOUND", "there is no such warehouse", metadata={"warehouse_id": warehouse_id}
    )


def parcel_missing(parcel_id: str) -> NotFound:
    """As the warehouse says it."""
    return NotFound("PARCEL_NOT_FOUND", "there is no such parcel", metadata={"parcel_id": parcel_id})


def require_merchant(call: Call, merchant_id: str) -> None:
    """Raises MERCHANT_NOT_FOUND for a merchant outside the caller's scope."""
    if not call.caller.sees("merchants", merchant_id):
        raise merchant_missing(merchant_id)


def require_order(call: Call, order: order_pb.Order) -> None:
    """Raises ORDER_NOT_FOUND for an order at a merchant outside the caller's scope."""
    if not call.caller.sees("merchants", order.merchant_id):
        raise NotFound("ORDER_NOT_FOUND", "there is no such order", field="order_id")


def require_warehouse(call: Call, warehouse_id: str) -> None:
    """Raises WAREHOUSE_NOT_FOUND for a warehouse outside the caller's scope."""
    if not call.caller.sees("warehouses", warehouse_id):
        raise warehouse_missing(warehouse_id)


def narrowed(call: Call, scope: ScopeKind) -> str:
    """The filter of a list: what was asked for, or the only one that the caller is for.

    Raises FIELD_REQUIRED where the caller is for several and has named none, NOT_FOUND for one outside its scope.
    """
    name = _NAMES[scope]
    asked: str = call.query[name]
    if call.caller.scope != scope:
        return asked
    if not asked:
        if len(call.caller.scope_ids) > 1:
            raise at_parameter("FIELD_REQUIRED", name, "the key is for several: name one")
        return next(iter(call.caller.scope_ids))
    if scope == "merchants":
        require_merchant(call, asked)
    else:
        require_warehouse(call, asked)
    return asked
