-- Requests for footage. All times here are wall time. The state machine is privacy/cases.py; a test holds both equal.

CREATE TABLE case_move (
    from_state text NOT NULL,
    step text NOT NULL,
    to_state text NOT NULL,
    PRIMARY KEY (from_state, step),
    UNIQUE (from_state, step, to_state)
);
INSERT INTO case_move (from_state, step, to_state) VALUES
    ('draft', 'submit', 'submitted'), ('draft', 'withdraw', 'withdrawn'),
    ('submitted', 'prepare', 'prepared'), ('submitted', 'emergency', 'approved'), ('submitted', 'found', 'withdrawn'),
    ('submitted', 'refuse', 'refused'), ('submitted', 'withdraw', 'withdrawn'), ('submitted', 'lapse', 'lapsed'),
    ('prepared', 'check', 'checked'), ('prepared', 'emergency', 'approved'), ('prepared', 'found', 'withdrawn'),
    ('prepared', 'refuse', 'refused'), ('prepared', 'withdraw', 'withdrawn'), ('prepared', 'lapse', 'lapsed'),
    ('checked', 'approve', 'approved'), ('checked', 'emergency', 'approved'), ('checked', 'found', 'withdrawn'),
    ('checked', 'refuse', 'refused'), ('checked', 'withdraw', 'withdrawn'), ('checked', 'lapse', 'lapsed'),
    ('approved', 'exported', 'ready'), ('approved', 'ratify', 'approved'), ('approved', 'revoke', 'revoked'),
    ('approved', 'found', 'withdrawn'), ('approved', 'withdraw', 'withdrawn'),
    ('ready', 'undertake', 'released'), ('ready', 'ratify', 'ready'), ('ready', 'revoke', 'revoked'),
    ('ready', 'found', 'withdrawn'), ('ready', 'withdraw', 'withdrawn'),
    ('released', 'ratify', 'released'), ('released', 'extend', 'released'), ('released', 'feedback', 'released'),
    ('released', 'found', 'released'), ('released', 'revoke', 'revoked'), ('released', 'return', 'returned'),
    ('revoked', 'return', 'returned'),
    ('returned', 'feedback', 'returned'), ('returned', 'close', 'closed');

CREATE TABLE case_counter (
    year integer PRIMARY KEY,
    last integer NOT NULL
);

CREATE TABLE footage_case (
    id text PRIMARY KEY CHECK (id ~ '^[0-9a-f]{32}$'), -- random: it tells nothing and cannot be guessed
    city_id text NOT NULL REFERENCES city,
    number text NOT NULL UNIQUE CHECK (number ~ '^[0-9]{4}-[0-9]{4,9}$'), -- as gateways and manifests name it
    agency_id text NOT NULL REFERENCES agency,
    officer_id text NOT NULL REFERENCES account,
    state text NOT NULL DEFAULT 'draft' CHECK (state IN (
        'draft', 'submitted', 'prepared', 'checked', 'approved', 'ready', 'released', 'returned', 'closed',
        'refused', 'withdrawn', 'lapsed', 'revoked')),
    purpose text NOT NULL CHECK (purpose IN (
        'crime', 'missing_person', 'traffic_accident', 'disaster', 'subject_disclosure')),
    basis text NOT NULL CHECK (basis IN ('inquiry', 'warrant', 'article_69', 'article_76', 'consent', 'ordinance')),
    is_emergency boolean NOT NULL DEFAULT false, -- asked as one; released as one once emergency_at is there
    offence text NOT NULL DEFAULT '',
    has_occurred boolean NOT NULL DEFAULT false,
    inquiry_number text NOT NULL DEFAULT '',
    inquiry_on date,
    inquiry_station text NOT NULL DEFAULT '',
    inquiry_officer text NOT NULL DEFAULT '',
    warrant_number text NOT NULL DEFAULT '',
    report_number text NOT NULL DEFAULT '',
    missing_kind text NOT NULL DEFAULT '',
    last_confirmed_at timestamptz,
    reason text NOT NULL DEFAULT '',
    note text NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL,
    submitted_at timestamptz,
    freeze_until timestamptz,            -- undecided until then, it lapses
    emergency_at timestamptz,
    ratified_at timestamptz,
    approved_at timestamptz,
    mode text CHECK (mode IN ('view', 'download')), -- as approved
    approved_until timestamptz,          -- no release lasts longer
    recipient text CHECK (recipient ~ '^age1[02-9ac-hj-np-z]{58}$'), -- the officer's key as it was when approved
    exported_at timestamptz,             -- all exports are whole
    release_until timestamptz,           -- null: never released
    return_by timestamptz,
    copies_destroyed_at timestamptz,
    demanded_at timestamptz,             -- the recipient was told to destroy what he has
    overdue_at timestamptz,              -- the certificate of return did not come in time
    found_at timestamptz,
    feedback text CHECK (feedback IN ('used', 'not_used', 'not_relevant')),
    feedback_missing_at timestamptz,     -- no answer in time: named in the report
    CHECK ((state = 'draft') <= (submitted_at IS NULL)),
    CHECK (state IN ('draft', 'withdrawn') OR submitted_at IS NOT NULL),
    CHECK ((submitted_at IS NULL) = (freeze_until IS NULL)),
    CHECK (state NOT IN ('approved', 'ready', 'released', 'revoked', 'returned', 'closed')
           OR (approved_at IS NOT NULL AND mode IS NOT NULL AND approved_until IS NOT NULL AND recipient IS NOT NULL)),
    CHECK (emergency_at IS NULL OR is_emergency),
    CHECK (ratified_at IS NULL OR emergency_at IS NOT NULL),
    CHECK (state <> 'revoked' OR emergency_at IS NOT NULL),
    CHECK (state NOT IN ('ready', 'released') OR exported_at IS NOT NULL),
    CHECK (state <> 'released' OR (release_until IS NOT NULL AND return_by IS NOT NULL)),
    CHECK (release_until IS NULL OR release_until <= approved_until)
) WITH (fillfactor = 80);
CREATE INDEX footage_case_agency ON footage_case (agency_id, created_at);
CREATE INDEX footage_case_open ON footage_case (state) WHERE state NOT IN ('refused', 'withdrawn', 'lapsed', 'closed');

