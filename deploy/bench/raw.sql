-- The same rows as an order makes, in plain tables with nothing but their keys: what PostgreSQL itself can do.
CREATE TABLE orders (
    order_id uuid PRIMARY KEY, tenant_id text NOT NULL, merchant_id text NOT NULL, buyer_ref text NOT NULL,
    currency_code char(3) NOT NULL, total_minor bigint NOT NULL, ship_to jsonb NOT NULL, region_code char(2) NOT NULL,
    state text NOT NULL, create_time timestamptz NOT NULL
);
CREATE TABLE order_lines (
    order_id uuid NOT NULL, line_number integer NOT NULL, sku integer NOT NULL, title text NOT NULL,
    quantity integer NOT NULL, unit_price_minor bigint NOT NULL, amount_minor bigint NOT NULL,
    PRIMARY KEY (order_id, line_number)
);
CREATE TABLE stock (
    sku integer PRIMARY KEY, on_hand bigint NOT NULL, reserved bigint NOT NULL,
    CHECK (reserved >= 0 AND reserved <= on_hand)
) WITH (fillfactor = 70);
CREATE TABLE outbox (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, topic text NOT NULL, key text NOT NULL, type text NOT NULL,
    payload bytea NOT NULL, event_time timestamptz NOT NULL
);
INSERT INTO stock SELECT sku, 1000000000, 0 FROM generate_series(1, 10000) AS sku;
VACUUM ANALYZE stock;
CREATE TABLE products (
    tenant_id text NOT NULL, product_id text NOT NULL, merchant_id text NOT NULL, titles jsonb NOT NULL,
    descriptions jsonb NOT NULL, category text NOT NULL, hs_code text NOT NULL, origin_region_code text NOT NULL,
    status smallint NOT NULL, version bigint NOT NULL, content_hash bytea NOT NULL, create_time timestamptz NOT NULL,
    update_time timestamptz NOT NULL, PRIMARY KEY (tenant_id, product_id)
);
CREATE TABLE variants (
    tenant_id text NOT NULL, sku text NOT NULL, product_id text NOT NULL, position smallint NOT NULL,
    gtin text NOT NULL, options jsonb NOT NULL, prices jsonb NOT NULL, weight_grams integer NOT NULL,
    length_mm integer NOT NULL, width_mm integer NOT NULL, height_mm integer NOT NULL, hazards smallint[] NOT NULL,
    PRIMARY KEY (tenant_id, sku)
);
