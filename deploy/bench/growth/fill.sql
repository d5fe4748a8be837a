-- Years of business by a few set-based statements, as the services would have left it: numbers $1 to $2 of what the
-- statement makes. $3 is the number of SKUs, $4 the number of past orders. Ten SKUs are the variants of a product.
-- Order n took one unit each of two SKUs; every twelfth expired unpaid, all others were delivered. An order's id begins
-- with its time like those of the services; what only lives for days (request ids, applied versions) is gone again.

-- name: catalog_products
-- A tenth of the SKUs.
INSERT INTO products
SELECT 'demo', 'product.' || lpad(n::text, 7, '0'), 'bench',
       jsonb_build_object('en', 'A product of the bench, number ' || n), '{}', 'bench', '', '', 2, 1,
       decode(md5(n::text), 'hex'), now() - interval '2 years', now() - interval '2 years',
       ('demo/a demo/product demo/of demo/the demo/bench demo/number demo/' || n)::tsvector, decode(md5(n::text), 'hex')
FROM generate_series($1::bigint / 10, $2::bigint / 10 - 1) AS n WHERE $3::bigint > 0 AND $4::bigint >= 0;

-- name: catalog_variants
-- The SKUs.
INSERT INTO variants
SELECT 'demo', 'sku.' || lpad(n::text, 8, '0'), 'product.' || lpad((n / 10)::text, 7, '0'), n % 10 + 1, '', '{}',
       '{"USD": 1000}', 0, 0, 0, 0, '{}'
FROM generate_series($1::bigint, $2::bigint - 1) AS n WHERE $3::bigint > 0 AND $4::bigint >= 0;

-- name: orders_offer_products
-- The products whose offers are known.
INSERT INTO offer_products
SELECT 'demo', 'product.' || lpad(n::text, 7, '0'), 1
FROM generate_series($1::bigint / 10, $2::bigint / 10 - 1) AS n WHERE $3::bigint > 0 AND $4::bigint >= 0;

-- name: orders_offers
-- What can be ordered.
INSERT INTO offers
SELECT 'demo', 'sku.' || lpad(n::text, 8, '0'), 'product.' || lpad((n / 10)::text, 7, '0'), 'bench',
       jsonb_build_object('en', 'A product of the bench, number ' || n / 10), '{"USD": 1000}', '', '', 0, false, true,
       'ACTIVE', 1, now() - interval '2 years'
FROM generate_series($1::bigint, $2::bigint - 1) AS n WHERE $3::bigint > 0 AND $4::bigint >= 0;

-- name: orders_orders
-- The orders.
INSERT INTO orders (
    order_id, tenant_id, merchant_id, buyer_ref, currency_code, total_minor, line_count, ship_to, region_code,
    payment_terms, payment_expire_time, language_code, create_time, state, version, payment_state, payment_id, sourcing,
    update_time)
SELECT ('01900000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, 'demo', 'bench', 'past/' || n % (1 + $4::bigint / 10),
       'USD', 2000, 2,
       '{"region_code": "US", "locality": "Portland", "address_lines": ["1 Bench Road"], "recipients": [],
         "postal_code": "", "sublocality": "", "organization": "", "sorting_code": "", "language_code": "",
         "administrative_area": ""}',
       'US', CASE WHEN n % 12 = 0 THEN 'PAY_LATER' ELSE 'PREPAID' END, CASE WHEN n % 12 = 0 THEN t + interval '1 day' END,
       'en', t, CASE WHEN n % 12 = 0 THEN 'EXPIRED' ELSE 'DELIVERED' END, CASE WHEN n % 12 = 0 THEN 3 ELSE 6 END,
       CASE WHEN n % 12 = 0 THEN 'NONE' ELSE 'CAPTURED' END,
       CASE WHEN n % 12 > 0 THEN ('01900000-0000-7000-9000-' || lpad(to_hex(n), 12, '0'))::uuid END,
       'in-country, one parcel, 1-4 days', t + interval '3 days'
FROM generate_series($1::bigint, $2::bigint - 1) AS n,
     LATERAL (SELECT now() - interval '395 days' + interval '365 days' * (n::float8 / $4::bigint) AS t) AS moment
WHERE $3::bigint > 0;

