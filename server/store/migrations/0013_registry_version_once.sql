-- A transaction changes the version once, however many statements it has: each more would walk over all the versions of the
-- one row that the transaction left behind, which made a file of 20,000 tags take minutes.

CREATE OR REPLACE FUNCTION registry_changed() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    UPDATE registry_version SET version = version + 1 WHERE xmin <> pg_current_xact_id()::xid;
    RETURN NULL;
END
$$;
