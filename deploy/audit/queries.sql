-- Each statement gives one row per thing examined: `offender` says what is wrong with it, `bad` whether it is.
-- The caller counts the rows and keeps the first offenders. Nothing here writes.

-- name: stock_is_the_sum_of_its_ledger
-- Warehouse. Every stock row against the ledger, and ledger rows without stock.
SELECT tenant_id || ' ' || sku || ' in ' || warehouse_id || ': on hand ' || coalesce(s.on_hand::text, 'nothing')
           || ', its ledger says ' || coalesce(l.units::text, 'nothing') AS offender,
       coalesce(s.on_hand, 0) <> coalesce(l.units, 0) AS bad
FROM stock AS s
FULL JOIN (SELECT tenant_id, sku, warehouse_id, sum(delta) AS units FROM ledger GROUP BY 1, 2, 3) AS l
    USING (tenant_id, sku, warehouse_id);

-- name: reserved_is_the_sum_of_pending_holds
-- Warehouse. Every stock row against the pending holds' allocations, and allocations without stock.
SELECT tenant_id || ' ' || sku || ' in ' || warehouse_id || ': reserved ' || coalesce(s.reserved::text, 'nothing')
           || ', pending holds keep ' || coalesce(h.units::text, 'nothing') AS offender,
       coalesce(s.reserved, 0) <> coalesce(h.units, 0) AS bad
FROM stock AS s
FULL JOIN (
    SELECT f.tenant_id, a.sku, a.warehouse_id, sum(a.quantity) AS units
    FROM fulfilments AS f JOIN allocations AS a USING (order_id)
    WHERE f.hold_state = 'PENDING' GROUP BY 1, 2, 3
) AS h USING (tenant_id, sku, warehouse_id);

-- name: reserved_is_within_on_hand
-- Warehouse. Also with the constraint dropped or not validated.
SELECT tenant_id || ' ' || sku || ' in ' || warehouse_id || ': ' || reserved || ' reserved of ' || on_hand AS offender,
       reserved < 0 OR reserved > on_hand AS bad
FROM stock;

-- name: posted_is_within_received
-- Warehouse. Per SKU: what left for orders against what came in, corrections included.
SELECT tenant_id || ' ' || sku || ': ' || left_units || ' left, ' || came_units || ' came' AS offender,
       left_units > came_units AS bad
FROM (
    SELECT tenant_id, sku,
           -coalesce(sum(delta) FILTER (WHERE reason IN ('PICK', 'CANCEL_RESTOCK')), 0) AS left_units,
           coalesce(sum(delta) FILTER (WHERE reason NOT IN ('PICK', 'CANCEL_RESTOCK')), 0) AS came_units
    FROM ledger GROUP BY 1, 2
) AS moved;

-- name: hold_has_at_most_one_end
-- Warehouse. A posted hold was picked exactly once per SKU and warehouse, and its goods are away unless its
-- parcel was intercepted; a hold that ended otherwise, or not yet, was never picked.
SELECT coalesce(h.document, p.document) || ' ' || coalesce(h.sku, p.sku) || ' in '
           || coalesce(h.warehouse_id, p.warehouse_id) || ': hold ' || coalesce(h.hold_state, 'not posted')
           || ' of ' || coalesce(h.away, 0) || ', picked ' || coalesce(p.picks, 0) || ' times, away '
           || coalesce(p.away, 0) AS offender,
       coalesce(h.away, 0) <> coalesce(p.away, 0) OR coalesce(h.picks, 0) <> coalesce(p.picks, 0) AS bad
FROM (
    SELECT f.order_id::text AS document, a.sku, a.warehouse_id, f.hold_state, 1 AS picks,
           CASE WHEN q.state = 'CANCELLED' THEN 0 ELSE a.quantity END AS away
    FROM fulfilments AS f JOIN allocations AS a USING (order_id)
    LEFT JOIN parcels AS q ON q.order_id = a.order_id AND q.warehouse_id = a.warehouse_id
    WHERE f.hold_state = 'POSTED'
) AS h
FULL JOIN (
    SELECT document, sku, warehouse_id, count(*) FILTER (WHERE reason = 'PICK') AS picks, -sum(delta) AS away
    FROM ledger WHERE reason IN ('PICK', 'CANCEL_RESTOCK') GROUP BY 1, 2, 3
) AS p ON p.document = h.document AND p.sku = h.sku AND p.warehouse_id = h.warehouse_id;

