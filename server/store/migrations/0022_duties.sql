-- What the ordinance wants of the city itself: records of each camera before it goes live (rule 20), changes of masks by
-- three people (rule 15), what the board has opened (rule 23), declared disasters (rule 25), and what the annual report
-- counts besides requests (rule 21). Dates and times here are wall time. Each row names the entry of the log it stands on.

-- The newest record of each kind; the ones before it are in the log.
CREATE TABLE camera_duty (
    detector_id text NOT NULL REFERENCES detector ON DELETE CASCADE,
    kind text NOT NULL CHECK (kind IN ('sign', 'consultation', 'notice', 'location')),
    done_on date NOT NULL,
    reference text NOT NULL CHECK (length(reference) BETWEEN 1 AND 200), -- of the paper or page; location: the place
    recorded_at timestamptz NOT NULL,
    entry_id bigint NOT NULL UNIQUE REFERENCES audit_entry,
    PRIMARY KEY (detector_id, kind)
);

CREATE TABLE camera_live (
    detector_id text PRIMARY KEY REFERENCES detector ON DELETE CASCADE,
    purposes text[],                     -- null: all that the ordinance has
    live_at timestamptz NOT NULL,
    ended_at timestamptz CHECK (ended_at >= live_at),
    entry_id bigint NOT NULL UNIQUE REFERENCES audit_entry,
    CHECK (purposes <@ ARRAY['crime', 'missing_person', 'traffic_accident', 'disaster', 'subject_disclosure'])
);

CREATE TABLE mask_change (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    detector_id text NOT NULL REFERENCES detector ON DELETE CASCADE,
    polygons jsonb NOT NULL,             -- shares of the picture, as in `mimamori order mask`
    is_bare boolean NOT NULL,
    reason text NOT NULL CHECK (length(reason) BETWEEN 1 AND 500),
    state text NOT NULL DEFAULT 'prepared' CHECK (state IN ('prepared', 'checked', 'approved', 'dropped')),
    prepared_at timestamptz NOT NULL,
    approved_at timestamptz,
    sent_at timestamptz,                 -- when it was ordered of the gateway
    CHECK ((state = 'approved') = (approved_at IS NOT NULL)),
    CHECK (sent_at IS NULL OR state = 'approved')
);
CREATE UNIQUE INDEX mask_change_open ON mask_change (detector_id) WHERE state IN ('prepared', 'checked');

-- Who took which step: three people, none of them twice.
CREATE TABLE mask_step (
    change_id bigint NOT NULL REFERENCES mask_change ON DELETE CASCADE,
    step text NOT NULL CHECK (step IN ('prepare', 'check', 'approve')),
    account_id text NOT NULL REFERENCES account ON DELETE CASCADE,
    role text NOT NULL,
    at timestamptz NOT NULL,
    entry_id bigint NOT NULL UNIQUE REFERENCES audit_entry,
    PRIMARY KEY (change_id, step),
    UNIQUE (change_id, account_id),
    CHECK (role = CASE step WHEN 'prepare' THEN 'handler' WHEN 'check' THEN 'supervisor' ELSE 'manager' END)
);

CREATE TABLE board_gate (
    id text PRIMARY KEY CHECK (id ~ '^(purpose|sensor|ai|recipient):[a-z0-9_]{1,40}$'),
    opinion text NOT NULL CHECK (length(opinion) BETWEEN 1 AND 200), -- as it is cited
    checklist_items integer NOT NULL CHECK (checklist_items > 0),
    checklist_on date NOT NULL,
    notice_on date NOT NULL,
    opened_at timestamptz NOT NULL,
    closed_at timestamptz CHECK (closed_at >= opened_at),
    entry_id bigint NOT NULL UNIQUE REFERENCES audit_entry
);

-- In force: declared_at <= now < until_at, and not ended before. Nothing has to be switched off.
CREATE TABLE disaster (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    reason text NOT NULL CHECK (length(reason) BETWEEN 1 AND 500),
    declared_at timestamptz NOT NULL,
    until_at timestamptz NOT NULL,
    ended_at timestamptz CHECK (ended_at >= declared_at),
    entry_id bigint NOT NULL UNIQUE REFERENCES audit_entry,
    CHECK (until_at > declared_at AND until_at <= declared_at + interval '72 hours')
);
CREATE TABLE disaster_camera (
    disaster_id bigint NOT NULL REFERENCES disaster ON DELETE CASCADE,
    detector_id text NOT NULL REFERENCES detector ON DELETE CASCADE,
    PRIMARY KEY (disaster_id, detector_id)
);

