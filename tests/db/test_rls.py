"""Row-level security, table by table and role by role: a table that nobody has decided about fails here."""

import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import psycopg
import pytest
from psycopg import sql

from server.embedded.postgres import Postgres

pytestmark = pytest.mark.db

ROLES = ("ingest", "api", "notify", "gate", "warden", "ledger", "clerk")
PROGRAMS_OF_NOTICES = {"ingest", "notify"}
CONTROL = {"warden", "clerk"}
SCHEDULE = {"clerk"}
"""Sees the times of rows, by the rights on columns, and deletes those that are too old."""
PERSONAL: dict[str, set[str]] = {
    "ward": {"ingest", "notify", "warden"},
    "account": {"ingest", "notify", "warden", "clerk"},
    "guardianship": {"ingest", "notify", "warden"},
    "place": PROGRAMS_OF_NOTICES,
    "watch": {"ingest"},
    "tag": {"ingest"},
    "tag_state": {"ingest"},
    "fix": {"ingest"} | SCHEDULE,
    "doubtful_fix": {"ingest"} | SCHEDULE,
    "last_place": {"ingest"} | SCHEDULE,
    "held_place": {"ingest"} | SCHEDULE,
    "presence": {"ingest"},
    "event": PROGRAMS_OF_NOTICES | SCHEDULE,
    "ward_hour": {"ingest"} | SCHEDULE,
    "notice": PROGRAMS_OF_NOTICES | SCHEDULE,
    "push_subscription": {"ingest", "notify", "warden"},
    "session": {"warden"} | SCHEDULE,
    "purpose_token": {"warden"},
    "purpose_token_ward": set(),
    "purpose_token_case": set(),
    "access_version": {"warden"},
    "audit_opening": set() | SCHEDULE,
    "look_up_hold": {"warden"} | SCHEDULE,
    "passkey": {"warden"},
    "identity": {"warden"},
    "challenge": {"warden"} | SCHEDULE,
    "household": {"warden"},
    "household_ward": {"warden"},
    "household_member": {"warden"},
    "household_news": {"warden"} | SCHEDULE,
    "enrolment_card": {"warden"} | SCHEDULE,
    "protective_measure": {"ingest", "notify", "warden"} | SCHEDULE,
    "mask_step": {"warden"},
    "oversight": {"warden"} | SCHEDULE,
    "footage_case": CONTROL,
    "case_camera": CONTROL,
    "case_paper": CONTROL,
    "case_step": CONTROL,
    "case_order": CONTROL,
    "case_undertaking": CONTROL,
    "case_opening": CONTROL,
    "case_certificate": CONTROL,
    "case_reminder": CONTROL,
    "statistic_day": {"clerk"},
    "statistic_seen": set(),
    "statistic_count": set(),
}
"""Who sees rows of it without a purpose token. The keeper does of all; `api` of none."""
RAW = {"sighting"}
"""Personal, and closed by grants alone: TimescaleDB forbids row-level security on compressed tables."""
OPEN = {
    "schema_migration": "numbers of files",
    "city": "public",
    "town_map": "public",
    "agency": "public bodies",
    "detector": "devices of the city",
    "detector_health": "devices of the city",
    "certificate": "public keys of devices",
    "enrolment_code": "hashes of codes of devices",
    "gateway_order": "orders to devices",
    "gateway_log": "what devices did",
    "gateway_fork": "what devices did",
    "gateway_key": "public keys of devices",
    "batch": "counts of deliveries",
    "dead_letter": "sealed, and readable to no program but ingest",
    "registry_version": "one number",
    "core_watermark": "one number",
    "export": "cameras and a case's number",
    "export_part": "hashes",
    "audit_entry": "published; who is meant, only an opening says",
    "audit_pending": "numbers",
    "audit_witness": "how witnesses answered",
    "audit_leaf": "hashes",
    "audit_tile": "hashes",
    "audit_head": "a signed hash",
    "audit_checkpoint": "signed hashes",
    "case_move": "the state machine",
    "case_counter": "numbers",
    "camera_duty": "papers about cameras, public",
    "camera_live": "devices of the city",
    "mask_change": "masks of cameras; who drew them is in mask_step",
    "board_gate": "public decisions of the board",
    "disaster": "public declarations",
    "disaster_camera": "devices of the city",
    "retention_run": "counts of what was deleted",
    "statistic_hour": "which hours were counted",
    "statistic_budget": "which days were published",
    "statistic_release": "published",
    "statistic_cell": "published, with noise",
}
"""Not personal, and why."""

