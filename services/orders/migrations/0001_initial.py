"""Orders with lines, history and parcels; offers; request keys; payments; timers; the sandbox provider's books."""

from services.chassis import migrations
from services.chassis.schema import CONSUMER_SCHEMA, OUTBOX_SCHEMA

revision = "0001"
down_revision = None

ORDERS = """
-- Orders. Only the columns from `state` to `sourcing` change, always together with `version`.
-- The moves between the states are one table: services/orders/domain/states.py.
-- No foreign key leads here: lines, history and parcels are written in the transaction that writes or locks
-- their order, and orders are never removed. Foreign keys were measured to cost PostgreSQL a fifth more per placement.
CREATE TABLE orders (
    order_id            uuid        PRIMARY KEY,
    tenant_id           text        COLLATE "C" NOT NULL,
    merchant_id         text        COLLATE "C" NOT NULL,
    buyer_ref           text        COLLATE "C" NOT NULL,
    currency_code       char(3)     NOT NULL,
    total_minor         bigint      NOT NULL CONSTRAINT orders_total_not_negative CHECK (total_minor >= 0),
    line_count          integer     NOT NULL
                        CONSTRAINT orders_line_count_in_range CHECK (line_count BETWEEN 1 AND 2000),
    -- The fields of google.type.PostalAddress: personal data, told only through the RPCs. The one copy is in
    -- request_key.response, for as long as a request id is kept. In no event, no log line and no other table.
    ship_to             jsonb       NOT NULL,
    region_code         char(2)     NOT NULL,
    payment_terms       text        NOT NULL
                        CONSTRAINT orders_payment_terms_known CHECK (payment_terms IN ('PREPAID', 'PAY_LATER')),
    payment_expire_time timestamptz,
    language_code       text        NOT NULL,
    -- The W3C trace context of the placement, kept only where it is sampled.
    traceparent         text,
    create_time         timestamptz NOT NULL,
    state               text        COLLATE "C" NOT NULL CONSTRAINT orders_state_known CHECK (state IN (
        'PENDING', 'AWAITING_PAYMENT', 'CONFIRMED', 'FULFILLING', 'SHIPPED', 'DELIVERED', 'CANCELLING',
        'CANCELLED', 'EXPIRED', 'REJECTED')),
    version             bigint      NOT NULL CONSTRAINT orders_version_positive CHECK (version > 0),
    -- Mirrors payments.state of the latest payment, payment_id.
    payment_state       text        NOT NULL DEFAULT 'NONE',
    payment_id          uuid,
    reason              text        NOT NULL DEFAULT '',
    sourcing            text        NOT NULL DEFAULT '',
    update_time         timestamptz NOT NULL,
    CONSTRAINT orders_deadline_where_paid_later
        CHECK ((payment_terms = 'PAY_LATER') = (payment_expire_time IS NOT NULL)),
    CONSTRAINT orders_payment_named CHECK ((payment_state = 'NONE') = (payment_id IS NULL))
) WITH (fillfactor = 80);
CREATE INDEX orders_by_time ON orders (tenant_id, create_time, order_id);
CREATE INDEX orders_by_buyer ON orders (tenant_id, buyer_ref, create_time, order_id);
CREATE INDEX orders_by_state ON orders (tenant_id, state, create_time, order_id);
-- Small, whatever the number of orders: for the age of the oldest that waits in each state.
CREATE INDEX orders_unfinished ON orders (state, create_time)
    WHERE state NOT IN ('DELIVERED', 'CANCELLED', 'EXPIRED', 'REJECTED');

-- What was ordered, as the catalog described and priced it at placement. INSERT only.
CREATE TABLE order_lines (
    order_id           uuid    NOT NULL,
    line_number        integer NOT NULL,
    sku                text    COLLATE "C" NOT NULL,
    product_id         text    COLLATE "C" NOT NULL,
    title              text    NOT NULL,
    quantity           integer NOT NULL CONSTRAINT order_lines_quantity_in_range CHECK (quantity BETWEEN 1 AND 1000000),
    unit_price_minor   bigint  NOT NULL CONSTRAINT order_lines_price_not_negative CHECK (unit_price_minor >= 0),
    amount_minor       bigint  NOT NULL,
    hs_code            text    NOT NULL,
    origin_region_code text    NOT NULL,
    weight_grams       integer NOT NULL,
    hazardous          boolean NOT NULL,
    PRIMARY KEY (order_id, line_number),
    CONSTRAINT order_lines_amount_is_price_times_quantity CHECK (amount_minor = unit_price_minor * quantity)
);

-- The history: one row per version of an order. INSERT only.
CREATE TABLE order_transitions (
    order_id   uuid        NOT NULL,
    version    bigint      NOT NULL,
    from_state text        COLLATE "C",
    to_state   text        COLLATE "C" NOT NULL,
    cause      text        NOT NULL,
    detail     text        NOT NULL,
    time       timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (order_id, version)
);

-- Parcels as the warehouse last told of them.
-- ALLOCATED -> PACKED -> SHIPPED -> DELIVERED, or ALLOCATED -> CANCELLED.
CREATE TABLE order_parcels (
    order_id        uuid NOT NULL,
    parcel_id       uuid NOT NULL,
    warehouse_id    text COLLATE "C" NOT NULL,
    state           text NOT NULL CONSTRAINT order_parcels_state_known
                    CHECK (state IN ('ALLOCATED', 'PACKED', 'SHIPPED', 'DELIVERED', 'CANCELLED')),
    carrier         text NOT NULL,
    tracking_number text NOT NULL,
    PRIMARY KEY (order_id, parcel_id)
) WITH (fillfactor = 80);

-- Answers to request ids. route: place | cancel | pay. Scope of a request id: tenant and route.
-- digest stands for the content; response is the serialized PlaceOrderResult (route place only); order_id is
-- NULL where the request was refused. A response holds the address that the order is sent to, as it was answered.
-- Rows are removed after ORDERS_REQUEST_KEY_TTL_H.
CREATE TABLE request_key (
    tenant_id   text        COLLATE "C" NOT NULL,
    route       text        COLLATE "C" NOT NULL,
    request_id  text        COLLATE "C" NOT NULL,
    digest      bytea       NOT NULL,
    response    bytea,
    order_id    uuid,
    create_time timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, route, request_id)
);
CREATE INDEX request_key_by_age ON request_key (create_time);

-- When something is to be done, by the database's clock.
-- kind: PAYMENT_DEADLINE (subject: the order) | PAYMENT_CHECK | CAPTURE | REFUND (subject: the payment).
CREATE TABLE timers (
    kind       text        COLLATE "C" NOT NULL,
    subject_id uuid        NOT NULL,
    order_id   uuid        NOT NULL,
    due_time   timestamptz NOT NULL,
    attempts   integer     NOT NULL DEFAULT 0,
    PRIMARY KEY (kind, subject_id)
);
CREATE INDEX timers_by_due_time ON timers (kind, due_time);
"""