-- name: parcels_are_the_posted_allocations
-- Warehouse. A posted hold has one parcel per warehouse that it takes from; any other hold has none.
SELECT coalesce(a.order_id, p.order_id) || ' in ' || coalesce(a.warehouse_id, p.warehouse_id) || ': '
           || CASE WHEN p.order_id IS NULL THEN 'posted without a parcel' ELSE 'a parcel without a posted hold' END
           AS offender,
       a.order_id IS NULL OR p.order_id IS NULL AS bad
FROM (
    SELECT DISTINCT f.order_id, a.warehouse_id FROM fulfilments AS f JOIN allocations AS a USING (order_id)
    WHERE f.hold_state = 'POSTED'
) AS a
FULL JOIN parcels AS p ON p.order_id = a.order_id AND p.warehouse_id = a.warehouse_id;

-- name: pending_holds_are_not_overdue
-- Warehouse. No hold stays pending more than $1 seconds past its deadline.
SELECT order_id || ': pending, its deadline was ' || expire_time AS offender,
       expire_time < clock_timestamp() - make_interval(secs => $1::float8) AS bad
FROM fulfilments WHERE hold_state = 'PENDING';

-- name: order_equals_its_lines
-- Orders. Total and number of lines against the lines, which are numbered from 1 without gaps.
SELECT o.order_id || ': total ' || o.total_minor || ' of ' || o.line_count || ' lines, the lines say '
           || coalesce(l.total, 0) || ' of ' || coalesce(l.lines, 0) AS offender,
       l.lines IS DISTINCT FROM o.line_count OR l.total IS DISTINCT FROM o.total_minor
           OR l.last <> o.line_count AS bad
FROM orders AS o
LEFT JOIN (
    SELECT order_id, count(*) AS lines, sum(amount_minor) AS total, max(line_number) AS last
    FROM order_lines GROUP BY 1
) AS l USING (order_id);

-- name: history_is_gapless
-- Orders. One transition per version from 1 to the order's, each beginning where the one before ended, the last
-- ending in the order's state.
SELECT o.order_id || ': version ' || o.version || ' ' || o.state || ', history of ' || coalesce(t.steps, 0)
           || ' steps to ' || coalesce(t.last || ' ' || t.state, 'nothing')
           || CASE WHEN t.broken THEN ', broken in between' ELSE '' END AS offender,
       t.steps IS DISTINCT FROM o.version OR t.last <> o.version OR t.state <> o.state OR t.broken AS bad
FROM orders AS o
LEFT JOIN (
    SELECT order_id, count(*) AS steps, max(version) AS last,
           (array_agg(to_state ORDER BY version DESC))[1] AS state,
           bool_or(from_state IS DISTINCT FROM before) AS broken
    FROM (
        SELECT order_id, version, from_state, to_state,
               lag(to_state) OVER (PARTITION BY order_id ORDER BY version) AS before
        FROM order_transitions
    ) AS steps
    GROUP BY 1
) AS t USING (order_id);

-- name: one_order_per_key
-- Orders. No order was made under two keys, and no key names an order that is not there.
SELECT k.tenant_id || ' ' || k.request_id || ': '
           || CASE WHEN o.order_id IS NULL THEN 'names order ' || k.order_id || ', which does not exist'
                   ELSE 'one of ' || k.keys || ' keys of order ' || k.order_id END AS offender,
       o.order_id IS NULL OR o.tenant_id <> k.tenant_id OR k.keys > 1 AS bad
FROM (
    SELECT tenant_id, request_id, order_id, count(*) OVER (PARTITION BY order_id) AS keys
    FROM request_key WHERE route = 'place' AND order_id IS NOT NULL
) AS k
LEFT JOIN orders AS o ON o.order_id = k.order_id;

