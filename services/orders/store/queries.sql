-- Statements of orders. Arrays of one length stand for rows; rows are locked in the order of their keys.

-- name: select_offers
-- What the catalog last said of the given (tenant_id, sku) pairs, and the database's time, in one round trip:
-- the first row has only the time.
SELECT now() AS db_time, NULL::text AS tenant_id, NULL::text AS sku, NULL::text AS product_id,
       NULL::text AS merchant_id, NULL::text AS titles, NULL::text AS prices, NULL::text AS hs_code,
       NULL::text AS origin_region_code, NULL::integer AS weight_grams, NULL::boolean AS hazardous,
       NULL::boolean AS on_sale
UNION ALL
SELECT NULL, o.tenant_id, o.sku, o.product_id, o.merchant_id, o.titles::text, o.prices::text, o.hs_code,
       o.origin_region_code, o.weight_grams, o.hazardous, o.on_sale
FROM unnest($1::text[], $2::text[]) AS k (tenant_id, sku)
JOIN offers AS o ON o.tenant_id = k.tenant_id AND o.sku = k.sku;

-- name: claim_product_versions
-- Notes the newest version seen of each product; returns those for which the given one is newer.
INSERT INTO offer_products AS p (tenant_id, product_id, version)
SELECT k.tenant_id, k.product_id, k.version
FROM unnest($1::text[], $2::text[], $3::bigint[]) AS k (tenant_id, product_id, version)
ORDER BY k.tenant_id, k.product_id
ON CONFLICT (tenant_id, product_id) DO UPDATE SET version = excluded.version WHERE p.version < excluded.version
RETURNING p.tenant_id, p.product_id;

-- name: lock_offers
-- Locks the offers that a batch of snapshots may change or remove, in the order of their keys. One set of keys, not two
-- conditions with OR: for that the planner reads every offer.
WITH wanted AS (
    SELECT o.tenant_id, o.sku FROM unnest($1::text[], $2::text[]) AS p (tenant_id, product_id)
    JOIN offers AS o ON o.tenant_id = p.tenant_id AND o.product_id = p.product_id
    UNION
    SELECT * FROM unnest($3::text[], $4::text[])
)
SELECT o.tenant_id, o.sku FROM wanted AS w
JOIN offers AS o ON o.tenant_id = w.tenant_id AND o.sku = w.sku
ORDER BY o.tenant_id, o.sku
FOR UPDATE OF o;

-- name: delete_dropped_offers
-- Removes the SKUs that their product no longer has; $1, $2 are the products, $3, $4, $5 what each has now.
WITH dropped AS (
    SELECT o.tenant_id, o.product_id, o.sku FROM unnest($1::text[], $2::text[]) AS p (tenant_id, product_id)
    JOIN offers AS o ON o.tenant_id = p.tenant_id AND o.product_id = p.product_id
    EXCEPT
    SELECT * FROM unnest($3::text[], $4::text[], $5::text[])
)
DELETE FROM offers AS o USING dropped AS d
WHERE o.tenant_id = d.tenant_id AND o.sku = d.sku AND o.product_id = d.product_id;

-- name: upsert_offers
-- Takes over what a product says of its SKUs. A SKU that has moved to another product stays with the one that
-- was changed last.
INSERT INTO offers AS o (tenant_id, sku, product_id, merchant_id, titles, prices, hs_code, origin_region_code,
                         weight_grams, hazardous, on_sale, status, product_version, product_update_time)
SELECT k.tenant_id, k.sku, k.product_id, k.merchant_id, k.titles::jsonb, k.prices::jsonb, k.hs_code,
       k.origin_region_code, k.weight_grams, k.hazardous, k.on_sale, k.status, k.product_version,
       k.product_update_time
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[],
            $9::integer[], $10::boolean[], $11::boolean[], $12::text[], $13::bigint[], $14::timestamptz[])
     AS k (tenant_id, sku, product_id, merchant_id, titles, prices, hs_code, origin_region_code, weight_grams,
           hazardous, on_sale, status, product_version, product_update_time)
