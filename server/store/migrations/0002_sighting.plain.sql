-- Raw sightings on plain PostgreSQL: one partition a UTC day. Nobody but ingest has a right on them.

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
) PARTITION BY RANGE (ts);

CREATE INDEX sighting_ts ON sighting USING brin (ts) WITH (pages_per_range = 32, autosummarize = on);

-- Never filled while the job below is alive; without it one late sweep would stop every sighting.
CREATE TABLE sighting_default PARTITION OF sighting DEFAULT;

CREATE VIEW sighting_by_name WITH (security_barrier) AS
SELECT s.*, t.id AS tag_id, d.id AS detector_id
FROM sighting AS s
JOIN tag AS t ON t.index = s.tag_index
JOIN detector AS d ON d.index = s.detector_index;

-- Makes the partitions of the days first_day to last_day; returns how many were new.
CREATE FUNCTION sighting_prepare(first_day date, last_day date) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    day date;
    part text;
    made integer := 0;
BEGIN
    IF last_day - first_day > 400 THEN
        RAISE EXCEPTION 'too many partitions asked for: % to %', first_day, last_day;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtext('sighting_prepare'));
    FOR day IN SELECT generate_series(first_day, last_day, interval '1 day')::date LOOP
        part := 'sighting_d' || to_char(day, 'YYYYMMDD');
        CONTINUE WHEN to_regclass(part) IS NOT NULL;
        EXECUTE format('CREATE TABLE %I (LIKE sighting INCLUDING DEFAULTS)', part);
        EXECUTE format(
            'WITH moved AS (DELETE FROM sighting_default WHERE ts >= %1$L AND ts < %2$L RETURNING *)
             INSERT INTO %3$I SELECT * FROM moved',
            day::timestamp AT TIME ZONE 'UTC', (day + 1)::timestamp AT TIME ZONE 'UTC', part);
        EXECUTE format('ALTER TABLE sighting ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
            part, day::timestamp AT TIME ZONE 'UTC', (day + 1)::timestamp AT TIME ZONE 'UTC');
        made := made + 1;
    END LOOP;
    RETURN made;
END
$$;

-- Drops the partitions of the days before first_kept; returns how many. Deletes from the default one what is older, too.
CREATE FUNCTION sighting_expire(first_kept date) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    part text;
    dropped integer := 0;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('sighting_prepare'));
    FOR part IN
        SELECT c.relname FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'sighting'::regclass AND c.relname ~ '^sighting_d[0-9]{8}$'
          AND to_date(substr(c.relname, 11), 'YYYYMMDD') < first_kept
    LOOP
        EXECUTE format('DROP TABLE %I', part);
        dropped := dropped + 1;
    END LOOP;
    DELETE FROM sighting_default WHERE ts < first_kept::timestamp AT TIME ZONE 'UTC';
    RETURN dropped;
END
$$;

-- Orders the days before first_open by tag. Done when a day is over: an index kept while writing costs five times as much.
CREATE FUNCTION sighting_seal(first_open date) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    part text;
    built integer := 0;
BEGIN
    FOR part IN
        SELECT c.relname FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'sighting'::regclass AND c.relname ~ '^sighting_d[0-9]{8}$'
          AND to_date(substr(c.relname, 11), 'YYYYMMDD') < first_open
          AND to_regclass(c.relname || '_tag') IS NULL
    LOOP
        EXECUTE format('CREATE INDEX %I ON %I (tag_index, ts)', part || '_tag', part);
        built := built + 1;
    END LOOP;
    RETURN built;
END
$$;

REVOKE ALL ON FUNCTION sighting_prepare, sighting_expire, sighting_seal FROM PUBLIC;
GRANT EXECUTE ON FUNCTION sighting_prepare, sighting_expire, sighting_seal TO ingest;
GRANT SELECT, INSERT ON sighting TO ingest;
