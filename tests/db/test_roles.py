import psycopg
import pytest

from server.config import ServerConfig

pytestmark = pytest.mark.db

CONTROL = (
    "account", "session", "passkey", "identity", "challenge", "enrolment_card", "household", "household_ward",
    "household_member", "household_news",
)  # fmt: skip
SECRET = {
    "api": ("sighting", "sighting_by_name", "sighting_default", "batch", "dead_letter", "tag_state",
            "doubtful_fix", *CONTROL),
    "notify": (*CONTROL[1:], "sighting", "sighting_by_name", "batch", "dead_letter", "tag", "tag_state",
               "fix", "last_place"),
    "ingest": (*CONTROL[1:], "sighting_by_name", "town_map", "enrolment_code"),
    "gate": ("ward", "account", "tag", "sighting", "fix", "last_place", "event", "session", "enrolment_code", "batch"),
}  # fmt: skip


@pytest.mark.parametrize(("role", "table"), [(role, table) for role, tables in SECRET.items() for table in tables])
def test_a_program_cannot_read_what_it_does_not_need(db: ServerConfig, role: str, table: str) -> None:
    with psycopg.connect(db.dsn(role)) as conn, pytest.raises(psycopg.errors.InsufficientPrivilege):
        conn.execute(f"SELECT 1 FROM {table}")


@pytest.mark.parametrize(
    ("role", "statement"),
    [
        ("api", "SELECT wrapped_key FROM tag"),
        ("api", "INSERT INTO event (ward_id, kind, at, received_at) VALUES ('w', 'sos', now(), now())"),
        ("api", "UPDATE guardianship SET until = 'infinity'"),
        ("api", "SELECT sighting_expire(current_date)"),
        ("api", "INSERT INTO export (id) VALUES ('e')"),
        ("api", "UPDATE export SET recipient = 'age1other'"),
        ("api", "DELETE FROM export"),
        ("ingest", "SELECT 1 FROM export"),
        ("notify", "SELECT 1 FROM export_part"),
        ("notify", "SELECT code_hash FROM account"),
        ("api", "SELECT entered_by FROM protective_measure"),
        ("ingest", "DELETE FROM protective_measure"),
        ("warden", "DELETE FROM protective_measure"),
        ("warden", "SELECT 1 FROM fix"),
        ("warden", "SELECT 1 FROM last_place"),
        ("notify", "UPDATE notice SET guardian_id = 'g'"),
        ("notify", "SELECT sighting_prepare(current_date, current_date)"),
        ("ingest", "SELECT email FROM account"),
        ("ingest", "SELECT code_hash FROM account"),
        ("ingest", "SELECT endpoint FROM push_subscription"),
        ("ingest", "UPDATE tag SET wrapped_key = NULL"),
        ("ingest", "DELETE FROM sighting"),
        ("ingest", "UPDATE batch SET stored = 0"),
        ("ingest", "DROP TABLE sighting_default"),
        ("gate", "SELECT lat_deg FROM detector"),
        ("gate", "UPDATE detector SET revoked_at = NULL"),
        ("gate", "UPDATE certificate SET revoked_at = NULL"),
        ("gate", "SELECT enrol_gateway('c', 'd', '', '', '', now())"),
        ("ingest", "SELECT rotate_gateway('c', 'd', '', '', '', now())"),
        ("api", "UPDATE detector SET public_key = ''"),
    ],
)
def test_a_program_cannot_do_what_it_need_not(db: ServerConfig, role: str, statement: str) -> None:
    with psycopg.connect(db.dsn(role)) as conn, pytest.raises(psycopg.errors.InsufficientPrivilege):
        conn.execute(statement.encode())


def test_no_role_gets_at_a_partition_behind_the_tables_back(db: ServerConfig) -> None:
    with psycopg.connect(db.dsn("ingest"), autocommit=True) as conn:
        conn.execute("SELECT sighting_prepare('2026-11-20', '2026-11-21')")
    for role in ("ingest", "api", "notify", "gate"):
        with psycopg.connect(db.dsn(role)) as conn, pytest.raises(psycopg.errors.InsufficientPrivilege):
            conn.execute("SELECT 1 FROM sighting_d20261120")
