-- A registry may give two tags or two guardians each other's identity: only the end of its import has to be unique.
DROP INDEX tag_static_id;
ALTER TABLE tag ADD CONSTRAINT tag_static_id UNIQUE (static_id) DEFERRABLE;
ALTER TABLE guardian DROP CONSTRAINT guardian_login_key;
ALTER TABLE guardian ADD CONSTRAINT guardian_login_key UNIQUE (login) DEFERRABLE;

-- No program of the API writes it.
REVOKE UPDATE (language) ON guardian FROM api;
