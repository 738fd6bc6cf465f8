-- Purpose limitation: row-level security on everything personal, and the tokens by which `api` sees any of it.
-- A token is issued by `warden` alone, after the policies said yes. All times here are wall time, but those of the data.

-- The owner is no exception (FORCE): whoever keeps the tables says so first, with SET ROLE keeper. Backups likewise:
-- pg_dump --role=keeper --enable-row-security, or a superuser, whom row-level security never binds.
DO $$
BEGIN
    CREATE ROLE keeper NOLOGIN;
EXCEPTION WHEN duplicate_object OR unique_violation THEN
    NULL;
END
$$;
DO $$
BEGIN
    IF NOT pg_has_role(current_user, 'keeper', 'SET') THEN
        EXECUTE format('GRANT keeper TO %I WITH INHERIT FALSE, SET TRUE', current_user);
    END IF;
END
$$;
GRANT USAGE, CREATE ON SCHEMA public TO keeper; -- CREATE until its functions are its own, see the end
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO keeper;
REVOKE INSERT, UPDATE, DELETE ON schema_migration FROM keeper;
GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO keeper;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO keeper;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT USAGE, SELECT ON SEQUENCES TO keeper;

-- Every table that is personal: the keeper and these roles pass, as far as their grants go; nobody else sees a row.
CREATE FUNCTION guard_rows(guarded regclass, VARIADIC roles text[]) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    role_name text;
BEGIN
    EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', guarded);
    FOREACH role_name IN ARRAY array_prepend('keeper', roles) LOOP
        EXECUTE format('CREATE POLICY %I ON %s TO %I USING (true) WITH CHECK (true)', role_name, guarded, role_name);
    END LOOP;
END
$$;
REVOKE ALL ON FUNCTION guard_rows FROM PUBLIC;

-- The agency that serves the ward's tag, under contract with the city: it may look up whether the tag works.
ALTER TABLE ward ADD COLUMN provider_id text REFERENCES agency;

-- How often the relations of an account or a ward have changed: a token of an older version is of no use any more,
-- also one that is being issued in the same moment by a transaction that still saw the relations of before.
CREATE TABLE access_version (
    subject text PRIMARY KEY,            -- account:ID, ward:ID, case:ID; none: 0
    version bigint NOT NULL
) WITH (fillfactor = 70);

CREATE TABLE purpose_token (
    id uuid PRIMARY KEY,
    secret_hash bytea NOT NULL UNIQUE CHECK (length(secret_hash) = 32), -- SHA-256 of secret and session: of no use in another
    account_id text NOT NULL REFERENCES account ON DELETE CASCADE,
    account_version bigint NOT NULL,
    session_hash bytea NOT NULL REFERENCES session ON DELETE CASCADE, -- who signs out takes all tokens along
    purpose text NOT NULL,
    classes text[] NOT NULL CHECK (cardinality(classes) > 0), -- of data: ward, place, event, track, look_up, registry, case
    from_at timestamptz NOT NULL,        -- of the data: from_at <= its time < to_at
    to_at timestamptz NOT NULL,
    issued_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    CHECK (from_at <= to_at),
    CHECK (expires_at <= issued_at + interval '1 hour')
);
CREATE INDEX purpose_token_account ON purpose_token (account_id);
CREATE INDEX purpose_token_session ON purpose_token (session_hash);
CREATE INDEX purpose_token_expires ON purpose_token (expires_at);

CREATE TABLE purpose_token_ward (
    token_id uuid NOT NULL REFERENCES purpose_token ON DELETE CASCADE,
    ward_id text NOT NULL REFERENCES ward ON DELETE CASCADE,
    version bigint NOT NULL,
    PRIMARY KEY (token_id, ward_id)
);
CREATE INDEX purpose_token_ward_ward ON purpose_token_ward (ward_id);

CREATE TABLE purpose_token_case (
    token_id uuid NOT NULL REFERENCES purpose_token ON DELETE CASCADE,
    case_id text NOT NULL,
    version bigint NOT NULL,
    PRIMARY KEY (token_id, case_id)
);