-- Complaints, inspections and breaches; what the report counts of them stands in the log.
CREATE TABLE oversight (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind text NOT NULL CHECK (kind IN ('complaint', 'inspection', 'breach')),
    happened_on date NOT NULL,
    findings integer NOT NULL DEFAULT 0 CHECK (findings >= 0), -- of an inspection
    persons integer NOT NULL DEFAULT 0 CHECK (persons >= 0),   -- concerned by a breach
    summary text NOT NULL CHECK (length(summary) BETWEEN 1 AND 2000),
    recorded_at timestamptz NOT NULL,
    entry_id bigint NOT NULL UNIQUE REFERENCES audit_entry
);

CREATE FUNCTION camera_live_check() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    IF (SELECT count(*) FROM camera_duty AS d WHERE d.detector_id = NEW.detector_id) < 4 THEN
        RAISE EXCEPTION 'a camera without its records cannot go live' USING ERRCODE = 'insufficient_privilege';
    END IF;
    IF NOT EXISTS (SELECT FROM mask_change AS m WHERE m.detector_id = NEW.detector_id AND m.state = 'approved') THEN
        RAISE EXCEPTION 'a camera without an approved mask cannot go live' USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER camera_live_check BEFORE INSERT OR UPDATE OF live_at ON camera_live
    FOR EACH ROW EXECUTE FUNCTION camera_live_check();

CREATE FUNCTION mask_change_check() RETURNS trigger
LANGUAGE plpgsql AS $$
DECLARE
    steps text[];
BEGIN
    IF TG_OP = 'INSERT' THEN
        IF NEW.state <> 'prepared' THEN
            RAISE EXCEPTION 'a change of a mask begins as a draft' USING ERRCODE = 'insufficient_privilege';
        END IF;
        RETURN NEW;
    END IF;
    IF (NEW.detector_id, NEW.polygons, NEW.is_bare, NEW.reason, NEW.prepared_at)
        IS DISTINCT FROM (OLD.detector_id, OLD.polygons, OLD.is_bare, OLD.reason, OLD.prepared_at)
    THEN
        RAISE EXCEPTION 'what was drawn stays' USING ERRCODE = 'insufficient_privilege';
    END IF;
    steps := ARRAY(SELECT step FROM mask_step WHERE change_id = NEW.id);
    IF NEW.state <> OLD.state AND NOT (CASE NEW.state
        WHEN 'checked' THEN OLD.state = 'prepared' AND steps @> ARRAY['prepare', 'check']
        WHEN 'approved' THEN OLD.state = 'checked' AND steps @> ARRAY['prepare', 'check', 'approve']
        WHEN 'dropped' THEN OLD.state IN ('prepared', 'checked')
        ELSE false END)
    THEN
        RAISE EXCEPTION 'no step explains the change from % to %', OLD.state, NEW.state
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER mask_change_check BEFORE INSERT OR UPDATE ON mask_change
    FOR EACH ROW EXECUTE FUNCTION mask_change_check();

GRANT SELECT ON camera_duty, camera_live, board_gate, disaster, disaster_camera TO api, warden, clerk;
GRANT SELECT ON mask_change, mask_step, oversight TO warden;
GRANT INSERT, UPDATE ON camera_duty, camera_live, board_gate TO warden;
GRANT INSERT (detector_id, polygons, is_bare, reason, prepared_at), UPDATE (state, approved_at) ON mask_change TO warden;
GRANT INSERT ON mask_step, disaster_camera, oversight TO warden;
GRANT INSERT, UPDATE (ended_at) ON disaster TO warden;
GRANT SELECT (id, city_id, revoked_at) ON detector TO warden, clerk;
GRANT SELECT (id, role, agency_id, disabled_at) ON account TO warden;

-- Who took a step, and what people complained of, is nobody's but the control plane's.
ALTER TABLE mask_step ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY control ON mask_step TO warden USING (true) WITH CHECK (true);
ALTER TABLE oversight ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY control ON oversight TO warden USING (true) WITH CHECK (true);
