-- The key store: one data key a ward, wrapped by a key-encryption key that is in no database. Apart from the main
-- database, so that a copy of that one opens nothing; backed up apart, and no backup of it older than 30 days.

DO $$
DECLARE
    wanted text;
BEGIN
    FOREACH wanted IN ARRAY ARRAY['ingest', 'api', 'notify'] LOOP
        BEGIN
            EXECUTE format('CREATE ROLE %I LOGIN', wanted);
        EXCEPTION WHEN duplicate_object OR unique_violation THEN
            NULL;
        END;
    END LOOP;
    EXECUTE format('REVOKE ALL ON DATABASE %I FROM PUBLIC', current_database());
    EXECUTE format('GRANT CONNECT ON DATABASE %I TO ingest, api', current_database());
END
$$;

CREATE TABLE ward_key (
    ward_id text PRIMARY KEY,
    key_id bytea NOT NULL UNIQUE CHECK (length(key_id) = 16),
    wrapped bytea NOT NULL,              -- server/history/envelope.py
    created_at timestamptz NOT NULL DEFAULT now()
);

-- Nobody changes a key, and only the owner deletes one: `mimamori ward erase`.
GRANT USAGE ON SCHEMA public TO ingest, api;
GRANT SELECT, INSERT ON ward_key TO ingest;
GRANT SELECT ON ward_key TO api;
