-- What the city orders of gateways, and the city's copy of each gateway's own log. All times here are wall time.

DO $$
BEGIN
    CREATE ROLE gate LOGIN;
EXCEPTION WHEN duplicate_object OR unique_violation THEN
    NULL;
END
$$;

CREATE TABLE gateway_order (
    detector_id text NOT NULL REFERENCES detector ON DELETE CASCADE,
    sequence bigint NOT NULL CHECK (sequence > 0), -- 1, 2, 3 … of each gateway
    kind text NOT NULL,
    body bytea NOT NULL,                 -- CBOR; never the keys of footage: they are opened when it is sent
    issued_at timestamptz NOT NULL,
    state text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'sent', 'done', 'refused', 'failed')),
    attempts integer NOT NULL DEFAULT 0,
    next_send_at timestamptz NOT NULL,
    sent_at timestamptz,                 -- the last time
    received_at timestamptz,             -- the gateway's log says that it has it; later orders may follow
    reason text NOT NULL DEFAULT '',     -- of a refusal or failure; of one that may still pass, too
    result bytea,                        -- CBOR: the body of the entry that ended it
    settled_at timestamptz,
    PRIMARY KEY (detector_id, sequence),
    CHECK ((state IN ('done', 'refused', 'failed')) = (settled_at IS NOT NULL))
) WITH (fillfactor = 70);
CREATE INDEX gateway_order_open ON gateway_order (detector_id, sequence) WHERE state IN ('pending', 'sent');
CREATE INDEX gateway_order_due ON gateway_order (next_send_at) WHERE state IN ('pending', 'sent');
CREATE INDEX gateway_order_kind ON gateway_order (detector_id, kind, sequence);

CREATE FUNCTION tell_order() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('gateway_order', NEW.detector_id);
    RETURN NULL;
END
$$;
CREATE TRIGGER order_given AFTER INSERT ON gateway_order FOR EACH ROW EXECUTE FUNCTION tell_order();
CREATE TRIGGER order_settled AFTER UPDATE ON gateway_order
    FOR EACH ROW WHEN (OLD.state IS DISTINCT FROM NEW.state AND NEW.settled_at IS NOT NULL)
    EXECUTE FUNCTION tell_order();

CREATE TABLE gateway_log (
    detector_id text NOT NULL REFERENCES detector ON DELETE CASCADE,
    epoch bigint NOT NULL,
    sequence bigint NOT NULL,
    at timestamptz NOT NULL,             -- by the gateway's clock
    received_at timestamptz NOT NULL,
    kind text NOT NULL,
    body bytea NOT NULL,                 -- CBOR
    entry bytea NOT NULL,                -- the signed report as it came: the proof
    digest bytea NOT NULL,               -- SHA-256 of the entry: what the next one must name
    is_broken boolean NOT NULL,          -- does not name the one before, or that one is not here (yet)
    PRIMARY KEY (detector_id, epoch, sequence)
);
CREATE INDEX gateway_log_broken ON gateway_log (detector_id) WHERE is_broken;
CREATE INDEX gateway_log_newest ON gateway_log (detector_id, received_at);

-- A second entry with the number of one that we have: somebody wrote two histories. Kept as evidence, believed by nobody.
CREATE TABLE gateway_fork (
    detector_id text NOT NULL REFERENCES detector ON DELETE CASCADE,
    epoch bigint NOT NULL,
    sequence bigint NOT NULL,
    digest bytea NOT NULL,
    received_at timestamptz NOT NULL,
    entry bytea NOT NULL,
    PRIMARY KEY (detector_id, epoch, sequence, digest)
);

-- The keys that reports were signed by, so that they can be verified when the gateway has another one.
CREATE TABLE gateway_key (
    detector_id text NOT NULL REFERENCES detector ON DELETE CASCADE,
    kid bytea NOT NULL CHECK (length(kid) = 8),
    public_key bytea NOT NULL,           -- P-256, SubjectPublicKeyInfo DER
    first_used_at timestamptz NOT NULL,
    PRIMARY KEY (detector_id, kid)
);

GRANT USAGE ON SCHEMA public TO gate;
GRANT SELECT (id, city_id, public_key, seal_key, revoked_at) ON detector TO gate;
GRANT SELECT ON gateway_order, gateway_log, gateway_fork, gateway_key TO gate;
GRANT UPDATE (state, attempts, next_send_at, sent_at, received_at, reason, result, settled_at) ON gateway_order TO gate;
GRANT INSERT ON gateway_log, gateway_fork, gateway_key TO gate;
GRANT UPDATE (is_broken) ON gateway_log TO gate;
-- Nothing of it for api, which faces the network: whoever gives orders has footage sealed to whomever he likes.