ORDER BY k.tenant_id, k.sku
ON CONFLICT (tenant_id, sku) DO UPDATE SET
    product_id = excluded.product_id, merchant_id = excluded.merchant_id, titles = excluded.titles,
    prices = excluded.prices, hs_code = excluded.hs_code, origin_region_code = excluded.origin_region_code,
    weight_grams = excluded.weight_grams, hazardous = excluded.hazardous, on_sale = excluded.on_sale,
    status = excluded.status, product_version = excluded.product_version,
    product_update_time = excluded.product_update_time
WHERE o.product_id = excluded.product_id OR o.product_update_time <= excluded.product_update_time;

-- name: insert_keys
-- Takes the request ids that are new, together with their answers; returns the positions of those taken. One
-- that another transaction is about to take is waited for.
WITH asked AS (
    SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::bytea[], $5::bytea[], $6::uuid[])
        WITH ORDINALITY AS k (tenant_id, route, request_id, digest, response, order_id, position)
), taken AS (
    INSERT INTO request_key (tenant_id, route, request_id, digest, response, order_id)
    SELECT tenant_id, route, request_id, digest, response, order_id FROM asked ORDER BY position
    ON CONFLICT (tenant_id, route, request_id) DO NOTHING
    RETURNING tenant_id, route, request_id
)
SELECT asked.position FROM taken JOIN asked USING (tenant_id, route, request_id);

-- name: select_keys
-- What is stored under request ids of one route.
SELECT r.tenant_id, r.request_id, r.digest, r.response, r.order_id
FROM unnest($2::text[], $3::text[]) AS k (tenant_id, request_id)
JOIN request_key AS r ON r.tenant_id = k.tenant_id AND r.route = $1 AND r.request_id = k.request_id;

-- name: place_orders
-- Stores placements, each with all that belongs to it: the request ids that are new ($1 to $6) and, for those of them
-- that became orders and were no refusals, order ($8 to $20), first line of history, lines ($21 to $32; a line names its
-- order by its place in $8, from 1) and event ($33 to $42). $7 is the time of all. Returns the positions of the request
-- ids that were new; one that another transaction is about to take is waited for. One statement, so that the whole
-- batch is one round trip.
WITH asked AS (
    SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::bytea[], $5::bytea[], $6::uuid[])
        WITH ORDINALITY AS k (tenant_id, route, request_id, digest, response, order_id, position)
), taken AS (
    INSERT INTO request_key (tenant_id, route, request_id, digest, response, order_id)
    SELECT tenant_id, route, request_id, digest, response, order_id FROM asked ORDER BY position
    ON CONFLICT (tenant_id, route, request_id) DO NOTHING
    RETURNING tenant_id, route, request_id, order_id
), placed AS (
    INSERT INTO orders (order_id, tenant_id, merchant_id, buyer_ref, state, version, currency_code, total_minor,
                        line_count, ship_to, region_code, payment_terms, payment_expire_time, language_code,
                        traceparent, create_time, update_time)
    SELECT k.order_id, k.tenant_id, k.merchant_id, k.buyer_ref, 'PENDING', 1, k.currency_code, k.total_minor,
           k.line_count, k.ship_to::jsonb, k.region_code, k.payment_terms, k.payment_expire_time, k.language_code,
           k.traceparent, $7, $7
    FROM unnest($8::uuid[], $9::text[], $10::text[], $11::text[], $12::text[], $13::bigint[], $14::integer[],
                $15::text[], $16::text[], $17::text[], $18::timestamptz[], $19::text[], $20::text[])
         AS k (order_id, tenant_id, merchant_id, buyer_ref, currency_code, total_minor, line_count, ship_to,
               region_code, payment_terms, payment_expire_time, language_code, traceparent)
    JOIN taken USING (order_id)
), told AS (
    INSERT INTO order_transitions (order_id, version, from_state, to_state, cause, detail, time)
    SELECT order_id, 1, NULL, 'PENDING', 'PlaceOrder', '', $7::timestamptz FROM taken WHERE order_id IS NOT NULL
), lined AS (
    INSERT INTO order_lines (order_id, line_number, sku, product_id, title, quantity, unit_price_minor,
                             amount_minor, hs_code, origin_region_code, weight_grams, hazardous)
    SELECT taken.order_id, k.line_number, k.sku, k.product_id, k.title, k.quantity, k.unit_price_minor,
           k.amount_minor, k.hs_code, k.origin_region_code, k.weight_grams, k.hazardous
    FROM unnest($21::integer[], $22::integer[], $23::text[], $24::text[], $25::text[], $26::integer[], $27::bigint[],
                $28::bigint[], $29::text[], $30::text[], $31::integer[], $32::boolean[])
         AS k (order_place, line_number, sku, product_id, title, quantity, unit_price_minor, amount_minor, hs_code,
               origin_region_code, weight_grams, hazardous)
    JOIN taken ON taken.order_id = ($8::uuid[])[k.order_place]
), sent AS (
    INSERT INTO outbox (bucket, topic, key, aggregate_id, version, type, payload, traceparent, event_id, event_time)
    SELECT k.bucket, k.topic, k.key, k.aggregate_id, k.version, k.type, k.payload, k.traceparent, k.event_id,
           k.event_time
    FROM unnest($33::smallint[], $34::text[], $35::text[], $36::text[], $37::bigint[], $38::text[], $39::bytea[],
                $40::text[], $41::uuid[], $42::timestamptz[])
         AS k (bucket, topic, key, aggregate_id, version, type, payload, traceparent, event_id, event_time)
    JOIN taken ON taken.order_id = k.aggregate_id::uuid
)
SELECT asked.position FROM taken JOIN asked USING (tenant_id, route, request_id);