SEED = """
INSERT INTO city VALUES ('c', '市', 'City', 'Asia/Tokyo');
INSERT INTO tag (id, city_id, kind, static_id, shard) VALUES ('t', 'c', 'uid', '\\x01', 1);
INSERT INTO tag_state (tag_id, clock_offset_ms) VALUES ('t', 0);
INSERT INTO ward (id, city_id, name_ja, name_en, tag_id) VALUES ('w', 'c', 'ゆい', 'Yui', 't');
INSERT INTO account (id, login, name_ja, name_en) VALUES ('g', 'demo', '母', 'Mother');
INSERT INTO guardianship (guardian_id, ward_id) VALUES ('g', 'w');
INSERT INTO place VALUES ('home', 'c', '家', 'Home', 'home', 34, 134, 50, 'w');
INSERT INTO watch VALUES ('w', 'home', true, true, 60);
INSERT INTO fix VALUES ('w', now(), now(), 34, 134, 5, 1, now());
INSERT INTO doubtful_fix (ward_id, bucket_at, at, lat_deg, lon_deg, accuracy_m, detectors, received_at, reason)
    VALUES ('w', now(), now(), 34, 134, 5, 1, now(), 'unreachable');
INSERT INTO last_place (ward_id, lat_deg, lon_deg, accuracy_m, heard_at, received_at)
    VALUES ('w', 34, 134, 5, now(), now());
INSERT INTO held_place VALUES ('w', 1, 1, now(), now(), 5, 1);
INSERT INTO presence (ward_id, place_id, inside, since) VALUES ('w', 'home', true, now());
INSERT INTO event (ward_id, kind, at, received_at) VALUES ('w', 'sos', now(), now());
INSERT INTO ward_hour VALUES ('w', now(), '\\x00');
INSERT INTO push_subscription (guardian_id, endpoint, p256dh, auth) VALUES ('g', 'https://push.example', 'k', 'a');
INSERT INTO notice (event_id, guardian_id, channel, target) SELECT id, 'g', 'push', '1' FROM event;
INSERT INTO session (token_hash, account_id, expires_at) VALUES (sha256('s'), 'g', now() + interval '1 day');
INSERT INTO purpose_token (id, secret_hash, account_id, account_version, session_hash, purpose, classes, from_at, to_at,
                           expires_at)
    VALUES (gen_random_uuid(), sha256('x'), 'g', 1, sha256('s'), 'family_watch', '{place}', '-infinity', 'infinity',
            now() + interval '1 minute');
INSERT INTO access_version VALUES ('account:g', 1), ('ward:w', 1);
INSERT INTO purpose_token_ward SELECT id, 'w', 1 FROM purpose_token;
INSERT INTO purpose_token_case SELECT id, '2026-0001', 1 FROM purpose_token;
INSERT INTO look_up_hold (id, ward_id, reference, reason, until_at, asked_by)
    VALUES (gen_random_uuid(), 'w', 'r-1', 'reason', now() + interval '1 day', 'g');
INSERT INTO passkey (account_id, credential_id, public_key, sign_count, name) VALUES ('g', '\\x01', '\\x01', 0, 'k');
INSERT INTO identity VALUES ('https://idp.example', 'subject', 'g');
INSERT INTO challenge (token_hash, kind, value, expires_at) VALUES ('\\x01', 'assertion', '\\x01', now());
INSERT INTO household VALUES ('h', 'c', '家');
INSERT INTO household_ward VALUES ('h', 'w');
INSERT INTO household_member (household_id, account_id, role) VALUES ('h', 'g', 'owner');
INSERT INTO household_news (account_id, household_id, kind, about_id) VALUES ('g', 'h', 'joined', 'g');
INSERT INTO enrolment_card (account_id, code_hash, made_at, expires_at) VALUES ('g', sha256('c'), now(), now());
INSERT INTO protective_measure (ward_id, account_id, since, until, asked_until, entered_by)
    VALUES ('w', 'g', now(), now() + interval '1 day', now() + interval '1 day', 'g');
INSERT INTO mask_step VALUES (1, 'prepare', 'g', 'handler', now(), 1);
INSERT INTO oversight (kind, happened_on, summary, recorded_at, entry_id) VALUES ('complaint', now(), 's', now(), 1);
INSERT INTO footage_case (id, city_id, number, agency_id, officer_id, purpose, basis, created_at)
    VALUES (repeat('a', 32), 'c', '2026-0001', 'police', 'g', 'crime', 'inquiry', now());
INSERT INTO case_camera VALUES (repeat('a', 32), 1, 'd', now(), now() + interval '1 hour');
INSERT INTO case_paper (id, case_id, kind, name, media_type, size_bytes, sha256, findings, sealed, added_at, added_by,
                        entry_id)
    VALUES (repeat('b', 32), repeat('a', 32), 'inquiry', 'n', 'image/png', 1, sha256('p'), '[]', 'x', now(), 'g', 1);
INSERT INTO case_step (case_id, ordinal, step, from_state, to_state, at, role, account_id, entry_id)
    VALUES (repeat('a', 32), 1, 'submit', 'draft', 'submitted', now(), 'officer', 'g', 1);
INSERT INTO case_order (detector_id, sequence, case_id, camera, kind, at, entry_id)
    VALUES ('d', 1, repeat('a', 32), 1, 'freeze', now(), 1);
INSERT INTO case_undertaking VALUES (repeat('a', 32), 'g', now(), 1);
INSERT INTO case_opening (case_id, export_id, account_id, at, mode, entry_id)
    VALUES (repeat('a', 32), 'e', 'g', now(), 'view', 1);
INSERT INTO case_certificate VALUES (repeat('a', 32), 'return', now(), 'shredded', '{}', 'g', 1);
INSERT INTO case_reminder VALUES (repeat('a', 32), 'undecided', now(), NULL, 1);
INSERT INTO statistic_day (day, meshes) VALUES ('2026-11-24', '{52341607}');
INSERT INTO statistic_seen VALUES ('2026-11-24', 0, sha256('w'));
INSERT INTO statistic_count VALUES ('2026-11-24', 7, 52341607, 1);
INSERT INTO audit_entry (body) VALUES ('{}');
INSERT INTO audit_opening SELECT id, 'ward', '\\x00112233445566778899aabbccddeeff', 'w' FROM audit_entry;
"""


