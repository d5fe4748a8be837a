-- Statements of webhooks. Ids compare bytewise (COLLATE "C").

-- name: insert_endpoint
-- Adds an endpoint at version 1.
INSERT INTO endpoints (tenant_id, endpoint_id, url, description, event_types, state, disable_reason, version,
                       create_time, update_time)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10);

-- name: lock_tenant
-- Makes creations of one tenant wait for each other, so that its endpoints can be counted.
SELECT pg_advisory_xact_lock(hashtextextended($1, 0));

-- name: count_endpoints
-- How many endpoints a tenant has.
SELECT count(*) FROM endpoints WHERE tenant_id = $1;

-- name: select_endpoint
-- One endpoint, without its secrets.
SELECT tenant_id, endpoint_id, url, description, event_types, state, disable_reason, failing_since, paused_until,
       version, create_time, update_time
FROM endpoints
WHERE tenant_id = $1 AND endpoint_id = $2;

-- name: lock_endpoint
-- One endpoint, which stays what it is until the transaction's end; so do its secrets.
SELECT tenant_id, endpoint_id, url, description, event_types, state, disable_reason, failing_since, paused_until,
       version, create_time, update_time
FROM endpoints
WHERE tenant_id = $1 AND endpoint_id = $2
FOR UPDATE;

-- name: lock_leased_endpoint
-- One endpoint, locked, if the lease is still the one that is meant.
SELECT tenant_id, endpoint_id, url, description, event_types, state, disable_reason, failing_since, paused_until,
       version, create_time, update_time
FROM endpoints
WHERE tenant_id = $1 AND endpoint_id = $2 AND lease_id = $3
FOR UPDATE;

-- name: select_endpoint_page
-- Endpoints after an id, in the order of their ids.
SELECT tenant_id, endpoint_id, url, description, event_types, state, disable_reason, failing_since, paused_until,
       version, create_time, update_time
FROM endpoints
WHERE tenant_id = $1 AND endpoint_id > $2
ORDER BY endpoint_id
LIMIT $3;

-- name: update_endpoint
-- Stores a locked endpoint.
UPDATE endpoints
SET url = $3, description = $4, event_types = $5, state = $6, disable_reason = $7, failing_since = $8, version = $9,
    update_time = $10, paused_until = $11
WHERE tenant_id = $1 AND endpoint_id = $2;

-- name: delete_endpoint
-- Removes a locked endpoint and its secrets.
DELETE FROM endpoints WHERE tenant_id = $1 AND endpoint_id = $2;

-- name: select_secrets
-- The secrets of some endpoints, the newest of each first.
SELECT endpoint_id, secret_id, sealed, create_time, expire_time
FROM secrets
WHERE endpoint_id = ANY ($1::uuid[]) AND tenant_id = ANY ($2::text[])
ORDER BY endpoint_id, create_time DESC, secret_id DESC;

-- name: insert_secret
-- Adds a secret to a locked endpoint.
INSERT INTO secrets (tenant_id, endpoint_id, secret_id, sealed, sealed_by, create_time)
VALUES ($1, $2, $3, $4, $5, $6);

-- name: end_secrets
-- Leaves of a locked endpoint's secrets only these, and writes their ends.
WITH kept AS (
    SELECT * FROM unnest($3::uuid[], $4::timestamptz[]) AS kept (secret_id, expire_time)
), ended AS (
    UPDATE secrets AS s SET expire_time = kept.expire_time FROM kept
    WHERE s.tenant_id = $1 AND s.endpoint_id = $2 AND s.secret_id = kept.secret_id
)
DELETE FROM secrets
WHERE tenant_id = $1 AND endpoint_id = $2 AND secret_id NOT IN (SELECT secret_id FROM kept);

-- name: select_secrets_sealed_otherwise
-- At most $2 secrets that another key than $1 has sealed, locked.
SELECT tenant_id, endpoint_id, secret_id, sealed
FROM secrets
WHERE sealed_by <> $1
LIMIT $2
FOR UPDATE SKIP LOCKED;

