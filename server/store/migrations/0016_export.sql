-- Exports of footage: which the city waits for, and how far each has come. The sealed files lie beside the database.

CREATE TABLE export (
    id text PRIMARY KEY CHECK (id ~ '^[A-Za-z0-9_-]{1,64}$'), -- a file is named after it
    detector_id text NOT NULL REFERENCES detector,
    case_id text NOT NULL,
    from_at timestamptz NOT NULL,
    to_at timestamptz NOT NULL,
    recipient text NOT NULL,             -- age recipient, public
    state text NOT NULL DEFAULT 'expected' CHECK (state IN ('expected', 'arriving', 'whole', 'refused')),
    sha256 bytea CHECK (length(sha256) = 32), -- of the whole file, as the gateway says; of a whole one as computed too
    parts integer CHECK (parts > 0),
    size_bytes bigint,
    begun_at timestamptz,                -- gateway's clock, at which this try to bring it began
    created_at timestamptz NOT NULL DEFAULT now(),
    settled_at timestamptz,
    CHECK (from_at < to_at),
    CHECK (state = 'expected' OR (sha256 IS NOT NULL AND parts IS NOT NULL AND begun_at IS NOT NULL)),
    CHECK ((state = 'whole') = (size_bytes IS NOT NULL))
);
CREATE INDEX export_detector ON export (detector_id);
CREATE INDEX export_case ON export (case_id);

CREATE TABLE export_part (
    export_id text NOT NULL REFERENCES export ON DELETE CASCADE,
    sha256 bytea NOT NULL,               -- of the whole that it is a part of: tries never mix
    part integer NOT NULL CHECK (part >= 0),
    PRIMARY KEY (export_id, sha256, part)
);

GRANT SELECT ON export TO api;
GRANT UPDATE (state, sha256, parts, size_bytes, begun_at, settled_at) ON export TO api;
GRANT SELECT, INSERT, DELETE ON export_part TO api;
