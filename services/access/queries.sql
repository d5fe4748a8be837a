-- Statements of access. Ids compare bytewise (COLLATE "C").

-- name: insert_tenant
-- Adds a tenant at version 1; no row comes back where the id is taken.
INSERT INTO tenants (tenant_id, display_name, state, version, create_time, update_time)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (tenant_id) DO NOTHING
RETURNING tenant_id;

-- name: select_tenant
-- One tenant.
SELECT tenant_id, display_name, state, version, create_time, update_time, limits FROM tenants WHERE tenant_id = $1;

-- name: lock_tenant
-- One tenant, whose state and whose number of keys stay what they are until the transaction's end.
SELECT tenant_id, display_name, state, version, create_time, update_time, limits
FROM tenants WHERE tenant_id = $1
FOR NO KEY UPDATE;

-- name: select_tenant_page
-- Tenants after an id, in the order of their ids.
SELECT tenant_id, display_name, state, version, create_time, update_time, limits
FROM tenants
WHERE tenant_id > $1
ORDER BY tenant_id
LIMIT $2;

-- name: lock_tenant_page
-- The same, and they stay what they are until the transaction's end.
SELECT tenant_id, display_name, state, version, create_time, update_time, limits
FROM tenants
WHERE tenant_id > $1
ORDER BY tenant_id
LIMIT $2
FOR NO KEY UPDATE;

-- name: update_tenant
-- Takes a locked tenant to its next version; its name does not change.
UPDATE tenants SET state = $2, version = $3, update_time = $4, limits = $5 WHERE tenant_id = $1;

-- name: insert_key
-- Adds a key at version 1.
INSERT INTO api_keys (tenant_id, api_key_id, display_name, roles, merchant_ids, warehouse_ids, expire_time,
                      state, version, create_time, update_time, limits)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12);

-- name: update_key
-- Takes a locked key to its next version; content does not change.
UPDATE api_keys SET state = $3, version = $4, update_time = $5, limits = $6 WHERE tenant_id = $1 AND api_key_id = $2;

-- name: count_active_keys
-- How many keys a tenant has that are not revoked.
SELECT count(*) FROM api_keys WHERE tenant_id = $1 AND state = 1;

-- name: select_key
-- One key, without its secrets.
SELECT tenant_id, api_key_id, display_name, roles, merchant_ids, warehouse_ids, expire_time, state, version,
       create_time, update_time, limits
FROM api_keys
WHERE tenant_id = $1 AND api_key_id = $2;

-- name: lock_key
-- One key, which stays what it is until the transaction's end; so do its secrets.
SELECT tenant_id, api_key_id, display_name, roles, merchant_ids, warehouse_ids, expire_time, state, version,
       create_time, update_time, limits
FROM api_keys
WHERE tenant_id = $1 AND api_key_id = $2
FOR NO KEY UPDATE;

-- name: select_key_page
-- Keys after an id, in the order of their ids.
SELECT tenant_id, api_key_id, display_name, roles, merchant_ids, warehouse_ids, expire_time, state, version,
       create_time, update_time, limits
FROM api_keys
WHERE tenant_id = $1 AND api_key_id > $2
ORDER BY api_key_id
LIMIT $3;

-- name: lock_key_page
-- Keys of all tenants after one, in the order of tenants and ids; they stay what they are until the transaction's end.
SELECT tenant_id, api_key_id, display_name, roles, merchant_ids, warehouse_ids, expire_time, state, version,
       create_time, update_time, limits
FROM api_keys
WHERE (tenant_id, api_key_id) > ($1, $2)
ORDER BY tenant_id, api_key_id
LIMIT $3
FOR NO KEY UPDATE;

-- name: select_secrets
-- The secrets of some keys: all that may still be good, and the newest of each key's others.
SELECT s.api_key_id, s.secret_id, s.digest, s.create_time, s.expire_time, s.revoke_time
FROM unnest($2::uuid[]) AS asked (api_key_id)
CROSS JOIN LATERAL (
    SELECT api_key_id, secret_id, digest, create_time, expire_time, revoke_time
    FROM secrets
    WHERE tenant_id = $1 AND api_key_id = asked.api_key_id
    ORDER BY revoke_time IS NOT NULL, expire_time IS NOT NULL, create_time DESC, secret_id
    LIMIT $3
) AS s
ORDER BY s.api_key_id, s.create_time DESC, s.secret_id;

-- name: insert_secret
-- Adds a secret to a locked key.
INSERT INTO secrets (tenant_id, api_key_id, secret_id, digest, create_time) VALUES ($1, $2, $3, $4, $5);

-- name: update_secrets
-- Writes the ends of a locked key's secrets.
UPDATE secrets AS s
SET expire_time = changed.expire_time, revoke_time = changed.revoke_time
FROM unnest($3::text[], $4::timestamptz[], $5::timestamptz[]) AS changed (secret_id, expire_time, revoke_time)
WHERE s.tenant_id = $1 AND s.api_key_id = $2 AND s.secret_id = changed.secret_id;

-- name: insert_audit
-- Notes who has done what.
INSERT INTO audit (time, actor, action, tenant_id, api_key_id, secret_id, version)
VALUES ($1, $2, $3, $4, $5, $6, $7);

-- name: insert_request_key
-- Notes a request id with its content and the key that it is about. Waits for another request with the same id
-- to end; no row comes back where that one was committed.
INSERT INTO request_key (tenant_id, request_id, fingerprint, api_key_id)
VALUES ($1, $2, $3, $4)
ON CONFLICT (tenant_id, request_id) DO NOTHING
RETURNING request_id;

-- name: select_request_key
-- The content of an earlier request and the key that it was about.
SELECT fingerprint, api_key_id FROM request_key WHERE tenant_id = $1 AND request_id = $2;

-- name: exchange_use
-- Keeps what the replica $1 has let in by limit and window, and tells what the others have, in the order of asking.
-- The statement sees the table as it was before: the replica's own rows are left out anyway.
WITH told AS (
    SELECT name, window_start, requests, place
    FROM unnest($2::text[], $3::bigint[], $4::bigint[]) WITH ORDINALITY AS t (name, window_start, requests, place)
), kept AS (
    INSERT INTO rate_limit_use AS u (window_start, name, replica_id, requests)
    SELECT window_start, name, $1, requests FROM told
    ON CONFLICT (window_start, name, replica_id)
    -- What comes late changes nothing.
    DO UPDATE SET requests = excluded.requests WHERE u.requests < excluded.requests
)
SELECT coalesce(sum(u.requests), 0)::bigint AS others
FROM told
LEFT JOIN rate_limit_use AS u
    ON u.window_start = told.window_start AND u.name = told.name AND u.replica_id <> $1
GROUP BY told.place
ORDER BY told.place;

-- name: delete_use
-- Forgets at most $2 counts of windows that began before $1; tells how many.
WITH old AS (
    SELECT window_start, name, replica_id FROM rate_limit_use
    WHERE window_start < $1
    ORDER BY window_start
    LIMIT $2
    FOR UPDATE SKIP LOCKED
)
DELETE FROM rate_limit_use AS u USING old
WHERE u.window_start = old.window_start AND u.name = old.name AND u.replica_id = old.replica_id;