-- A window of one camera; at most six hours each, as gateways take them: longer ones are several rows.
CREATE TABLE case_camera (
    case_id text NOT NULL REFERENCES footage_case,
    number smallint NOT NULL CHECK (number > 0),
    detector_id text NOT NULL REFERENCES detector,
    from_at timestamptz NOT NULL,
    to_at timestamptz NOT NULL,
    PRIMARY KEY (case_id, number),
    CHECK (from_at < to_at AND to_at - from_at <= interval '6 hours')
);
CREATE INDEX case_camera_detector ON case_camera (detector_id);

-- Papers as they were uploaded, sealed with AES-256-GCM under keys/papers.bin. The newest of a kind counts.
CREATE TABLE case_paper (
    id text PRIMARY KEY CHECK (id ~ '^[0-9a-f]{32}$'),
    case_id text NOT NULL REFERENCES footage_case,
    kind text NOT NULL CHECK (kind IN ('inquiry', 'request', 'warrant', 'report', 'consent', 'disclosure')),
    name text NOT NULL,
    media_type text NOT NULL CHECK (media_type IN ('application/pdf', 'image/png', 'image/jpeg')),
    size_bytes integer NOT NULL CHECK (size_bytes > 0),
    sha256 bytea NOT NULL CHECK (length(sha256) = 32), -- of what was uploaded
    findings jsonb NOT NULL,
    sealed bytea NOT NULL,
    added_at timestamptz NOT NULL,
    added_by text NOT NULL REFERENCES account,
    entry_id bigint NOT NULL UNIQUE REFERENCES audit_entry
);
CREATE INDEX case_paper_case ON case_paper (case_id, kind, added_at);

-- Every step, each with its entry in the log and taken in the transaction that wrote it.
CREATE TABLE case_step (
    case_id text NOT NULL REFERENCES footage_case,
    ordinal integer NOT NULL CHECK (ordinal > 0),
    step text NOT NULL,
    from_state text NOT NULL,
    to_state text NOT NULL,
    at timestamptz NOT NULL,
    role text NOT NULL CHECK (role IN ('officer', 'handler', 'supervisor', 'manager', 'clerk')),
    account_id text REFERENCES account,  -- null: the system itself
    note text NOT NULL DEFAULT '',
    entry_id bigint NOT NULL UNIQUE REFERENCES audit_entry,
    transaction_id xid8 NOT NULL DEFAULT pg_current_xact_id(),
    PRIMARY KEY (case_id, ordinal),
    FOREIGN KEY (from_state, step, to_state) REFERENCES case_move (from_state, step, to_state),
    CHECK ((role = 'clerk') = (account_id IS NULL)),
    CHECK (step <> 'prepare' OR role = 'handler'),
    CHECK (step NOT IN ('check', 'emergency') OR role = 'supervisor'),
    CHECK (step <> 'approve' OR role = 'manager'),
    CHECK (step NOT IN ('undertake', 'feedback', 'return') OR role IN ('officer', 'clerk')),
    CHECK (step NOT IN ('lapse', 'revoke', 'exported') OR role = 'clerk'),
    CHECK (step <> 'close' OR role IN ('handler', 'clerk'))
);
-- None of the roles is held twice in one case (rule 6); who releases in an emergency may have checked, not ratify.
CREATE UNIQUE INDEX case_step_once ON case_step (case_id, account_id)
    WHERE step IN ('prepare', 'check', 'approve', 'ratify');
