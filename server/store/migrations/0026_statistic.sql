-- Open data: people by mesh and hour, published once a day with noise (privacy/anonymity.py), and what reports read.
-- Days and hours are the city's, times of publication wall time.

-- The third-level mesh of JIS X 0410: 30 seconds of latitude by 45 of longitude.
CREATE FUNCTION jis_mesh(lat_deg double precision, lon_deg double precision) RETURNS integer
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
    SELECT south / 80 * 1000000 + west / 80 * 10000 + south % 80 / 10 * 1000 + west % 80 / 10 * 100
           + south % 10 * 10 + west % 10
    FROM (SELECT floor(lat_deg * 120)::integer, floor((lon_deg - 100) * 80)::integer) AS place (south, west)
$$;

-- A day that is being counted. People are told apart by a hash under its salt; both go when the day is published.
CREATE TABLE statistic_day (
    day date PRIMARY KEY,
    meshes integer[] NOT NULL,           -- where the city has detectors: chosen without looking at anybody
    salt bytea NOT NULL DEFAULT uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())
);
-- Who has been counted in which part of the day: once in each.
CREATE TABLE statistic_seen (
    day date NOT NULL REFERENCES statistic_day ON DELETE CASCADE,
    part smallint NOT NULL,
    person bytea NOT NULL,               -- SHA-256 of salt and ward
    PRIMARY KEY (day, part, person)
);
CREATE TABLE statistic_count (
    day date NOT NULL REFERENCES statistic_day ON DELETE CASCADE,
    hour smallint NOT NULL,
    mesh integer NOT NULL,
    people integer NOT NULL CHECK (people > 0),
    PRIMARY KEY (day, hour, mesh)
);
-- Hours that have been counted, for ever: late data and erasures lead to no second count.
CREATE TABLE statistic_hour (
    day date NOT NULL,
    hour smallint NOT NULL CHECK (hour BETWEEN 0 AND 23),
    PRIMARY KEY (day, hour)
);

-- The ledger of the privacy budget: a day's is spent in the moment in which its counts are taken out, and only once.
CREATE TABLE statistic_budget (
    day date PRIMARY KEY,
    epsilon double precision NOT NULL CHECK (epsilon > 0 AND epsilon <= 1),
    spent_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE statistic_release (
    day date PRIMARY KEY REFERENCES statistic_budget,
    hours smallint[] NOT NULL,           -- that were counted
    k integer NOT NULL CHECK (k >= 10),
    epsilon double precision NOT NULL CHECK (epsilon > 0 AND epsilon <= 1),
    delta double precision NOT NULL CHECK (delta > 0 AND delta <= 0.0001),
    threshold integer NOT NULL CHECK (threshold > k),
    cells_a_day smallint NOT NULL CHECK (cells_a_day > 0),
    released integer NOT NULL CHECK (released >= 0),
    suppressed integer NOT NULL CHECK (suppressed >= 0),
    published_at timestamptz NOT NULL,
    entry_id bigint NOT NULL UNIQUE REFERENCES audit_entry
);
CREATE TABLE statistic_cell (
    day date NOT NULL REFERENCES statistic_release,
    hour smallint NOT NULL,
    mesh integer NOT NULL,
    people integer NOT NULL CHECK (people >= 10), -- with noise
    PRIMARY KEY (day, hour, mesh)
);

CREATE FUNCTION statistic_forever() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'what was published stays as it is' USING ERRCODE = 'insufficient_privilege';
END
$$;
CREATE TRIGGER forever BEFORE UPDATE OR DELETE ON statistic_hour FOR EACH ROW EXECUTE FUNCTION statistic_forever();
CREATE TRIGGER forever_whole BEFORE TRUNCATE ON statistic_hour EXECUTE FUNCTION statistic_forever();
CREATE TRIGGER forever BEFORE UPDATE OR DELETE ON statistic_budget FOR EACH ROW EXECUTE FUNCTION statistic_forever();
CREATE TRIGGER forever_whole BEFORE TRUNCATE ON statistic_budget EXECUTE FUNCTION statistic_forever();
CREATE TRIGGER forever BEFORE UPDATE OR DELETE ON statistic_release FOR EACH ROW EXECUTE FUNCTION statistic_forever();
CREATE TRIGGER forever_whole BEFORE TRUNCATE ON statistic_release EXECUTE FUNCTION statistic_forever();
CREATE TRIGGER forever BEFORE UPDATE OR DELETE ON statistic_cell FOR EACH ROW EXECUTE FUNCTION statistic_forever();
CREATE TRIGGER forever_whole BEFORE TRUNCATE ON statistic_cell EXECUTE FUNCTION statistic_forever();

-- A cell is of an hour that was counted and above the threshold, and there are no more of them than the release says:
-- they come with it or never.
CREATE FUNCTION statistic_cell_check() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM statistic_release AS r WHERE r.day = NEW.day AND r.hours @> ARRAY[NEW.hour]
                   AND NEW.people >= r.threshold
                   AND (SELECT count(*) FROM statistic_cell AS c WHERE c.day = NEW.day) < r.released) THEN
        RAISE EXCEPTION 'the release has no such cell' USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER with_release BEFORE INSERT ON statistic_cell FOR EACH ROW EXECUTE FUNCTION statistic_cell_check();

