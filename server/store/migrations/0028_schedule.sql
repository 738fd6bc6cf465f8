-- What the clerk needs to run the schedule of what is kept: to delete what is too old, and to see the times by which
-- that is told. Nothing of what the rows say.

GRANT SELECT (at), DELETE ON fix, doubtful_fix, held_place, event, household_news TO clerk;
GRANT SELECT (hour_at), DELETE ON ward_hour TO clerk;
GRANT SELECT (heard_at), DELETE ON last_place TO clerk;
GRANT SELECT (received_at), DELETE ON batch, dead_letter, gateway_fork TO clerk;
GRANT SELECT (created_at), DELETE ON notice TO clerk;
GRANT SELECT (expires_at), DELETE ON session, challenge, enrolment_card, enrolment_code TO clerk;
GRANT SELECT (until), DELETE ON protective_measure TO clerk;
GRANT SELECT (until_at), DELETE ON look_up_hold TO clerk;
GRANT SELECT (day), DELETE ON statistic_day TO clerk;
GRANT SELECT (not_after), DELETE ON certificate TO clerk;
GRANT SELECT (made_at), DELETE ON audit_opening TO clerk;
GRANT SELECT (detector_id, epoch, received_at), DELETE ON gateway_log TO clerk;
GRANT SELECT (id, detector_id, state, prepared_at), DELETE ON mask_change TO clerk;
GRANT SELECT (until_at), DELETE ON disaster TO clerk;
GRANT SELECT (recorded_at), DELETE ON oversight TO clerk;
GRANT DELETE ON gateway_order, export, footage_case, case_camera, case_paper, case_step, case_order, case_undertaking,
    case_opening, case_certificate, case_reminder TO clerk;

-- Row-level security lets the clerk see and delete; the grants above say of what, and by which columns.
DO $$
DECLARE
    named text;
BEGIN
    FOREACH named IN ARRAY ARRAY['fix', 'doubtful_fix', 'held_place', 'event', 'ward_hour', 'last_place', 'notice',
        'session', 'challenge', 'enrolment_card', 'household_news', 'protective_measure', 'look_up_hold', 'audit_opening',
        'oversight']
    LOOP
        EXECUTE format('CREATE POLICY clerk_sees ON %I FOR SELECT TO clerk USING (true)', named);
        EXECUTE format('CREATE POLICY clerk_deletes ON %I FOR DELETE TO clerk USING (true)', named);
    END LOOP;
END
$$;

-- Tokens are the warden's: the clerk can end those that have ended, and look at none.
CREATE FUNCTION purpose_token_expire(before timestamptz, OUT gone bigint, OUT remaining bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    DELETE FROM purpose_token WHERE expires_at < least(before, now());
    GET DIAGNOSTICS gone = ROW_COUNT;
    SELECT count(*) INTO remaining FROM purpose_token WHERE expires_at < before;
END
$$;
REVOKE ALL ON FUNCTION purpose_token_expire FROM PUBLIC;
GRANT EXECUTE ON FUNCTION purpose_token_expire TO clerk;
GRANT CREATE ON SCHEMA public TO keeper;
ALTER FUNCTION purpose_token_expire OWNER TO keeper;
ALTER FUNCTION sighting_left OWNER TO keeper;
REVOKE CREATE ON SCHEMA public FROM keeper;
