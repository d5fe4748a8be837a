-- name: lock_fulfilments
-- Locks the fulfilments of some orders, in the order of their ids.
SELECT order_id, tenant_id, merchant_id, hold_state, version, region_code, expire_time, lines, sourcing,
       rejection, shortages
FROM fulfilments
WHERE order_id = ANY ($1::uuid[])
ORDER BY order_id
FOR UPDATE;

-- name: find_fulfilment
-- Reads one fulfilment without a lock.
SELECT order_id, tenant_id, merchant_id, hold_state, version, region_code, expire_time, lines, sourcing,
       rejection, shortages
FROM fulfilments
WHERE order_id = $1 AND tenant_id = $2;

-- name: find_allocations
-- Where the units of some orders come from; read under the lock of their fulfilments.
SELECT order_id, sku, warehouse_id, quantity
FROM allocations
WHERE order_id = ANY ($1::uuid[])
ORDER BY order_id, sku, warehouse_id;

-- name: find_parcels_of_orders
-- The parcels of some orders; read under the lock of their fulfilments.
SELECT order_id, parcel_id, warehouse_id, state, carrier, tracking_number
FROM parcels
WHERE order_id = ANY ($1::uuid[])
ORDER BY order_id, warehouse_id;

-- name: lock_stock_owners
-- Locks the SKUs whose stock is about to change, in sorted order; no lock for one that never had stock.
SELECT o.tenant_id, o.sku, o.merchant_id
FROM unnest($1::text[], $2::text[]) AS k (tenant_id, sku)
JOIN stock_owners o ON o.tenant_id = k.tenant_id AND o.sku = k.sku
ORDER BY o.tenant_id, o.sku
FOR UPDATE OF o;

-- name: lock_stock_owner_page
-- SKUs of all tenants after one that have stock, in the order of tenants and SKUs; it stays what it is until the
-- transaction's end.
SELECT o.tenant_id, o.sku, o.merchant_id
FROM stock_owners o
WHERE (o.tenant_id, o.sku) > ($1, $2)
  AND EXISTS (SELECT FROM stock s WHERE s.tenant_id = o.tenant_id AND s.sku = o.sku)
ORDER BY o.tenant_id, o.sku
LIMIT $3
FOR UPDATE OF o;

-- name: find_stock
-- All stock of some SKUs; read after their owners are locked, in a statement of its own, so that it sees
-- everything that earlier holders of the locks have committed.
SELECT s.tenant_id, s.sku, s.warehouse_id, s.on_hand, s.reserved, s.version
FROM unnest($1::text[], $2::text[]) AS k (tenant_id, sku)
JOIN stock s ON s.tenant_id = k.tenant_id AND s.sku = k.sku;

-- name: find_changed_warehouses
-- The database's clock, and the warehouses of some tenants that differ from the versions known.
SELECT clock_timestamp() AS now, w.*
FROM (SELECT 1) AS one
LEFT JOIN LATERAL (
    SELECT s.tenant_id, s.warehouse_id, s.display_name, s.region_code, s.cell, s.kind, s.served_countries,
           s.priority, s.ships_hazards, s.disabled, s.version, s.create_time, s.update_time
    FROM warehouses s
    LEFT JOIN unnest($2::text[], $3::text[], $4::bigint[]) AS k (tenant_id, warehouse_id, version)
        ON k.tenant_id = s.tenant_id AND k.warehouse_id = s.warehouse_id
    WHERE s.tenant_id = ANY ($1::text[]) AND k.version IS DISTINCT FROM s.version
) AS w ON true;

-- name: insert_fulfilments
-- Adds new fulfilments; fewer rows than given means that another transaction was first with one of them.
INSERT INTO fulfilments (order_id, tenant_id, merchant_id, hold_state, version, region_code, expire_time, lines,
                         sourcing, rejection, shortages)
SELECT u.order_id, u.tenant_id, u.merchant_id, u.hold_state, u.version, u.region_code, u.expire_time,
       u.lines::jsonb, u.sourcing, u.rejection, u.shortages::jsonb
FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::text[], $7::timestamptz[],
            $8::text[], $9::text[], $10::text[], $11::text[])
     AS u (order_id, tenant_id, merchant_id, hold_state, version, region_code, expire_time, lines, sourcing,
           rejection, shortages)
ON CONFLICT (order_id) DO NOTHING;

-- name: move_fulfilments
-- Writes the new states and versions of fulfilments, whose rows are locked.
UPDATE fulfilments f
SET hold_state = u.hold_state, version = u.version, update_time = now()
FROM unnest($1::uuid[], $2::text[], $3::bigint[]) AS u (order_id, hold_state, version)
WHERE f.order_id = u.order_id;

