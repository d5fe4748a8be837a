"""Tenants and API keys."""

from datetime import datetime
from typing import Annotated, Literal

from msgspec import Meta, field

from services.gateway.schemas.base import OUTPUT_ONLY, Document, Moment, NextPageToken, Version
from services.gateway.schemas.catalog import SetByServer

RoleWord = Literal["storefront", "merchant", "warehouse", "reader", "administrator", "platform"]
TenantStateWord = Literal["active", "suspended"]
KeyStateWord = Literal["active", "revoked"]
DAYS_90_S = 90 * 86_400
REQUESTS_PER_MINUTE_MAX = 10_000_000

TenantId = Annotated[str, Meta(max_length=256, description="1 to 40 of [a-z0-9-].", examples=["acme"])]
PerMinute = Annotated[int, Meta(ge=1, le=REQUESTS_PER_MINUTE_MAX)]
ScopeIds = Annotated[list[Annotated[str, Meta(max_length=256)]], Meta(max_length=50)]


class RateLimits(Document, kw_only=True, omit_defaults=True):
    """Requests that may come in per minute, by class of route; a class that is left out has no limit."""

    reads: Annotated[PerMinute, Meta(description="GETs, and POSTs that only read.")] | None = None
    writes: Annotated[PerMinute, Meta(description="Everything that is in no other class.")] | None = None
    orders: Annotated[PerMinute, Meta(description="Placements of orders.")] | None = None
    imports: Annotated[PerMinute, Meta(description="Imports of files.")] | None = None
    streams: Annotated[PerMinute, Meta(description="Openings of event streams.")] | None = None


class Tenant(Document, kw_only=True):
    """A marketplace."""

    tenant_id: TenantId
    display_name: Annotated[str, Meta(max_length=1000, description="1 to 200 characters.")]
    state: Annotated[TenantStateWord, Meta(extra_json_schema=OUTPUT_ONLY)] = "active"
    limits: Annotated[
        RateLimits, Meta(description="Of all its keys and tokens together.", extra_json_schema=OUTPUT_ONLY)
    ] = field(default_factory=RateLimits)
    version: Version = 0
    create_time: SetByServer = None
    update_time: SetByServer = None


class TenantPage(Document):
    """A page of tenants, in the order of their ids."""

    tenants: list[Tenant]
    next_page_token: NextPageToken


class CreateApiKey(Document, kw_only=True):
    """What a new key shall be."""

    display_name: Annotated[str, Meta(max_length=1000, description="1 to 100 characters, for people.")]
    roles: Annotated[list[RoleWord], Meta(min_length=1, max_length=6, description="Each at most once.")]
    merchant_ids: Annotated[
        ScopeIds, Meta(description="The only merchants that it is for; goes with the role `merchant` alone.")
    ] = field(default_factory=list)
    warehouse_ids: Annotated[
        ScopeIds,
        Meta(description="The only warehouses that it is for; goes with the role `warehouse` alone."),
    ] = field(default_factory=list)
    expire_time: (
        Annotated[datetime, Meta(tz=True, description="When it stops to be good; absent: it does not.")]
        | None
    ) = None
    limits: RateLimits = field(default_factory=RateLimits)


class RotateApiKey(Document, kw_only=True):
    """How another secret shall come in."""

    grace_period_s: (
        Annotated[
            int,
            Meta(
                ge=0,
                le=DAYS_90_S,
                description="Seconds for which the secret before stays good; absent: until it is revoked.",
            ),
        ]
        | None
    ) = None


class RevokeApiKey(Document, kw_only=True):
    """What shall end."""

    secret_id: Annotated[
        str, Meta(max_length=64, description="The secret; empty: the whole key, for good.")
    ] = ""


class ApiKeySecret(Document, kw_only=True):
    """A secret of a key, without its text."""

    secret_id: Annotated[
        str, Meta(description="The secret's text begins with `prefix`.", examples=["k3x9q2m7ab"])
    ]
    prefix: Annotated[str, Meta(description="What may be shown of it.", examples=["sampan_k3x9q2m7ab"])]
    create_time: SetByServer = None
    expire_time: Annotated[Moment | None, Meta(description="When a grace period ends it.")] = None
    revoke_time: Annotated[Moment | None, Meta(description="When it was revoked.")] = None


class ApiKey(Document, kw_only=True):
    """A key, without its secrets' text."""

    api_key_id: Annotated[str, Meta(description="UUID.")]
    display_name: str
    roles: list[RoleWord]
    merchant_ids: list[str]
    warehouse_ids: list[str]
    expire_time: Moment | None
    state: KeyStateWord
    limits: Annotated[RateLimits, Meta(description="Of this key; those of its tenant hold besides.")]
    secrets: Annotated[list[ApiKeySecret], Meta(description="The newest first.")]
    version: Version
    create_time: SetByServer
    update_time: SetByServer


class IssuedApiKey(Document, kw_only=True):
    """A key, and the text of the secret that was made for it just now."""

    api_key: ApiKey
    secret: Annotated[
        str | None,
        Meta(
            description="Shown here and never again; null in the answer to a repetition.",
            examples=["sampan_k3x9q2m7ab_" + "x" * 43],
        ),
    ]


class ApiKeyPage(Document):
    """A page of keys, in the order of their making."""

    api_keys: list[ApiKey]
    next_page_token: NextPageToken
