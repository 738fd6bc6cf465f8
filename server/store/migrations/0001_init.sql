-- Everything but the raw sightings, whose partitions differ between flavours (0002).
-- Times of the town (at, heard_at, received_at, since …) are timestamptz of the town's clock, which may run ahead of the
-- wall clock. Times of the machines (created_at, expires_at, next_try_at, sent_at) are wall time.

-- Programs sign in with the least they need. Roles belong to the whole cluster, so they may be there already.
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
END
$$;

CREATE TABLE city (
    id text PRIMARY KEY,
    name_ja text NOT NULL,
    name_en text NOT NULL,
    tz text NOT NULL
);

CREATE TABLE town_map (
    city_id text PRIMARY KEY REFERENCES city ON DELETE CASCADE,
    geojson bytea NOT NULL,              -- UTF-8, served as it is
    updated_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE detector (
    id text PRIMARY KEY,
    index integer GENERATED ALWAYS AS IDENTITY UNIQUE,
    city_id text NOT NULL REFERENCES city,
    kind text NOT NULL CHECK (kind IN ('fixed', 'vehicle', 'phone')),
    label_ja text NOT NULL,
    label_en text NOT NULL,
    lat_deg double precision,            -- of fixed detectors; moving ones say it with every sighting
    lon_deg double precision,
    accuracy_m real,
    public_key bytea NOT NULL,           -- P-256, SubjectPublicKeyInfo DER
    revoked_at timestamptz,
    CHECK (kind <> 'fixed' OR (lat_deg IS NOT NULL AND lon_deg IS NOT NULL))
);

CREATE TABLE detector_health (
    detector_id text PRIMARY KEY REFERENCES detector ON DELETE CASCADE,
    state text NOT NULL CHECK (state IN ('online', 'offline')),
    epoch bigint NOT NULL DEFAULT 0,
    sent_at timestamptz,                 -- by the detector's clock
    received_at timestamptz NOT NULL,
    clock_offset_ms bigint NOT NULL DEFAULT 0, -- town time minus the detector's, 0 while it is trusted
    uptime_s bigint NOT NULL DEFAULT 0,
    queued_batches bigint NOT NULL DEFAULT 0,
    oldest_queued_at timestamptz,
    heard bigint NOT NULL DEFAULT 0,
    dropped bigint NOT NULL DEFAULT 0,
    errors bigint NOT NULL DEFAULT 0,
    rows_total bigint NOT NULL DEFAULT 0, -- rows ever put into the outbox of this epoch
    software text NOT NULL DEFAULT ''
);

CREATE TABLE tag (
    id text PRIMARY KEY,
    index integer GENERATED ALWAYS AS IDENTITY UNIQUE,
    city_id text NOT NULL REFERENCES city,
    kind text NOT NULL CHECK (kind IN ('eid', 'uid', 'ibeacon')),
    wrapped_key bytea,                   -- identity key under the key-encryption key, RFC 3394
    static_id bytea,                     -- 8 bytes, of traceable tags
    rotation_exponent smallint NOT NULL DEFAULT 10,
    clock_offset_ms bigint NOT NULL DEFAULT 0, -- at provisioning: UTC = the tag's clock + offset
    shard smallint NOT NULL,             -- hash(id) mod 256: the cut between servers, one day
    CHECK ((kind = 'eid') = (wrapped_key IS NOT NULL)),
    CHECK ((kind = 'eid') = (static_id IS NULL))
);
CREATE UNIQUE INDEX tag_static_id ON tag (static_id) WHERE static_id IS NOT NULL;

-- What ingest has learnt of a tag. Apart from tag, so that the registry is never written by what comes off the air.
CREATE TABLE tag_state (
    tag_id text PRIMARY KEY REFERENCES tag ON DELETE CASCADE,
    clock_offset_ms double precision NOT NULL, -- UTC = the tag's clock + offset, at learned_at
    clock_rate_ppm double precision NOT NULL DEFAULT 0, -- how fast the offset grows
    learned_at timestamptz,              -- newest accepted sealed value; null: never
    accepted_beacon_ms bigint,           -- the tag's own time then; does not go back
    clock_lost boolean NOT NULL DEFAULT false, -- set by the operator after a battery change: search wider
    sos_from timestamptz,                -- the newest press: first and last heard
    sos_until timestamptz
) WITH (fillfactor = 70);

CREATE TABLE ward (
    id text PRIMARY KEY,
    city_id text NOT NULL REFERENCES city,
    name_ja text NOT NULL,
    name_en text NOT NULL,
    tag_id text UNIQUE REFERENCES tag
);

CREATE TABLE guardian (
    id text PRIMARY KEY,
    login text NOT NULL UNIQUE,
    code_hash text NOT NULL,             -- Argon2id, encoded with its parameters
    name_ja text NOT NULL,
    name_en text NOT NULL,
    email text,
    has_email boolean GENERATED ALWAYS AS (email IS NOT NULL) STORED,
    language text NOT NULL DEFAULT 'ja' CHECK (language IN ('ja', 'en'))
);

CREATE TABLE guardianship (
    guardian_id text NOT NULL REFERENCES guardian ON DELETE CASCADE,
    ward_id text NOT NULL REFERENCES ward ON DELETE CASCADE,
    since timestamptz NOT NULL DEFAULT '-infinity', -- in force: since <= town time < until
    until timestamptz NOT NULL DEFAULT 'infinity',
    PRIMARY KEY (guardian_id, ward_id)
);
CREATE INDEX guardianship_ward ON guardianship (ward_id);

CREATE TABLE place (
    id text PRIMARY KEY,
    city_id text NOT NULL REFERENCES city,
    name_ja text NOT NULL,
    name_en text NOT NULL,
    kind text NOT NULL,
    lat_deg double precision NOT NULL,
    lon_deg double precision NOT NULL,
    radius_m real NOT NULL CHECK (radius_m > 0),
    ward_id text REFERENCES ward ON DELETE CASCADE -- someone's home; null: everyone's, such as a school
);
CREATE INDEX place_ward ON place (ward_id);

CREATE TABLE watch (
    ward_id text NOT NULL REFERENCES ward ON DELETE CASCADE,
    place_id text NOT NULL REFERENCES place ON DELETE CASCADE,
    arrive boolean NOT NULL,
    leave boolean NOT NULL,
    dwell_s integer NOT NULL CHECK (dwell_s >= 0),
    PRIMARY KEY (ward_id, place_id)
);

-- One row a batch, in the transaction of its rows: this key is what makes a delivery count once.
CREATE TABLE batch (
    detector_id text NOT NULL REFERENCES detector ON DELETE CASCADE,
    epoch bigint NOT NULL,
    sequence bigint NOT NULL,
    received_at timestamptz NOT NULL,
    rows integer NOT NULL,
    stored integer NOT NULL,             -- rows = stored + unknown + expired
    unknown integer NOT NULL,            -- of no tag of ours: not kept
    suspicious integer NOT NULL,         -- of the stored ones: flagged, moved nobody
    expired integer NOT NULL DEFAULT 0,  -- heard longer ago than sightings may be kept
    PRIMARY KEY (detector_id, epoch, sequence)
);

CREATE TABLE dead_letter (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    digest bytea NOT NULL UNIQUE,        -- SHA-256 of the payload: the same one again is the same row
    received_at timestamptz NOT NULL,
    topic_detector text NOT NULL,        -- as claimed by the topic
    reason text NOT NULL,
    size_bytes integer NOT NULL,
    payload bytea                        -- still sealed; null where it was too large
);
CREATE INDEX dead_letter_received ON dead_letter (received_at);

CREATE TABLE fix (
    ward_id text NOT NULL REFERENCES ward ON DELETE CASCADE,
    bucket_at timestamptz NOT NULL,      -- start of the ten seconds that were put together
    at timestamptz NOT NULL,             -- last heard in them
    lat_deg double precision NOT NULL,
    lon_deg double precision NOT NULL,
    accuracy_m real NOT NULL,
    detectors smallint NOT NULL,
    received_at timestamptz NOT NULL,
    late boolean NOT NULL DEFAULT false,
    PRIMARY KEY (ward_id, bucket_at)
);
CREATE INDEX fix_at ON fix (ward_id, at);

-- Places that nobody could have reached in the time: kept apart and shown to no one who might believe them.
CREATE TABLE doubtful_fix (LIKE fix INCLUDING DEFAULTS, reason text NOT NULL, PRIMARY KEY (ward_id, bucket_at));
ALTER TABLE doubtful_fix ADD FOREIGN KEY (ward_id) REFERENCES ward ON DELETE CASCADE;

CREATE TABLE last_place (
    ward_id text PRIMARY KEY REFERENCES ward ON DELETE CASCADE,
    lat_deg double precision NOT NULL,
    lon_deg double precision NOT NULL,
    accuracy_m real NOT NULL,
    heard_at timestamptz NOT NULL,       -- never goes back
    received_at timestamptz NOT NULL,
    late boolean NOT NULL DEFAULT false,
    battery_dv smallint,                 -- decivolts, 20 to 35; null: the tag does not say
    sos boolean NOT NULL DEFAULT false,
    moving boolean NOT NULL DEFAULT false,
    traceable boolean NOT NULL DEFAULT false -- a tag that never changes its id
) WITH (fillfactor = 50);

-- One row a ward and watched place. `inside` is what the family was told; the rest is the change being waited for.
CREATE TABLE presence (
    ward_id text NOT NULL REFERENCES ward ON DELETE CASCADE,
    place_id text NOT NULL REFERENCES place ON DELETE CASCADE,
    inside boolean NOT NULL,
    since timestamptz NOT NULL,
    candidate_since timestamptz,         -- first place on the other side; null: none
    candidate_last timestamptz,
    candidate_hits integer NOT NULL DEFAULT 0,
    PRIMARY KEY (ward_id, place_id)
) WITH (fillfactor = 70);

CREATE TABLE event (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    ward_id text NOT NULL REFERENCES ward ON DELETE CASCADE,
    place_id text REFERENCES place ON DELETE CASCADE,
    kind text NOT NULL CHECK (kind IN ('arrived', 'departed', 'sos')),
    at timestamptz NOT NULL,
    received_at timestamptz NOT NULL,
    CHECK ((kind = 'sos') = (place_id IS NULL)),
    UNIQUE NULLS NOT DISTINCT (ward_id, place_id, kind, at)
);
CREATE INDEX event_newest ON event (ward_id, id DESC);
CREATE INDEX event_at ON event (at);

CREATE TABLE push_subscription (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    guardian_id text NOT NULL REFERENCES guardian ON DELETE CASCADE,
    endpoint text NOT NULL UNIQUE,
    p256dh text NOT NULL,                -- base64url, as the browser gave it
    auth text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX push_subscription_guardian ON push_subscription (guardian_id);

-- What is to be sent: written with its event, worked off by notify.
CREATE TABLE notice (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_id bigint NOT NULL REFERENCES event ON DELETE CASCADE,
    guardian_id text NOT NULL REFERENCES guardian ON DELETE CASCADE,
    channel text NOT NULL CHECK (channel IN ('push', 'mail')),
    target text NOT NULL,                -- push: push_subscription.id as text; mail: '' (the guardian's address of then)
    state text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'sending', 'sent', 'failed')),
    attempts integer NOT NULL DEFAULT 0,
    next_try_at timestamptz NOT NULL DEFAULT now(),
    created_at timestamptz NOT NULL DEFAULT now(),
    sent_at timestamptz,
    UNIQUE (event_id, guardian_id, channel, target)
) WITH (fillfactor = 70);
CREATE INDEX notice_due ON notice (next_try_at) WHERE state IN ('pending', 'sending');
CREATE INDEX notice_guardian ON notice (guardian_id);

CREATE TABLE session (
    token_hash bytea PRIMARY KEY,        -- SHA-256 of the cookie's value
    guardian_id text NOT NULL REFERENCES guardian ON DELETE CASCADE,
    created_at timestamptz NOT NULL DEFAULT now(),
    last_used_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL
);
CREATE INDEX session_guardian ON session (guardian_id);
CREATE INDEX session_expires ON session (expires_at);

GRANT USAGE ON SCHEMA public TO ingest, api, notify;

GRANT SELECT ON city, detector, tag, ward, guardianship, place, watch TO ingest;
GRANT SELECT (id, has_email) ON guardian TO ingest;
GRANT SELECT (id, guardian_id) ON push_subscription TO ingest;
GRANT SELECT, INSERT, UPDATE ON tag_state, detector_health, last_place, presence TO ingest;
GRANT SELECT, INSERT ON batch TO ingest;
GRANT SELECT, INSERT, DELETE ON dead_letter, event TO ingest;
GRANT SELECT, INSERT, UPDATE, DELETE ON fix, doubtful_fix TO ingest;
GRANT SELECT (event_id, guardian_id, channel, target), INSERT (event_id, guardian_id, channel, target) ON notice TO ingest;

GRANT SELECT ON city, town_map, ward, guardian, guardianship, place, watch, fix, last_place, presence, event TO api;
GRANT SELECT ON detector, detector_health TO api;
GRANT SELECT (id, kind) ON tag TO api;
GRANT UPDATE (language) ON guardian TO api;
GRANT SELECT, INSERT, UPDATE, DELETE ON session, push_subscription TO api;

GRANT SELECT ON city, ward, guardian, guardianship, place, event TO notify;
GRANT SELECT, DELETE ON push_subscription TO notify;
GRANT SELECT, UPDATE (state, attempts, next_try_at, sent_at) ON notice TO notify;
