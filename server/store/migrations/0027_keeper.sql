-- What later tables need of 0020_purpose.sql: the keeper passes everywhere, and what bars or moves ends tokens at once.

DO $$
DECLARE
    guarded regclass;
BEGIN
    FOR guarded IN
        SELECT c.oid FROM pg_class AS c
        WHERE c.relnamespace = 'public'::regnamespace AND c.relrowsecurity
          AND NOT EXISTS (SELECT FROM pg_policy AS p WHERE p.polrelid = c.oid AND p.polname = 'keeper')
    LOOP
        EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', guarded);
        EXECUTE format('CREATE POLICY keeper ON %s TO keeper USING (true) WITH CHECK (true)', guarded);
    END LOOP;
END
$$;

-- Nothing of relations for api: whom it may show, its tokens say.
REVOKE ALL ON protective_measure, charge FROM api;
-- Programs that ask who is in charge have to see what bars; the owner, like everybody else, does not.
DROP POLICY known ON protective_measure;
CREATE POLICY known ON protective_measure FOR SELECT TO ingest, notify USING (true);

CREATE FUNCTION end_tokens_of_measure() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    IF TG_OP <> 'INSERT' THEN
        PERFORM access_changed('account:' || OLD.account_id, 'ward:' || OLD.ward_id);
    END IF;
    IF TG_OP <> 'DELETE' THEN
        PERFORM access_changed('account:' || NEW.account_id, 'ward:' || NEW.ward_id);
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER tokens_end AFTER INSERT OR UPDATE OR DELETE ON protective_measure
    FOR EACH ROW EXECUTE FUNCTION end_tokens_of_measure();

GRANT CREATE ON SCHEMA public TO keeper;
ALTER FUNCTION end_tokens_of_measure OWNER TO keeper;
ALTER FUNCTION end_agency_sessions OWNER TO keeper;
ALTER FUNCTION case_entry_fits OWNER TO keeper;
REVOKE CREATE ON SCHEMA public FROM keeper;
REVOKE ALL ON FUNCTION end_tokens_of_measure FROM PUBLIC;