-- name: rewrite_fulfilments
-- Writes all of some fulfilments, whose rows are locked.
UPDATE fulfilments f
SET merchant_id = u.merchant_id, hold_state = u.hold_state, version = u.version, region_code = u.region_code,
    expire_time = u.expire_time, lines = u.lines::jsonb, sourcing = u.sourcing, rejection = u.rejection,
    shortages = u.shortages::jsonb, update_time = now()
FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::text[], $7::timestamptz[],
            $8::text[], $9::text[], $10::text[], $11::text[])
     AS u (order_id, tenant_id, merchant_id, hold_state, version, region_code, expire_time, lines, sourcing,
           rejection, shortages)
WHERE f.order_id = u.order_id AND f.tenant_id = u.tenant_id;

-- name: delete_allocations
-- Forgets where some orders' units came from, before they are reserved anew.
DELETE FROM allocations WHERE order_id = ANY ($1::uuid[]);

-- name: insert_allocations
-- Notes where units come from.
INSERT INTO allocations (order_id, sku, warehouse_id, quantity)
SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::bigint[]);

-- name: update_stock
-- Writes changed stock, each row on top of exactly the version that was decided on.
UPDATE stock s
SET on_hand = u.on_hand, reserved = u.reserved, version = u.version, update_time = now()
FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[])
     AS u (tenant_id, sku, warehouse_id, on_hand, reserved, version)
WHERE s.tenant_id = u.tenant_id AND s.sku = u.sku AND s.warehouse_id = u.warehouse_id
  AND s.version = u.version - 1;

-- name: insert_ledger
-- Adds ledger entries.
INSERT INTO ledger (tenant_id, sku, warehouse_id, delta, reason, document, actor)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::text[], $6::text[], $7::text[]);

-- name: insert_parcels
-- Opens parcels.
INSERT INTO parcels (tenant_id, parcel_id, order_id, merchant_id, warehouse_id, region_code, state)
SELECT u.tenant_id, u.parcel_id, u.order_id, u.merchant_id, u.warehouse_id, u.region_code, 'ALLOCATED'
FROM unnest($1::text[], $2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::text[])
     AS u (tenant_id, parcel_id, order_id, merchant_id, warehouse_id, region_code);

-- name: cancel_parcels
-- Cancels the open parcels of intercepted orders, whose fulfilments are locked.
UPDATE parcels SET state = 'CANCELLED' WHERE order_id = ANY ($1::uuid[]) AND state = 'ALLOCATED';

-- name: extend_hold
-- Moves the deadline of a pending hold later, if it has not passed.
UPDATE fulfilments
SET expire_time = $3, update_time = now()
WHERE order_id = $1 AND tenant_id = $2 AND hold_state = 'PENDING'
  AND expire_time >= clock_timestamp() AND expire_time <= $3
RETURNING true;

-- name: read_clock
-- The database's clock.
SELECT clock_timestamp();

-- name: lock_overdue_holds
-- Some pending holds whose deadline has passed, the oldest first; those under decision elsewhere are left out.
SELECT order_id, tenant_id
FROM fulfilments
WHERE hold_state = 'PENDING' AND expire_time < now()
ORDER BY expire_time
LIMIT $1
FOR UPDATE SKIP LOCKED;

-- name: measure_overdue_holds
-- How many pending holds are past their deadline, counted up to a bound, and by how many seconds the oldest.
SELECT count(*) AS holds, coalesce(extract(epoch FROM now() - min(expire_time)), 0)::float8 AS oldest_s
FROM (
    SELECT expire_time FROM fulfilments
    WHERE hold_state = 'PENDING' AND expire_time < now()
    ORDER BY expire_time LIMIT $1
) AS overdue;

-- name: add_stock_owners
-- Notes whose some SKUs are where nobody's stock of them was seen before, in sorted order.
INSERT INTO stock_owners (tenant_id, sku, merchant_id)
SELECT $1, sku, $3 FROM unnest($2::text[]) AS u (sku) ORDER BY sku
ON CONFLICT (tenant_id, sku) DO NOTHING;

-- name: find_sold_skus
-- Those of some SKUs of which units ever left for an order: such units may still come back.
SELECT DISTINCT l.sku
FROM unnest($2::text[]) AS k (sku)
JOIN ledger l ON l.tenant_id = $1 AND l.sku = k.sku AND l.reason = 'PICK';

-- name: change_stock_owner
-- Gives some SKUs of which nothing is left to another merchant; they are locked.
WITH owners AS (
    UPDATE stock_owners SET merchant_id = $3 WHERE tenant_id = $1 AND sku = ANY ($2::text[])
)
UPDATE stock SET merchant_id = $3 WHERE tenant_id = $1 AND sku = ANY ($2::text[]);

