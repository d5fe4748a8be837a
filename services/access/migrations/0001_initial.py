"""Tenants, keys and their secrets, request keys, the audit, and the outbox."""

from services.chassis import migrations
from services.chassis.schema import OUTBOX_SCHEMA

revision = "0001"
down_revision = None

SCHEMA = """
-- The marketplaces. Never removed. state: 1 ACTIVE <-> 2 SUSPENDED; version counts the changes from 1.
CREATE TABLE tenants (
    tenant_id    text        COLLATE "C" PRIMARY KEY,
    display_name text        NOT NULL,
    state        smallint    NOT NULL CONSTRAINT tenants_state_known CHECK (state IN (1, 2)),
    version      bigint      NOT NULL CONSTRAINT tenants_version_positive CHECK (version > 0),
    create_time  timestamptz NOT NULL,
    update_time  timestamptz NOT NULL,
    CONSTRAINT tenants_platform_active CHECK (tenant_id <> 'platform' OR state = 1)
);
-- Of those who keep the others: see services/access/domain/tenants.py.
INSERT INTO tenants VALUES ('platform', 'The platform', 1, 1, now(), now());

-- Keys. Never removed: the audit and the ledgers of others name them. state: 1 ACTIVE -> 2 REVOKED, which is final.
-- roles: those of the contract, ascending. merchant_ids, warehouse_ids: the only ones that it is for; empty: all.
CREATE TABLE api_keys (
    tenant_id     text        COLLATE "C" NOT NULL CONSTRAINT api_keys_tenant_exists REFERENCES tenants,
    api_key_id    uuid        NOT NULL,
    display_name  text        NOT NULL,
    roles         smallint[]  NOT NULL CONSTRAINT api_keys_roles_some CHECK (cardinality(roles) > 0),
    merchant_ids  text[]      NOT NULL,
    warehouse_ids text[]      NOT NULL,
    expire_time   timestamptz,
    state         smallint    NOT NULL CONSTRAINT api_keys_state_known CHECK (state IN (1, 2)),
    version       bigint      NOT NULL CONSTRAINT api_keys_version_positive CHECK (version > 0),
    create_time   timestamptz NOT NULL,
    update_time   timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, api_key_id),
    -- The right to keep tenants is out of every tenant's reach, whatever a program does.
    CONSTRAINT api_keys_platform_apart CHECK ((tenant_id = 'platform') = (roles = '{6}') AND
                                              (tenant_id = 'platform') = (6 = ANY (roles))),
    CONSTRAINT api_keys_merchants_of_merchant CHECK (merchant_ids = '{}' OR roles = '{2}'),
    CONSTRAINT api_keys_warehouses_of_warehouse CHECK (warehouse_ids = '{}' OR roles = '{3}')
);
CREATE INDEX api_keys_active ON api_keys (tenant_id) WHERE state = 1;

-- The secrets of keys, by their SHA-256; their text is kept nowhere.
CREATE TABLE secrets (
    tenant_id   text        COLLATE "C" NOT NULL,
    api_key_id  uuid        NOT NULL,
    secret_id   text        COLLATE "C" NOT NULL,
    digest      bytea       NOT NULL CONSTRAINT secrets_digest_long CHECK (octet_length(digest) = 32),
    create_time timestamptz NOT NULL,
    expire_time timestamptz,
    revoke_time timestamptz,
    PRIMARY KEY (tenant_id, api_key_id, secret_id),
    CONSTRAINT secrets_digest_once UNIQUE (digest),
    CONSTRAINT secrets_key_exists FOREIGN KEY (tenant_id, api_key_id) REFERENCES api_keys
);

-- Who did what to a tenant or a key, in the transaction that did it. INSERT only.
CREATE TABLE audit (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    time        timestamptz NOT NULL,
    actor       text        NOT NULL CONSTRAINT audit_actor_named CHECK (actor <> ''),
    action      text        NOT NULL CONSTRAINT audit_action_known CHECK (action IN (
                    'TENANT_CREATED', 'TENANT_SUSPENDED', 'TENANT_ACTIVATED',
                    'KEY_CREATED', 'KEY_ROTATED', 'SECRET_REVOKED', 'KEY_REVOKED')),
    tenant_id   text        COLLATE "C" NOT NULL,
    -- Of the key and of the secret that was made or ended, where it was one.
    api_key_id  uuid,
    secret_id   text,
    -- The version that came of it.
    version     bigint      NOT NULL
);
CREATE INDEX audit_by_tenant ON audit (tenant_id, id);

-- Creations that were answered, so that a repeated one makes no second secret. Swept after a time.
CREATE TABLE request_key (
    tenant_id   text        COLLATE "C" NOT NULL,
    request_id  text        COLLATE "C" NOT NULL,
    fingerprint bytea       NOT NULL,
    api_key_id  uuid        NOT NULL,
    create_time timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, request_id)
);
CREATE INDEX request_key_by_age ON request_key (create_time);
"""


def upgrade() -> None:
    """Makes the tables."""
    migrations.execute(SCHEMA)
    migrations.execute(OUTBOX_SCHEMA)
