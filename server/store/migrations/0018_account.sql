-- One table of accounts for everybody who signs in: families, officers, city hall, providers, the board.

DO $$
DECLARE
    wanted text;
BEGIN
    -- warden decides and hands out purpose tokens; ledger numbers and signs the audit log; clerk does what falls due.
    FOREACH wanted IN ARRAY ARRAY['warden', 'ledger', 'clerk'] LOOP
        BEGIN
            EXECUTE format('CREATE ROLE %I LOGIN', wanted);
        EXCEPTION WHEN duplicate_object OR unique_violation THEN
            NULL;
        END;
    END LOOP;
END
$$;
GRANT USAGE ON SCHEMA public TO warden, ledger, clerk;

-- Bodies that may receive footage or have accounts here: police stations, a fire service, providers of tags.
CREATE TABLE agency (
    id text PRIMARY KEY CHECK (id ~ '^[A-Za-z0-9_-]{1,64}$'),
    city_id text NOT NULL REFERENCES city,
    kind text NOT NULL CHECK (kind IN ('police', 'fire', 'court', 'city', 'provider', 'board')),
    name_ja text NOT NULL,
    name_en text NOT NULL,
    legal_basis text NOT NULL,           -- for the public: by what law or agreement it may receive
    registered_at timestamptz NOT NULL DEFAULT now(),
    ended_at timestamptz                 -- null: in force
);

ALTER TABLE guardian RENAME TO account;
ALTER TABLE account RENAME CONSTRAINT guardian_login_key TO account_login_key;
ALTER TABLE account
    ALTER COLUMN code_hash DROP NOT NULL,  -- null: signs in by passkey or through an identity provider alone
    ADD COLUMN role text NOT NULL DEFAULT 'guardian' CHECK (role IN (
        'guardian', 'watched', 'volunteer', 'officer', 'handler', 'supervisor', 'manager', 'provider', 'board')),
    ADD COLUMN agency_id text REFERENCES agency,
    ADD COLUMN ward_id text UNIQUE REFERENCES ward ON DELETE CASCADE, -- whose own account it is
    ADD COLUMN created_at timestamptz NOT NULL DEFAULT now(),
    ADD COLUMN disabled_at timestamptz,
    ADD CHECK ((role IN ('officer', 'provider')) <= (agency_id IS NOT NULL)),
    ADD CHECK ((role = 'watched') = (ward_id IS NOT NULL));

ALTER TABLE session RENAME COLUMN guardian_id TO account_id;
ALTER INDEX session_guardian RENAME TO session_account;
CREATE FUNCTION tell_session() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('access', OLD.account_id);
    RETURN NULL;
END
$$;
DROP TRIGGER session_ended ON session;
DROP TRIGGER session_shortened ON session;
CREATE TRIGGER session_ended AFTER DELETE ON session FOR EACH ROW EXECUTE FUNCTION tell_session();
CREATE TRIGGER session_shortened AFTER UPDATE ON session
    FOR EACH ROW WHEN (OLD.expires_at IS DISTINCT FROM NEW.expires_at) EXECUTE FUNCTION tell_session();

-- Who is disabled is signed out in the same moment, everywhere.
CREATE FUNCTION end_sessions() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    DELETE FROM session WHERE account_id = NEW.id;
    RETURN NULL;
END
$$;
CREATE TRIGGER account_disabled AFTER UPDATE ON account
    FOR EACH ROW WHEN (OLD.disabled_at IS NULL AND NEW.disabled_at IS NOT NULL) EXECUTE FUNCTION end_sessions();
