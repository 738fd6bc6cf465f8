-- The planner's statistics keep samples of values, out of reach of any erasure. Nobody searches by place: keep none of those.
ALTER TABLE fix ALTER COLUMN lat_deg SET STATISTICS 0, ALTER COLUMN lon_deg SET STATISTICS 0;
ALTER TABLE doubtful_fix ALTER COLUMN lat_deg SET STATISTICS 0, ALTER COLUMN lon_deg SET STATISTICS 0;
ALTER TABLE last_place ALTER COLUMN lat_deg SET STATISTICS 0, ALTER COLUMN lon_deg SET STATISTICS 0;