-- name: update_sealed
-- Stores secrets that were sealed anew.
UPDATE secrets AS s
SET sealed = anew.sealed, sealed_by = $1
FROM unnest($2::text[], $3::uuid[], $4::uuid[], $5::bytea[]) AS anew (tenant_id, endpoint_id, secret_id, sealed)
WHERE s.tenant_id = anew.tenant_id AND s.endpoint_id = anew.endpoint_id AND s.secret_id = anew.secret_id;

-- name: select_listening_tenants
-- Which of some tenants have an enabled endpoint.
SELECT DISTINCT tenant_id FROM endpoints WHERE tenant_id = ANY ($1::text[]) AND state = 1;

-- name: lock_endpoints_told
-- The enabled endpoints of some tenants that are told of any of some types, locked in one order everywhere.
SELECT tenant_id, endpoint_id, event_types
FROM endpoints
WHERE tenant_id = ANY ($1::text[]) AND state = 1 AND (event_types = '{}' OR event_types && $2::text[])
ORDER BY tenant_id, endpoint_id
FOR NO KEY UPDATE;

-- name: insert_deliveries
-- Adds deliveries that are due at once; those that are there already stay as they are.
INSERT INTO deliveries (delivery_id, endpoint_id, message_id, event_type, event_time, body, state, attempts,
                        retry_from, round_attempts, last_status, last_failure, next_attempt_time, create_time)
SELECT delivery_id, endpoint_id, message_id, event_type, event_time, body, 1, 0, now(), 0, 0, '', now(), now()
FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::timestamptz[], $6::text[])
    AS made (delivery_id, endpoint_id, message_id, event_type, event_time, body)
ON CONFLICT (endpoint_id, message_id) DO NOTHING;

-- name: make_due
-- Some locked endpoints have something to be sent, now or when their pause is over.
UPDATE endpoints SET due_time = greatest(now(), paused_until)
WHERE tenant_id = ANY ($1::text[]) AND endpoint_id = ANY ($2::uuid[])
  AND (due_time IS NULL OR due_time > greatest(now(), paused_until));

-- name: claim_endpoints
-- Leases at most $2 endpoints that have waited longest; $1: of those that fail, or of those that do not.
WITH due AS (
    SELECT tenant_id, endpoint_id FROM endpoints
    WHERE state = 1 AND (failing_since IS NOT NULL) = $1 AND due_time <= now()
      AND (lease_until IS NULL OR lease_until < now())
    ORDER BY due_time
    LIMIT $2
    FOR NO KEY UPDATE SKIP LOCKED
)
UPDATE endpoints AS e
SET lease_id = $3, lease_until = now() + $4::interval
FROM due
WHERE e.tenant_id = due.tenant_id AND e.endpoint_id = due.endpoint_id
RETURNING e.tenant_id, e.endpoint_id, e.url, e.description, e.event_types, e.state, e.disable_reason,
          e.failing_since, e.paused_until, e.version, e.create_time, e.update_time;

-- name: extend_lease
-- Goes on with a locked endpoint.
UPDATE endpoints SET lease_until = now() + $3::interval WHERE tenant_id = $1 AND endpoint_id = $2;

-- name: release_endpoint
-- Lets a locked endpoint go, and says when something of it is to be sent next: not before a pause, ours or the one that it
-- has asked for, nor before others have had their turn.
UPDATE endpoints
SET lease_id = NULL, lease_until = NULL,
    due_time = (SELECT greatest(next_attempt_time, now() + $3::interval, paused_until) FROM deliveries
                WHERE endpoint_id = $2 AND state = 1 ORDER BY next_attempt_time LIMIT 1)
WHERE tenant_id = $1 AND endpoint_id = $2;

-- name: select_due_deliveries
-- What is to be sent to a leased endpoint now, the longest due first.
SELECT delivery_id, endpoint_id, message_id, event_type, event_time, body, state, attempts, retry_from, round_attempts,
       last_status, last_failure, last_attempt_time, next_attempt_time, create_time
