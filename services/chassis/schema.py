"""The tables that the outbox and the consumer need in every service's database; its first migration runs this text."""

OUTBOX_SCHEMA = """
-- Events that are decided but not yet in Kafka: a row present is an event unsent. INSERT and DELETE only.
-- The id is drawn while the aggregate's row lock is held, so per aggregate the order of ids is the order of
-- commits. Across aggregates it is not: never read past an id "already seen".
CREATE TABLE outbox (
    id           bigint GENERATED ALWAYS AS IDENTITY (CACHE 1) PRIMARY KEY,
    -- crc32(aggregate_id) modulo OUTBOX_BUCKETS: one relay holds the lock of a bucket.
    bucket       smallint    NOT NULL CONSTRAINT outbox_bucket_in_range CHECK (bucket BETWEEN 0 AND 15),
    topic        text        NOT NULL,
    key          text        NOT NULL,
    aggregate_id text        NOT NULL,
    version      bigint      NOT NULL CONSTRAINT outbox_version_positive CHECK (version > 0),
    type         text        NOT NULL,
    payload      bytea       NOT NULL,
    traceparent  text,
    event_id     uuid        NOT NULL,
    event_time   timestamptz NOT NULL
) WITH (
    -- The table is nearly empty and turns over completely within seconds.
    autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000,
    autovacuum_vacuum_insert_scale_factor = 0, autovacuum_vacuum_insert_threshold = 50000,
    autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 50000,
    autovacuum_vacuum_cost_delay = 0
);
"""

CONSUMER_SCHEMA = """
-- Where each consumer group stands, per partition. Advanced only by compare-and-set in the transaction that
-- holds the effects; never goes back.
CREATE TABLE consumer_offset (
    grp         text        NOT NULL,
    topic       text        NOT NULL,
    part        integer     NOT NULL,
    next        bigint      NOT NULL CONSTRAINT consumer_offset_not_negative CHECK (next >= 0),
    update_time timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (grp, topic, part)
) WITH (fillfactor = 50);

-- The newest version of each aggregate whose effect is in this database: what a relay sends again is dropped.
-- Rows older than the topics' retention are swept.
CREATE TABLE consumer_applied (
    aggregate_id text        COLLATE "C" NOT NULL,
    topic        text        COLLATE "C" NOT NULL,
    grp          text        COLLATE "C" NOT NULL,
    version      bigint      NOT NULL CONSTRAINT consumer_applied_version_positive CHECK (version > 0),
    update_time  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (aggregate_id, topic, grp)
) WITH (
    fillfactor = 80,
    autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_insert_scale_factor = 0.05
);

-- Events that could not be applied, exactly as they came.
-- PARKED -> REPLAYED (the normal handler ran, by command) | DISCARDED (given up, by command); both are final.
CREATE TABLE parked_event (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    grp           text        NOT NULL,
    topic         text        NOT NULL,
    part          integer     NOT NULL,
    "offset"      bigint      NOT NULL,
    record_time   timestamptz NOT NULL,
    -- The record's key and headers, so that what could not be decoded can be decoded later.
    record_key    bytea       NOT NULL,
    header_names  text[]      NOT NULL,
    header_values bytea[]     NOT NULL,
    payload       bytea       NOT NULL,
    -- The key where the headers could not be read.
    aggregate_id  text        NOT NULL,
    version       bigint,
    type          text,
    -- FAILED: the handler refused it; UNREADABLE: its headers; BLOCKED: an earlier one of its aggregate is parked
    -- or has not come.
    cause         text        NOT NULL
                  CONSTRAINT parked_event_cause_known CHECK (cause IN ('FAILED', 'UNREADABLE', 'BLOCKED')),
    detail        text        NOT NULL,
    park_time     timestamptz NOT NULL DEFAULT now(),
    state         text        NOT NULL DEFAULT 'PARKED'
                  CONSTRAINT parked_event_state_known CHECK (state IN ('PARKED', 'REPLAYED', 'DISCARDED')),
    attempts      integer     NOT NULL DEFAULT 0,
    resolve_time  timestamptz,
    resolved_by   text,
    resolve_note  text,
    CONSTRAINT parked_event_once UNIQUE (grp, topic, part, "offset"),
    CONSTRAINT parked_event_resolution_complete CHECK (
        (state = 'PARKED') = (resolve_time IS NULL) AND (state = 'PARKED') = (resolved_by IS NULL))
);
CREATE INDEX parked_event_open ON parked_event (grp, topic, aggregate_id, id) WHERE state = 'PARKED';
"""

DISCARDED_SCHEMA = """
-- What was given up is looked up for each gap that is found, and kept for ever.
-- The lock lasts for a moment: what is parked are a few rows.
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX parked_event_discarded ON parked_event (grp, topic, aggregate_id) WHERE state = 'DISCARDED';
"""