-- name: insert_stock
-- Adds the first stock of some SKUs in a warehouse; the SKUs are locked.
INSERT INTO stock (tenant_id, sku, warehouse_id, merchant_id, on_hand, reserved, version)
SELECT $1, u.sku, $2, $3, u.on_hand, 0, 1 FROM unnest($4::text[], $5::bigint[]) AS u (sku, on_hand);

-- name: list_stock_of_skus
-- All stock of some SKUs of a tenant, with everything that is told about it.
SELECT tenant_id, sku, warehouse_id, merchant_id, on_hand, reserved, version, update_time
FROM stock
WHERE tenant_id = $1 AND sku = ANY ($2::text[])
ORDER BY sku, warehouse_id;

-- name: list_stock
-- A page of a tenant's stock, in the order of SKU and warehouse.
SELECT tenant_id, sku, warehouse_id, merchant_id, on_hand, reserved, version, update_time
FROM stock
WHERE tenant_id = $1 AND (sku, warehouse_id) > ($2, $3)
ORDER BY sku, warehouse_id
LIMIT $4;

-- name: list_stock_of_sku
-- A page of one SKU's stock, in the order of the warehouse.
SELECT tenant_id, sku, warehouse_id, merchant_id, on_hand, reserved, version, update_time
FROM stock
WHERE tenant_id = $1 AND sku = $2 AND ($3 = '' OR warehouse_id = $3) AND warehouse_id > $4
ORDER BY warehouse_id
LIMIT $5;

-- name: list_stock_of_warehouse
-- A page of one warehouse's stock, in the order of the SKU.
SELECT tenant_id, sku, warehouse_id, merchant_id, on_hand, reserved, version, update_time
FROM stock
WHERE tenant_id = $1 AND warehouse_id = $2 AND sku > $3
ORDER BY sku
LIMIT $4;

-- name: list_ledger
-- A page of a SKU's ledger, newest first, of one warehouse or (empty) of all.
SELECT entry_id, sku, warehouse_id, delta, reason, document, actor, create_time
FROM ledger
WHERE tenant_id = $1 AND sku = $2 AND ($3 = '' OR warehouse_id = $3) AND entry_id < $4
ORDER BY entry_id DESC
LIMIT $5;

-- name: claim_request
-- Takes a request id; no row means that it was taken before.
INSERT INTO request_key (tenant_id, route, request_id, digest)
VALUES ($1, $2, $3, $4)
ON CONFLICT DO NOTHING
RETURNING true;

-- name: find_request
-- What was asked and answered under a request id.
SELECT digest, answer FROM request_key WHERE tenant_id = $1 AND route = $2 AND request_id = $3;

-- name: answer_request
-- Stores the answer to a request id.
UPDATE request_key SET answer = $4::text::jsonb WHERE tenant_id = $1 AND route = $2 AND request_id = $3;

-- name: insert_warehouse
-- Adds a warehouse; no row means that the id is taken.
INSERT INTO warehouses (tenant_id, warehouse_id, display_name, region_code, cell, kind, served_countries, priority,
                        ships_hazards, disabled, version, create_time, update_time)
VALUES ($1, $2, $3, $4, $5, $6, $7::text::jsonb, $8, $9, $10, 1, now(), now())
ON CONFLICT (tenant_id, warehouse_id) DO NOTHING
RETURNING tenant_id, warehouse_id, display_name, region_code, cell, kind, served_countries, priority, ships_hazards,
          disabled, version, create_time, update_time;

-- name: update_warehouse
-- Replaces a warehouse's content, whose row is locked.
UPDATE warehouses
SET display_name = $3, region_code = $4, cell = $5, kind = $6, served_countries = $7::text::jsonb, priority = $8,
    ships_hazards = $9, disabled = $10, version = version + 1, update_time = now()
WHERE tenant_id = $1 AND warehouse_id = $2
RETURNING tenant_id, warehouse_id, display_name, region_code, cell, kind, served_countries, priority, ships_hazards,
          disabled, version, create_time, update_time;

-- name: find_warehouse
-- Reads one warehouse.
SELECT tenant_id, warehouse_id, display_name, region_code, cell, kind, served_countries, priority, ships_hazards,
       disabled, version, create_time, update_time
FROM warehouses
WHERE tenant_id = $1 AND warehouse_id = $2;

-- name: lock_warehouse
-- Locks one warehouse.
SELECT tenant_id, warehouse_id, display_name, region_code, cell, kind, served_countries, priority, ships_hazards,
       disabled, version, create_time, update_time
FROM warehouses
WHERE tenant_id = $1 AND warehouse_id = $2
FOR UPDATE;