-- What the tokens of this transaction open. `mimamori.tokens` is a list of secret and session, hex, with commas between;
-- anybody may set it, and whoever does not know a secret gets nothing by it.
-- Versions are looked up one by one and by index: the planner knows nothing of tables that are empty when it first plans.
CREATE FUNCTION purpose_scope(VARIADIC wanted text[])
RETURNS TABLE (ward_id text, from_at timestamptz, to_at timestamptz)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = public, pg_temp SET enable_seqscan = off ROWS 3 AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT w.ward_id, t.from_at, t.to_at
    FROM purpose_token AS t JOIN purpose_token_ward AS w ON w.token_id = t.id
    WHERE t.secret_hash = ANY (ARRAY(
              SELECT sha256(decode(part, 'hex'))
              FROM string_to_table(nullif(current_setting('mimamori.tokens', true), ''), ',') AS part))
      AND t.classes && wanted AND t.expires_at > statement_timestamp()
      AND t.account_version
          = coalesce((SELECT a.version FROM access_version AS a WHERE a.subject = 'account:' || t.account_id), 0)
      AND w.version = coalesce((SELECT a.version FROM access_version AS a WHERE a.subject = 'ward:' || w.ward_id), 0);
END
$$;

CREATE FUNCTION purpose_cases(VARIADIC wanted text[]) RETURNS TABLE (case_id text)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = public, pg_temp SET enable_seqscan = off ROWS 3 AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT c.case_id
    FROM purpose_token AS t JOIN purpose_token_case AS c ON c.token_id = t.id
    WHERE t.secret_hash = ANY (ARRAY(
              SELECT sha256(decode(part, 'hex'))
              FROM string_to_table(nullif(current_setting('mimamori.tokens', true), ''), ',') AS part))
      AND t.classes && wanted AND t.expires_at > statement_timestamp()
      AND t.account_version
          = coalesce((SELECT a.version FROM access_version AS a WHERE a.subject = 'account:' || t.account_id), 0)
      AND c.version = coalesce((SELECT a.version FROM access_version AS a WHERE a.subject = 'case:' || c.case_id), 0);
END
$$;

-- Which of the tokens of this transaction are in force, whole: with every ward and case that they were issued for.
CREATE FUNCTION purpose_in_force() RETURNS SETOF uuid
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = public, pg_temp SET enable_seqscan = off ROWS 3 AS $$
BEGIN
    RETURN QUERY
    SELECT t.id
    FROM purpose_token AS t
    WHERE t.secret_hash = ANY (ARRAY(
              SELECT sha256(decode(part, 'hex'))
              FROM string_to_table(nullif(current_setting('mimamori.tokens', true), ''), ',') AS part))
      AND t.expires_at > statement_timestamp()
      AND t.account_version
          = coalesce((SELECT a.version FROM access_version AS a WHERE a.subject = 'account:' || t.account_id), 0)
      AND (SELECT coalesce(bool_and(w.version = coalesce(
               (SELECT a.version FROM access_version AS a WHERE a.subject = 'ward:' || w.ward_id), 0)), true)
           FROM purpose_token_ward AS w WHERE w.token_id = t.id)
      AND (SELECT coalesce(bool_and(c.version = coalesce(
               (SELECT a.version FROM access_version AS a WHERE a.subject = 'case:' || c.case_id), 0)), true)
           FROM purpose_token_case AS c WHERE c.token_id = t.id);
END
$$;

-- What ends tokens, by whatever way it is changed: in the transaction that changes it.
CREATE FUNCTION access_changed(VARIADIC subjects text[]) RETURNS void
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    INSERT INTO access_version AS old (subject, version) SELECT DISTINCT one, 1 FROM unnest(subjects) AS one ORDER BY one
    ON CONFLICT (subject) DO UPDATE SET version = old.version + 1
$$;

CREATE FUNCTION end_tokens_of_guardianship() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    IF TG_OP <> 'INSERT' THEN
        PERFORM access_changed('account:' || OLD.guardian_id, 'ward:' || OLD.ward_id);
    END IF;
    IF TG_OP <> 'DELETE' THEN
        PERFORM access_changed('account:' || NEW.guardian_id, 'ward:' || NEW.ward_id);
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER tokens_end AFTER INSERT OR DELETE ON guardianship
    FOR EACH ROW EXECUTE FUNCTION end_tokens_of_guardianship();
CREATE TRIGGER tokens_end_of_change AFTER UPDATE ON guardianship
    FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION end_tokens_of_guardianship();

