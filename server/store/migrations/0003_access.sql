-- Whoever ends a session or a guardianship, by whatever way: open live streams learn of it in the same moment.
CREATE FUNCTION tell_access() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP <> 'INSERT' THEN
        PERFORM pg_notify('access', OLD.guardian_id);
    END IF;
    IF TG_OP <> 'DELETE' THEN
        PERFORM pg_notify('access', NEW.guardian_id);
    END IF;
    RETURN NULL;
END
$$;

CREATE TRIGGER session_ended AFTER DELETE ON session
    FOR EACH ROW EXECUTE FUNCTION tell_access();
CREATE TRIGGER session_shortened AFTER UPDATE ON session
    FOR EACH ROW WHEN (OLD.expires_at IS DISTINCT FROM NEW.expires_at) EXECUTE FUNCTION tell_access();
CREATE TRIGGER guardianship_begun_or_ended AFTER INSERT OR DELETE ON guardianship
    FOR EACH ROW EXECUTE FUNCTION tell_access();
CREATE TRIGGER guardianship_changed AFTER UPDATE ON guardianship
    FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION tell_access();
