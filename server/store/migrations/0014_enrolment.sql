-- How gateways come to their keys: one-time codes, certificates, rotation, revocation. All times here are wall time.

DO $$
BEGIN
    CREATE ROLE gate LOGIN;
EXCEPTION WHEN duplicate_object OR unique_violation THEN
    NULL;
END
$$;

ALTER TABLE detector
    ALTER COLUMN public_key DROP NOT NULL,  -- null: not enrolled yet, nothing of it is believed
    ADD COLUMN seal_key bytea,              -- X25519, SubjectPublicKeyInfo DER: orders with keys are sealed to it
    ADD COLUMN previous_key bytea,          -- as public_key, before the last rotation: what was queued by then is believed
    ADD COLUMN previous_until timestamptz,  -- until then
    ADD COLUMN enrolled_at timestamptz,     -- not null: the key was made on the device, a registry file cannot change it
    ADD CHECK ((previous_key IS NULL) = (previous_until IS NULL));

CREATE TABLE certificate (
    serial text PRIMARY KEY,                -- hex, lower case, no leading zeros
    kind text NOT NULL CHECK (kind IN ('gateway', 'service')),
    subject text NOT NULL,                  -- detector's id, program's name
    key_sha256 bytea NOT NULL CHECK (length(key_sha256) = 32), -- of the SubjectPublicKeyInfo
    not_before timestamptz NOT NULL,
    not_after timestamptz NOT NULL,
    issued_at timestamptz NOT NULL,
    revoked_at timestamptz,
    reason text CHECK (reason IN ('revoked', 'replaced'))
);
CREATE INDEX certificate_subject ON certificate (subject, not_after);

CREATE TABLE enrolment_code (
    detector_id text PRIMARY KEY REFERENCES detector ON DELETE CASCADE, -- a new code replaces the one before
    code_hash bytea NOT NULL CHECK (length(code_hash) = 32), -- SHA-256 of 128 random bits: there is nothing to guess
    made_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    attempts integer NOT NULL DEFAULT 0,    -- with a wrong code
    used_at timestamptz,
    used_key bytea,                         -- SubjectPublicKeyInfo of the key that it enrolled
    used_seal_key bytea
);

-- Whoever changes who may connect, by whatever way: those who hold connections learn of it in the same moment.
CREATE FUNCTION tell_enrolment() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP <> 'INSERT' THEN
        PERFORM pg_notify('enrolment', 'gateway:' || OLD.id);
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER enrolment_ended AFTER DELETE ON detector
    FOR EACH ROW EXECUTE FUNCTION tell_enrolment();
CREATE TRIGGER enrolment_changed AFTER UPDATE ON detector
    FOR EACH ROW WHEN (OLD.revoked_at IS DISTINCT FROM NEW.revoked_at OR OLD.public_key IS DISTINCT FROM NEW.public_key)
    EXECUTE FUNCTION tell_enrolment();

CREATE FUNCTION tell_certificate() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('enrolment', OLD.kind || ':' || OLD.subject);
    RETURN NULL;
END
$$;
CREATE TRIGGER certificate_ended AFTER DELETE ON certificate
    FOR EACH ROW EXECUTE FUNCTION tell_certificate();
CREATE TRIGGER certificate_changed AFTER UPDATE ON certificate
    FOR EACH ROW WHEN (OLD.revoked_at IS DISTINCT FROM NEW.revoked_at) EXECUTE FUNCTION tell_certificate();

-- The only ways in for api: a code that is right is spent, once. Whoever took the API over still cannot put a key on a
-- gateway for which nobody made a code. The same key and code are answered again for ten minutes: the device may have
-- lost power between our answer and its disk.
CREATE FUNCTION enrol_gateway(
    city text, detector text, code_sha256 bytea, new_key bytea, new_seal_key bytea, now_at timestamptz
) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    code enrolment_code%ROWTYPE;
    is_fresh boolean;
BEGIN
    SELECT c.* INTO code FROM enrolment_code AS c JOIN detector AS d ON d.id = c.detector_id
    WHERE c.detector_id = $2 AND d.city_id = $1 AND d.revoked_at IS NULL
    FOR UPDATE;
    -- Wrong codes are counted and shut nobody out: a code has 128 random bits, and a stranger could burn every ticket.
    IF NOT FOUND OR code.expires_at <= now_at THEN
        RETURN false;
    END IF;
    IF code.code_hash <> code_sha256 THEN
        UPDATE enrolment_code SET attempts = attempts + 1 WHERE detector_id = $2;
        RETURN false;
    END IF;
    is_fresh := code.used_at IS NULL;
    IF NOT is_fresh AND (code.used_key <> new_key OR code.used_seal_key <> new_seal_key
                         OR code.used_at + interval '10 minutes' <= now_at) THEN
        RETURN false;
    END IF;
    IF is_fresh THEN
        UPDATE enrolment_code SET used_at = now_at, used_key = new_key, used_seal_key = new_seal_key WHERE detector_id = $2;
        UPDATE detector SET public_key = new_key, seal_key = new_seal_key, enrolled_at = now_at, previous_key = public_key,
                            previous_until = CASE WHEN public_key IS NOT NULL THEN now_at + interval '7 days' END
        WHERE id = $2;
        UPDATE certificate AS c SET revoked_at = now_at, reason = 'replaced'
        WHERE c.kind = 'gateway' AND c.subject = $2 AND c.revoked_at IS NULL AND c.not_after > now_at;
    END IF;
    RETURN true;
END
$$;

-- Takes the place of a key that is in force; the old one is believed for seven more days, of batches only.
CREATE FUNCTION rotate_gateway(
    city text, detector text, current_key bytea, new_key bytea, new_seal_key bytea, now_at timestamptz
) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    kept detector%ROWTYPE;
BEGIN
    SELECT d.* INTO kept FROM detector AS d
    WHERE d.id = $2 AND d.city_id = $1 AND d.revoked_at IS NULL AND d.enrolled_at IS NOT NULL
    FOR UPDATE;
    -- The second case: our answer got lost, and the device asks again with the key that it had.
    IF NOT FOUND OR (kept.public_key <> current_key AND (
        kept.previous_key IS DISTINCT FROM current_key OR kept.previous_until <= now_at OR kept.public_key <> new_key
        OR kept.seal_key IS DISTINCT FROM new_seal_key
    )) THEN
        RETURN false;
    END IF;
    IF kept.public_key <> new_key THEN
        UPDATE detector SET previous_key = public_key, previous_until = now_at + interval '7 days', public_key = new_key
        WHERE id = $2;
        UPDATE certificate AS c SET revoked_at = now_at, reason = 'replaced'
        WHERE c.kind = 'gateway' AND c.subject = $2 AND c.revoked_at IS NULL AND c.not_after > now_at;
    END IF;
    IF kept.seal_key IS DISTINCT FROM new_seal_key THEN
        UPDATE detector SET seal_key = new_seal_key WHERE id = $2;
    END IF;
    RETURN true;
END
$$;

REVOKE ALL ON FUNCTION enrol_gateway, rotate_gateway FROM PUBLIC;
GRANT EXECUTE ON FUNCTION enrol_gateway, rotate_gateway TO api;
GRANT SELECT, INSERT ON certificate TO api;

GRANT USAGE ON SCHEMA public TO gate;
GRANT SELECT ON city, certificate TO gate;
GRANT SELECT (id, city_id, kind, public_key, previous_key, previous_until, enrolled_at, revoked_at) ON detector TO gate;
GRANT SELECT (detector_id, state, sent_at, received_at) ON detector_health TO gate;