-- name: lock_orders
-- The changing part of the orders, locked in the order of their ids; any tenant's.
SELECT order_id, tenant_id, merchant_id, state, version, currency_code, total_minor, payment_terms,
       payment_expire_time, payment_state, payment_id, reason, sourcing, traceparent, region_code
FROM orders WHERE order_id = ANY ($1::uuid[]) ORDER BY order_id FOR UPDATE;

-- name: lock_order
-- The changing part of one order of a tenant, locked, and the database's time.
SELECT order_id, tenant_id, merchant_id, state, version, currency_code, total_minor, payment_terms,
       payment_expire_time, payment_state, payment_id, reason, sourcing, traceparent, region_code, now() AS db_time
FROM orders WHERE tenant_id = $1 AND order_id = $2 FOR UPDATE;

-- name: update_orders
-- Writes decided changes, each only over the version that was decided upon.
UPDATE orders AS o SET
    version = k.version, state = k.state, payment_state = k.payment_state, payment_id = k.payment_id,
    reason = k.reason, sourcing = k.sourcing, update_time = now()
FROM unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::text[], $5::text[], $6::uuid[], $7::text[], $8::text[])
     AS k (order_id, version_before, version, state, payment_state, payment_id, reason, sourcing)
WHERE o.order_id = k.order_id AND o.version = k.version_before;

-- name: insert_transitions
-- Appends to the history.
INSERT INTO order_transitions (order_id, version, from_state, to_state, cause, detail)
SELECT * FROM unnest($1::uuid[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[]);

-- name: select_parcels
-- The parcels of some orders, in the order of their ids.
SELECT order_id, parcel_id, warehouse_id, state, carrier, tracking_number
FROM order_parcels WHERE order_id = ANY ($1::uuid[]) ORDER BY order_id, parcel_id;

-- name: upsert_parcels
-- Adds parcels or takes over where they stand.
INSERT INTO order_parcels AS p (order_id, parcel_id, warehouse_id, state, carrier, tracking_number)
SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[])
ON CONFLICT (order_id, parcel_id) DO UPDATE SET
    state = excluded.state, carrier = excluded.carrier, tracking_number = excluded.tracking_number;