-- name: no_order_is_stuck
-- Orders. None waits for the warehouse for more than $1 seconds: for its decision, its parcels or its answer. It
-- waits since it came into its state; that it asked again is no progress.
SELECT o.order_id || ': ' || o.state || ' since ' || t.since || ', asked again ' || t.asked || ' times' AS offender,
       t.since < clock_timestamp() - make_interval(secs => $1::float8) AS bad
FROM orders AS o
CROSS JOIN LATERAL (
    SELECT max(time) FILTER (WHERE from_state IS DISTINCT FROM to_state) AS since,
           count(*) FILTER (WHERE cause = 'OrderStalled') AS asked
    FROM order_transitions WHERE order_id = o.order_id
) AS t
WHERE o.state IN ('PENDING', 'CANCELLING')
   OR (o.state = 'CONFIRMED' AND NOT EXISTS (SELECT 1 FROM order_parcels AS p WHERE p.order_id = o.order_id));

-- name: waiting_orders_have_a_timer
-- Orders. An order that awaits payment has a timer at its deadline, which lies less than $1 seconds back.
SELECT o.order_id || ': awaits payment until ' || o.payment_expire_time || ', '
           || coalesce('timer at ' || t.due_time, 'no timer') AS offender,
       t.due_time IS NULL OR o.payment_expire_time < clock_timestamp() - make_interval(secs => $1::float8) AS bad
FROM orders AS o
LEFT JOIN timers AS t ON t.kind = 'PAYMENT_DEADLINE' AND t.subject_id = o.order_id
WHERE o.state = 'AWAITING_PAYMENT';

-- name: timers_run
-- Orders. No timer is more than $1 seconds late, and each belongs to an order.
SELECT t.kind || ' of ' || t.subject_id || ': due ' || t.due_time || ', ' || t.attempts || ' attempts'
           || CASE WHEN o.order_id IS NULL THEN ', of no order' ELSE '' END AS offender,
       o.order_id IS NULL OR t.due_time < clock_timestamp() - make_interval(secs => $1::float8) AS bad
FROM timers AS t LEFT JOIN orders AS o USING (order_id);

-- name: payments_match_their_orders
-- Orders. The order names its payment, says the payment's state, and the amounts agree.
SELECT o.order_id || ': says ' || o.payment_state || ', payment ' || coalesce(p.payment_id::text, 'none') || ' is '
           || coalesce(p.state || ' over ' || p.amount_minor || ' ' || p.currency_code, 'missing') AS offender,
       p.payment_id IS NULL OR p.order_id <> o.order_id OR p.tenant_id <> o.tenant_id OR p.state <> o.payment_state
           OR p.amount_minor <> o.total_minor OR p.currency_code <> o.currency_code AS bad
FROM orders AS o LEFT JOIN payments AS p ON p.payment_id = o.payment_id
WHERE o.payment_id IS NOT NULL;

-- name: money_is_held_only_for_confirmed_orders
-- Orders. A confirmed order has authorised or captured money; any other has none, or its refund is open or done.
-- Money that could never be collected is known as such, and only where the order could not be held back by then.
SELECT o.order_id || ': ' || o.state || ' with ' || coalesce(p.live, 'no') || ' money' AS offender,
       CASE WHEN o.state IN ('FULFILLING', 'SHIPPED', 'DELIVERED', 'CANCELLING') THEN p.live IS NULL AND NOT p.failed
            WHEN o.state = 'CONFIRMED' THEN p.live IS NULL
            ELSE p.live IS NOT NULL END AS bad
FROM orders AS o
CROSS JOIN LATERAL (
    SELECT string_agg(state, '+') FILTER (WHERE state IN ('AUTHORISED', 'CAPTURED')) AS live,
           coalesce(bool_or(state = 'CAPTURE_FAILED'), false) AS failed
    FROM payments WHERE order_id = o.order_id
) AS p;

