-- Signing in by passkey, identity provider and card; households; protective measures. All times here are wall time.

ALTER TABLE account
    ADD COLUMN handle bytea NOT NULL UNIQUE DEFAULT uuid_send(gen_random_uuid()), -- WebAuthn's user.id: tells nobody who
    ADD COLUMN recipient text CHECK (recipient ~ '^age1[02-9ac-hj-np-z]{58}$'),   -- X25519, to which footage is sealed
    ADD COLUMN recipient_set_at timestamptz,
    ADD CHECK ((recipient IS NULL) = (recipient_set_at IS NULL)),
    -- A code that one can read out over the telephone is for families alone.
    ADD CONSTRAINT account_code_is_of_families CHECK (code_hash IS NULL OR role IN ('guardian', 'watched', 'volunteer'));

CREATE TABLE passkey (
    id text PRIMARY KEY DEFAULT replace(gen_random_uuid()::text, '-', ''),
    account_id text NOT NULL REFERENCES account ON DELETE CASCADE,
    credential_id bytea NOT NULL UNIQUE CHECK (length(credential_id) BETWEEN 1 AND 1023),
    public_key bytea NOT NULL,           -- COSE_Key (RFC 9052)
    sign_count bigint NOT NULL CHECK (sign_count >= 0),
    transports text[] NOT NULL DEFAULT '{}',
    name text NOT NULL CHECK (length(name) BETWEEN 1 AND 64),
    created_at timestamptz NOT NULL DEFAULT now(),
    last_used_at timestamptz
);
CREATE INDEX passkey_account ON passkey (account_id);

-- Who an identity provider's subject is here; nobody becomes an account by signing in there.
CREATE TABLE identity (
    issuer text NOT NULL,
    subject text NOT NULL,
    account_id text NOT NULL REFERENCES account ON DELETE CASCADE,
    linked_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (issuer, subject)
);
CREATE INDEX identity_account ON identity (account_id);

-- scope enrol: may register a passkey or take a code, and nothing else.
ALTER TABLE session
    ADD COLUMN id text NOT NULL UNIQUE DEFAULT replace(gen_random_uuid()::text, '-', ''),
    ADD COLUMN scope text NOT NULL DEFAULT 'full' CHECK (scope IN ('full', 'enrol')),
    ADD COLUMN way text NOT NULL DEFAULT 'code' CHECK (way IN ('code', 'card', 'passkey', 'oidc')),
    ADD COLUMN idle_s integer NOT NULL DEFAULT 2592000 CHECK (idle_s > 0),
    ADD COLUMN proved_at timestamptz,    -- when a key was last shown: what a step-up asks for
    ADD COLUMN passkey_id text REFERENCES passkey ON DELETE CASCADE; -- a key that is taken away takes its sessions along

-- What a browser was given to answer; taken out by the answer, right or wrong.
CREATE TABLE challenge (
    token_hash bytea PRIMARY KEY,        -- SHA-256 of the browser's cookie
    kind text NOT NULL CHECK (kind IN ('registration', 'assertion', 'oidc')),
    account_id text REFERENCES account ON DELETE CASCADE, -- of a registration
    value bytea NOT NULL,                -- WebAuthn's challenge; OIDC's state
    provider text NOT NULL DEFAULT '',
    nonce text NOT NULL DEFAULT '',
    verifier text NOT NULL DEFAULT '',   -- PKCE (RFC 7636)
    expires_at timestamptz NOT NULL
);
CREATE INDEX challenge_expires ON challenge (expires_at);

CREATE TABLE household (
    id text PRIMARY KEY DEFAULT replace(gen_random_uuid()::text, '-', ''),
    city_id text NOT NULL REFERENCES city,
    name text NOT NULL CHECK (length(name) BETWEEN 1 AND 100)
);
CREATE TABLE household_ward (
    household_id text NOT NULL REFERENCES household ON DELETE CASCADE,
    ward_id text NOT NULL UNIQUE REFERENCES ward ON DELETE CASCADE,
    PRIMARY KEY (household_id, ward_id)
);
CREATE TABLE household_member (
    household_id text NOT NULL REFERENCES household ON DELETE CASCADE,
    account_id text NOT NULL REFERENCES account ON DELETE CASCADE,
    role text NOT NULL CHECK (role IN ('owner', 'guardian', 'viewer')),
    since timestamptz NOT NULL DEFAULT now(),
    until timestamptz NOT NULL DEFAULT 'infinity',
    invited_by text REFERENCES account ON DELETE SET NULL,
    PRIMARY KEY (household_id, account_id)
);
CREATE INDEX household_member_account ON household_member (account_id);

-- A sheet of paper that opens an account's door once. 128 random bits, so that a plain hash is enough.
CREATE TABLE enrolment_card (
    id text PRIMARY KEY DEFAULT replace(gen_random_uuid()::text, '-', ''),
    account_id text NOT NULL REFERENCES account ON DELETE CASCADE,
    code_hash bytea NOT NULL UNIQUE CHECK (length(code_hash) = 32),
    household_id text REFERENCES household ON DELETE CASCADE, -- which its use joins
    household_role text CHECK (household_role IN ('guardian', 'viewer')),
    made_by text REFERENCES account ON DELETE SET NULL, -- null: at the server's own command line
    made_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    used_at timestamptz,
    CHECK ((household_id IS NULL) = (household_role IS NULL))
);
CREATE INDEX enrolment_card_account ON enrolment_card (account_id);