-- name: insert_payments
-- Adds payments; `payments_one_live_per_order` refuses a second live one.
INSERT INTO payments (payment_id, order_id, tenant_id, provider, state, amount_minor, currency_code, decline_code)
SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::text[],
                     $8::text[]);

-- name: update_payments
-- Writes decided changes, each only over the state that was decided upon.
UPDATE payments AS p SET state = k.to_state, decline_code = k.decline_code, update_time = now()
FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[]) AS k (payment_id, from_state, to_state, decline_code)
WHERE p.payment_id = k.payment_id AND p.state = k.from_state;

-- name: select_payment
-- One payment by id.
SELECT payment_id, order_id, tenant_id, provider, state, amount_minor, currency_code, decline_code
FROM payments WHERE payment_id = $1;

-- name: insert_notification
-- Notes a provider's notification; no row where it was seen before.
INSERT INTO payment_notifications (notification_id, payment_id, outcome) VALUES ($1, $2, $3)
ON CONFLICT (notification_id) DO NOTHING RETURNING notification_id;

-- name: select_notification
-- What a notification was noted with.
SELECT payment_id, outcome FROM payment_notifications WHERE notification_id = $1;

-- name: delete_notifications
-- Forgets at most $2 notifications that are older than $1 seconds, of payments that are through: from these
-- states no repeated answer moves a payment.
WITH old AS (
    SELECT n.notification_id FROM payment_notifications AS n JOIN payments AS p ON p.payment_id = n.payment_id
    WHERE n.receive_time < now() - make_interval(secs => $1)
      AND p.state IN ('CAPTURED', 'DECLINED', 'REFUNDED')
    ORDER BY n.receive_time LIMIT $2 FOR UPDATE OF n SKIP LOCKED
)
DELETE FROM payment_notifications AS n USING old WHERE n.notification_id = old.notification_id;

-- name: insert_timers
-- Sets timers, at a time or at a delay from now. One of the same kind and subject is set anew.
INSERT INTO timers (kind, subject_id, order_id, due_time)
SELECT k.kind, k.subject_id, k.order_id, coalesce(k.due_time, now() + make_interval(secs => k.delay_s))
FROM unnest($1::text[], $2::uuid[], $3::uuid[], $4::timestamptz[], $5::float8[])
     AS k (kind, subject_id, order_id, due_time, delay_s)
ON CONFLICT (kind, subject_id) DO UPDATE SET due_time = excluded.due_time, attempts = 0;

-- name: delete_timers
-- Removes timers of one kind.
DELETE FROM timers WHERE kind = $1 AND subject_id = ANY ($2::uuid[]);

-- name: lock_due_deadlines
-- Payment deadlines that have passed, oldest first, with their orders locked; those that others hold are left
-- to them, so this never waits.
SELECT t.subject_id FROM timers AS t JOIN orders AS o ON o.order_id = t.order_id
WHERE t.kind = 'PAYMENT_DEADLINE' AND t.due_time <= now()
ORDER BY t.due_time LIMIT $1
FOR UPDATE OF t, o SKIP LOCKED;

-- name: claim_due_timers
-- Timers of a kind that are due, each given to one worker until `$3` seconds from now; if it dies they fall due
-- again.
WITH due AS (
    SELECT kind, subject_id FROM timers WHERE kind = $1 AND due_time <= now()
    ORDER BY due_time LIMIT $2 FOR UPDATE SKIP LOCKED
)
UPDATE timers AS t SET due_time = now() + make_interval(secs => $3), attempts = t.attempts + 1
FROM due WHERE t.kind = due.kind AND t.subject_id = due.subject_id
RETURNING t.subject_id, t.order_id, t.attempts;

