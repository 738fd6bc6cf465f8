-- A place too far to be reached, which waits for another one to confirm it. One row a ward, gone when it is decided.
CREATE TABLE held_place (
    ward_id text PRIMARY KEY REFERENCES ward ON DELETE CASCADE,
    lat_e7 integer NOT NULL,             -- degrees times ten million
    lon_e7 integer NOT NULL,
    at timestamptz NOT NULL,             -- last heard there
    since timestamptz NOT NULL,          -- first heard there
    accuracy_m real NOT NULL,
    hits smallint NOT NULL               -- places that have spoken for it
) WITH (fillfactor = 70);
ALTER TABLE held_place ALTER COLUMN lat_e7 SET STATISTICS 0, ALTER COLUMN lon_e7 SET STATISTICS 0; -- as in 0006

GRANT SELECT, INSERT, UPDATE, DELETE ON held_place TO ingest;
