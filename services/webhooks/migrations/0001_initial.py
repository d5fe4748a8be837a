"""Endpoints, their secrets, deliveries and request keys."""

from services.chassis import migrations
from services.chassis.schema import CONSUMER_SCHEMA, DISCARDED_SCHEMA

revision = "0001"
down_revision = None

SCHEMA = """
-- Where tenants are told. state: 1 ENABLED <-> 2 DISABLED; disable_reason: 0 while enabled, else 1 REQUESTED, 2 GONE,
-- 3 FAILING. event_types: the only ones that are sent, ascending; empty: all.
CREATE TABLE endpoints (
    tenant_id      text        COLLATE "C" NOT NULL,
    endpoint_id    uuid        NOT NULL,
    url            text        NOT NULL,
    description    text        NOT NULL,
    event_types    text[]      NOT NULL,
    state          smallint    NOT NULL CONSTRAINT endpoints_state_known CHECK (state IN (1, 2)),
    disable_reason smallint    NOT NULL CONSTRAINT endpoints_reason_known CHECK (disable_reason BETWEEN 0 AND 3),
    -- Of the first failed attempt since the last that succeeded.
    failing_since  timestamptz,
    -- When something is to be sent next; NULL: nothing waits. Set by whoever adds a delivery, under this row's lock,
    -- and worked out anew by the sender that lets the endpoint go.
    due_time       timestamptz,
    -- The sender that works for the endpoint, alone, and until when it may be taken for alive.
    lease_id       uuid,
    lease_until    timestamptz,
    version        bigint      NOT NULL CONSTRAINT endpoints_version_positive CHECK (version > 0),
    create_time    timestamptz NOT NULL,
    update_time    timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, endpoint_id),
    CONSTRAINT endpoints_reason_of_disabled CHECK ((state = 1) = (disable_reason = 0)),
    CONSTRAINT endpoints_lease_whole CHECK ((lease_id IS NULL) = (lease_until IS NULL))
) WITH (fillfactor = 50);
CREATE INDEX endpoints_due ON endpoints ((failing_since IS NOT NULL), due_time) WHERE state = 1;

-- The secrets that sign, sealed by a key that is not in this database. sealed_by: which of the keys.
CREATE TABLE secrets (
    tenant_id   text        COLLATE "C" NOT NULL,
    endpoint_id uuid        NOT NULL,
    secret_id   uuid        NOT NULL,
    sealed      bytea       NOT NULL,
    sealed_by   text        NOT NULL,
    create_time timestamptz NOT NULL,
    expire_time timestamptz,
    PRIMARY KEY (tenant_id, endpoint_id, secret_id),
    CONSTRAINT secrets_endpoint_exists FOREIGN KEY (tenant_id, endpoint_id) REFERENCES endpoints ON DELETE CASCADE
);

-- What is, was or shall be sent. state: 1 PENDING -> 2 DELIVERED | 3 FAILED -> 1 by a redelivery.
-- Not removed with its endpoint, but by its age: an endpoint may have very many.
CREATE TABLE deliveries (
    delivery_id       uuid        PRIMARY KEY,
    endpoint_id       uuid        NOT NULL,
    message_id        text        COLLATE "C" NOT NULL,
    event_type        text        NOT NULL,
    event_time        timestamptz NOT NULL,
    body              text        NOT NULL,
    state             smallint    NOT NULL CONSTRAINT deliveries_state_known CHECK (state IN (1, 2, 3)),
    attempts          integer     NOT NULL,
    -- Since when it is tried, and how often since then: a redelivery begins anew.
    retry_from        timestamptz NOT NULL,
    round_attempts    integer     NOT NULL,
    last_status       smallint    NOT NULL,
    last_failure      text        NOT NULL,
    last_attempt_time timestamptz,
    next_attempt_time timestamptz,
    create_time       timestamptz NOT NULL,
    -- An event that is consumed twice makes one delivery.
    CONSTRAINT deliveries_once UNIQUE (endpoint_id, message_id),
    CONSTRAINT deliveries_pending_is_due CHECK ((state = 1) = (next_attempt_time IS NOT NULL))
);
CREATE INDEX deliveries_due ON deliveries (endpoint_id, next_attempt_time) WHERE state = 1;
CREATE INDEX deliveries_by_endpoint ON deliveries (endpoint_id, delivery_id);
CREATE INDEX deliveries_by_state ON deliveries (endpoint_id, state, delivery_id);
CREATE INDEX deliveries_by_age ON deliveries (create_time);

-- Creations and rotations that were answered, so that a repeated one makes no second secret. Swept after a time.
CREATE TABLE request_key (
    tenant_id   text        COLLATE "C" NOT NULL,
    request_id  text        COLLATE "C" NOT NULL,
    fingerprint bytea       NOT NULL,
    endpoint_id uuid        NOT NULL,
    create_time timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, request_id)
);
CREATE INDEX request_key_by_age ON request_key (create_time);
"""


def upgrade() -> None:
    """Makes the tables."""
    migrations.execute(SCHEMA)
    migrations.execute(CONSUMER_SCHEMA)
    migrations.execute(DISCARDED_SCHEMA)
