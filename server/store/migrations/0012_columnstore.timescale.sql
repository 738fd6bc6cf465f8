-- A chunk whose day is over becomes a columnstore, a third of the size, in the order in which it is read: by tag.
-- Never a segment a tag: that would be a compressed row for each tag and transaction. Rows are not compressed as they are
-- written, for a city's transactions are small; where they have 50,000 rows,
-- `ALTER ROLE ingest SET timescaledb.enable_direct_compress_copy = on` pays.
ALTER TABLE sighting SET (
    timescaledb.compress, timescaledb.compress_segmentby = '', timescaledb.compress_orderby = 'tag_index, ts'
);

CREATE OR REPLACE FUNCTION sighting_seal(first_open date) RETURNS integer
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT count(compress_chunk(chunk))::integer
    FROM show_chunks('sighting', older_than => first_open::timestamp AT TIME ZONE 'UTC') AS chunk
    WHERE NOT EXISTS (
        SELECT 1 FROM timescaledb_information.chunks AS known
        WHERE known.is_compressed AND format('%I.%I', known.chunk_schema, known.chunk_name)::regclass = chunk
    )
$$;