FROM deliveries
WHERE endpoint_id = $1 AND state = 1 AND next_attempt_time <= now()
ORDER BY next_attempt_time, delivery_id
LIMIT $2;

-- name: update_deliveries
-- Stores where deliveries of a locked endpoint stand.
UPDATE deliveries AS d
SET state = tried.state, attempts = tried.attempts, retry_from = tried.retry_from,
    round_attempts = tried.round_attempts, last_status = tried.last_status, last_failure = tried.last_failure,
    last_attempt_time = tried.last_attempt_time, next_attempt_time = tried.next_attempt_time
FROM unnest($2::uuid[], $3::smallint[], $4::integer[], $5::timestamptz[], $6::integer[], $7::smallint[], $8::text[],
            $9::timestamptz[], $10::timestamptz[])
    AS tried (delivery_id, state, attempts, retry_from, round_attempts, last_status, last_failure, last_attempt_time,
              next_attempt_time)
WHERE d.delivery_id = tried.delivery_id AND d.endpoint_id = $1;

-- name: select_delivery
-- One delivery with its body, where its endpoint is the tenant's.
SELECT d.delivery_id, d.endpoint_id, d.message_id, d.event_type, d.event_time, d.body, d.state, d.attempts, d.retry_from,
       d.round_attempts, d.last_status, d.last_failure, d.last_attempt_time, d.next_attempt_time, d.create_time
FROM deliveries AS d
JOIN endpoints AS e ON e.tenant_id = $1 AND e.endpoint_id = d.endpoint_id
WHERE d.delivery_id = $2;

-- name: select_delivery_page
-- Deliveries before an id, the newest first, without their bodies.
SELECT delivery_id, endpoint_id, message_id, event_type, event_time, '' AS body, state, attempts, retry_from, round_attempts,
       last_status, last_failure, last_attempt_time, next_attempt_time, create_time
FROM deliveries
WHERE endpoint_id = $1 AND delivery_id < $2
ORDER BY delivery_id DESC
LIMIT $3;

-- name: select_delivery_page_of_state
-- The same of one state.
SELECT delivery_id, endpoint_id, message_id, event_type, event_time, '' AS body, state, attempts, retry_from, round_attempts,
       last_status, last_failure, last_attempt_time, next_attempt_time, create_time
FROM deliveries
WHERE endpoint_id = $1 AND delivery_id < $2 AND state = $4
ORDER BY delivery_id DESC
LIMIT $3;

-- name: delete_old_deliveries
-- Removes at most $2 deliveries that are older than $1; tells how many.
WITH old AS (
    SELECT delivery_id FROM deliveries
    WHERE create_time < now() - $1::interval
    ORDER BY create_time
    LIMIT $2
    FOR UPDATE SKIP LOCKED
)
DELETE FROM deliveries AS d USING old WHERE d.delivery_id = old.delivery_id;

-- name: measure_endpoints
-- How many endpoints stand where, and for how many seconds the longest waiting of those that do not fail has waited for
-- a sender.
SELECT count(*) FILTER (WHERE state = 1 AND failing_since IS NULL) AS enabled,
       count(*) FILTER (WHERE state = 1 AND failing_since IS NOT NULL) AS failing,
       count(*) FILTER (WHERE state = 2) AS disabled,
       coalesce(extract(epoch FROM now() - min(due_time) FILTER (
           WHERE state = 1 AND failing_since IS NULL AND due_time < now()
             AND (lease_until IS NULL OR lease_until < now()))), 0)::float8 AS waiting_s
FROM endpoints;

-- name: insert_request_key
-- Notes a request id with its content and the endpoint that it is about. Waits for another request with the same id
-- to end; no row comes back where that one was committed.
INSERT INTO request_key (tenant_id, request_id, fingerprint, endpoint_id)
VALUES ($1, $2, $3, $4)
ON CONFLICT (tenant_id, request_id) DO NOTHING
RETURNING request_id;

-- name: select_request_key
-- The content of an earlier request and the endpoint that it was about.
SELECT fingerprint, endpoint_id FROM request_key WHERE tenant_id = $1 AND request_id = $2;