@pytest.fixture(scope="module")
def seeded(clone: Callable[[], AbstractContextManager[str]]) -> Iterator[str]:
    """A database with a row in every personal table; its tables are owned by somebody who is no superuser."""
    with clone() as url:
        with psycopg.connect(url, autocommit=True) as owner:
            owner.execute("CREATE ROLE town_owner NOLOGIN")
            owner.execute("SET session_replication_role = replica")  # the seed need not obey workflows
            owner.execute(SEED.encode())
            for name in _tables(owner):
                owner.execute(sql.SQL("ALTER TABLE {} OWNER TO town_owner").format(sql.Identifier(name)))
        yield url
    with psycopg.connect(psycopg.conninfo.make_conninfo(url, dbname="postgres"), autocommit=True) as owner:
        owner.execute("DROP ROLE town_owner")


def _tables(conn: psycopg.Connection[tuple[object, ...]]) -> list[str]:
    query = """SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')
               AND NOT relispartition ORDER BY 1"""
    return [str(row[0]) for row in conn.execute(query).fetchall()]


def _seen(url: str, role: str, table: str) -> int | None:
    """Return how many rows `role` sees, None where it is refused."""
    with psycopg.connect(url) as conn:
        conn.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(role)))
        try:
            row = conn.execute(sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(table))).fetchone()
        except psycopg.errors.InsufficientPrivilege:
            return None
    return int(row[0]) if row else 0


def test_every_table_is_decided_about(seeded: str) -> None:
    with psycopg.connect(seeded) as conn:
        assert set(_tables(conn)) == PERSONAL.keys() | RAW | OPEN.keys()