CREATE UNIQUE INDEX case_step_alone ON case_step (case_id, account_id)
    WHERE step IN ('prepare', 'emergency', 'approve', 'ratify');

-- Which orders to gateways a case has given. Without a row here the clerk can give none.
CREATE TABLE case_order (
    detector_id text NOT NULL,
    sequence bigint NOT NULL,
    case_id text NOT NULL,
    camera smallint,                     -- null: of all its windows, as a thaw is
    kind text NOT NULL CHECK (kind IN ('freeze', 'thaw', 'export')),
    export_id text REFERENCES export,
    at timestamptz NOT NULL,
    entry_id bigint NOT NULL UNIQUE REFERENCES audit_entry,
    PRIMARY KEY (detector_id, sequence),
    FOREIGN KEY (detector_id, sequence) REFERENCES gateway_order (detector_id, sequence),
    FOREIGN KEY (case_id, camera) REFERENCES case_camera (case_id, number),
    CHECK ((kind = 'export') = (export_id IS NOT NULL)),
    CHECK ((kind = 'thaw') = (camera IS NULL))
);
CREATE INDEX case_order_case ON case_order (case_id, kind);
ALTER TABLE case_order ADD FOREIGN KEY (case_id) REFERENCES footage_case;
CREATE UNIQUE INDEX case_order_export ON case_order (export_id);

CREATE TABLE case_undertaking (
    case_id text PRIMARY KEY REFERENCES footage_case,
    account_id text NOT NULL REFERENCES account,
    signed_at timestamptz NOT NULL,
    entry_id bigint NOT NULL UNIQUE REFERENCES audit_entry
);

-- Every time an export was opened: written and committed before the first octet leaves.
CREATE TABLE case_opening (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    case_id text NOT NULL REFERENCES footage_case,
    export_id text NOT NULL REFERENCES export,
    account_id text NOT NULL REFERENCES account,
    at timestamptz NOT NULL,
    mode text NOT NULL CHECK (mode IN ('view', 'download')),
    entry_id bigint NOT NULL UNIQUE REFERENCES audit_entry
);
CREATE INDEX case_opening_case ON case_opening (case_id, at);

-- 'return': by the recipient; 'copy': of the copy that the city held.
CREATE TABLE case_certificate (
    case_id text NOT NULL REFERENCES footage_case,
    kind text NOT NULL CHECK (kind IN ('return', 'copy')),
    at timestamptz NOT NULL,
    method text NOT NULL CHECK (length(method) BETWEEN 1 AND 200),
    hashes text[] NOT NULL,
    account_id text REFERENCES account,
    entry_id bigint NOT NULL UNIQUE REFERENCES audit_entry,
    PRIMARY KEY (case_id, kind, at)
);
CREATE UNIQUE INDEX case_certificate_return ON case_certificate (case_id) WHERE kind = 'return';

-- What city hall and recipient are told to look at, until it is settled.
CREATE TABLE case_reminder (
    case_id text NOT NULL REFERENCES footage_case,
    kind text NOT NULL CHECK (kind IN (
        'undecided', 'unratified', 'unreturned', 'escalated', 'destroy', 'feedback', 'export_failed', 'board')),
    at timestamptz NOT NULL,
    settled_at timestamptz,
    entry_id bigint NOT NULL UNIQUE REFERENCES audit_entry,
    PRIMARY KEY (case_id, kind, at)
);
CREATE UNIQUE INDEX case_reminder_open ON case_reminder (case_id, kind) WHERE settled_at IS NULL;

CREATE FUNCTION case_entry_fits(entry bigint, of_case text, kinds text) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT coalesce(bool_and(said.body ->> 'kind' ~ kinds AND said.body -> 'facts' ->> 'case' = f.number), false)
    FROM audit_entry AS e
    CROSS JOIN LATERAL (SELECT convert_from(e.body, 'UTF8')::jsonb) AS said (body)
    JOIN footage_case AS f ON f.id = of_case
    WHERE e.id = entry
