"""The first tables: warehouses, stock and its ledger, fulfilments with allocations and parcels."""

from services.chassis import migrations
from services.chassis.schema import CONSUMER_SCHEMA, OUTBOX_SCHEMA

revision = "0001"
down_revision = None

TABLES = """
CREATE TABLE warehouses (
    tenant_id        text COLLATE "C" NOT NULL,
    warehouse_id     text COLLATE "C" NOT NULL,
    display_name     text        NOT NULL,
    region_code      char(2)     NOT NULL,
    -- The region cell that keeps its stock: EU, US, ASEAN, CN.
    cell             text        NOT NULL,
    kind             text        NOT NULL CONSTRAINT warehouse_kind_known CHECK (kind IN ('OVERSEAS', 'ORIGIN')),
    -- [[region_code, transit_days_min, transit_days_max, cost in minor units, currency_code], ...]
    served_countries jsonb       NOT NULL,
    priority         integer     NOT NULL CONSTRAINT warehouse_priority_in_range CHECK (priority BETWEEN 0 AND 1000),
    ships_hazards    boolean     NOT NULL,
    disabled         boolean     NOT NULL,
    version          bigint      NOT NULL,
    create_time      timestamptz NOT NULL,
    update_time      timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, warehouse_id)
);

-- Whose a SKU's stock is. The lock on this row guards all stock rows of the SKU, those that do not exist yet
-- included: whoever writes stock locks its owners first, in the order of (tenant_id, sku), then reads stock.
CREATE TABLE stock_owners (
    tenant_id   text COLLATE "C" NOT NULL,
    sku         text COLLATE "C" NOT NULL,
    merchant_id text COLLATE "C" NOT NULL,
    PRIMARY KEY (tenant_id, sku)
) WITH (fillfactor = 90);

-- Sellable units by SKU and warehouse. on_hand is the sum of the ledger, reserved that of pending allocations.
CREATE TABLE stock (
    tenant_id    text COLLATE "C" NOT NULL,
    sku          text COLLATE "C" NOT NULL,
    warehouse_id text COLLATE "C" NOT NULL,
    merchant_id  text COLLATE "C" NOT NULL,
    on_hand      bigint      NOT NULL,
    reserved     bigint      NOT NULL,
    -- Counts the transactions that changed the row, from 1.
    version      bigint      NOT NULL,
    update_time  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, sku, warehouse_id),
    CONSTRAINT stock_reserved_within_on_hand CHECK (reserved >= 0 AND reserved <= on_hand)
) WITH (
    -- No indexed column ever changes: with room in the page every update is heap-only.
    fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0
);
CREATE INDEX stock_by_warehouse ON stock (tenant_id, warehouse_id, sku);

-- Every change of on_hand; rows are only ever added.
CREATE TABLE ledger (
    entry_id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_id    text COLLATE "C" NOT NULL,
    sku          text COLLATE "C" NOT NULL,
    warehouse_id text COLLATE "C" NOT NULL,
    delta        bigint      NOT NULL CONSTRAINT ledger_delta_not_zero CHECK (delta <> 0),
    reason       text        NOT NULL CONSTRAINT ledger_reason_known CHECK (reason IN
                 ('INBOUND_RECEIVE', 'COUNT_GAIN', 'COUNT_LOSS', 'DAMAGE', 'DISPOSE', 'PICK', 'CANCEL_RESTOCK')),
    document     text        NOT NULL,
    actor        text        NOT NULL,
    create_time  timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX ledger_by_sku ON ledger (tenant_id, sku, entry_id);

-- What the warehouse knows of an order. The lock on its row guards its allocations and parcels.
-- hold_state:
--   PENDING   counts against stock            -> POSTED | VOIDED | EXPIRED, exactly one of them
--   POSTED    the goods left sellable stock   final; its parcels go on
--   VOIDED    given back, or the tombstone of a void that came before its reservation: final
--   EXPIRED   given back at its deadline      -> POSTED | REJECTED, only if the order is confirmed after all
--   REJECTED  stock did not suffice           final
CREATE TABLE fulfilments (
    order_id    uuid PRIMARY KEY,
    tenant_id   text COLLATE "C" NOT NULL,
    merchant_id text COLLATE "C" NOT NULL,
    hold_state  text        NOT NULL CONSTRAINT fulfilment_hold_state_known CHECK (hold_state IN
                ('PENDING', 'POSTED', 'VOIDED', 'EXPIRED', 'REJECTED')),
    -- Counts the events about it, from 1, without gaps.
    version     bigint      NOT NULL CONSTRAINT fulfilment_version_positive CHECK (version > 0),
    region_code text        NOT NULL,
    expire_time timestamptz,
    -- What was asked for: [[sku, quantity, hazardous], ...], each SKU once; to reserve anew after an expiry.
    lines       jsonb       NOT NULL,
    -- How the warehouses were chosen, in words.
    sourcing    text        NOT NULL,
    rejection   text        CONSTRAINT fulfilment_rejection_known CHECK (rejection IN
                ('STOCK_INSUFFICIENT', 'DESTINATION_NOT_SERVED', 'HAZARD_NOT_SHIPPABLE', 'VOIDED_BEFORE',
                 'REQUEST_INVALID')),
    -- What was short: [[sku, requested, available], ...].
    shortages   jsonb,
    create_time timestamptz NOT NULL DEFAULT now(),
    update_time timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT fulfilment_pending_has_deadline CHECK (hold_state <> 'PENDING' OR expire_time IS NOT NULL),
    CONSTRAINT fulfilment_rejected_has_reason CHECK (hold_state <> 'REJECTED' OR rejection IS NOT NULL)
) WITH (fillfactor = 85, autovacuum_vacuum_scale_factor = 0.05);
CREATE INDEX fulfilment_pending_by_deadline ON fulfilments (expire_time) WHERE hold_state = 'PENDING';

-- Where an order's units come from. They count against stock while the hold is pending, and are its parcels'
-- items once it is posted. No foreign key: checking one costs a fifth of a reservation, the lock above holds it.
CREATE TABLE allocations (
    order_id     uuid   NOT NULL,
    sku          text COLLATE "C" NOT NULL,
    warehouse_id text COLLATE "C" NOT NULL,
    quantity     bigint NOT NULL CONSTRAINT allocation_quantity_positive CHECK (quantity > 0),
    PRIMARY KEY (order_id, sku, warehouse_id)
);

-- One per order and warehouse; its items are the allocations of that warehouse.
-- state: ALLOCATED -> PACKED -> SHIPPED -> DELIVERED; ALLOCATED -> CANCELLED where the order is intercepted.
CREATE TABLE parcels (
    tenant_id       text COLLATE "C" NOT NULL,
    parcel_id       uuid        NOT NULL,
    order_id        uuid        NOT NULL,
    merchant_id     text COLLATE "C" NOT NULL,
    warehouse_id    text COLLATE "C" NOT NULL,
    region_code     text        NOT NULL,
    state           text        NOT NULL CONSTRAINT parcel_state_known CHECK (state IN
                    ('ALLOCATED', 'PACKED', 'SHIPPED', 'DELIVERED', 'CANCELLED')),
    carrier         text        NOT NULL DEFAULT '',
    tracking_number text        NOT NULL DEFAULT '',
    create_time     timestamptz NOT NULL DEFAULT now(),
    pack_time       timestamptz,
    ship_time       timestamptz,
    deliver_time    timestamptz,
    PRIMARY KEY (tenant_id, parcel_id),
    CONSTRAINT parcel_one_per_warehouse UNIQUE (order_id, warehouse_id),
    CONSTRAINT parcel_shipped_is_traceable CHECK (
        state NOT IN ('SHIPPED', 'DELIVERED') OR (carrier <> '' AND tracking_number <> ''))
) WITH (fillfactor = 80);
CREATE INDEX parcel_by_warehouse ON parcels (tenant_id, warehouse_id, state, parcel_id);

-- Answers of mutations by the caller's request id, so that a repetition gets the same one.
CREATE TABLE request_key (
    tenant_id   text COLLATE "C" NOT NULL,
    route       text COLLATE "C" NOT NULL,
    request_id  text COLLATE "C" NOT NULL,
    -- Of the request's content: the same id with other content is refused.
    digest      bytea       NOT NULL,
    answer      jsonb,
    create_time timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, route, request_id)
);
CREATE INDEX request_key_by_age ON request_key (create_time);
"""


def upgrade() -> None:
    """Creates everything."""
    migrations.execute(TABLES + OUTBOX_SCHEMA + CONSUMER_SCHEMA)
