-- name: append_outbox
-- Adds events; the array order is the order of ids.
INSERT INTO outbox (bucket, topic, key, aggregate_id, version, type, payload, traceparent, event_id, event_time)
SELECT * FROM unnest(
    $1::smallint[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::text[], $7::bytea[], $8::text[],
    $9::uuid[], $10::timestamptz[]);

-- name: read_outbox
-- The oldest unsent events of the buckets, in the order of their ids. Always from the very first row: ids are
-- drawn before they commit, so a smaller one may appear at any time.
SELECT id, topic, key, aggregate_id, version, type, payload, traceparent, event_id, event_time
FROM outbox WHERE bucket = ANY ($1::smallint[]) ORDER BY id LIMIT $2;

-- name: delete_outbox
-- Removes events that Kafka has acknowledged.
DELETE FROM outbox WHERE id = ANY ($1::bigint[]);

-- name: measure_outbox
-- How many events wait (counted up to $1) and since when the oldest does.
SELECT (SELECT count(*) FROM (SELECT 1 FROM outbox LIMIT $1) AS bounded) AS rows,
       coalesce(extract(epoch FROM clock_timestamp() - (SELECT event_time FROM outbox ORDER BY id LIMIT 1)), 0)::float8
           AS oldest_age_s;

-- name: count_outbox
-- How many events wait, counted up to $1.
SELECT count(*) FROM (SELECT 1 FROM outbox LIMIT $1) AS bounded;

-- name: forget_request_keys
-- Forgets at most $2 request ids that are older than $1 seconds.
DELETE FROM request_key
WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM request_key
    WHERE create_time < now() - make_interval(secs => $1)
    ORDER BY create_time
    LIMIT $2
    FOR UPDATE SKIP LOCKED
));

-- name: vacuum_outbox
-- Frees the room of deleted events, in the index above all; leaves it to others who are at it.
VACUUM (SKIP_LOCKED, INDEX_CLEANUP ON, TRUNCATE OFF, PARALLEL 0) outbox;

-- name: join_relays
-- Says by a session lock of its own that a relay lives.
SELECT pg_advisory_lock($1, pg_backend_pid());

-- name: count_locks
-- How many session locks of a class are held in this database: of relays, how many live; of buckets, how many are served.
SELECT count(*) FROM pg_locks
WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND classid = $1::integer::oid AND objsubid = 2 AND granted;

-- name: lock_buckets
-- Takes session locks of buckets that nobody else holds, in the order given, until $3 are taken.
SELECT bucket FROM unnest($2::smallint[]) AS bucket WHERE pg_try_advisory_lock($1, bucket) LIMIT $3;

-- name: unlock_buckets
-- Gives buckets up.
SELECT pg_advisory_unlock($1, bucket) FROM unnest($2::smallint[]) AS bucket;

-- name: load_offsets
-- Where the group stands in the partitions that it has seen before.
SELECT o.topic, o.part, o.next
FROM unnest($2::text[], $3::integer[]) AS k (topic, part)
JOIN consumer_offset AS o ON o.grp = $1 AND o.topic = k.topic AND o.part = k.part;

-- name: start_offsets
-- The first position in partitions never seen before; a concurrent starter's row is kept.
INSERT INTO consumer_offset (grp, topic, part, next)
SELECT $1, k.topic, k.part, k.next FROM unnest($2::text[], $3::integer[], $4::bigint[]) AS k (topic, part, next)
ON CONFLICT (grp, topic, part) DO NOTHING;

-- name: skip_offsets
-- Moves forward past records that retention has removed.
UPDATE consumer_offset AS o SET next = k.next, update_time = now()
FROM unnest($2::text[], $3::integer[], $4::bigint[]) AS k (topic, part, next)
WHERE o.grp = $1 AND o.topic = k.topic AND o.part = k.part AND o.next < k.next;

-- name: claim_and_look_up
-- Compare-and-set of the group's positions, which locks them for the transaction (fewer claimed than asked: a
-- zombie), and in the same round trip the applied versions of the aggregates that are known. One row per such
-- aggregate, plus one whose aggregate_id is NULL with the number of partitions claimed, and whether anything of
-- the group is parked at all.
WITH claimed AS (
    UPDATE consumer_offset AS o SET next = k.next, update_time = now()
    FROM unnest($2::text[], $3::integer[], $4::bigint[], $5::bigint[]) AS k (topic, part, first, next)
    WHERE o.grp = $1 AND o.topic = k.topic AND o.part = k.part AND o.next = k.first
    RETURNING 1
)
SELECT NULL::text AS topic, NULL::text AS aggregate_id, (SELECT count(*) FROM claimed) AS version,
       EXISTS (SELECT 1 FROM parked_event WHERE grp = $1 AND state = 'PARKED') AS parked
UNION ALL
SELECT k.topic, k.aggregate_id, a.version, false
FROM unnest($6::text[], $7::text[]) AS k (topic, aggregate_id)
JOIN consumer_applied AS a ON a.aggregate_id = k.aggregate_id AND a.topic = k.topic AND a.grp = $1;

-- name: find_blocked
-- Which of the aggregates have a parked event.
SELECT k.topic, k.aggregate_id FROM unnest($2::text[], $3::text[]) AS k (topic, aggregate_id)
WHERE EXISTS (SELECT 1 FROM parked_event AS e
              WHERE e.grp = $1 AND e.topic = k.topic AND e.aggregate_id = k.aggregate_id AND e.state = 'PARKED');