$$;

CREATE FUNCTION case_step_check() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    IF (current_user = 'clerk') <> (NEW.role = 'clerk') THEN
        RAISE EXCEPTION 'steps of people are the warden''s, steps of time the clerk''s'
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    IF NOT case_entry_fits(NEW.entry_id, NEW.case_id, '^case\.') THEN
        RAISE EXCEPTION 'this entry of the log is not of this case' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    PERFORM pg_notify('footage_case', NEW.case_id);
    RETURN NEW;
END
$$;
CREATE TRIGGER case_step_check BEFORE INSERT ON case_step FOR EACH ROW EXECUTE FUNCTION case_step_check();

CREATE FUNCTION case_change_check() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        IF NEW.state <> 'draft' THEN
            RAISE EXCEPTION 'a case begins as a draft' USING ERRCODE = 'integrity_constraint_violation';
        END IF;
        RETURN NEW;
    END IF;
    IF NEW.state <> OLD.state AND NOT EXISTS (
        SELECT FROM case_step AS s WHERE s.case_id = NEW.id AND s.from_state = OLD.state AND s.to_state = NEW.state
            AND s.transaction_id = pg_current_xact_id()
    ) THEN
        RAISE EXCEPTION 'no step explains the change from % to %', OLD.state, NEW.state
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF (NEW.id, NEW.city_id, NEW.number, NEW.agency_id, NEW.officer_id, NEW.created_at)
        IS DISTINCT FROM (OLD.id, OLD.city_id, OLD.number, OLD.agency_id, OLD.officer_id, OLD.created_at)
    THEN
        RAISE EXCEPTION 'whose case it is stays' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF OLD.state <> 'draft' AND (
        (NEW.purpose, NEW.basis, NEW.offence, NEW.has_occurred, NEW.missing_kind, NEW.last_confirmed_at, NEW.reason,
         NEW.note, NEW.submitted_at)
        IS DISTINCT FROM (OLD.purpose, OLD.basis, OLD.offence, OLD.has_occurred, OLD.missing_kind,
         OLD.last_confirmed_at, OLD.reason, OLD.note, OLD.submitted_at)
    ) THEN
        RAISE EXCEPTION 'what was submitted stays' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    -- In an emergency the papers come later, and with them their numbers.
    IF OLD.state <> 'draft' AND NOT (OLD.is_emergency AND OLD.ratified_at IS NULL) AND (
        (NEW.inquiry_number, NEW.inquiry_on, NEW.inquiry_station, NEW.inquiry_officer, NEW.warrant_number,
         NEW.report_number)
        IS DISTINCT FROM (OLD.inquiry_number, OLD.inquiry_on, OLD.inquiry_station, OLD.inquiry_officer,
         OLD.warrant_number, OLD.report_number)
    ) THEN
        RAISE EXCEPTION 'what was submitted stays' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER case_change_check BEFORE INSERT OR UPDATE ON footage_case
    FOR EACH ROW EXECUTE FUNCTION case_change_check();

CREATE FUNCTION case_camera_check() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM footage_case WHERE id = coalesce(NEW.case_id, OLD.case_id) AND state = 'draft') THEN
        RAISE EXCEPTION 'what was submitted stays' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN coalesce(NEW, OLD);
END
$$;
CREATE TRIGGER case_camera_check BEFORE INSERT OR UPDATE OR DELETE ON case_camera
    FOR EACH ROW EXECUTE FUNCTION case_camera_check();

CREATE FUNCTION case_append_only() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'what happened to a case stays' USING ERRCODE = 'insufficient_privilege';
END
$$;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON case_step FOR EACH ROW EXECUTE FUNCTION case_append_only();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON case_order FOR EACH ROW EXECUTE FUNCTION case_append_only();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON case_opening FOR EACH ROW EXECUTE FUNCTION case_append_only();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON case_undertaking
    FOR EACH ROW EXECUTE FUNCTION case_append_only();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON case_certificate
    FOR EACH ROW EXECUTE FUNCTION case_append_only();

