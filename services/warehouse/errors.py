"""Every refusal of the warehouse: its reason, its status and its details.

DomainError
├── InvalidArgument      QuantityInvalid
├── NotFound             WarehouseNotFound, HoldNotFound, ParcelNotFound
├── AlreadyExists        WarehouseExists
├── Aborted              EtagMismatch
└── FailedPrecondition   StockInsufficient, StockOwnerMismatch, HoldStateWrong, ParcelStateWrong

Those that are the same everywhere come from `services.chassis.errors`.
"""

from services.chassis.errors import (
    Aborted,
    AlreadyExists,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
)


class QuantityInvalid(InvalidArgument):
    """A quantity is out of range or of the wrong sign."""

    def __init__(self, field: str, demand: str) -> None:
        super().__init__("QUANTITY_INVALID", f"{field} must be {demand}", field=field)


class WarehouseNotFound(NotFound):
    """No such warehouse for this tenant."""

    def __init__(self, warehouse_id: str) -> None:
        super().__init__(
            "WAREHOUSE_NOT_FOUND", "there is no such warehouse", metadata={"warehouse_id": warehouse_id}
        )


class WarehouseExists(AlreadyExists):
    """The id is taken with other content."""

    def __init__(self, warehouse_id: str) -> None:
        super().__init__(
            "WAREHOUSE_EXISTS",
            "the warehouse_id is taken with other content",
            metadata={"warehouse_id": warehouse_id},
        )


class EtagMismatch(Aborted):
    """The warehouse was changed since the etag was read."""

    def __init__(self, etag: str) -> None:
        super().__init__(
            "ETAG_MISMATCH", "the warehouse was changed since; read it again", metadata={"etag": etag}
        )


class StockInsufficient(FailedPrecondition):
    """Stock would fall below what pending holds keep."""

    def __init__(self, sku: str, available: int, field: str) -> None:
        super().__init__(
            "STOCK_INSUFFICIENT",
            f"stock would fall below what is reserved; {available} units can be taken",
            metadata={"sku": sku, "available": str(available)},
            field=field,
        )


class StockOwnerMismatch(FailedPrecondition):
    """The SKU's stock belongs to another merchant."""

    def __init__(self, sku: str, field: str) -> None:
        super().__init__(
            "STOCK_OWNER_MISMATCH",
            "the stock of this SKU belongs to another merchant",
            metadata={"sku": sku},
            field=field,
        )


class HoldNotFound(NotFound):
    """No such hold for this tenant."""

    def __init__(self, order_id: str) -> None:
        super().__init__("HOLD_NOT_FOUND", "there is no hold for this order", metadata={"order_id": order_id})


class HoldStateWrong(FailedPrecondition):
    """The hold's state does not allow it."""

    def __init__(self, state: str) -> None:
        super().__init__("HOLD_STATE_WRONG", f"the hold is {state}", metadata={"state": state})


class ParcelNotFound(NotFound):
    """No such parcel for this tenant."""

    def __init__(self, parcel_id: str) -> None:
        super().__init__("PARCEL_NOT_FOUND", "there is no such parcel", metadata={"parcel_id": parcel_id})


class ParcelStateWrong(FailedPrecondition):
    """The parcel's state does not allow it."""

    def __init__(self, state: str) -> None:
        super().__init__("PARCEL_STATE_WRONG", f"the parcel is {state}", metadata={"state": state})