-- name: payments_match_the_provider
-- Orders, and the books of the sandbox provider: what we believe of a payment is what the provider says. What is under
-- way on either side (asked for, to be captured, to be given back) may be ahead there, never the other way round.
SELECT coalesce(p.payment_id, b.payment_id) || ': ' || coalesce(p.state || ' over ' || p.amount_minor, 'unknown')
           || ', the provider says ' || coalesce(b.state || ' over ' || b.amount_minor, 'nothing') AS offender,
       coalesce(NOT CASE p.state
           WHEN 'PENDING' THEN true
           WHEN 'AUTHORISED' THEN b.state IN ('AUTHORISED', 'CAPTURED', 'CAPTURE_DECLINED', 'REFUNDED')
           WHEN 'CAPTURED' THEN b.state = 'CAPTURED'
           WHEN 'CAPTURE_FAILED' THEN b.state IN ('CAPTURE_DECLINED', 'REFUNDED')
           WHEN 'DECLINED' THEN coalesce(b.state, 'DECLINED') IN ('DECLINED', 'REFUNDED')
           WHEN 'REFUND_PENDING' THEN b.state IN ('AUTHORISED', 'CAPTURED', 'CAPTURE_DECLINED', 'REFUNDED')
           WHEN 'REFUNDED' THEN b.state = 'REFUNDED'
       END, true) OR (b.card <> '' AND b.amount_minor <> p.amount_minor) AS bad
FROM (SELECT * FROM payments WHERE provider = 'sandbox') AS p
FULL JOIN sandbox_payment AS b ON b.payment_id = p.payment_id;

-- name: open_payments_have_a_timer
-- Orders. Whatever the provider still has to do for a payment is somebody's next step.
SELECT p.payment_id || ' of order ' || p.order_id || ': ' || p.state || ' without a timer' AS offender,
       t.kind IS NULL AS bad
FROM payments AS p
LEFT JOIN timers AS t ON t.subject_id = p.payment_id
    AND t.kind = CASE p.state WHEN 'AUTHORISED' THEN 'CAPTURE' WHEN 'REFUND_PENDING' THEN 'REFUND'
                 ELSE 'PAYMENT_CHECK' END
WHERE p.state IN ('PENDING', 'AUTHORISED', 'REFUND_PENDING');

-- name: outbox_is_empty
-- Any service. A row present is an event that Kafka has not acknowledged.
SELECT topic || ' ' || aggregate_id || ' version ' || version || ' since ' || event_time AS offender, true AS bad
FROM outbox;

-- name: nothing_is_parked
-- Any service. Events that could not be applied and that nobody has dealt with.
SELECT grp || ' ' || topic || ' ' || aggregate_id || ' version ' || coalesce(version::text, '?') || ': ' || cause
           || ' ' || detail AS offender, true AS bad
FROM parked_event WHERE state = 'PARKED';

-- name: parked_and_applied
-- Any service. A parked event waits for a person: it, and what comes after it, must have had no effect.
SELECT e.grp || ' ' || e.topic || ' ' || e.aggregate_id || ' version ' || e.version || ' is parked, applied is '
           || a.version AS offender, coalesce(a.version >= e.version, false) AS bad
FROM parked_event AS e
LEFT JOIN consumer_applied AS a ON a.grp = e.grp AND a.topic = e.topic AND a.aggregate_id = e.aggregate_id
WHERE e.state = 'PARKED';

-- name: stream_orders
-- Orders, sorted by id: what each expects of the warehouse. Lines of one SKU add up.
SELECT o.order_id, o.tenant_id, o.state, l.lines, p.parcels
FROM orders AS o
LEFT JOIN LATERAL (
    SELECT md5(string_agg(sku || E'\n' || units, E'\n' ORDER BY sku)) AS lines
    FROM (SELECT sku, sum(quantity) AS units FROM order_lines WHERE order_id = o.order_id GROUP BY sku) AS s
) AS l ON true
LEFT JOIN LATERAL (
    SELECT string_agg(parcel_id || ' ' || warehouse_id || ' ' || state, ', ' ORDER BY parcel_id) AS parcels
    FROM order_parcels WHERE order_id = o.order_id
) AS p ON true
ORDER BY o.order_id;

