-- Places of wards over time: plain for the hours that may still change, then one row a ward and hour, sealed under the
-- ward's own data key. The keys are in another database (keystore_migrations): no copy of this one holds any.

-- Whether the row held all that was heard of its ten seconds: what comes late is put together as if nothing were sealed.
ALTER TABLE fix ADD COLUMN whole boolean NOT NULL DEFAULT false;
DROP INDEX fix_at; -- a day is found by its hours, in the primary key

CREATE TABLE ward_hour (
    ward_id text NOT NULL REFERENCES ward ON DELETE CASCADE,
    hour_at timestamptz NOT NULL,        -- UTC
    sealed bytea NOT NULL,               -- server/history/envelope.py
    PRIMARY KEY (ward_id, hour_at)
);
ALTER TABLE ward_hour ALTER COLUMN sealed SET STORAGE EXTERNAL; -- what is encrypted does not compress
CREATE INDEX ward_hour_at ON ward_hour (hour_at);

-- Whatever may be granted one day by mistake: no role but ingest sees a row. Not FORCEd, for the owner takes the backups.
ALTER TABLE ward_hour ENABLE ROW LEVEL SECURITY;
CREATE POLICY sealing ON ward_hour TO ingest USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON ward_hour TO ingest;

-- The only way in for api: one ward, by one guardian whose right is in force at `now_at`. "Who was there?" has no way in.
CREATE FUNCTION ward_hours(guardian text, ward text, now_at timestamptz, from_at timestamptz, to_at timestamptz)
RETURNS TABLE (hour_at timestamptz, sealed bytea)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT h.hour_at, h.sealed FROM ward_hour AS h
    WHERE h.ward_id = $2 AND h.hour_at >= $4 AND h.hour_at < $5
      AND EXISTS (SELECT 1 FROM guardianship AS g
                  WHERE g.guardian_id = $1 AND g.ward_id = $2 AND g.since <= $3 AND g.until > $3)
    ORDER BY h.hour_at
$$;
REVOKE ALL ON FUNCTION ward_hours FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ward_hours TO api;