-- An order of the clerk's stands on a case in the right state: nothing is exported of a case that nobody approved.
CREATE FUNCTION case_order_check() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM footage_case WHERE id = NEW.case_id AND CASE NEW.kind
        WHEN 'export' THEN state = 'approved'
        WHEN 'freeze' THEN state IN ('submitted', 'prepared', 'checked', 'approved', 'ready')
        ELSE state NOT IN ('draft', 'submitted', 'prepared', 'checked', 'approved') END
    ) THEN
        RAISE EXCEPTION 'no % in this state of the case', NEW.kind USING ERRCODE = 'insufficient_privilege';
    END IF;
    IF NOT EXISTS (SELECT FROM gateway_order AS o WHERE o.detector_id = NEW.detector_id AND o.sequence = NEW.sequence
        AND o.kind = NEW.kind)
    OR NOT case_entry_fits(NEW.entry_id, NEW.case_id, '^order\.issued$') THEN
        RAISE EXCEPTION 'order, case and entry do not fit' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER case_order_check BEFORE INSERT ON case_order FOR EACH ROW EXECUTE FUNCTION case_order_check();

CREATE FUNCTION clerk_order_check() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM case_order AS c WHERE c.detector_id = NEW.detector_id AND c.sequence = NEW.sequence) THEN
        RAISE EXCEPTION 'the clerk orders for cases alone' USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NULL;
END
$$;
CREATE CONSTRAINT TRIGGER clerk_order_check AFTER INSERT ON gateway_order DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW WHEN (current_user = 'clerk') EXECUTE FUNCTION clerk_order_check();

CREATE FUNCTION tell_export() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('footage_case', '');
    RETURN NULL;
END
$$;
CREATE TRIGGER export_settled AFTER UPDATE ON export
    FOR EACH ROW WHEN (OLD.state IS DISTINCT FROM NEW.state) EXECUTE FUNCTION tell_export();

-- City-held copies end; the row stays, with what it was.
ALTER TABLE export ADD COLUMN destroyed_at timestamptz;

DO $$
DECLARE
    wanted text;
BEGIN
    FOREACH wanted IN ARRAY ARRAY['footage_case', 'case_camera', 'case_paper', 'case_step', 'case_order',
        'case_undertaking', 'case_opening', 'case_certificate', 'case_reminder'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', wanted);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', wanted);
        EXECUTE format('CREATE POLICY %I ON %I TO warden USING (true) WITH CHECK (true)', wanted || '_warden', wanted);
        EXECUTE format('CREATE POLICY %I ON %I TO clerk USING (true) WITH CHECK (true)', wanted || '_clerk', wanted);
    END LOOP;
END
$$;

GRANT SELECT ON case_move, footage_case, case_camera, case_step, case_order, case_undertaking, case_opening,
    case_certificate, case_reminder TO warden, clerk;
GRANT SELECT ON case_paper TO warden;
GRANT SELECT (id, case_id, kind, name, media_type, size_bytes, sha256, findings, added_at, entry_id) ON case_paper
    TO clerk;            -- not what is in them
GRANT SELECT, INSERT, UPDATE ON case_counter TO warden;
GRANT INSERT ON footage_case, case_paper, case_undertaking, case_opening, case_certificate TO warden;
GRANT INSERT, DELETE ON case_camera TO warden;
GRANT INSERT (case_id, ordinal, step, from_state, to_state, at, role, account_id, note, entry_id) ON case_step
    TO warden, clerk;
GRANT UPDATE ON footage_case TO warden;
GRANT UPDATE (state, exported_at, release_until, copies_destroyed_at, demanded_at, overdue_at, feedback_missing_at)
    ON footage_case TO clerk;
GRANT INSERT ON case_order, case_certificate, case_reminder TO clerk;
GRANT UPDATE (settled_at) ON case_reminder TO clerk;
GRANT SELECT ON city, agency TO warden, clerk;
GRANT SELECT (id, role, name_ja, name_en, language, agency_id, disabled_at) ON account TO warden, clerk;
GRANT SELECT (id, city_id, kind, label_ja, label_en, lat_deg, lon_deg, public_key, revoked_at, previous_key,
    previous_until) ON detector TO warden, clerk;
GRANT SELECT ON detector_health TO warden, clerk;
GRANT SELECT (detector_id, sequence, kind, body, issued_at, state, settled_at, reason, result) ON gateway_order TO warden;
GRANT SELECT ON gateway_order TO clerk;
GRANT INSERT (detector_id, sequence, kind, body, issued_at, next_send_at) ON gateway_order TO clerk;
GRANT SELECT ON export TO warden, clerk;
GRANT INSERT (id, detector_id, case_id, from_at, to_at, recipient) ON export TO clerk;
GRANT UPDATE (destroyed_at) ON export TO clerk;