-- name: orders_lines
-- Their lines.
INSERT INTO order_lines
SELECT ('01900000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, line, 'sku.' || lpad(sku::text, 8, '0'),
       'product.' || lpad((sku / 10)::text, 7, '0'), 'A product of the bench, number ' || sku / 10, 1, 1000, 1000, '', '', 0,
       false
FROM generate_series($1::bigint, $2::bigint - 1) AS n,
     LATERAL (VALUES (1, (n * 7919) % $3::bigint), (2, (n * 7919 + $3::bigint / 2) % $3::bigint)) AS lines (line, sku)
WHERE $4::bigint >= 0;

-- name: orders_transitions
-- Their histories.
INSERT INTO order_transitions
SELECT ('01900000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, version, before, after, cause, '',
       now() - interval '395 days' + interval '365 days' * (n::float8 / $4::bigint) + version * interval '10 hours'
FROM generate_series($1::bigint, $2::bigint - 1) AS n,
     LATERAL (VALUES
         (1, NULL, 'PENDING', 'PlaceOrder', NULL), (2, 'PENDING', 'CONFIRMED', 'StockReserved', false),
         (3, 'CONFIRMED', 'CONFIRMED', 'ParcelsAllocated', false),
         (4, 'CONFIRMED', 'FULFILLING', 'ParcelAdvanced', false),
         (5, 'FULFILLING', 'SHIPPED', 'ParcelAdvanced', false),
         (6, 'SHIPPED', 'DELIVERED', 'ParcelAdvanced', false),
         (2, 'PENDING', 'AWAITING_PAYMENT', 'StockReserved', true),
         (3, 'AWAITING_PAYMENT', 'EXPIRED', 'PaymentDeadlinePassed', true)
     ) AS steps (version, before, after, cause, expired)
WHERE $3::bigint > 0 AND (expired IS NULL OR expired = (n % 12 = 0));

-- name: orders_parcels
-- The parcels of the delivered ones.
INSERT INTO order_parcels
SELECT ('01900000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid,
       ('01900000-0000-7000-a000-' || lpad(to_hex(n), 12, '0'))::uuid, 'bench', 'DELIVERED', 'USPS', 'T' || n
FROM generate_series($1::bigint, $2::bigint - 1) AS n WHERE n % 12 > 0 AND $3::bigint > 0 AND $4::bigint > 0;

-- name: orders_payments
-- The payments of the delivered ones.
INSERT INTO payments
SELECT ('01900000-0000-7000-9000-' || lpad(to_hex(n), 12, '0'))::uuid,
       ('01900000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, 'demo', 'external', 'CAPTURED', 2000, 'USD', '', t, t
FROM generate_series($1::bigint, $2::bigint - 1) AS n,
     LATERAL (SELECT now() - interval '395 days' + interval '365 days' * (n::float8 / $4::bigint) AS t) AS moment
WHERE n % 12 > 0 AND $3::bigint > 0;

-- name: warehouse_stock_owners
-- Whose the SKUs are.
INSERT INTO stock_owners
SELECT 'demo', 'sku.' || lpad(n::text, 8, '0'), 'bench'
FROM generate_series($1::bigint, $2::bigint - 1) AS n WHERE $3::bigint > 0 AND $4::bigint >= 0;

-- name: warehouse_received
-- A million units of each.
INSERT INTO ledger (tenant_id, sku, warehouse_id, delta, reason, document, actor, create_time)
SELECT 'demo', 'sku.' || lpad(n::text, 8, '0'), 'bench', 1000000, 'INBOUND_RECEIVE', 'bench/past/' || n / 1000, 'operator',
       now() - interval '2 years'
FROM generate_series($1::bigint, $2::bigint - 1) AS n WHERE $3::bigint > 0 AND $4::bigint >= 0;

-- name: warehouse_picked
-- Less what the delivered orders took.
INSERT INTO ledger (tenant_id, sku, warehouse_id, delta, reason, document, actor, create_time)
SELECT 'demo', 'sku.' || lpad(sku::text, 8, '0'), 'bench', -1, 'PICK', '01900000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'),
       'warehouse', now() - interval '395 days' + interval '365 days' * (n::float8 / $4::bigint)
FROM generate_series($1::bigint, $2::bigint - 1) AS n,
     LATERAL (VALUES ((n * 7919) % $3::bigint), ((n * 7919 + $3::bigint / 2) % $3::bigint)) AS lines (sku)
WHERE n % 12 > 0;

-- name: warehouse_stock
-- What is left: the sum of the ledger.
INSERT INTO stock
SELECT 'demo', sku, 'bench', 'bench', sum(delta), 0, count(*), now() - interval '30 days'
FROM ledger
WHERE tenant_id = 'demo' AND sku >= 'sku.' || lpad($1::bigint::text, 8, '0') AND sku < 'sku.' || lpad($2::bigint::text, 8, '0')
    AND $3::bigint > 0 AND $4::bigint >= 0
GROUP BY sku ORDER BY sku;

-- name: warehouse_fulfilments
-- What it knows of the orders.
INSERT INTO fulfilments (
    order_id, tenant_id, merchant_id, hold_state, version, region_code, expire_time, lines, sourcing, create_time, update_time)
SELECT ('01900000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, 'demo', 'bench',
       CASE WHEN n % 12 = 0 THEN 'VOIDED' ELSE 'POSTED' END, CASE WHEN n % 12 = 0 THEN 2 ELSE 5 END, 'US', t + interval '1 day',
       jsonb_build_array(
           jsonb_build_array('sku.' || lpad(((n * 7919) % $3::bigint)::text, 8, '0'), 1, false),
           jsonb_build_array('sku.' || lpad(((n * 7919 + $3::bigint / 2) % $3::bigint)::text, 8, '0'), 1, false)),
       'in-country, one parcel, 1-4 days', t, t + interval '3 days'
FROM generate_series($1::bigint, $2::bigint - 1) AS n,
     LATERAL (SELECT now() - interval '395 days' + interval '365 days' * (n::float8 / $4::bigint) AS t) AS moment;

-- name: warehouse_allocations
-- Where their units came from.
INSERT INTO allocations
SELECT ('01900000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, 'sku.' || lpad(sku::text, 8, '0'), 'bench', 1
FROM generate_series($1::bigint, $2::bigint - 1) AS n,
     LATERAL (VALUES ((n * 7919) % $3::bigint), ((n * 7919 + $3::bigint / 2) % $3::bigint)) AS lines (sku)
WHERE $4::bigint >= 0;

-- name: warehouse_parcels
-- The parcels of the delivered ones.
INSERT INTO parcels
SELECT 'demo', ('01900000-0000-7000-a000-' || lpad(to_hex(n), 12, '0'))::uuid,
       ('01900000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, 'bench', 'bench', 'US', 'DELIVERED', 'USPS', 'T' || n,
       t, t + interval '1 day', t + interval '2 days', t + interval '3 days'
FROM generate_series($1::bigint, $2::bigint - 1) AS n,
     LATERAL (SELECT now() - interval '395 days' + interval '365 days' * (n::float8 / $4::bigint) AS t) AS moment
WHERE n % 12 > 0 AND $3::bigint > 0;