-- name: defer_timer
-- Sets a claimed timer `$3` seconds from now.
UPDATE timers SET due_time = now() + make_interval(secs => $3) WHERE kind = $1 AND subject_id = $2;

-- name: select_overdue_timers
-- How many timers of each kind were due more than $1 seconds ago.
SELECT kind, count(*) AS count FROM timers WHERE due_time <= now() - make_interval(secs => $1) GROUP BY kind;

-- name: select_oldest_waiting
-- The age in seconds of the oldest order of each state that is not final, by the time of its placement.
-- One look into an index per state of $1, however many orders wait; states in which none does are left out.
SELECT asked.state, extract(epoch FROM now() - oldest.create_time)::float8 AS age_s
FROM unnest($1::text[]) AS asked (state)
CROSS JOIN LATERAL (
    SELECT o.create_time FROM orders AS o
    WHERE o.state = asked.state AND o.state NOT IN ('DELIVERED', 'CANCELLED', 'EXPIRED', 'REJECTED')
    ORDER BY o.create_time LIMIT 1
) AS oldest;

-- name: count_open
-- How many orders are in each state of $1, none of which is final, each counted up to $2.
SELECT asked.state, found.orders
FROM unnest($1::text[]) AS asked (state)
CROSS JOIN LATERAL (
    SELECT count(*) AS orders FROM (
        SELECT FROM orders AS o
        WHERE o.state = asked.state AND o.state NOT IN ('DELIVERED', 'CANCELLED', 'EXPIRED', 'REJECTED') LIMIT $2
    ) AS first_ones
) AS found;

-- name: select_undecided_age
-- The age in seconds of the oldest undecided order that was not asked for again, after the $1 oldest such; no row
-- where there are not so many. Nothing but that question changes the version of an undecided order.
SELECT extract(epoch FROM clock_timestamp() - o.create_time)::float8 AS age_s
FROM orders AS o
WHERE o.state = 'PENDING' AND o.state NOT IN ('DELIVERED', 'CANCELLED', 'EXPIRED', 'REJECTED') AND o.version = 1
ORDER BY o.create_time OFFSET $1 LIMIT 1;

-- name: select_order
-- One order of a tenant, complete but for its lines and parcels.
SELECT o.order_id, o.tenant_id, o.merchant_id, o.state, o.version, o.currency_code, o.total_minor,
       o.payment_terms, o.payment_expire_time, o.payment_state, o.payment_id, o.reason, o.sourcing, o.traceparent,
       o.region_code, o.buyer_ref, o.ship_to::text AS ship_to, o.create_time, o.update_time
FROM orders AS o WHERE o.tenant_id = $1 AND o.order_id = $2;

-- name: select_some
-- Some orders of any tenants, complete but for their lines and parcels; $1 and $2 are tenants and ids.
SELECT o.order_id, o.tenant_id, o.merchant_id, o.state, o.version, o.currency_code, o.total_minor,
       o.payment_terms, o.payment_expire_time, o.payment_state, o.payment_id, o.reason, o.sourcing, o.traceparent,
       o.region_code, o.buyer_ref, o.ship_to::text AS ship_to, o.create_time, o.update_time
FROM unnest($1::text[], $2::uuid[]) AS k (tenant_id, order_id)
JOIN orders AS o ON o.order_id = k.order_id AND o.tenant_id = k.tenant_id;

-- name: select_page
-- A page of a tenant's orders in the states of $7, newest first: created from $2 and before $3, older than the row
-- ($4, $5). The index by state gives the newest of each; the newest of these are the page.
SELECT o.order_id, o.tenant_id, o.merchant_id, o.state, o.version, o.currency_code, o.total_minor,
       o.payment_terms, o.payment_expire_time, o.payment_state, o.payment_id, o.reason, o.sourcing, o.traceparent,
       o.region_code, o.buyer_ref, o.ship_to::text AS ship_to, o.create_time, o.update_time, o.line_count
