import pytest

from server.enrolment.profile import Subject
from server.gate import rights
from server.gate.errors import RefusedError


def test_a_gateway_has_its_own_topics_and_no_others() -> None:
    allowed = rights.of(Subject("kawa", "gateway", "gw-001"))
    assert allowed.publish == tuple(f"mimamori.1.kawa.gw-001.{leaf}" for leaf in ("sightings", "heartbeat", "reports"))
    assert allowed.subscribe == tuple(f"mimamori.1.kawa.gw-001.{leaf}" for leaf in ("receipts", "orders"))


def test_every_program_has_what_it_needs_of_all_detectors() -> None:
    said = {name: rights.of(Subject("kawa", "service", name)) for name in rights.PROGRAMS}
    assert said["ingest"].publish == ("mimamori.1.kawa.*.receipts",)
    assert said["ingest"].subscribe == ("mimamori.1.kawa.*.sightings", "mimamori.1.kawa.*.heartbeat")
    assert (said["api"].publish, said["api"].subscribe) == (
        ("mimamori.1.kawa.*.sightings",),
        ("mimamori.1.kawa.*.receipts",),
    )
    assert said["gate"].subscribe == ("mimamori.1.kawa.*.reports",)


@pytest.mark.parametrize(
    "subject",
    [
        Subject("kawa", "service", "notify"),
        Subject("kawa", "broker", "broker"),
        Subject("kawa", "gateway", "*"),
        Subject("kawa", "gateway", "gw.001"),
        Subject(">", "gateway", "gw-001"),
    ],
)
def test_whoever_has_no_business_there_has_no_rights(subject: Subject) -> None:
    with pytest.raises(RefusedError):
        rights.of(subject)


@pytest.mark.parametrize(
    ("kind", "name", "client_id", "is_own"),
    [
        ("gateway", "gw-001", "gw-001", True),
        ("gateway", "gw-001", "gw-0011", False),
        ("gateway", "gw-001", "gw-001:1", False),
        ("gateway", "ingest", "ingest:1", False),
        ("gateway", "gw-001", "", False),
        ("service", "ingest", "ingest:0f", True),
        ("service", "ingest", "ingest", False),
        ("service", "api", "ingest:0f", False),
    ],
)
def test_a_client_id_belongs_to_one(kind: str, name: str, client_id: str, is_own: bool) -> None:  # noqa: FBT001
    subject = Subject("kawa", "service" if kind == "service" else "gateway", name)
    assert rights.is_own_client_id(subject, client_id) is is_own
