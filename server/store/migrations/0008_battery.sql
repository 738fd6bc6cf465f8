-- What the tag said of its battery goes with each sighting: what is put together again after a stop then lacks nothing.
ALTER TABLE sighting ADD COLUMN battery_dv smallint; -- decivolts; null: the tag did not say

-- New columns of a view may only come last; a new view would have none of the rights of the old one.
CREATE OR REPLACE VIEW sighting_by_name WITH (security_barrier) AS
SELECT s.ts, s.first_at, s.tag_index, s.detector_index, s.count, s.rssi_best_dbm, s.rssi_mean_dbm, s.flags, s.shard,
       s.lat_deg, s.lon_deg, s.accuracy_m, t.id AS tag_id, d.id AS detector_id, s.battery_dv
FROM sighting AS s
JOIN tag AS t ON t.index = s.tag_index
JOIN detector AS d ON d.index = s.detector_index;
