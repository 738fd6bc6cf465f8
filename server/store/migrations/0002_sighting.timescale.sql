-- Raw sightings on TimescaleDB: a hypertable of six-hour chunks. Nobody but ingest has a right on them.
-- No row-level security here: TimescaleDB refuses it on compressed tables and copies grants to chunks.

CREATE EXTENSION IF NOT EXISTS timescaledb;

CREATE TABLE sighting (
    ts timestamptz NOT NULL,             -- last heard
    first_at timestamptz NOT NULL,
    tag_index integer NOT NULL,          -- tag.index
    detector_index integer NOT NULL,     -- detector.index
    count integer NOT NULL,              -- packets in the window
    rssi_best_dbm smallint NOT NULL,
    rssi_mean_dbm smallint NOT NULL,
    flags smallint NOT NULL,             -- server/core/flags.py
    shard smallint NOT NULL,
    lat_deg double precision,            -- of moving detectors
    lon_deg double precision,
    accuracy_m real
);

-- The default index on ts would make writing three times as dear.
SELECT create_hypertable('sighting', by_range('ts', INTERVAL '6 hours'), create_default_indexes => false);
CREATE INDEX sighting_ts ON sighting USING brin (ts) WITH (pages_per_range = 32, autosummarize = on);

CREATE VIEW sighting_by_name WITH (security_barrier) AS
SELECT s.*, t.id AS tag_id, d.id AS detector_id
FROM sighting AS s
JOIN tag AS t ON t.index = s.tag_index
JOIN detector AS d ON d.index = s.detector_index;

-- Chunks are made by TimescaleDB when a row needs them.
CREATE FUNCTION sighting_prepare(first_day date, last_day date) RETURNS integer
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$ SELECT 0 $$;

CREATE FUNCTION sighting_expire(first_kept date) RETURNS integer
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT count(*)::integer FROM drop_chunks('sighting', older_than => first_kept::timestamp AT TIME ZONE 'UTC')
$$;

CREATE FUNCTION sighting_seal(first_open date) RETURNS integer
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$ SELECT 0 $$;

REVOKE ALL ON FUNCTION sighting_prepare, sighting_expire, sighting_seal FROM PUBLIC;
GRANT EXECUTE ON FUNCTION sighting_prepare, sighting_expire, sighting_seal TO ingest;
GRANT SELECT, INSERT ON sighting TO ingest;