CREATE FUNCTION end_tokens_of_account() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    PERFORM access_changed('account:' || NEW.id);
    RETURN NULL;
END
$$;
CREATE TRIGGER tokens_end AFTER UPDATE ON account
    FOR EACH ROW WHEN ((OLD.role, OLD.agency_id, OLD.ward_id, OLD.disabled_at)
                       IS DISTINCT FROM (NEW.role, NEW.agency_id, NEW.ward_id, NEW.disabled_at))
    EXECUTE FUNCTION end_tokens_of_account();

CREATE FUNCTION end_tokens_of_session() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    DELETE FROM purpose_token WHERE session_hash = NEW.token_hash;
    RETURN NULL;
END
$$;
CREATE TRIGGER tokens_end AFTER UPDATE ON session
    FOR EACH ROW WHEN (OLD.expires_at IS DISTINCT FROM NEW.expires_at) EXECUTE FUNCTION end_tokens_of_session();

-- Who passes without a token: programs that work for all wards, each with the grants it has had. `api` is none of them.
SELECT guard_rows('ward', 'ingest', 'notify', 'warden'),
       guard_rows('account', 'ingest', 'notify', 'warden', 'clerk'),
       guard_rows('guardianship', 'ingest', 'notify', 'warden'),
       guard_rows('place', 'ingest', 'notify'),
       guard_rows('watch', 'ingest'),
       guard_rows('tag', 'ingest'),
       guard_rows('tag_state', 'ingest'),
       guard_rows('fix', 'ingest'),
       guard_rows('doubtful_fix', 'ingest'),
       guard_rows('last_place', 'ingest'),
       guard_rows('held_place', 'ingest'),
       guard_rows('presence', 'ingest'),
       guard_rows('event', 'ingest', 'notify'),
       guard_rows('notice', 'ingest', 'notify'),
       guard_rows('push_subscription', 'ingest', 'notify', 'warden'),
       guard_rows('session', 'warden'),
       guard_rows('purpose_token', 'warden'),
       guard_rows('purpose_token_ward', 'warden'),
       guard_rows('purpose_token_case', 'warden'),
       guard_rows('access_version', 'warden');
DROP POLICY sealing ON ward_hour;
SELECT guard_rows('ward_hour', 'ingest');
-- Entries are published and name nobody; what opens their commitments does.
SELECT guard_rows('audit_opening', 'warden', 'clerk', 'gate', 'ledger');

-- The data plane: a set that is worked out once a query, never a function a row.
CREATE POLICY api ON ward FOR SELECT TO api
    USING (id IN (SELECT s.ward_id FROM purpose_scope('ward', 'place', 'event', 'track') AS s));
CREATE POLICY api ON place FOR SELECT TO api
    USING (ward_id IS NULL OR ward_id IN (SELECT s.ward_id FROM purpose_scope('place', 'event') AS s));
CREATE POLICY api ON watch FOR SELECT TO api
    USING (ward_id IN (SELECT s.ward_id FROM purpose_scope('place') AS s));
CREATE POLICY api ON last_place FOR SELECT TO api
    USING (EXISTS (SELECT FROM purpose_scope('place') AS s
                   WHERE s.ward_id = last_place.ward_id AND heard_at >= s.from_at AND heard_at < s.to_at));
CREATE POLICY api ON event FOR SELECT TO api
    USING (EXISTS (SELECT FROM purpose_scope('event') AS s
                   WHERE s.ward_id = event.ward_id AND at >= s.from_at AND at < s.to_at));
CREATE POLICY api ON fix FOR SELECT TO api
    USING (EXISTS (SELECT FROM purpose_scope('track') AS s
                   WHERE s.ward_id = fix.ward_id AND bucket_at >= s.from_at AND bucket_at < s.to_at));
CREATE POLICY api ON ward_hour FOR SELECT TO api
    USING (EXISTS (SELECT FROM purpose_scope('track') AS s
                   WHERE s.ward_id = ward_hour.ward_id AND hour_at >= s.from_at AND hour_at < s.to_at));
CREATE POLICY api ON audit_opening FOR SELECT TO api
    USING (name = 'ward' AND value IN (SELECT s.ward_id FROM purpose_scope('look_up') AS s));

