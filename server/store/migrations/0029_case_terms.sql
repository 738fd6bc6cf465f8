-- What binds a release stays as it was decided, whoever writes: papers are not swapped after they were checked, and the
-- terms of an approval (to whose key, how, until when) come with the step that approves, never after it.

-- Whether papers of a case may still come, and with them their numbers (rule 9): while it is written; of an emergency
-- until it is prepared, or once it was released in a hurry and until that is ratified.
CREATE FUNCTION case_awaits_papers(one footage_case) RETURNS boolean
LANGUAGE sql IMMUTABLE AS $$
    SELECT one.state = 'draft' OR (one.is_emergency AND one.ratified_at IS NULL AND (
        one.state = 'submitted'
        OR (one.emergency_at IS NOT NULL AND one.state IN ('approved', 'ready', 'released'))))
$$;

CREATE FUNCTION case_terms_check() RETURNS trigger
LANGUAGE plpgsql AS $$
DECLARE
    steps text[] := ARRAY(SELECT s.step FROM case_step AS s
                          WHERE s.case_id = NEW.id AND s.transaction_id = pg_current_xact_id());
BEGIN
    IF (NEW.approved_at, NEW.mode, NEW.approved_until, NEW.recipient)
        IS DISTINCT FROM (OLD.approved_at, OLD.mode, OLD.approved_until, OLD.recipient)
        AND NOT steps && ARRAY['approve', 'emergency']
    THEN
        RAISE EXCEPTION 'what was approved stays' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF OLD.state <> 'draft' AND (NEW.is_emergency, NEW.emergency_at) IS DISTINCT FROM (OLD.is_emergency, OLD.emergency_at)
        AND NOT steps && ARRAY['emergency']
    THEN
        RAISE EXCEPTION 'no step makes this an emergency' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF NEW.ratified_at IS DISTINCT FROM OLD.ratified_at AND NOT steps && ARRAY['ratify'] THEN
        RAISE EXCEPTION 'no step ratifies this' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF NOT case_awaits_papers(OLD) AND (
        (NEW.inquiry_number, NEW.inquiry_on, NEW.inquiry_station, NEW.inquiry_officer, NEW.warrant_number,
         NEW.report_number)
        IS DISTINCT FROM (OLD.inquiry_number, OLD.inquiry_on, OLD.inquiry_station, OLD.inquiry_officer,
         OLD.warrant_number, OLD.report_number)
    ) THEN
        RAISE EXCEPTION 'what was checked stays' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER case_terms_check BEFORE UPDATE ON footage_case FOR EACH ROW EXECUTE FUNCTION case_terms_check();

CREATE FUNCTION case_paper_check() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM footage_case AS f WHERE f.id = NEW.case_id AND case_awaits_papers(f)) THEN
        RAISE EXCEPTION 'what was checked stays' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF NOT case_entry_fits(NEW.entry_id, NEW.case_id, '^paper\.added$') THEN
        RAISE EXCEPTION 'this entry of the log is not of this paper' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER case_paper_check BEFORE INSERT OR UPDATE ON case_paper FOR EACH ROW EXECUTE FUNCTION case_paper_check();

-- Who looks behind the rows of cases: those who write them, and nobody else.
DO $$
BEGIN
    SET LOCAL ROLE keeper; -- whose function it is
    REVOKE ALL ON FUNCTION case_entry_fits FROM PUBLIC;
    GRANT EXECUTE ON FUNCTION case_entry_fits TO warden, clerk;
    RESET ROLE;
END
$$;