-- name: stream_fulfilments
-- Warehouse, sorted by order id: what it did for each order.
SELECT f.order_id, f.tenant_id, f.hold_state, f.rejection, a.lines, p.parcels, coalesce(p.all_cancelled, false) AS all_cancelled
FROM fulfilments AS f
LEFT JOIN LATERAL (
    SELECT md5(string_agg(sku || E'\n' || units, E'\n' ORDER BY sku)) AS lines
    FROM (SELECT sku, sum(quantity) AS units FROM allocations WHERE order_id = f.order_id GROUP BY sku) AS s
) AS a ON true
LEFT JOIN LATERAL (
    SELECT string_agg(parcel_id || ' ' || warehouse_id || ' ' || state, ', ' ORDER BY parcel_id) AS parcels,
           bool_and(state = 'CANCELLED') AS all_cancelled
    FROM parcels WHERE order_id = f.order_id
) AS p ON true
ORDER BY f.order_id;

-- name: order_versions
-- Orders. The newest versions that Kafka should have: the order's, less what still waits in the outbox. And the
-- order's own, beyond which Kafka can have none.
SELECT o.order_id::text AS aggregate_id,
       o.version - (SELECT count(*) FROM outbox WHERE aggregate_id = o.order_id::text AND topic = $2) AS version,
       o.version AS stored
FROM orders AS o WHERE o.order_id = ANY ($1::text[]::uuid[]);

-- name: fulfilment_versions
-- Warehouse. The same for fulfilments.
SELECT f.order_id::text AS aggregate_id,
       f.version - (SELECT count(*) FROM outbox WHERE aggregate_id = f.order_id::text AND topic = $2) AS version,
       f.version AS stored
FROM fulfilments AS f WHERE f.order_id = ANY ($1::text[]::uuid[]);

-- name: count_orders_sent
-- Orders whose first event has left the outbox.
SELECT count(*) FROM orders AS o
WHERE NOT EXISTS (SELECT 1 FROM outbox WHERE aggregate_id = o.order_id::text AND topic = $1 AND version = 1);

-- name: count_fulfilments_sent
-- Fulfilments whose first event has left the outbox.
SELECT count(*) FROM fulfilments AS f
WHERE NOT EXISTS (SELECT 1 FROM outbox WHERE aggregate_id = f.order_id::text AND topic = $1 AND version = 1);

-- name: effects_of_events
-- Any service. Of the aggregates $3 of topic $2: the version applied by group $1, the first one parked, and how many
-- versions in between somebody has discarded.
SELECT k.aggregate_id, coalesce(a.version, 0) AS applied, p.version AS parked, (
    SELECT count(DISTINCT version) FROM parked_event AS e
    WHERE e.grp = $1 AND e.topic = $2 AND e.aggregate_id = k.aggregate_id AND e.state = 'DISCARDED'
      AND e.version > coalesce(a.version, 0) AND e.version < p.version
) AS discarded
FROM unnest($3::text[]) AS k (aggregate_id)
LEFT JOIN consumer_applied AS a ON a.grp = $1 AND a.topic = $2 AND a.aggregate_id = k.aggregate_id
LEFT JOIN LATERAL (
    SELECT min(version) AS version FROM parked_event AS e
    WHERE e.grp = $1 AND e.topic = $2 AND e.aggregate_id = k.aggregate_id AND e.state = 'PARKED'
) AS p ON true;

-- name: positions
-- Any service. Where its consumer groups stand.
SELECT grp, topic, part, next FROM consumer_offset ORDER BY grp, topic, part;

-- name: count_outbox
-- Any service. Events not yet acknowledged by Kafka.
SELECT count(*) FROM outbox;

-- name: orders_of_keys
-- Orders placed under the keys $2 of tenant $1, with all that a client can have asked for. Lines as text.
SELECT k.request_id, k.order_id::text AS key_order_id, o.order_id::text AS order_id, o.buyer_ref, o.currency_code,
       o.total_minor, o.region_code, l.lines
FROM request_key AS k
LEFT JOIN orders AS o ON o.order_id = k.order_id AND o.tenant_id = k.tenant_id
LEFT JOIN LATERAL (
    SELECT string_agg(quantity || ' ' || sku, E'\n' ORDER BY line_number) AS lines
    FROM order_lines WHERE order_id = o.order_id
) AS l ON true
WHERE k.tenant_id = $1 AND k.route = 'place' AND k.request_id = ANY ($2::text[]);
