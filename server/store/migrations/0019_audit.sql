-- The audit log: entries are written in the transaction of what they record; `ledger` numbers them into the tree.
-- All times here are wall time. What an entry may say: privacy/transparency/record.py.

CREATE TABLE audit_entry (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, -- not the place in the tree: transactions commit in any order
    body bytea NOT NULL CHECK (length(body) BETWEEN 2 AND 16384)
);

-- What opens the commitments of an entry. Deleting it is the erasure: entry and tree stay as they are.
CREATE TABLE audit_opening (
    entry_id bigint NOT NULL REFERENCES audit_entry,
    name text NOT NULL,
    salt bytea NOT NULL CHECK (length(salt) = 16),
    value text NOT NULL,
    PRIMARY KEY (entry_id, name)
);
CREATE INDEX audit_opening_value ON audit_opening (name, value);

-- Place of each entry in the tree, given once.
CREATE TABLE audit_leaf (
    index bigint PRIMARY KEY CHECK (index >= 0),
    entry_id bigint NOT NULL UNIQUE REFERENCES audit_entry,
    hash bytea NOT NULL CHECK (length(hash) = 32)
);

-- Full tiles of the tree (C2SP tlog-tiles), 256 hashes each, above level 0 only; they never change.
CREATE TABLE audit_tile (
    level smallint NOT NULL,
    index bigint NOT NULL,
    hashes bytea NOT NULL CHECK (length(hashes) = 8192),
    PRIMARY KEY (level, index)
);

CREATE TABLE audit_head (
    is_only boolean PRIMARY KEY DEFAULT true CHECK (is_only),
    size bigint NOT NULL,
    frontier bytea NOT NULL,             -- roots of the complete subtrees, largest first
    note text NOT NULL                   -- signed checkpoint (C2SP tlog-checkpoint)
);

-- Checkpoints that witnesses cosigned, and those that were published.
CREATE TABLE audit_checkpoint (
    size bigint PRIMARY KEY,
    note text NOT NULL,                  -- with the cosignatures that came
    witnesses integer NOT NULL DEFAULT 0,
    at timestamptz NOT NULL DEFAULT now(),
    published_at timestamptz
);

CREATE FUNCTION audit_append_only() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the audit log is append-only' USING ERRCODE = 'insufficient_privilege';
END
$$;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON audit_entry FOR EACH ROW EXECUTE FUNCTION audit_append_only();
CREATE TRIGGER append_only_whole BEFORE TRUNCATE ON audit_entry EXECUTE FUNCTION audit_append_only();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON audit_leaf FOR EACH ROW EXECUTE FUNCTION audit_append_only();
CREATE TRIGGER append_only_whole BEFORE TRUNCATE ON audit_leaf EXECUTE FUNCTION audit_append_only();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON audit_tile FOR EACH ROW EXECUTE FUNCTION audit_append_only();
CREATE TRIGGER append_only_whole BEFORE TRUNCATE ON audit_tile EXECUTE FUNCTION audit_append_only();

CREATE FUNCTION tell_audit() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('audit', '');
    RETURN NULL;
END
$$;
CREATE TRIGGER audit_written AFTER INSERT ON audit_entry FOR EACH STATEMENT EXECUTE FUNCTION tell_audit();

GRANT INSERT ON audit_entry, audit_opening TO warden, clerk, gate;
GRANT SELECT (id) ON audit_entry TO warden, clerk, gate;
GRANT SELECT ON audit_entry, audit_leaf, audit_tile, audit_head, audit_checkpoint TO ledger;
GRANT INSERT ON audit_leaf, audit_tile, audit_head, audit_checkpoint TO ledger;
GRANT UPDATE ON audit_head, audit_checkpoint TO ledger;
GRANT INSERT ON audit_entry, audit_opening TO ledger;
