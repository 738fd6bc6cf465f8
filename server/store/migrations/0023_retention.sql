-- The one schedule of what is kept (privacy/retention.py), run by `clerk`, leaves a certificate of each run.
-- Its rights on the tables of all parts are in 0028, which comes after them.

CREATE TABLE retention_run (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL,             -- wall time
    certificate jsonb NOT NULL,          -- counts by class; no ids, no names
    sha256 bytea NOT NULL CHECK (length(sha256) = 32), -- of the certificate in canonical form, as the log has it
    entry_id bigint NOT NULL UNIQUE REFERENCES audit_entry
);
CREATE INDEX retention_run_at ON retention_run (at);

-- When the names of an entry were written down: what opens them goes by age.
ALTER TABLE audit_opening ADD COLUMN made_at timestamptz NOT NULL DEFAULT now();
CREATE INDEX audit_opening_made ON audit_opening (made_at);

-- Nobody but ingest may look at sightings. The clerk may count what should be gone.
CREATE FUNCTION sighting_left(before timestamptz) RETURNS bigint
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT count(*) FROM sighting WHERE ts < before
$$;
REVOKE ALL ON FUNCTION sighting_left FROM PUBLIC;
GRANT EXECUTE ON FUNCTION sighting_left, sighting_expire TO clerk;

-- A case that ended long ago goes with its papers and steps; until then what happened to it stays, for the clerk, too.
CREATE FUNCTION case_is_over(of_case text) RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT EXISTS (
        SELECT FROM footage_case AS f WHERE f.id = of_case AND f.state IN ('closed', 'refused', 'withdrawn', 'lapsed')
            AND coalesce((SELECT max(s.at) FROM case_step AS s WHERE s.case_id = f.id), f.created_at)
                < now() - interval '365 days'
    )
$$;
CREATE OR REPLACE FUNCTION case_append_only() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' AND current_user = 'clerk' AND case_is_over(OLD.case_id) THEN
        RETURN OLD;
    END IF;
    RAISE EXCEPTION 'what happened to a case stays' USING ERRCODE = 'insufficient_privilege';
END
$$;
CREATE OR REPLACE FUNCTION case_camera_check() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' AND current_user = 'clerk' AND case_is_over(OLD.case_id) THEN
        RETURN OLD;
    END IF;
    IF NOT EXISTS (SELECT FROM footage_case WHERE id = coalesce(NEW.case_id, OLD.case_id) AND state = 'draft') THEN
        RAISE EXCEPTION 'what was submitted stays' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN coalesce(NEW, OLD);
END
$$;
CREATE FUNCTION case_gone_check() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    IF current_user = 'clerk' AND OLD.state <> 'draft' AND NOT case_is_over(OLD.id) THEN
        RAISE EXCEPTION 'this case is not over for long enough' USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN OLD;
END
$$;
CREATE TRIGGER case_gone_check BEFORE DELETE ON footage_case FOR EACH ROW EXECUTE FUNCTION case_gone_check();
CREATE FUNCTION case_paper_gone_check() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    IF current_user = 'clerk' AND NOT case_is_over(OLD.case_id)
        AND NOT EXISTS (SELECT FROM footage_case WHERE id = OLD.case_id AND state = 'draft')
    THEN
        RAISE EXCEPTION 'this case is not over for long enough' USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN OLD;
END
$$;
CREATE TRIGGER case_paper_gone_check BEFORE DELETE ON case_paper
    FOR EACH ROW EXECUTE FUNCTION case_paper_gone_check();
CREATE TRIGGER case_reminder_gone_check BEFORE DELETE ON case_reminder
    FOR EACH ROW EXECUTE FUNCTION case_paper_gone_check();

GRANT SELECT, INSERT, DELETE ON retention_run TO clerk;
GRANT SELECT ON retention_run TO api, warden;