OFFERS = """
-- What can be ordered: the catalog's products by SKU, fed from its snapshots. A read model, never edited.
-- titles: by language tag; prices: minor units by currency code.
CREATE TABLE offers (
    tenant_id           text        COLLATE "C" NOT NULL,
    sku                 text        COLLATE "C" NOT NULL,
    product_id          text        COLLATE "C" NOT NULL,
    merchant_id         text        COLLATE "C" NOT NULL,
    titles              jsonb       NOT NULL,
    prices              jsonb       NOT NULL,
    hs_code             text        NOT NULL,
    origin_region_code  text        NOT NULL,
    weight_grams        integer     NOT NULL,
    hazardous           boolean     NOT NULL,
    on_sale             boolean     NOT NULL,
    status              text        NOT NULL,
    product_version     bigint      NOT NULL,
    product_update_time timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, sku)
);
CREATE INDEX offers_by_product ON offers (tenant_id, product_id);

-- The newest version of each product whose offers are stored, so that an older one changes nothing.
CREATE TABLE offer_products (
    tenant_id  text   COLLATE "C" NOT NULL,
    product_id text   COLLATE "C" NOT NULL,
    version    bigint NOT NULL,
    PRIMARY KEY (tenant_id, product_id)
);
"""

PAYMENTS = """
-- Payments, each for the whole of an order. The moves are one table: services/orders/domain/payment.py.
--   PENDING -> AUTHORISED -> CAPTURED, or DECLINED; REFUND_PENDING -> REFUNDED from any that holds money.
-- No payment token is stored in any form.
CREATE TABLE payments (
    payment_id    uuid        PRIMARY KEY,
    order_id      uuid        NOT NULL,
    tenant_id     text        COLLATE "C" NOT NULL,
    provider      text        NOT NULL,
    state         text        NOT NULL CONSTRAINT payments_state_known CHECK (state IN (
        'PENDING', 'AUTHORISED', 'CAPTURED', 'DECLINED', 'REFUND_PENDING', 'REFUNDED')),
    amount_minor  bigint      NOT NULL CONSTRAINT payments_amount_not_negative CHECK (amount_minor >= 0),
    currency_code char(3)     NOT NULL,
    decline_code  text        NOT NULL DEFAULT '',
    create_time   timestamptz NOT NULL DEFAULT now(),
    update_time   timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX payments_by_order ON payments (order_id);
CREATE UNIQUE INDEX payments_one_live_per_order ON payments (order_id)
    WHERE state IN ('PENDING', 'AUTHORISED', 'CAPTURED');

-- Notifications of providers that had their effect; a repeated one is recognised here. Removed after 30 days where
-- the payment is through.
CREATE TABLE payment_notifications (
    notification_id text        PRIMARY KEY,
    payment_id      uuid        NOT NULL,
    outcome         text        NOT NULL,
    receive_time    timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX payment_notifications_by_age ON payment_notifications (receive_time);
"""

SANDBOX = """
-- The sandbox provider's own books: they stand for another company's database and are read by nobody else.
-- PENDING -> AUTHORISED -> CAPTURED -> REFUNDED, or DECLINED; REFUNDED also releases and forbids what comes later.
CREATE TABLE sandbox_payment (
    payment_id            uuid        PRIMARY KEY,
    card                  text        NOT NULL,
    state                 text        NOT NULL CONSTRAINT sandbox_payment_state_known CHECK (state IN (
        'PENDING', 'AUTHORISED', 'CAPTURED', 'DECLINED', 'REFUNDED')),
    amount_minor          bigint      NOT NULL,
    currency_code         char(3)     NOT NULL,
    decline_code          text        NOT NULL DEFAULT '',
    capture_failures_left integer     NOT NULL DEFAULT 0,
    create_time           timestamptz NOT NULL DEFAULT now()
);

-- Answers that the sandbox provider still has to give, each `deliveries_left` times.
CREATE TABLE sandbox_notification (
    notification_id text        PRIMARY KEY,
    payment_id      uuid        NOT NULL,
    outcome         text        NOT NULL,
    decline_code    text        NOT NULL DEFAULT '',
    due_time        timestamptz NOT NULL,
    deliveries_left integer     NOT NULL
);
CREATE INDEX sandbox_notification_by_due_time ON sandbox_notification (due_time);
"""


def upgrade() -> None:
    """Makes the tables."""
    for schema in (ORDERS, OFFERS, PAYMENTS, SANDBOX, OUTBOX_SCHEMA, CONSUMER_SCHEMA):
        migrations.execute(schema)