-- name: lock_parked
-- Waits for a replay of these aggregates to end, and tells which are still blocked.
SELECT e.topic, e.aggregate_id FROM parked_event AS e
JOIN unnest($2::text[], $3::text[]) AS k (topic, aggregate_id) ON e.topic = k.topic AND e.aggregate_id = k.aggregate_id
WHERE e.grp = $1 AND e.state = 'PARKED'
ORDER BY e.id
FOR UPDATE OF e;

-- name: look_up_discarded
-- Versions of aggregates that were given up by command.
SELECT e.topic, e.aggregate_id, e.version FROM parked_event AS e
JOIN unnest($2::text[], $3::text[]) AS k (topic, aggregate_id) ON e.topic = k.topic AND e.aggregate_id = k.aggregate_id
WHERE e.grp = $1 AND e.state = 'DISCARDED' AND e.version IS NOT NULL;

-- name: look_up_applied
-- The applied versions of aggregates.
SELECT a.topic, a.aggregate_id, a.version FROM unnest($2::text[], $3::text[]) AS k (topic, aggregate_id)
JOIN consumer_applied AS a ON a.aggregate_id = k.aggregate_id AND a.topic = k.topic AND a.grp = $1;

-- name: record_applied
-- Raises the applied versions.
INSERT INTO consumer_applied AS a (grp, topic, aggregate_id, version)
SELECT $1, k.topic, k.aggregate_id, k.version
FROM unnest($2::text[], $3::text[], $4::bigint[]) AS k (topic, aggregate_id, version)
ON CONFLICT (aggregate_id, topic, grp) DO UPDATE SET version = excluded.version, update_time = excluded.update_time
WHERE a.version < excluded.version;

-- name: park_event
-- Puts one event aside, exactly as it came.
INSERT INTO parked_event (grp, topic, part, "offset", record_time, record_key, header_names, header_values, payload,
                          aggregate_id, version, type, cause, detail)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14);

-- name: measure_parked
-- Parked events of a group, counted up to $2, and since when the first of those is parked.
SELECT count(*) AS events, min(park_time) AS since
FROM (SELECT park_time FROM parked_event WHERE grp = $1 AND state = 'PARKED' LIMIT $2) AS bounded;

-- name: list_parked
-- Parked events of a group after an id, oldest first; $4 is NULL for those of all aggregates.
SELECT id, topic, part, "offset", aggregate_id, version, type, cause, detail, record_time, park_time, attempts
FROM parked_event WHERE grp = $1 AND state = 'PARKED' AND id > $2 AND ($4::text IS NULL OR aggregate_id = $4)
ORDER BY id LIMIT $3;

-- name: parked_aggregates
-- Aggregates with parked events after a cursor, in a stable order; $4 is NULL for all of them.
SELECT DISTINCT topic, aggregate_id FROM parked_event
WHERE grp = $1 AND state = 'PARKED' AND (topic, aggregate_id) > ($2, $3) AND ($4::text IS NULL OR aggregate_id = $4)
ORDER BY topic, aggregate_id LIMIT $5;

-- name: lock_parked_aggregate
-- Holds an aggregate's parked events, so that its consumer waits for the outcome.
SELECT id FROM parked_event WHERE grp = $1 AND topic = $2 AND aggregate_id = $3 AND state = 'PARKED'
ORDER BY id FOR UPDATE;

-- name: read_parked_aggregate
-- An aggregate's parked events in the order of their versions, those of one version as they came. One whose
-- version cannot be read comes first: nothing may be replayed past it.
SELECT id, topic, part, "offset", record_time, record_key, header_names, header_values, payload
FROM parked_event WHERE grp = $1 AND topic = $2 AND aggregate_id = $3 AND state = 'PARKED'
ORDER BY version NULLS FIRST, part, "offset" LIMIT $4;

-- name: resolve_parked
-- Ends parked events of a group, for good, and tells which; $4 names who says so.
UPDATE parked_event SET state = $3, resolve_time = now(), resolved_by = $4, resolve_note = $5, attempts = attempts + 1
WHERE grp = $1 AND id = ANY ($2::bigint[]) AND state = 'PARKED' RETURNING id;

-- name: note_failed_replay
-- Remembers that a replay failed and why.
UPDATE parked_event SET attempts = attempts + 1, detail = $2 WHERE id = ANY ($1::bigint[]) AND state = 'PARKED';

-- name: sweep_applied
-- One step over the applied versions in key order: deletes those untouched since $4, returns the last key seen
-- (NULL at the end) and how many went.
WITH page AS (
    SELECT aggregate_id, topic, grp, update_time FROM consumer_applied
    WHERE (aggregate_id, topic, grp) > ($1, $2, $3) ORDER BY aggregate_id, topic, grp LIMIT $5
), gone AS (
    DELETE FROM consumer_applied AS a USING page AS p
    WHERE a.aggregate_id = p.aggregate_id AND a.topic = p.topic AND a.grp = p.grp
      AND p.update_time < $4 AND a.update_time < $4
      AND NOT EXISTS (SELECT 1 FROM parked_event AS e WHERE e.grp = a.grp AND e.topic = a.topic
                      AND e.aggregate_id = a.aggregate_id AND e.state = 'PARKED')
    RETURNING 1
)
SELECT last.aggregate_id, last.topic, last.grp,
       (SELECT count(*) FROM page) AS seen, (SELECT count(*) FROM gone) AS deleted
FROM (SELECT max(aggregate_id) AS top FROM page) AS bound
LEFT JOIN LATERAL (SELECT aggregate_id, topic, grp FROM page ORDER BY aggregate_id DESC, topic DESC, grp DESC LIMIT 1)
    AS last ON true;
