-- The moment from which a tag's rate is being measured: without it every restart begins the hour of measuring anew.
ALTER TABLE tag_state
    ADD COLUMN anchor_at timestamptz,    -- null: not yet measuring
    ADD COLUMN anchor_offset_ms double precision NOT NULL DEFAULT 0; -- the clock's offset then
