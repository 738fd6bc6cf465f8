-- Lets ingest see at the price of one row that the registry is not the one it has in memory.

CREATE TABLE registry_version (
    is_only boolean PRIMARY KEY DEFAULT true CHECK (is_only),
    version bigint NOT NULL
);
INSERT INTO registry_version (version) VALUES (1);

CREATE FUNCTION registry_changed() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    UPDATE registry_version SET version = version + 1;
    RETURN NULL;
END
$$;

CREATE TRIGGER changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON city
    FOR EACH STATEMENT EXECUTE FUNCTION registry_changed();
CREATE TRIGGER changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON detector
    FOR EACH STATEMENT EXECUTE FUNCTION registry_changed();
CREATE TRIGGER changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON tag
    FOR EACH STATEMENT EXECUTE FUNCTION registry_changed();
CREATE TRIGGER changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON ward
    FOR EACH STATEMENT EXECUTE FUNCTION registry_changed();
CREATE TRIGGER changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON place
    FOR EACH STATEMENT EXECUTE FUNCTION registry_changed();
CREATE TRIGGER changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON watch
    FOR EACH STATEMENT EXECUTE FUNCTION registry_changed();

GRANT SELECT ON registry_version TO ingest;