-- Why a family is told of the look-ups of one request only from a certain day on: two managers have decided it.
CREATE TABLE look_up_hold (
    id uuid PRIMARY KEY,
    ward_id text NOT NULL REFERENCES ward ON DELETE CASCADE,
    reference text NOT NULL,             -- number of the request, as look-ups name it
    reason text NOT NULL CHECK (length(reason) BETWEEN 1 AND 500),
    until_at timestamptz NOT NULL,       -- shown from then on, whatever happens
    asked_by text NOT NULL REFERENCES account,
    asked_at timestamptz NOT NULL DEFAULT now(),
    confirmed_by text REFERENCES account, -- null: not in force
    confirmed_at timestamptz,
    CHECK (confirmed_by <> asked_by),
    CHECK ((confirmed_by IS NULL) = (confirmed_at IS NULL)),
    CHECK (until_at > asked_at AND until_at <= asked_at + interval '180 days')
);
CREATE INDEX look_up_hold_ward ON look_up_hold (ward_id, reference);
SELECT guard_rows('look_up_hold', 'warden');
CREATE POLICY api ON look_up_hold FOR SELECT TO api
    USING (ward_id IN (SELECT s.ward_id FROM purpose_scope('look_up') AS s));
GRANT SELECT (ward_id, reference, until_at, confirmed_at) ON look_up_hold TO api;
GRANT SELECT, INSERT, UPDATE (confirmed_by, confirmed_at) ON look_up_hold TO warden;

-- What is told of a ward to those who help the family with its tag: that it works. Never where it is.
CREATE FUNCTION ward_registry(now_at timestamptz)
RETURNS TABLE (id text, name_ja text, name_en text, tag_kind text, battery_dv smallint, heard text)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = public, pg_temp ROWS 1 AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT w.id, w.name_ja, w.name_en, t.kind, l.battery_dv,
           CASE WHEN l.heard_at IS NULL THEN 'never'
                WHEN l.heard_at > now_at - interval '1 hour' THEN 'hour'
                WHEN l.heard_at > now_at - interval '1 day' THEN 'day'
                WHEN l.heard_at > now_at - interval '7 days' THEN 'week' ELSE 'earlier' END
    FROM ward AS w LEFT JOIN tag AS t ON t.id = w.tag_id LEFT JOIN last_place AS l ON l.ward_id = w.id
    WHERE w.id IN (SELECT s.ward_id FROM purpose_scope('registry') AS s);
END
$$;

DROP FUNCTION ward_hours(text, text, timestamptz, timestamptz, timestamptz);
REVOKE ALL ON account, guardianship, presence, tag, session, push_subscription FROM api;
GRANT SELECT ON ward_hour, audit_entry TO api;
GRANT SELECT (entry_id, name, salt, value) ON audit_opening TO api;
GRANT SELECT (id, name_ja, name_en) ON agency TO api;
REVOKE ALL ON FUNCTION purpose_scope, purpose_cases, purpose_in_force, access_changed,
    end_tokens_of_guardianship, end_tokens_of_account, end_tokens_of_session, ward_registry FROM PUBLIC;
GRANT EXECUTE ON FUNCTION purpose_scope, purpose_cases, purpose_in_force, ward_registry TO api;

-- The control plane, in the same process over connections of its own.
GRANT SELECT (id, city_id, provider_id) ON ward TO warden;
GRANT SELECT ON account, guardianship, agency, access_version TO warden;
GRANT SELECT, INSERT, UPDATE, DELETE ON session, push_subscription TO warden;
GRANT SELECT (id, expires_at), INSERT, DELETE ON purpose_token TO warden;
GRANT INSERT ON purpose_token_ward, purpose_token_case TO warden;

-- Functions that look behind the rows belong to the keeper: the owner is bound by them as everybody is.
ALTER FUNCTION purpose_scope OWNER TO keeper;
ALTER FUNCTION purpose_cases OWNER TO keeper;
ALTER FUNCTION purpose_in_force OWNER TO keeper;
ALTER FUNCTION access_changed OWNER TO keeper;
ALTER FUNCTION end_tokens_of_guardianship OWNER TO keeper;
ALTER FUNCTION end_tokens_of_account OWNER TO keeper;
ALTER FUNCTION end_tokens_of_session OWNER TO keeper;
ALTER FUNCTION ward_registry OWNER TO keeper;
ALTER FUNCTION end_sessions OWNER TO keeper;
REVOKE CREATE ON SCHEMA public FROM keeper;
