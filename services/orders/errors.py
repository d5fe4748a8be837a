"""Why orders refuses. The reasons are those of sampan.orders.v1.ErrorReason, without the prefix.

DomainError (chassis)
├── InvalidArgument
│   └── QuantityInvalid, TooManyLines, PaymentTokenUnknown, NotificationMalformed
├── NotFound
│   └── OrderNotFound, PaymentNotFound, PaymentProviderNotFound
├── FailedPrecondition
│   ├── SkuUnknown, PriceMissing, MerchantsMixed, TotalChanged, TotalTooLarge, SoldOut    stored under the request id
│   ├── OrderStateWrong, PaymentDeclined
│   ├── PaymentMoveIllegal, NotificationIdReused    answered to a provider only
│   └── ParcelUnknown                               never answered: it marks an event as poison
├── Aborted
│   └── EtagMismatch, PaymentInProgress
└── ResourceExhausted, Unavailable           raised by the chassis

Those that are the same everywhere come from `services.chassis.errors`, CURRENCY_UNKNOWN from `services.chassis.money`,
PAGE_TOKEN_* from `services.chassis.pages`, SIGNATURE_* from `services.chassis.signatures`.
"""

from collections.abc import Iterable

from services.chassis.errors import Aborted, FailedPrecondition, InvalidArgument, NotFound


class QuantityInvalid(InvalidArgument):
    """A quantity out of range."""

    def __init__(self, field: str, maximum: int) -> None:
        super().__init__("QUANTITY_INVALID", f"a quantity is 1 to {maximum:,}", field=field)


class TooManyLines(InvalidArgument):
    """More lines than an order may have."""

    def __init__(self, maximum: int) -> None:
        super().__init__("TOO_MANY_LINES", f"an order has at most {maximum:,} lines", field="lines")


class PaymentTokenUnknown(InvalidArgument):
    """The provider does not know the payment token."""

    def __init__(self) -> None:
        super().__init__(
            "PAYMENT_TOKEN_UNKNOWN", "the provider does not know this payment token", field="payment_token"
        )


class OrderNotFound(NotFound):
    """No such order for this tenant."""

    def __init__(self) -> None:
        super().__init__("ORDER_NOT_FOUND", "there is no such order", field="order_id")


class PaymentNotFound(NotFound):
    """The provider has no such payment of ours; payments are stored before their provider hears of them."""

    def __init__(self) -> None:
        super().__init__("PAYMENT_NOT_FOUND", "the provider has no such payment here")


class PaymentProviderNotFound(NotFound):
    """There is no such provider, or it has no secret to notify with."""

    def __init__(self) -> None:
        super().__init__("PAYMENT_PROVIDER_NOT_FOUND", "no provider of this name may notify here")


class NotificationMalformed(InvalidArgument):
    """A notification, rightly signed, that is not of its provider's form."""

    def __init__(self, fault: str) -> None:
        super().__init__("NOTIFICATION_MALFORMED", fault)


class NotificationIdReused(FailedPrecondition):
    """The id of a notification was used for another payment or another outcome."""

    def __init__(self) -> None:
        super().__init__(
            "NOTIFICATION_ID_REUSED", "the webhook id was used for another payment or another outcome"
        )


class SkuUnknown(FailedPrecondition):
    """The catalog has no such SKU on sale."""

    def __init__(self, line_index: int, sku: str) -> None:
        super().__init__(
            "SKU_UNKNOWN", "the SKU is not on sale", metadata={"sku": sku}, field=f"lines[{line_index}].sku"
        )


class PriceMissing(FailedPrecondition):
    """The SKU has no price in the order's currency."""

    def __init__(self, line_index: int, sku: str, currency_code: str) -> None:
        super().__init__(
            "PRICE_MISSING",
            f"the SKU has no price in {currency_code}",
            metadata={"sku": sku, "currency_code": currency_code},
            field=f"lines[{line_index}].sku",
        )


class SoldOut(FailedPrecondition):
    """Nothing of a line's SKU can be promised at the destination."""

    def __init__(self, line_index: int, sku: str) -> None:
        super().__init__(
            "SOLD_OUT",
            "nothing of the SKU is left for the destination",
            metadata={"sku": sku},
            field=f"lines[{line_index}].sku",
        )


class MerchantsMixed(FailedPrecondition):
    """An order is of one merchant; the lines are of several."""

    def __init__(self, line_index: int, merchant_ids: Iterable[str]) -> None:
        super().__init__(
            "MERCHANTS_MIXED",
            "all lines of an order must be of one merchant",
            metadata={"merchant_ids": ",".join(sorted(merchant_ids))},
            field=f"lines[{line_index}].sku",
        )


class TotalChanged(FailedPrecondition):
    """The total is not the one that the caller expected; `total` is a decimal string."""

    def __init__(self, total: str, currency_code: str) -> None:
        super().__init__(
            "TOTAL_CHANGED",
            f"the total is {total} {currency_code}",
            metadata={"total": total, "currency_code": currency_code},
            field="expected_total",
        )


class TotalTooLarge(FailedPrecondition):
    """The total exceeds 64 bits of minor units."""

    def __init__(self, line_index: int) -> None:
        super().__init__(
            "TOTAL_TOO_LARGE",
            "the total exceeds what can be represented",
            field=f"lines[{line_index}].quantity",
        )


class OrderStateWrong(FailedPrecondition):
    """The order's state does not allow what was asked."""

    def __init__(self, state: str, cause: str) -> None:
        super().__init__(
            "ORDER_STATE_WRONG",
            f"{cause} is not possible while the order is {state}",
            metadata={"state": state, "cause": cause},
        )


class PaymentMoveIllegal(FailedPrecondition):
    """A payment was told something that its state rules out: the provider contradicts itself."""

    def __init__(self, state: str, cause: str) -> None:
        super().__init__(
            "PAYMENT_STATE_WRONG",
            f"{cause} is not possible while the payment is {state}",
            metadata={"state": state, "cause": cause},
        )


class PaymentDeclined(FailedPrecondition):
    """The provider refused the payment."""

    def __init__(self, decline_code: str) -> None:
        super().__init__(
            "PAYMENT_DECLINED",
            "the payment was declined",
            metadata={"decline_code": decline_code},
            field="payment_token",
        )


class EtagMismatch(Aborted):
    """The order was changed since the etag was read."""

    def __init__(self) -> None:
        super().__init__("ETAG_MISMATCH", "the order was changed since the etag was read", field="etag")


class PaymentInProgress(Aborted):
    """Another payment of the order is under way."""

    def __init__(self) -> None:
        super().__init__(
            "PAYMENT_IN_PROGRESS", "another payment of the order is under way; ask again", retry_after_s=1.0
        )


class ParcelUnknown(FailedPrecondition):
    """The warehouse told of a parcel that it has never opened."""

    def __init__(self, parcel_id: str) -> None:
        super().__init__("PARCEL_UNKNOWN", "the order has no such parcel", metadata={"parcel_id": parcel_id})
