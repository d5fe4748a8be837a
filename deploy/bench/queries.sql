-- What the databases say of the orders of one part of the bench, and what writing them took. Nothing here writes.

-- name: orders_of_buyer
-- Orders of tenant $1's buyer $2: all, those with reserved stock, those refused.
SELECT count(*) AS orders, count(*) FILTER (WHERE state = 'AWAITING_PAYMENT') AS reserved,
       count(*) FILTER (WHERE state = 'REJECTED') AS rejected,
       coalesce(array_agg(order_id) FILTER (WHERE state = 'AWAITING_PAYMENT'), '{}') AS reserved_ids
FROM orders WHERE tenant_id = $1 AND buyer_ref = $2;

-- name: skus_of_buyer
-- The SKUs that tenant $1's buyer $2 ordered, and those of $3.
SELECT coalesce(array_agg(DISTINCT sku), '{}') FROM (
    SELECT l.sku FROM orders AS o JOIN order_lines AS l USING (order_id) WHERE o.tenant_id = $1 AND o.buyer_ref = $2
    UNION ALL SELECT unnest($3::text[])
) AS named;

-- name: units_of_orders
-- The units that the orders $1 ask for.
SELECT coalesce(sum(quantity), 0)::bigint FROM order_lines WHERE order_id = ANY ($1::uuid[]);

-- name: holds_of_orders
-- Warehouse. Pending holds of the orders $1, and the units that they keep.
SELECT count(DISTINCT f.order_id) AS holds, coalesce(sum(a.quantity), 0)::bigint AS units
FROM fulfilments AS f JOIN allocations AS a USING (order_id)
WHERE f.order_id = ANY ($1::uuid[]) AND f.hold_state = 'PENDING';

-- name: stock_of_skus
-- Warehouse. Of the stock rows of tenant $1's SKUs $2: units promised beyond those on hand, rows that differ from
-- their ledger, and rows whose reserved units differ from their pending holds.
SELECT count(*) AS rows,
       coalesce(sum(greatest(0, s.reserved - s.on_hand)), 0)::bigint AS oversold,
       count(*) FILTER (WHERE s.on_hand <> coalesce(l.units, 0)) AS ledger_faults,
       count(*) FILTER (WHERE s.reserved <> coalesce(h.units, 0)) AS reserved_faults
FROM stock AS s
LEFT JOIN (
    SELECT sku, warehouse_id, sum(delta) AS units FROM ledger
    WHERE tenant_id = $1 AND sku = ANY ($2::text[]) GROUP BY 1, 2
) AS l USING (sku, warehouse_id)
LEFT JOIN (
    SELECT a.sku, a.warehouse_id, sum(a.quantity) AS units
    FROM fulfilments AS f JOIN allocations AS a USING (order_id)
    WHERE f.hold_state = 'PENDING' AND f.tenant_id = $1 AND a.sku = ANY ($2::text[]) GROUP BY 1, 2
) AS h USING (sku, warehouse_id)
WHERE s.tenant_id = $1 AND s.sku = ANY ($2::text[]);

-- name: count_products
-- Catalog. Products of tenant $1 whose ids begin with $2.
SELECT count(*) FROM products WHERE tenant_id = $1 AND product_id >= $2 AND product_id < $2 || '~';

-- name: log_position
-- Any database. Bytes of write-ahead log that the server has written so far.
SELECT (pg_current_wal_lsn() - '0/0'::pg_lsn)::bigint;