FROM (
    SELECT newest.order_id
    FROM unnest($7::text[]) AS asked (state)
    CROSS JOIN LATERAL (
        SELECT p.create_time, p.order_id FROM orders AS p
        WHERE p.tenant_id = $1 AND p.state = asked.state
          AND p.create_time >= $2 AND p.create_time < $3 AND (p.create_time, p.order_id) < ($4, $5)
        ORDER BY p.create_time DESC, p.order_id DESC LIMIT $6
    ) AS newest
    ORDER BY newest.create_time DESC, newest.order_id DESC LIMIT $6
) AS page JOIN orders AS o USING (order_id)
ORDER BY o.create_time DESC, o.order_id DESC;

-- name: select_page_of_merchant
-- The same for one merchant, $8, and for one buyer of it where $9 is not empty. It reads the merchant's own orders only,
-- and without a buyer no more of them than a page for each state.
SELECT o.order_id, o.tenant_id, o.merchant_id, o.state, o.version, o.currency_code, o.total_minor,
       o.payment_terms, o.payment_expire_time, o.payment_state, o.payment_id, o.reason, o.sourcing, o.traceparent,
       o.region_code, o.buyer_ref, o.ship_to::text AS ship_to, o.create_time, o.update_time, o.line_count
FROM (
    SELECT newest.order_id
    FROM unnest($7::text[]) AS asked (state)
    CROSS JOIN LATERAL (
        SELECT p.create_time, p.order_id FROM orders AS p
        WHERE p.tenant_id = $1 AND p.merchant_id = $8 AND p.state = asked.state AND ($9 = '' OR p.buyer_ref = $9)
          AND p.create_time >= $2 AND p.create_time < $3 AND (p.create_time, p.order_id) < ($4, $5)
        ORDER BY p.create_time DESC, p.order_id DESC LIMIT $6
    ) AS newest
    ORDER BY newest.create_time DESC, newest.order_id DESC LIMIT $6
) AS page JOIN orders AS o USING (order_id)
ORDER BY o.create_time DESC, o.order_id DESC;

-- name: select_page_of_buyer
-- The same for one buyer, in one state where $8 is not NULL.
SELECT o.order_id, o.tenant_id, o.merchant_id, o.state, o.version, o.currency_code, o.total_minor,
       o.payment_terms, o.payment_expire_time, o.payment_state, o.payment_id, o.reason, o.sourcing, o.traceparent,
       o.region_code, o.buyer_ref, o.ship_to::text AS ship_to, o.create_time, o.update_time, o.line_count
FROM orders AS o
WHERE o.tenant_id = $1 AND o.create_time >= $2 AND o.create_time < $3 AND (o.create_time, o.order_id) < ($4, $5)
  AND o.buyer_ref = $7 AND ($8::text IS NULL OR o.state = $8)
ORDER BY o.create_time DESC, o.order_id DESC LIMIT $6;

-- name: select_lines
-- The lines of some orders, in their order.
SELECT order_id, line_number, sku, product_id, title, quantity, unit_price_minor, amount_minor, hs_code,
       origin_region_code, weight_grams, hazardous
FROM order_lines WHERE order_id = ANY ($1::uuid[]) ORDER BY order_id, line_number;

-- name: select_history
-- The history of one order of a tenant, oldest first.
SELECT t.version, t.from_state, t.to_state, t.cause, t.detail, t.time
FROM order_transitions AS t JOIN orders AS o ON o.order_id = t.order_id
WHERE o.tenant_id = $1 AND o.order_id = $2 ORDER BY t.version;