-- Counts an hour while its places are still plain: each ward where it was first heard in a mesh of the day, once in each
-- part of the day. Returns whether the hour was counted now; never of whom.
CREATE FUNCTION statistic_count_hour(from_at timestamptz) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    local timestamp := from_at AT TIME ZONE (SELECT min(tz) FROM city);
    the_hour smallint := extract(hour FROM local);
    the_part smallint := CASE WHEN the_hour BETWEEN 6 AND 12 THEN 0 WHEN the_hour BETWEEN 13 AND 21 THEN 1 END;
    one statistic_day;
BEGIN
    IF local <> date_trunc('hour', local) OR the_part IS NULL THEN
        RAISE EXCEPTION 'not an hour that is counted' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended('statistic/' || local::date, 0));
    IF EXISTS (SELECT FROM statistic_budget WHERE day = local::date) THEN
        RETURN false;
    END IF;
    INSERT INTO statistic_hour (day, hour) VALUES (local::date, the_hour) ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    INSERT INTO statistic_day (day, meshes)
        SELECT local::date, ARRAY(SELECT DISTINCT jis_mesh(lat_deg, lon_deg) AS mesh FROM detector
                                  WHERE kind = 'fixed' AND revoked_at IS NULL ORDER BY mesh)
        ON CONFLICT DO NOTHING;
    SELECT * INTO one FROM statistic_day WHERE day = local::date;
    WITH place AS (
        SELECT f.ward_id, f.bucket_at, jis_mesh(f.lat_deg, f.lon_deg) AS mesh
        FROM fix AS f WHERE f.bucket_at >= from_at AND f.bucket_at < from_at + interval '1 hour'
    ), heard AS (
        SELECT DISTINCT ON (ward_id) sha256(one.salt || convert_to(ward_id, 'UTF8')) AS person, mesh
        FROM place WHERE mesh = ANY (one.meshes) ORDER BY ward_id, bucket_at
    ), fresh AS (
        INSERT INTO statistic_seen (day, part, person) SELECT one.day, the_part, h.person FROM heard AS h
        ON CONFLICT DO NOTHING RETURNING person
    )
    INSERT INTO statistic_count (day, hour, mesh, people)
        SELECT one.day, the_hour, h.mesh, count(*) FROM heard AS h JOIN fresh AS n USING (person) GROUP BY h.mesh;
    RETURN true;
END
$$;

-- Gives out a day's counts once, and with them spends its budget; salt and all that told people apart is gone then.
CREATE FUNCTION statistic_take(the_day date, the_epsilon double precision)
RETURNS TABLE (hour smallint, mesh integer, people integer)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
#variable_conflict use_column
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('statistic/' || the_day, 0));
    INSERT INTO statistic_budget (day, epsilon) VALUES (the_day, the_epsilon);
    RETURN QUERY SELECT c.hour, c.mesh, c.people FROM statistic_count AS c WHERE c.day = the_day;
    DELETE FROM statistic_day WHERE day = the_day;
END
$$;

-- Those of the first `size` entries of the log that have one of `marks` in them: for reports, in the order of the log.
CREATE FUNCTION log_entries(size bigint, marks bytea[]) RETURNS SETOF bytea
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT e.body FROM audit_leaf AS l JOIN audit_entry AS e ON e.id = l.entry_id
    WHERE l.index < size AND EXISTS (SELECT FROM unnest(marks) AS m (mark) WHERE position(m.mark IN e.body) > 0)
    ORDER BY l.index
$$;
CREATE FUNCTION log_ends() RETURNS SETOF bytea
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT e.body FROM audit_leaf AS l JOIN audit_entry AS e ON e.id = l.entry_id
    WHERE l.index IN (0, (SELECT h.size - 1 FROM audit_head AS h)) ORDER BY l.index
$$;
CREATE FUNCTION log_head() RETURNS TABLE (size bigint, note text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT h.size, h.note FROM audit_head AS h
$$;
-- When a camera's mask was changed last, for the ledger of equipment; by whom and why is not told.
CREATE FUNCTION mask_changed_at(detector text) RETURNS timestamptz
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT max(m.approved_at) FROM mask_change AS m WHERE m.detector_id = detector AND m.state = 'approved'
$$;

SELECT guard_rows('statistic_day', 'clerk'), guard_rows('statistic_seen', VARIADIC '{}'),
       guard_rows('statistic_count', VARIADIC '{}');
REVOKE ALL ON FUNCTION statistic_count_hour, statistic_take, log_entries, log_ends, log_head, mask_changed_at FROM PUBLIC;
GRANT EXECUTE ON FUNCTION statistic_count_hour, statistic_take TO clerk;
GRANT EXECUTE ON FUNCTION log_entries, log_ends, log_head, mask_changed_at TO api, CURRENT_USER;
GRANT SELECT (day, meshes) ON statistic_day TO clerk;
GRANT SELECT ON statistic_hour, statistic_budget TO clerk;
GRANT SELECT ON statistic_release, statistic_cell TO api, clerk;
GRANT INSERT ON statistic_release, statistic_cell TO clerk;

GRANT CREATE ON SCHEMA public TO keeper;
ALTER FUNCTION statistic_count_hour OWNER TO keeper;
ALTER FUNCTION statistic_take OWNER TO keeper;
ALTER FUNCTION log_entries OWNER TO keeper;
ALTER FUNCTION log_ends OWNER TO keeper;
ALTER FUNCTION log_head OWNER TO keeper;
ALTER FUNCTION mask_changed_at OWNER TO keeper;
REVOKE CREATE ON SCHEMA public FROM keeper;
