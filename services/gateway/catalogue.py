"""Every type of problem: the one place where a reason gets its HTTP status and its type."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ProblemType:
    """One entry of the catalogue."""

    reason: str
    status: int
    title: str
    meaning: str
    retry: bool = False

    @property
    def uri(self) -> str:
        """The value of `type`."""
        return f"/problems/{slug(self.reason)}"


def slug(reason: str) -> str:
    """SKU_UNKNOWN -> sku-unknown."""
    return reason.lower().replace("_", "-")


_CATALOGUE = (
    # What the gateway itself finds wrong with a request.
    ("BODY_MALFORMED", 400, "Malformed body", "The body is no JSON document in UTF-8."),
    ("BODY_REQUIRED", 400, "Body missing", "The route needs a JSON body."),
    ("FIELD_UNKNOWN", 400, "Unknown field", "The body has a field that the schema does not know."),
    ("FIELD_REQUIRED", 400, "Missing field", "A required field, parameter or header is missing or empty."),
    ("FIELD_INVALID", 400, "Invalid value", "A value has the wrong type, form, range or length."),
    ("PARAMETER_UNKNOWN", 400, "Unknown parameter", "The route does not know this query parameter."),
    ("HEADER_INVALID", 400, "Invalid header", "A header's value has the wrong form."),
    (
        "IDEMPOTENCY_KEY_REQUIRED",
        400,
        "Idempotency-Key missing",
        "The route needs an Idempotency-Key header.",
    ),
    (
        "CREDENTIAL_REQUIRED",
        401,
        "No credential",
        "Send a key as `Authorization: Bearer` or `X-API-Key`, or a token as `Authorization: Bearer`.",
    ),
    (
        "CREDENTIAL_UNKNOWN",
        401,
        "Unknown credential",
        "The key is not one that was issued, or it was revoked.",
    ),
    ("CREDENTIAL_EXPIRED", 401, "Expired credential", "The key was good until its time was over."),
    (
        "TOKEN_INVALID",
        401,
        "Invalid token",
        "The token is none that the gateway trusts, or its time is over.",
    ),
    ("ROLE_MISSING", 403, "Not allowed", "None of the caller's roles may do this."),
    (
        "SCOPE_TOO_NARROW",
        403,
        "Restricted key",
        "The key is for some merchants or warehouses only, and the route does not tell them apart.",
    ),
    ("TENANT_SUSPENDED", 403, "Tenant suspended", "The door is closed to the tenant; the platform opens it."),
    ("ROUTE_NOT_FOUND", 404, "No such route", "There is nothing at this path."),
    (
        "PAGES_NOT_BUILT",
        404,
        "Pages not built",
        "The storefront and the console are not in the folder that `GATEWAY_WEB_DIR` names; `make web` builds them.",
    ),
    (
        "METHOD_NOT_ALLOWED",
        405,
        "Method not allowed",
        "The path does not have this method; see the Allow header.",
    ),
    ("BODY_TIMEOUT", 408, "Body too slow", "The body did not arrive in time."),
    ("BODY_TOO_LARGE", 413, "Body too large", "More bytes than the route takes."),
    ("MEDIA_TYPE_UNSUPPORTED", 415, "Unsupported media type", "The route does not take this Content-Type."),
    (
        "ETAG_REQUIRED",
        428,
        "If-Match missing",
        "Send the ETag that was read as If-Match, or `*` to overwrite.",
    ),
    ("HEADERS_TOO_LARGE", 431, "Headers too large", "A header's value is too long."),
    # What the services find wrong with it.
    ("GTIN_INVALID", 400, "Invalid GTIN", "The GTIN's length or check digit is wrong."),
    ("CURRENCY_UNKNOWN", 400, "Unknown currency", "Not the ISO 4217 code of a circulating currency."),
    ("REGION_UNKNOWN", 400, "Unknown country", "Not an ISO 3166-1 alpha-2 country."),
    ("AMOUNT_INVALID", 400, "Invalid amount", "Not a plain decimal number in a string."),
    ("AMOUNT_TOO_PRECISE", 400, "Amount too precise", "More decimal places than the currency has."),
    ("AMOUNT_OUT_OF_RANGE", 400, "Amount out of range", "Beyond 64 bits of minor units."),
    ("QUANTITY_INVALID", 400, "Invalid quantity", "A quantity is out of range or has the wrong sign."),
    ("TOO_MANY_LINES", 400, "Too many lines", "An order holds at most 2,000 lines."),
    ("TOO_MANY_ITEMS", 400, "Too many items", "More items than the request may hold."),
    ("PAGE_TOKEN_INVALID", 400, "Invalid page token", "The page token is none of ours."),
    (
        "PAGE_TOKEN_MISMATCH",
        400,
        "Page token of another filter",
        "Page on with the filter that the token is from.",
    ),
    ("URL_REFUSED", 400, "URL refused", "Nothing is ever sent to such an address; the detail says why."),
    ("EVENT_TYPE_UNKNOWN", 400, "Unknown event type", "There is no such type of event; see `metadata`."),
    (
        "NOTIFICATION_MALFORMED",
        400,
        "Malformed notification",
        "The signature is good, and the body is not of its provider's form; the detail says where.",
    ),
    (
        "GROUP_UNKNOWN",
        400,
        "Unknown group",
        "There is no such consumer group; `/v1/parked-groups` lists them.",
    ),
    ("PAYMENT_TOKEN_UNKNOWN", 400, "Unknown payment token", "The payment provider does not know the token."),
    (
        "SIGNATURE_INVALID",
        401,
        "Invalid signature",
        "No signature is of this id, this time and these bytes of a body by a secret of the provider.",
    ),
    (
        "SIGNATURE_TIME_WRONG",
        401,
        "Signed at another time",
        "`webhook-timestamp` is no time, or more than five minutes off; sign each attempt anew.",
    ),
    (
        "PAYMENT_DECLINED",
        402,
        "Payment declined",
        "The provider refused the payment; see `metadata.decline_code`.",
    ),
    ("MERCHANT_NOT_FOUND", 404, "No such merchant", "There is no merchant of this id."),
    ("PRODUCT_NOT_FOUND", 404, "No such product", "There is no product of this id."),
    ("ORDER_NOT_FOUND", 404, "No such order", "There is no order of this id."),
    ("WAREHOUSE_NOT_FOUND", 404, "No such warehouse", "There is no warehouse of this id."),
    ("PARCEL_NOT_FOUND", 404, "No such parcel", "There is no parcel of this id."),
    ("HOLD_NOT_FOUND", 404, "No such hold", "There is no hold of this order."),
    ("TENANT_NOT_FOUND", 404, "No such tenant", "There is no tenant of this id."),
    ("API_KEY_NOT_FOUND", 404, "No such key", "There is no API key of this id."),
    ("SECRET_NOT_FOUND", 404, "No such secret", "The key has no secret of this id."),
    (
        "PAYMENT_PROVIDER_NOT_FOUND",
        404,
        "No such provider",
        "No payment provider of this name may notify here.",
    ),
    ("PAYMENT_NOT_FOUND", 404, "No such payment", "The provider has no payment of this id here."),
    ("WEBHOOK_ENDPOINT_NOT_FOUND", 404, "No such endpoint", "There is no webhook endpoint of this id."),
    (
        "DELIVERY_NOT_FOUND",
        404,
        "No such delivery",
        "The endpoint has no delivery of this id, or not any more.",
    ),
    ("TENANT_EXISTS", 409, "Tenant exists", "The id is taken by a tenant with another name."),
    ("TENANT_RESERVED", 409, "Tenant reserved", "The platform's own tenant stays as it is."),
    ("API_KEY_REVOKED", 409, "Key revoked", "The key is revoked, for good."),
    ("API_KEYS_AT_MAX", 409, "Too many keys", "The tenant has as many keys as it may have; revoke one."),
    ("SECRETS_AT_MAX", 409, "Two secrets already", "The key has two secrets that are good; revoke one."),
    ("MERCHANT_EXISTS", 409, "Merchant exists", "The id is taken by a merchant with other content."),
    ("PRODUCT_EXISTS", 409, "Product exists", "The product id is taken."),
    ("WAREHOUSE_EXISTS", 409, "Warehouse exists", "The id is taken by a warehouse with other content."),
    ("SKU_TAKEN", 409, "SKU taken", "The SKU belongs to another product."),
    ("MERCHANT_IMMUTABLE", 409, "Merchant immutable", "A product cannot change its merchant."),
    ("ENDPOINTS_AT_MAX", 409, "Too many endpoints", "The tenant has as many as it may have; delete one."),
    ("ENDPOINT_DISABLED", 409, "Endpoint disabled", "Nothing is sent to it; enable it first."),
    ("TOTAL_CHANGED", 409, "Total changed", "The total is not the expected one; `metadata.total` has it."),
    ("ORDER_STATE_WRONG", 409, "Wrong state", "The order's state does not allow it; see `metadata.state`."),
    (
        "PAYMENT_STATE_WRONG",
        409,
        "Wrong state",
        "The payment's state, `metadata.state`, rules it out; what has overtaken an authorisation is good once that "
        "has come.",
    ),
    ("PARCEL_STATE_WRONG", 409, "Wrong state", "The parcel's state does not allow it; see `metadata.state`."),
    ("HOLD_STATE_WRONG", 409, "Wrong state", "The hold's state does not allow it; see `metadata.state`."),
    (
        "SOLD_OUT",
        409,
        "Sold out",
        "Nothing is left of the SKU in `metadata.sku` for the destination. Stored: once there is stock again, order "
        "with a new `Idempotency-Key`.",
    ),
    ("STOCK_INSUFFICIENT", 409, "Stock insufficient", "Stock would fall below what is reserved."),
    (
        "STOCK_OWNER_MISMATCH",
        409,
        "Stock of another merchant",
        "The SKU's stock belongs to another merchant.",
    ),
    ("PAYMENT_IN_PROGRESS", 409, "Payment in progress", "Another payment is under way; ask again.", True),
    (
        "REQUEST_IN_PROGRESS",
        409,
        "Request in progress",
        "The first request with this Idempotency-Key is still at work; repeat it after a pause.",
        True,
    ),
    (
        "ETAG_MISMATCH",
        412,
        "Changed meanwhile",
        "The thing was changed since its ETag was read; read it again.",
    ),
    ("REQUEST_ID_REUSED", 422, "Idempotency-Key reused", "The key was used before with another body."),
    (
        "NOTIFICATION_ID_REUSED",
        422,
        "webhook-id reused",
        "The id was used before for another payment or another outcome.",
    ),
    ("SKU_UNKNOWN", 422, "Unknown SKU", "The catalog has no such SKU on sale; see `metadata.sku`."),
    ("PRICE_MISSING", 422, "No price", "The SKU has no price in the order's currency; see `metadata`."),
    ("MERCHANTS_MIXED", 422, "Several merchants", "An order's lines must all be of one merchant."),
    ("TOTAL_TOO_LARGE", 422, "Total too large", "The total exceeds what can be represented."),
    (
        "TOO_MANY_FAILURES",
        429,
        "Too many failures",
        "Too many requests of the client's address had no good credential; those that have one are let in. See the "
        "headers `RateLimit` and `RateLimit-Policy`.",
        True,
    ),
    (
        "RATE_LIMITED",
        429,
        "Limit used up",
        "As many requests of the key or its tenant were let in as may be per minute; see `metadata.policy`, and the "
        "headers `RateLimit` and `RateLimit-Policy`. Nothing was done.",
        True,
    ),
    ("OVERLOADED", 429, "Too much work", "A bound is reached; try again after a pause.", True),
    # What a newer service finds, for a reason that this gateway does not know yet.
    ("NOT_FOUND", 404, "Not found", "There is no such thing."),
    ("ALREADY_EXISTS", 409, "Exists", "The identity is taken."),
    ("CONFLICT", 409, "Conflict", "The state of the thing does not allow it."),
    # What is no fault of the caller.
    ("INTERNAL", 500, "Our fault", "Something failed here; the trace id finds it in the log."),
    ("DEPENDENCY_UNAVAILABLE", 503, "Unavailable", "A service behind does not answer; try again.", True),
    ("DEADLINE_EXCEEDED", 503, "Too slow", "The outcome is not known; repeat with the same key.", True),
    ("STARTING", 503, "Starting", "The read models have not caught up yet; try again after a pause.", True),
)

CATALOGUE: Mapping[str, ProblemType] = {entry[0]: ProblemType(*entry) for entry in _CATALOGUE}


def catalogue_json() -> list[dict[str, object]]:
    """The catalogue as it is served at /problems."""
    return [
        {
            "type": kind.uri,
            "reason": kind.reason,
            "status": kind.status,
            "title": kind.title,
            "meaning": kind.meaning,
            "retry": kind.retry,
        }
        for kind in CATALOGUE.values()
    ]


def catalogue_markdown() -> str:
    """The catalogue for docs/problems.md."""
    lines = [
        "# Problem types",
        "",
        "Every refusal is an `application/problem+json` document (RFC 9457) with one of these types. `reason` is",
        "the same word for machines; `errors` names the faulty values by JSON `pointer`, `parameter` or `header`.",
        "Those marked *retry* carry `Retry-After`; repeat them with the same `Idempotency-Key`. A thing that a",
        "body names and that does not exist (a product's merchant, a receipt's warehouse) is 422 instead of 404.",
        "Its `title` is in English, Spanish, Thai or simplified Chinese, as `Accept-Language` wants; nothing else is.",
        "",
        "| type | status | retry | meaning |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| `{kind.uri}` | {kind.status} | {'yes' if kind.retry else ''} | {kind.meaning} |"
        for kind in CATALOGUE.values()
    ]
    return "\n".join(lines) + "\n"
