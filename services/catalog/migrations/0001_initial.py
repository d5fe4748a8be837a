"""Merchants, products, variants, request keys, and the outbox."""

from services.chassis import migrations
from services.chassis.schema import OUTBOX_SCHEMA

revision = "0001"
down_revision = None

SCHEMA = """
-- Sellers of a marketplace. Never removed: products and orders name them.
CREATE TABLE merchants (
    tenant_id    text        COLLATE "C" NOT NULL,
    merchant_id  text        COLLATE "C" NOT NULL,
    display_name text        NOT NULL,
    region_code  text        NOT NULL,
    create_time  timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, merchant_id)
);

-- What merchants offer. Never removed: what is no longer on sale is archived.
-- status: 1 DRAFT | 2 ACTIVE | 3 ARCHIVED; any of them may follow any other.
-- version counts the changes from 1; content_hash stands for everything but the status.
CREATE TABLE products (
    tenant_id          text        COLLATE "C" NOT NULL,
    product_id         text        COLLATE "C" NOT NULL,
    merchant_id        text        COLLATE "C" NOT NULL,
    titles             jsonb       NOT NULL,
    descriptions       jsonb       NOT NULL,
    category           text        COLLATE "C" NOT NULL,
    hs_code            text        COLLATE "C" NOT NULL,
    origin_region_code text        COLLATE "C" NOT NULL,
    status             smallint    NOT NULL CONSTRAINT products_status_known CHECK (status BETWEEN 1 AND 3),
    version            bigint      NOT NULL CONSTRAINT products_version_positive CHECK (version > 0),
    content_hash       bytea       NOT NULL,
    create_time        timestamptz NOT NULL,
    update_time        timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, product_id),
    CONSTRAINT products_merchant_exists FOREIGN KEY (tenant_id, merchant_id) REFERENCES merchants
);
CREATE INDEX products_by_merchant ON products (tenant_id, merchant_id, product_id);
CREATE INDEX products_by_category ON products (tenant_id, category, product_id) WHERE category <> '';

-- The sellable forms of a product, in the order of position. prices: minor units by currency code.
CREATE TABLE variants (
    tenant_id    text       COLLATE "C" NOT NULL,
    sku          text       COLLATE "C" NOT NULL,
    product_id   text       COLLATE "C" NOT NULL,
    position     smallint   NOT NULL,
    gtin         text       COLLATE "C" NOT NULL,
    options      jsonb      NOT NULL,
    prices       jsonb      NOT NULL,
    weight_grams integer    NOT NULL CONSTRAINT variants_weight_not_negative CHECK (weight_grams >= 0),
    length_mm    integer    NOT NULL,
    width_mm     integer    NOT NULL,
    height_mm    integer    NOT NULL,
    hazards      smallint[] NOT NULL,
    PRIMARY KEY (tenant_id, sku),
    CONSTRAINT variants_product_exists FOREIGN KEY (tenant_id, product_id) REFERENCES products
);
CREATE INDEX variants_by_product ON variants (tenant_id, product_id);

-- Creations that were answered, so that a repeated one gets the same answer. Swept after a time.
CREATE TABLE request_key (
    tenant_id   text        COLLATE "C" NOT NULL,
    request_id  text        COLLATE "C" NOT NULL,
    fingerprint bytea       NOT NULL,
    answer      text        NOT NULL,
    create_time timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, request_id)
);
CREATE INDEX request_key_by_age ON request_key (create_time);
"""


def upgrade() -> None:
    """Makes the tables."""
    migrations.execute(SCHEMA)
    migrations.execute(OUTBOX_SCHEMA)