-- What the others of a household are told about it, until they have read it.
CREATE TABLE household_news (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_id text NOT NULL REFERENCES account ON DELETE CASCADE,
    household_id text NOT NULL REFERENCES household ON DELETE CASCADE,
    kind text NOT NULL CHECK (kind IN ('invited', 'joined', 'left')),
    about_id text NOT NULL REFERENCES account ON DELETE CASCADE,
    at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX household_news_account ON household_news (account_id, id DESC);

-- DV等支援措置, protection orders, custody: an account that may learn nothing of a ward, whatever else holds.
-- It bars from the moment it is entered. Unconfirmed it ends by itself; lifting it takes two persons as well.
CREATE TABLE protective_measure (
    id text PRIMARY KEY DEFAULT replace(gen_random_uuid()::text, '-', ''),
    ward_id text NOT NULL REFERENCES ward ON DELETE CASCADE,
    account_id text NOT NULL REFERENCES account ON DELETE CASCADE, -- who is barred
    since timestamptz NOT NULL,
    until timestamptz NOT NULL,          -- in force: since <= now < until
    asked_until timestamptz NOT NULL,    -- what `until` becomes once a second person has confirmed
    entered_by text NOT NULL REFERENCES account,
    confirmed_by text REFERENCES account,
    confirmed_at timestamptz,
    end_asked_by text REFERENCES account,
    ended_by text REFERENCES account,
    CHECK (since < until AND until <= asked_until),
    CHECK (confirmed_by <> entered_by),
    CHECK ((confirmed_by IS NULL) = (confirmed_at IS NULL)),
    CHECK (ended_by <> end_asked_by)
);
CREATE INDEX protective_measure_ward ON protective_measure (ward_id);
CREATE INDEX protective_measure_account ON protective_measure (account_id);

CREATE FUNCTION tell_measure() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP <> 'INSERT' THEN
        PERFORM pg_notify('access', OLD.account_id);
    END IF;
    IF TG_OP <> 'DELETE' THEN
        PERFORM pg_notify('access', NEW.account_id);
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER measure_changed AFTER INSERT OR UPDATE OR DELETE ON protective_measure
    FOR EACH ROW EXECUTE FUNCTION tell_measure();

-- Guardianships that count. Every channel reads this and never `guardianship` itself.
CREATE VIEW charge WITH (security_invoker = true) AS
SELECT g.guardian_id, g.ward_id, g.since, g.until
FROM guardianship AS g
WHERE NOT EXISTS (
    SELECT FROM protective_measure AS m
    WHERE m.ward_id = g.ward_id AND m.account_id = g.guardian_id AND m.since <= now() AND m.until > now()
);

-- An agency whose registration ends is signed out in the same moment.
CREATE FUNCTION end_agency_sessions() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    DELETE FROM session USING account WHERE account.id = session.account_id AND account.agency_id = NEW.id;
    RETURN NULL;
END
$$;
CREATE TRIGGER agency_ended AFTER UPDATE ON agency
    FOR EACH ROW WHEN (OLD.ended_at IS NULL AND NEW.ended_at IS NOT NULL) EXECUTE FUNCTION end_agency_sessions();

-- The way to sealed history asks it too, as long as there is that way.
DO $$
BEGIN
    IF to_regprocedure('ward_hours(text, text, timestamptz, timestamptz, timestamptz)') IS NULL THEN
        RETURN;
    END IF;
    EXECUTE $body$
        CREATE OR REPLACE FUNCTION ward_hours(
            guardian text, ward text, now_at timestamptz, from_at timestamptz, to_at timestamptz)
        RETURNS TABLE (hour_at timestamptz, sealed bytea)
        LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $sql$
            SELECT h.hour_at, h.sealed FROM ward_hour AS h
            WHERE h.ward_id = $2 AND h.hour_at >= $4 AND h.hour_at < $5
              AND EXISTS (SELECT 1 FROM charge AS g
                          WHERE g.guardian_id = $1 AND g.ward_id = $2 AND g.since <= $3 AND g.until > $3)
            ORDER BY h.hour_at
        $sql$
    $body$;
END
$$;

-- The data plane of the API knows no account and no session. Families' accounts are told to the programs of notices.
REVOKE ALL ON account, session FROM api;
REVOKE ALL ON account FROM notify;
GRANT SELECT (id, email, language, disabled_at) ON account TO notify;
GRANT SELECT (disabled_at) ON account TO ingest;
GRANT SELECT (ward_id, account_id, since, until) ON protective_measure TO api, ingest, notify;
GRANT SELECT ON charge TO api, ingest, notify, warden;

GRANT SELECT ON city, ward TO warden;
GRANT SELECT, INSERT, UPDATE ON account, agency, guardianship, protective_measure, enrolment_card TO warden;
GRANT SELECT, INSERT, UPDATE, DELETE ON session, passkey, identity, challenge TO warden;
GRANT SELECT, INSERT, UPDATE, DELETE ON household, household_ward, household_member, household_news TO warden;

-- Hiding a measure from a program would open what the measure closes: who may ask at all is the grants' business.
ALTER TABLE protective_measure ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY known ON protective_measure FOR SELECT USING (true);
CREATE POLICY control ON protective_measure TO warden USING (true) WITH CHECK (true);

DO $$
DECLARE
    named text;
BEGIN
    FOREACH named IN ARRAY ARRAY['passkey', 'identity', 'challenge', 'enrolment_card', 'household', 'household_ward',
                                 'household_member', 'household_news'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', named);
        EXECUTE format('CREATE POLICY control ON %I TO warden USING (true) WITH CHECK (true)', named);
    END LOOP;
END
$$;