-- name: list_warehouses
-- A page of a tenant's warehouses, in the order of their ids.
SELECT tenant_id, warehouse_id, display_name, region_code, cell, kind, served_countries, priority, ships_hazards,
       disabled, version, create_time, update_time
FROM warehouses
WHERE tenant_id = $1 AND warehouse_id > $2
ORDER BY warehouse_id
LIMIT $3;

-- name: lock_warehouse_page
-- Warehouses of all tenants after one, in the order of tenants and ids; they stay what they are until the transaction's
-- end.
SELECT tenant_id, warehouse_id, display_name, region_code, cell, kind, served_countries, priority, ships_hazards,
       disabled, version, create_time, update_time
FROM warehouses
WHERE (tenant_id, warehouse_id) > ($1, $2)
ORDER BY tenant_id, warehouse_id
LIMIT $3
FOR NO KEY UPDATE;

-- name: find_orders_of_parcels
-- Which orders some parcels belong to; that never changes.
SELECT p.parcel_id, p.order_id
FROM unnest($1::text[], $2::uuid[]) AS k (tenant_id, parcel_id)
JOIN parcels p ON p.tenant_id = k.tenant_id AND p.parcel_id = k.parcel_id;

-- name: lock_versions
-- Locks the fulfilments of some orders for the sake of their versions, in the order of their ids.
SELECT order_id, version FROM fulfilments WHERE order_id = ANY ($1::uuid[]) ORDER BY order_id FOR UPDATE;

-- name: set_versions
-- Writes the versions of fulfilments whose parcels have moved.
UPDATE fulfilments f SET version = u.version, update_time = now()
FROM unnest($1::uuid[], $2::bigint[]) AS u (order_id, version)
WHERE f.order_id = u.order_id;

-- name: find_parcels
-- Some parcels; to change them, read them under the lock of their fulfilments.
SELECT p.tenant_id, p.parcel_id, p.order_id, p.merchant_id, p.warehouse_id, p.region_code, p.state, p.carrier,
       p.tracking_number, p.create_time, p.pack_time, p.ship_time, p.deliver_time, clock_timestamp() AS now
FROM unnest($1::text[], $2::uuid[]) AS k (tenant_id, parcel_id)
JOIN parcels p ON p.tenant_id = k.tenant_id AND p.parcel_id = k.parcel_id;

-- name: update_parcels
-- Writes parcels that have moved, whose fulfilments are locked.
UPDATE parcels p
SET state = u.state, carrier = u.carrier, tracking_number = u.tracking_number, pack_time = u.pack_time,
    ship_time = u.ship_time, deliver_time = u.deliver_time
FROM unnest($1::text[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::timestamptz[], $7::timestamptz[],
            $8::timestamptz[])
     AS u (tenant_id, parcel_id, state, carrier, tracking_number, pack_time, ship_time, deliver_time)
WHERE p.tenant_id = u.tenant_id AND p.parcel_id = u.parcel_id;

-- name: list_parcels
-- A page of a tenant's parcels, in the order of their ids, in one state or (empty) in any.
SELECT tenant_id, parcel_id, order_id, merchant_id, warehouse_id, region_code, state, carrier, tracking_number,
       create_time, pack_time, ship_time, deliver_time
FROM parcels
WHERE tenant_id = $1 AND parcel_id > $2 AND ($3 = '' OR state = $3)
ORDER BY parcel_id
LIMIT $4;

-- name: list_parcels_of_order
-- The same, of one order.
SELECT tenant_id, parcel_id, order_id, merchant_id, warehouse_id, region_code, state, carrier, tracking_number,
       create_time, pack_time, ship_time, deliver_time
FROM parcels
WHERE tenant_id = $1 AND parcel_id > $2 AND ($3 = '' OR state = $3) AND order_id = $4
  AND ($5 = '' OR warehouse_id = $5)
ORDER BY parcel_id
LIMIT $6;

-- name: list_parcels_of_warehouse
-- The same, of one warehouse, in any state.
SELECT tenant_id, parcel_id, order_id, merchant_id, warehouse_id, region_code, state, carrier, tracking_number,
       create_time, pack_time, ship_time, deliver_time
FROM parcels
WHERE tenant_id = $1 AND warehouse_id = $2 AND parcel_id > $3
ORDER BY parcel_id
LIMIT $4;

-- name: list_parcels_of_warehouse_in_state
-- The same, of one warehouse, in one state: an operator's work list, one index range.
SELECT tenant_id, parcel_id, order_id, merchant_id, warehouse_id, region_code, state, carrier, tracking_number,
       create_time, pack_time, ship_time, deliver_time
FROM parcels
WHERE tenant_id = $1 AND warehouse_id = $2 AND state = $3 AND parcel_id > $4
ORDER BY parcel_id
LIMIT $5;
