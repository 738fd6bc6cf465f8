-- Up to which arrival the core has gone on. The page is all but empty, so that every update finds room beside the row.
CREATE TABLE core_watermark (
    is_only boolean PRIMARY KEY DEFAULT true CHECK (is_only),
    received_at_ms bigint NOT NULL       -- UTC, town time
) WITH (fillfactor = 10);

GRANT SELECT, INSERT, UPDATE (received_at_ms) ON core_watermark TO ingest;
