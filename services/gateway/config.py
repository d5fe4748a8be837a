"""The gateway's settings; the only reader of its environment."""

import ssl

from pydantic import Field, Json, PositiveInt, field_validator, model_validator
from pydantic_settings import SettingsConfigDict

from services.chassis.config import Port, ProcessSettings
from services.chassis.tls import Files, Watched
from services.chassis.transport import PemFile
from services.gateway.auth import ApiKey
from services.gateway.client_addresses import ClientAddresses, ProxyHeader, networks_of
from services.gateway.connections import Limits
from services.gateway.cors import origins_of
from services.gateway.routes.route import RouteClass
from services.gateway.tokens import OidcSettings


class GatewaySettings(ProcessSettings):
    """Variables begin with GATEWAY_, save those that all services share."""

    model_config = SettingsConfigDict(env_prefix="GATEWAY_")

    port: Port = Field(default=8080, description="Port of the public HTTP API.")
    tls_cert_file: PemFile = Field(
        default=None,
        description="Certificate of the public API and what leads from it to its authority, PEM. With it and the next "
        "one the port speaks HTTPS only.",
    )
    tls_key_file: PemFile = Field(default=None, description="Its private key, PEM, without a password.")
    admin_port: Port = Field(default=9100, description="Port of /metrics, /healthz and /readyz.")
    api_keys: Json[list[ApiKey]] = Field(
        default="[]",  # type: ignore[arg-type]  # as a variable would say it: defaults are read, too
        description="The first API keys, with which the others are made (see access.md), as a JSON list of "
        '{"key", "tenant_id", "role"}. Best given as a file by GATEWAY_API_KEYS_FILE.',
        repr=False,
    )
    access_address: str = Field(
        default="127.0.0.1:50054", validation_alias="ACCESS_ADDRESS", description="gRPC target of access."
    )
    webhooks_address: str = Field(
        default="127.0.0.1:50055", validation_alias="WEBHOOKS_ADDRESS", description="gRPC target of webhooks."
    )
    catalog_address: str = Field(
        default="127.0.0.1:50051",
        validation_alias="CATALOG_ADDRESS",
        description="gRPC target of the catalog.",
    )
    orders_address: str = Field(
        default="127.0.0.1:50052", validation_alias="ORDERS_ADDRESS", description="gRPC target of orders."
    )
    warehouse_address: str = Field(
        default="127.0.0.1:50053",
        validation_alias="WAREHOUSE_ADDRESS",
        description="gRPC target of the warehouse.",
    )
    rpc_deadline_s: float = Field(
        default=10, gt=0, le=60, description="Seconds that a call behind a request may take."
    )
    import_chunk_deadline_s: float = Field(
        default=60,
        gt=0,
        le=600,
        description="Seconds that the catalog may take to answer a chunk of an import.",
    )
    body_bytes_max: int = Field(
        default=2 * 1024 * 1024, ge=1024, le=64 * 1024 * 1024, description="Bytes that a JSON body may have."
    )
    import_bytes_max: int = Field(
        default=256 * 1024 * 1024,
        ge=1024,
        description="Bytes that an import may have; it is never held whole.",
    )
    import_line_bytes_max: int = Field(
        default=1024 * 1024,
        ge=1024,
        le=16 * 1024 * 1024,
        description="Bytes that one line of an import may have.",
    )
    import_chunk_rows: int = Field(
        default=500, ge=1, le=1000, description="Rows sent to the catalog at once."
    )
    import_chunks_in_flight_max: int = Field(
        default=4,
        ge=1,
        le=64,
        description="Chunks of one import that may be unanswered; beyond, reading pauses.",
    )
    imports_max: int = Field(default=4, ge=1, le=64, description="Imports at a time; beyond, 429.")
    body_idle_s_max: float = Field(
        default=30,
        gt=0,
        le=600,
        description="Seconds that a body may keep us waiting in all, beside a second for each KiB that arrived.",
    )
    requests_max: int = Field(
        default=4096, ge=1, description="Requests at a time, event streams not counted; beyond, 429."
    )
    cors_origins: str = Field(
        default="",
        description="Origins whose pages may call the API from a browser, separated by commas; `*` for all. "
        "Empty: none.",
    )
    web_dir: str = Field(
        default="",
        max_length=4096,
        description="Folder of the storefront's and the console's pages, built by `make web`. Empty: none are served.",
    )
    compress_bytes_min: int = Field(
        default=1400,
        ge=0,
        description="Bytes from which on lists and documents are compressed for those who take it; 0: never.",
    )
    place_batch_orders_max: int = Field(
        default=128, ge=1, le=256, description="Orders that travel in one BatchPlaceOrders call."
    )
    place_batch_lines_max: int = Field(
        default=4000,
        ge=1,
        description="Lines, over its orders, that a batch may hold; one order is never split.",
    )
    place_queue_orders_max: int = Field(
        default=2048, ge=1, description="Orders that may wait for a batch call; beyond, 429."
    )
    place_calls_max: int = Field(default=2, ge=1, le=16, description="Batch calls in flight at a time.")
    sold_out_ttl_s: float = Field(
        default=1.0,
        ge=0,
        le=60,
        description="Seconds for which the warehouse's word that a SKU is empty refuses orders for it; 0: never.",
    )
    products_bytes_max: int = Field(
        default=96 * 1024 * 1024,
        ge=0,
        description="Bytes of product documents kept in memory; beyond, the least recently read are dropped.",
    )
    product_pages_bytes_max: int = Field(
        default=16 * 1024 * 1024, ge=0, description="Bytes of pages of product lists kept in memory."
    )
    product_miss_ttl_s: float = Field(
        default=1.0,
        ge=0,
        le=60,
        description="Seconds for which an unknown product id is remembered as unknown.",
    )
    rate_limits_default: Json[dict[RouteClass, PositiveInt]] = Field(
        default="{}",  # type: ignore[arg-type]  # as a variable would say it: defaults are read, too
        description="Requests per minute of each key and token that has no limit of its own, by class of route, as "
        'JSON: `{"reads": 6000, "writes": 600, "orders": 600, "imports": 6, "streams": 60}`; a class that is left out '
        "has no limit.",
    )
    rate_limits_exchange_s: float = Field(
        default=1.0,
        gt=0,
        le=10,
        description="Seconds between two exchanges with access of what the replicas have let in.",
    )
    failed_credentials_per_minute: int = Field(
        default=300,
        ge=0,
        le=1_000_000,
        description="Requests without a good credential that one client address (of IPv6: a /64) may send to a gateway "
        "per minute; beyond, 429 for those that have none. 0: no limit.",
    )
    trusted_proxies: str = Field(
        default="",
        max_length=4096,
        description="Networks of the proxies in front of the gateway, as 10.0.0.0/8, separated by commas: of a request "
        "that comes from one of them the client is the right-most address in GATEWAY_PROXY_HEADER that is in none. "
        "Empty: the client is who connects.",
    )
    proxy_header: ProxyHeader = Field(
        default="x-forwarded-for",
        description="The header to which trusted proxies add whom they saw: x-forwarded-for or forwarded (RFC 7239). "
        "Name the one that all of them write: the other is as a client wants it.",
    )
    streams_max: int = Field(default=2000, ge=1, description="Event streams at a time; beyond, 429.")
    streams_of_caller_max: int = Field(
        default=20,
        ge=1,
        description="Streams of all orders and of availability that one key, or one token's subject, may have open; "
        "beyond, 429.",
    )
    stream_resume_events_max: int = Field(
        default=200_000,
        ge=0,
        description="Events of orders, of all tenants, that a stream which is taken up again may have missed; beyond, "
        "it is told to read the orders anew.",
    )
    stream_heartbeat_s: float = Field(
        default=15, gt=0, le=300, description="Seconds between the comments that keep an event stream alive."
    )
    wait_s_max: float = Field(
        default=30, gt=0, le=300, description="Longest `Prefer: wait` that is honoured."
    )
    keep_alive_s: float = Field(
        default=65, gt=0, le=3600, description="Seconds that an idle HTTP connection stays open."
    )
    connections_max: int = Field(
        default=8192,
        ge=1,
        le=1_000_000,
        description="Connections of clients at a time; beyond, 429 and closed.",
    )
    head_bytes_max: int = Field(
        default=65_536,
        ge=4096,
        le=1024 * 1024,
        description="Bytes that a request's head may have; beyond, 431.",
    )
    head_s_max: float = Field(
        default=10,
        gt=0,
        le=600,
        description="Seconds that a request's head may take, from the connection's begin or its first byte.",
    )
    send_s_max: float = Field(
        default=60,
        gt=0,
        le=3600,
        description="Seconds that a client may leave an answer or a stream's events unread before it is cut off.",
    )
    place_latency_target_s: float = Field(
        default=0.25,
        gt=0,
        le=60,
        description="Seconds that a placement may take on average before fewer are let in at a time.",
    )
    place_under_way_min: int = Field(
        default=64, ge=1, description="Placements that may always be under way at once."
    )
    place_under_way_max: int = Field(
        default=1024, ge=1, description="Placements that may be under way at once at most; beyond, 429."
    )

    @field_validator("cors_origins")
    @classmethod
    def _origins(cls, text: str) -> str:
        origins_of(text)
        return text

    @field_validator("trusted_proxies")
    @classmethod
    def _networks(cls, text: str) -> str:
        networks_of(text)
        return text

    def client_addresses(self) -> ClientAddresses:
        """Whose requests are whose."""
        return ClientAddresses(networks_of(self.trusted_proxies), self.proxy_header)

    oidc_issuer: str = Field(
        default="",
        max_length=1024,
        description="The `iss` of bearer tokens that are taken; empty: none is. Goes with the next two.",
    )
    oidc_audience: str = Field(
        default="", max_length=1024, description="The `aud` that a token must be meant for."
    )
    oidc_jwks_url: str = Field(
        default="",
        max_length=2048,
        description="Where the issuer's keys are (JWKS); https, or http on loopback. Asked without a proxy.",
    )
    oidc_tenant_claim: str = Field(
        default="tenant_id", min_length=1, max_length=256, description="The claim that names the tenant."
    )
    oidc_roles_claim: str = Field(
        default="roles",
        min_length=1,
        max_length=256,
        description="The claim that lists roles: a list, or one text with spaces; words that are no role of ours "
        "count for nothing.",
    )
    oidc_merchants_claim: str = Field(
        default="merchant_ids",
        min_length=1,
        max_length=256,
        description="The claim that restricts a merchant to some merchants; absent: all.",
    )
    oidc_warehouses_claim: str = Field(
        default="warehouse_ids",
        min_length=1,
        max_length=256,
        description="The claim that restricts a warehouse operator to some warehouses; absent: all.",
    )
    oidc_leeway_s: float = Field(
        default=30, ge=0, le=120, description="Seconds by which the issuer's clock may be off."
    )

    @model_validator(mode="after")
    def _certificate_has_its_key(self) -> "GatewaySettings":
        if (self.tls_cert_file is None) != (self.tls_key_file is None):
            raise ValueError("GATEWAY_TLS_CERT_FILE and GATEWAY_TLS_KEY_FILE go together: set both or none")
        return self

    def certificates(self) -> Watched[ssl.SSLContext] | None:
        """What the public API shows, None where it speaks plain HTTP; raises `tls.Unusable`."""
        if self.tls_cert_file is None:
            return None
        files = Files(self.tls_cert_file, self.tls_key_file)
        return Watched("http", files, files.server_context)

    @model_validator(mode="after")
    def _oidc_is_whole(self) -> "GatewaySettings":
        self.oidc()
        return self

    def oidc(self) -> OidcSettings | None:
        """What tokens are taken, None where none are; raises ValueError where the settings do not go together."""
        if not (self.oidc_issuer or self.oidc_audience or self.oidc_jwks_url):
            return None
        return OidcSettings(
            issuer=self.oidc_issuer,
            audience=self.oidc_audience,
            jwks_url=self.oidc_jwks_url,
            tenant_claim=self.oidc_tenant_claim,
            roles_claim=self.oidc_roles_claim,
            scope_claims={"merchants": self.oidc_merchants_claim, "warehouses": self.oidc_warehouses_claim},
            leeway_s=self.oidc_leeway_s,
        )

    def client_limits(self) -> Limits:
        """What one client may take."""
        return Limits(
            connections_max=self.connections_max,
            head_bytes_max=self.head_bytes_max,
            head_s_max=self.head_s_max,
            body_idle_s_max=self.body_idle_s_max,
            send_s_max=self.send_s_max,
            keep_alive_s=self.keep_alive_s,
        )
