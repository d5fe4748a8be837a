"""Why the catalog refuses: one class per cause, each with the reason of `sampan.catalog.v1.ErrorReason`.

DomainError
├── InvalidArgument      GtinInvalid, CurrencyUnknown
├── NotFound             MerchantNotFound, ProductNotFound
├── AlreadyExists        MerchantExists, ProductExists, SkuTaken
├── FailedPrecondition   MerchantImmutable
├── Aborted              EtagMismatch
└── ResourceExhausted    Overloaded

Those that are the same everywhere come from `services.chassis.errors`.
"""

from services.chassis.errors import (
    Aborted,
    AlreadyExists,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    ResourceExhausted,
)

RETRY_AFTER_S = 1.0


class GtinInvalid(InvalidArgument):
    """The GTIN's length or check digit is wrong."""

    def __init__(self, field: str) -> None:
        super().__init__(
            "GTIN_INVALID", f"{field} must be a GTIN-8, -12, -13 or -14 with a right check digit", field=field
        )


class CurrencyUnknown(InvalidArgument):
    """Not an ISO 4217 currency."""

    def __init__(self, field: str) -> None:
        super().__init__("CURRENCY_UNKNOWN", f"{field} must be the code of an ISO 4217 currency", field=field)


class MerchantNotFound(NotFound):
    """The tenant has no such merchant."""

    def __init__(self, merchant_id: str, *, field: str = "merchant_id") -> None:
        super().__init__(
            "MERCHANT_NOT_FOUND",
            "there is no such merchant",
            field=field,
            metadata={"merchant_id": merchant_id},
        )


class ProductNotFound(NotFound):
    """The tenant has no such product."""

    def __init__(self, product_id: str) -> None:
        super().__init__("PRODUCT_NOT_FOUND", "there is no such product", metadata={"product_id": product_id})


class MerchantExists(AlreadyExists):
    """The merchant id is taken with other content."""

    def __init__(self, merchant_id: str) -> None:
        super().__init__(
            "MERCHANT_EXISTS",
            "there is a merchant with this id and other content",
            field="merchant_id",
            metadata={"merchant_id": merchant_id},
        )


class ProductExists(AlreadyExists):
    """The product id is taken."""

    def __init__(self, product_id: str) -> None:
        super().__init__(
            "PRODUCT_EXISTS",
            "there is a product with this id",
            field="product_id",
            metadata={"product_id": product_id},
        )


class SkuTaken(AlreadyExists):
    """The SKU belongs to another product of the tenant."""

    def __init__(self, sku: str, *, owner: str, field: str) -> None:
        super().__init__(
            "SKU_TAKEN",
            f"{field} belongs to another product",
            field=field,
            metadata={"sku": sku, "product_id": owner},
        )


class MerchantImmutable(FailedPrecondition):
    """A product cannot change its merchant."""

    def __init__(self, product_id: str) -> None:
        super().__init__(
            "MERCHANT_IMMUTABLE",
            "a product cannot change its merchant",
            field="merchant_id",
            metadata={"product_id": product_id},
        )


class EtagMismatch(Aborted):
    """The product was changed since its etag was read."""

    def __init__(self, product_id: str) -> None:
        super().__init__(
            "ETAG_MISMATCH",
            "the product was changed since its etag was read",
            field="etag",
            metadata={"product_id": product_id},
        )


class Overloaded(ResourceExhausted):
    """More work than capacity."""

    def __init__(self, message: str) -> None:
        super().__init__("OVERLOADED", message, retry_after_s=RETRY_AFTER_S)