-- name: walk_waiting
-- The next $4 orders in state $1 that were placed after ($2, $3) and more than $5 seconds ago; of them, those that
-- wait for the warehouse: how many, how many were asked for $7 times or more, and the first $8 that are due to be
-- asked for, with their versions. An order is due $5 seconds after it came to wait, then each time after twice as long,
-- at most $6 seconds. A confirmed order waits until it knows its parcels.
WITH page AS MATERIALIZED (
    SELECT o.order_id, o.create_time, o.version FROM orders AS o
    WHERE o.state = $1 AND o.state NOT IN ('DELIVERED', 'CANCELLED', 'EXPIRED', 'REJECTED')
      AND o.create_time < now() - make_interval(secs => $5)
      AND (o.create_time, o.order_id) > ($2, $3)
    ORDER BY o.create_time, o.order_id LIMIT $4
), waiting AS MATERIALIZED (
    SELECT p.order_id, p.create_time, p.version, asked.times, asked.last_time
    FROM page AS p
    CROSS JOIN LATERAL (
        SELECT max(t.time) FILTER (WHERE t.from_state IS DISTINCT FROM t.to_state) AS since,
               max(t.time) FILTER (WHERE t.from_state IS DISTINCT FROM t.to_state OR t.cause = 'OrderStalled')
                   AS last_time,
               count(*) FILTER (WHERE t.cause = 'OrderStalled' AND t.to_state = $1) AS times
        FROM order_transitions AS t WHERE t.order_id = p.order_id
    ) AS asked
    WHERE asked.since < now() - make_interval(secs => $5)
      AND ($1 <> 'CONFIRMED' OR NOT EXISTS (SELECT 1 FROM order_parcels AS q WHERE q.order_id = p.order_id))
), due AS (
    SELECT order_id, version FROM waiting
    WHERE last_time < now() - make_interval(secs => least($6, $5 * power(2, least(times, 30))))
    ORDER BY create_time, order_id LIMIT $8
)
SELECT (SELECT count(*) FROM page) AS seen, last.create_time, last.order_id,
       (SELECT count(*) FROM waiting) AS stuck, (SELECT count(*) FROM waiting WHERE times >= $7) AS unanswered,
       (SELECT array_agg(order_id) FROM due) AS due_ids, (SELECT array_agg(version) FROM due) AS due_versions
FROM (SELECT 1) AS one
LEFT JOIN LATERAL (
    SELECT create_time, order_id FROM page ORDER BY create_time DESC, order_id DESC LIMIT 1
) AS last ON true;

-- name: list_waiting
-- The orders in state $1 that wait for the warehouse for more than $2 seconds, by the rules of walk_waiting: the oldest
-- $3, each with the moment since when, and how often the warehouse was asked again.
SELECT o.order_id, o.tenant_id, o.state, asked.since,
       extract(epoch FROM now() - asked.since)::float8 AS waiting_s, asked.times
FROM orders AS o
CROSS JOIN LATERAL (
    SELECT max(t.time) FILTER (WHERE t.from_state IS DISTINCT FROM t.to_state) AS since,
           count(*) FILTER (WHERE t.cause = 'OrderStalled' AND t.to_state = $1) AS times
    FROM order_transitions AS t WHERE t.order_id = o.order_id
) AS asked
WHERE o.state = $1 AND o.state NOT IN ('DELIVERED', 'CANCELLED', 'EXPIRED', 'REJECTED')
  AND o.create_time < now() - make_interval(secs => $2)
  AND asked.since < now() - make_interval(secs => $2)
  AND ($1 <> 'CONFIRMED' OR NOT EXISTS (SELECT 1 FROM order_parcels AS q WHERE q.order_id = o.order_id))
ORDER BY o.create_time, o.order_id LIMIT $3;

-- name: select_reminders
-- What the warehouse was told of orders: where to, and until when to hold, computed as at placement: $2 seconds past
-- the payment window, or $3 seconds from placement where that was prepaid; at least $4 seconds from now.
SELECT order_id, region_code,
       greatest(coalesce(payment_expire_time + make_interval(secs => $2), create_time + make_interval(secs => $3)),
                now() + make_interval(secs => $4)) AS hold_expire_time
FROM orders WHERE order_id = ANY ($1::uuid[]);
