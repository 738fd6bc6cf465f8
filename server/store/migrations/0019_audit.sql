-- The audit log: entries are written in the transaction of what they record; `ledger` numbers them into the tree.
-- All times here are wall time. What an entry may say: privacy/transparency/record.py.

CREATE TABLE audit_entry (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, -- not the place in the tree: transactions commit in any order
    body bytea NOT NULL CHECK (length(body) BETWEEN 2 AND 16384)
);

-- Entries that have no place in the tree yet: committed with the entry, taken out with its leaf. Transactions commit in
-- any order, so no mark among the ids could say which are new.
CREATE TABLE audit_pending (
    entry_id bigint PRIMARY KEY REFERENCES audit_entry
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

-- Checkpoints that were published, with the cosignatures that came.
CREATE TABLE audit_checkpoint (
    size bigint PRIMARY KEY,
    note text NOT NULL,
    witnesses integer NOT NULL DEFAULT 0,
    has_quorum boolean NOT NULL DEFAULT false,
    published_at timestamptz NOT NULL
);

-- How each witness answered last.
CREATE TABLE audit_witness (
    name text PRIMARY KEY,
    state text NOT NULL CHECK (state IN ('cosigned', 'away', 'refuses', 'knows-larger', 'knows-other')),
    size bigint,                         -- that it cosigned last
    at timestamptz NOT NULL
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

-- Of the owner's rights: whoever may write an entry need not know of the rest.
CREATE FUNCTION audit_queue() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    INSERT INTO audit_pending (entry_id) SELECT id FROM written;
    -- A transaction that notifies commits alone; one of those under way is enough to wake the ledger, which also looks
    -- by itself every second.
    IF pg_try_advisory_xact_lock(x'6175646974'::bigint) THEN
        PERFORM pg_notify('audit', '');
    END IF;
    RETURN NULL;
END
$$;
REVOKE ALL ON FUNCTION audit_queue() FROM PUBLIC;
CREATE TRIGGER audit_written AFTER INSERT ON audit_entry
    REFERENCING NEW TABLE AS written FOR EACH STATEMENT EXECUTE FUNCTION audit_queue();

GRANT INSERT ON audit_entry, audit_opening TO warden, clerk, gate, ledger;
-- Entries and tree are published; nobody's name is in them.
GRANT SELECT ON audit_entry, audit_leaf, audit_head, audit_checkpoint, audit_witness TO api, warden, clerk, ledger;
GRANT SELECT (id) ON audit_entry TO gate;
GRANT SELECT ON audit_tile, audit_pending TO ledger;
GRANT INSERT ON audit_pending, audit_leaf, audit_tile, audit_head, audit_checkpoint, audit_witness TO ledger;
GRANT UPDATE ON audit_head, audit_checkpoint, audit_witness TO ledger;
GRANT DELETE ON audit_pending TO ledger;