@pytest.mark.parametrize("table", PERSONAL)
def test_rows_are_guarded_also_against_the_owner(seeded: str, table: str) -> None:
    with psycopg.connect(seeded) as conn:
        query = "SELECT relrowsecurity, relforcerowsecurity FROM pg_class WHERE oid = %s::regclass"
        assert conn.execute(query, (table,)).fetchone() == (True, True)
        row = conn.execute(f"SELECT count(*) FROM {table}".encode()).fetchone()
    assert row is not None
    assert row[0], "the seed has no row of it, so nothing below would mean anything"
    assert _seen(seeded, "town_owner", table) == 0
    assert _seen(seeded, "keeper", table) == row[0]


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("table", PERSONAL)
def test_without_a_token_a_role_sees_what_it_works_on_and_no_more(seeded: str, table: str, role: str) -> None:
    seen = _seen(seeded, role, table)
    if role in PERSONAL[table]:
        assert seen, "refused or empty, and the program could not work"
    else:
        assert not seen


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("table", RAW)
def test_raw_sightings_are_granted_to_ingest_alone(seeded: str, table: str, role: str) -> None:
    assert (_seen(seeded, role, table) is not None) == (role == "ingest")


@pytest.mark.parametrize("role", [*ROLES, "keeper", "town_owner"])
def test_no_program_passes_row_level_security_by_its_attributes(seeded: str, role: str) -> None:
    with psycopg.connect(seeded) as conn:
        row = conn.execute("SELECT rolsuper, rolbypassrls, rolcanlogin FROM pg_roles WHERE rolname = %s", (role,))
        assert row.fetchone() == (False, False, role in ROLES)


def test_no_program_can_become_another(seeded: str) -> None:
    for role in ROLES:
        for other in (*ROLES, "keeper", "town_owner"):
            with psycopg.connect(psycopg.conninfo.make_conninfo(seeded, user=role)) as conn:
                if other != role:
                    with pytest.raises(psycopg.errors.InsufficientPrivilege):
                        conn.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(other)))


@pytest.mark.parametrize("table", ["purpose_token", "purpose_token_ward", "purpose_token_case", "access_version"])
@pytest.mark.parametrize("role", [role for role in ROLES if role != "warden"])
def test_only_the_warden_writes_tokens(seeded: str, table: str, role: str) -> None:
    with psycopg.connect(psycopg.conninfo.make_conninfo(seeded, user=role)) as conn:
        column = "expires_at" if table == "purpose_token" else "version"
        for verb in (
            f"DELETE FROM {table}",
            f"INSERT INTO {table} DEFAULT VALUES",
            f"UPDATE {table} SET {column} = NULL",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                conn.execute(verb.encode())
            conn.rollback()


def test_a_backup_as_the_keeper_is_whole_and_one_without_saying_so_is_refused(seeded: str, postgres: Postgres) -> None:
    command = [str(postgres.place.bin_dir / "pg_dump"), "--data-only", "--exclude-table=sighting*", "-d", seeded]
    as_keeper = [*command, "--role=keeper", "--enable-row-security"]
    whole = subprocess.run(as_keeper, capture_output=True, text=True, check=True)
    for table in PERSONAL:
        [body] = [part for part in whole.stdout.split("COPY public.") if part.startswith(f"{table} (")]
        assert body.split("\n\\.")[0].count("\n") >= 1, table
    plain = subprocess.run([*command, "--role=town_owner"], capture_output=True, text=True, check=False)
    assert plain.returncode != 0
    assert "row-level security" in plain.stderr


OWNED_BY_THE_OWNER = {
    "sighting_prepare",
    "sighting_expire",
    "sighting_seal",
    "registry_changed",
    "enrol_gateway",
    "rotate_gateway",
    "audit_queue",
}
"""Of tables that are not guarded."""


def test_what_runs_with_rights_of_another_is_bound_by_the_rows_too(seeded: str) -> None:
    query = """SELECT p.proname, pg_get_userbyid(p.proowner), p.proconfig::text LIKE '%%pg_temp%%' FROM pg_proc AS p
               WHERE p.pronamespace = 'public'::regnamespace AND p.prosecdef"""
    with psycopg.connect(seeded) as conn:
        found = {str(name): (str(owner), is_pinned) for name, owner, is_pinned in conn.execute(query).fetchall()}
    assert {name for name, (owner, _) in found.items() if owner != "keeper"} == OWNED_BY_THE_OWNER
    assert [name for name, (_, is_pinned) in found.items() if not is_pinned] == []
