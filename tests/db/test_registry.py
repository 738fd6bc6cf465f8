import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from server.accounts.codes import is_code_of
from server.errors import KeysError
from server.registry import kek
from server.registry.errors import RegistryError
from server.registry.importer import import_file
from server.reports.entries import counted
from server.reports.names import agencies_of
from server.reports.tables import Text

pytestmark = pytest.mark.db
Town = Any  # the class of the fixture lives in conftest.py, which tests cannot import
TABLES = ("city", "detector", "tag", "ward", "account", "guardianship", "place", "watch", "push_subscription")


def _state(town: Town) -> dict[str, list[Any]]:
    return {table: town.ask(f"SELECT {table}::text FROM {table} ORDER BY 1") for table in TABLES}


async def test_importing_again_changes_nothing(town: Town) -> None:
    before = _state(town)
    await town.import_again(town.registry)
    assert _state(town) == before


async def test_an_import_is_one_change_of_the_registry(town: Town) -> None:
    [(before,)] = town.ask("SELECT version FROM registry_version")
    await town.import_again(town.registry)
    assert town.ask("SELECT version FROM registry_version") == [(before + 1,)]


async def test_keys_lie_wrapped_and_codes_hashed(town: Town) -> None:
    key = town.registry["tags"][0]["identity_key"]
    wrapped = town.ask("SELECT wrapped_key FROM tag WHERE id = 't-1'")[0][0]
    own = (town.config.keys_dir / "kek.bin").read_bytes()
    assert kek.unwrap(own, wrapped).hex() == key
    assert bytes.fromhex(key) not in wrapped
    with pytest.raises(KeysError):
        kek.unwrap(bytes(32), wrapped)
    phc = town.ask("SELECT code_hash FROM account WHERE id = 'g-1'")[0][0]
    assert is_code_of(phc, "123456")
    assert "123456" not in phc


async def test_a_changed_registry_updates(town: Town) -> None:
    changed = copy.deepcopy(town.registry)
    changed["wards"][0]["tag"], changed["wards"][1]["tag"] = "t-2", "t-1"
    changed["guardians"][0]["code"] = "999999"
    changed["places"][0]["radius_m"] = 90
    await town.import_again(changed)
    assert town.ask("SELECT id, tag_id FROM ward ORDER BY id") == [("w-1", "t-2"), ("w-2", "t-1"), ("w-3", "t-old")]
    assert town.ask("SELECT radius_m FROM place") == [(90,)]
    assert is_code_of(town.ask("SELECT code_hash FROM account WHERE id = 'g-1'")[0][0], "999999")


async def test_what_is_unique_may_change_hands(town: Town) -> None:
    """Wards' tags in a ring, logins and the identities of traceable tags both ways."""
    registry = copy.deepcopy(town.registry)
    registry["tags"].append({"id": "t-new", "kind": "uid", "static_id": "0807060504030201"})
    await town.import_again(registry)
    tags, wards, guardians = registry["tags"], registry["wards"], registry["guardians"]
    tags[2]["static_id"], tags[3]["static_id"] = tags[3]["static_id"], tags[2]["static_id"]
    guardians[0]["login"], guardians[1]["login"] = guardians[1]["login"], guardians[0]["login"]
    wards[0]["tag"], wards[1]["tag"], wards[2]["tag"] = wards[1]["tag"], wards[2]["tag"], wards[0]["tag"]
    await town.import_again(registry)
    assert town.ask("SELECT tag_id FROM ward ORDER BY id") == [("t-2",), ("t-old",), ("t-1",)]
    assert town.ask("SELECT login FROM account ORDER BY id") == [("other",), ("demo",)]
    assert town.ask("SELECT encode(static_id, 'hex') FROM tag WHERE kind <> 'eid' ORDER BY id DESC") == [
        ("0807060504030201",),
        ("0102030405060708",),
    ]


async def test_a_login_that_another_guardian_keeps_is_refused_whole(town: Town) -> None:
    registry = copy.deepcopy(town.registry)
    registry["guardians"] = [{**registry["guardians"][0], "login": "other"}]
    with pytest.raises(psycopg.errors.UniqueViolation):
        await town.import_again(registry)
    assert town.ask("SELECT login FROM account ORDER BY id") == [("demo",), ("other",)]


async def test_what_a_family_and_the_city_decided_survives_an_import(town: Town) -> None:
    town.ask("UPDATE account SET language = 'en' WHERE id = 'g-1'")
    town.ask("UPDATE detector SET revoked_at = now() WHERE id = 'gw-1'")
    town.ask("UPDATE guardianship SET until = now() WHERE guardian_id = 'g-2'")
    await town.import_again(town.registry)
    assert town.ask("SELECT language FROM account WHERE id = 'g-1'") == [("en",)]
    assert town.ask("SELECT revoked_at IS NULL FROM detector WHERE id = 'gw-1'") == [(False,)]
    assert town.ask("SELECT until < 'infinity' FROM guardianship WHERE guardian_id = 'g-2'") == [(True,)]


async def test_a_tag_provisioned_anew_forgets_what_was_learnt_of_its_clock(town: Town) -> None:
    await town.take(town.boxes["gw-1"].message(town.tags["t-1"].row(town.noon_ms), at_ms=town.noon_ms))
    assert town.count("tag_state") == 1
    changed = copy.deepcopy(town.registry)
    changed["tags"][0]["clock_offset_ms"] += 1
    await town.import_again(changed)
    assert town.count("tag_state") == 0


async def test_ingest_sees_a_changed_registry_at_once(town: Town) -> None:
    await town.take(town.boxes["gw-1"].message(town.tags["t-2"].row(town.noon_ms), at_ms=town.noon_ms))
    await town.settle(town.noon_ms)
    town.ask("UPDATE ward SET tag_id = NULL WHERE id = 'w-2'")
    later_ms = town.noon_ms + 20_000
    await town.take(town.boxes["gw-1"].message(town.tags["t-2"].row(later_ms), at_ms=later_ms))
    assert town.count("sighting") == 2
    assert town.count("fix") == 1


BREAK: dict[str, Callable[[dict[str, Any]], object]] = {
    "detectors[1].public_key": lambda d: d["detectors"][1].update(public_key="x"),
    "detectors[1].id": lambda d: d["detectors"][1].update(id="ingest"),
    "detectors[0].kind": lambda d: d["detectors"][0].update(kind="tower"),
    "detectors[0]": lambda d: d["detectors"][0].update(lat_deg=None),
    "tags[0].identity_key": lambda d: d["tags"][0].update(identity_key="abcd"),
    "tags[2]": lambda d: d["tags"][2].update(static_id=None),
    "tags[1].id": lambda d: d["tags"][1].update(id="t-1"),
    "wards[0].tag": lambda d: d["wards"][0].update(tag="t-9"),
    "wards[1].tag": lambda d: d["wards"][1].update(tag="t-1"),
    "guardians[1].wards[0]": lambda d: d["guardians"][1].update(wards=["w-9"]),
    "guardians[0].code": lambda d: d["guardians"][0].update(code=" - - - - "),
    "guardians[0].login": lambda d: d["guardians"][0].update(login="\u3000"),
    "guardians[1].login": lambda d: d["guardians"][1].update(login=d["guardians"][0]["login"].upper()),
    "guardians[0].email": lambda d: d["guardians"][0].update(email="nobody"),
    "places[0].radius_m": lambda d: d["places"][0].update(radius_m=0),
    "places[0].lat_deg": lambda d: d["places"][0].update(lat_deg=91),
    "watches[0].place": lambda d: d["watches"][0].update(place="moon"),
    "city": lambda d: d.pop("city"),
}


@pytest.mark.parametrize("path", BREAK)
async def test_a_wrong_field_is_named_and_nothing_is_imported(town: Town, path: str) -> None:
    before = _state(town)
    broken = copy.deepcopy(town.registry)
    broken["wards"][2]["name_en"] = "Changed"
    BREAK[path](broken)
    with pytest.raises(RegistryError) as caught:
        await town.import_again(broken)
    assert str(caught.value).startswith(f"{path}:")
    assert broken["tags"][0].get("identity_key", "-") not in str(caught.value)
    assert _state(town) == before


def test_a_file_is_imported_with_its_map(town: Town, tmp_path: Path) -> None:
    file = tmp_path / "town.json"
    file.write_text(json.dumps(town.registry))
    (tmp_path / "map.geojson").write_text('{"type": "FeatureCollection", "features": []}')
    assert "tags 3" in str(import_file(town.config, file))
    assert town.ask("SELECT city_id, length(geojson) FROM town_map") == [("mimamori", 45)]


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"city": {"id": "other"}}'])
def test_a_file_that_is_no_registry_of_ours_is_refused(town: Town, tmp_path: Path, text: str) -> None:
    file = tmp_path / "town.json"
    file.write_text(text)
    with pytest.raises(RegistryError):
        import_file(town.config, file)


async def test_a_detector_may_come_without_a_key_and_get_one_later(town: Town) -> None:
    registry = copy.deepcopy(town.registry)
    key = registry["detectors"][0].pop("public_key")
    registry["detectors"][0]["id"] = "gw-new"
    await town.import_again(registry)
    assert town.ask("SELECT public_key FROM detector WHERE id = 'gw-new'") == [(None,)]
    registry["detectors"][0]["public_key"] = key
    await town.import_again(registry)
    assert town.ask("SELECT length(public_key) FROM detector WHERE id = 'gw-new'") == [(91,)]


@pytest.mark.parametrize("file_has_a_key", [True, False])
async def test_an_import_leaves_a_key_that_the_device_made_itself(town: Town, *, file_has_a_key: bool) -> None:
    spki = b"as the device said"
    town.ask("UPDATE detector SET public_key = %s, enrolled_at = now() WHERE id = 'gw-1'", spki)
    registry = copy.deepcopy(town.registry)
    for detector in registry["detectors"]:
        if not file_has_a_key:
            del detector["public_key"]
    before = town.ask("SELECT public_key FROM detector WHERE id = 'gw-2'")
    await town.import_again(registry)
    assert town.ask("SELECT public_key FROM detector WHERE id = 'gw-1'") == [(spki,)]
    assert town.ask("SELECT public_key FROM detector WHERE id = 'gw-2'") == before


async def test_offices_become_accounts_whose_role_a_later_file_does_not_change(town: Town) -> None:
    changed = copy.deepcopy(town.registry)
    names = {"name_ja": "署", "name_en": "Station"}
    changed["agencies"] = [{"id": "station", "kind": "police", "legal_basis": "刑訴法197条2項", **names}]
    changed["accounts"] = [{"id": "officer-1", "role": "officer", "agency": "station", **names}]
    await town.import_again(changed)
    changed["accounts"][0] |= {"role": "manager", "name_en": "Desk"}
    await town.import_again(changed)
    found = town.ask("SELECT role, agency_id, name_en, code_hash FROM account WHERE id = 'officer-1'")
    assert found == [("officer", "station", "Desk", None)]


async def test_a_body_of_the_file_is_logged_once_with_its_name_for_the_reports(town: Town) -> None:
    changed = copy.deepcopy(town.registry)
    names = {"name_ja": "署", "name_en": "Station"}
    changed["agencies"] = [{"id": "station", "kind": "police", "legal_basis": "刑訴法197条2項", **names}]
    for _ in range(2):
        await town.import_again(changed)
    bodies = [bytes(body) for (body,) in town.ask("SELECT body FROM audit_entry ORDER BY id")]
    assert agencies_of(counted(bodies)) == {"station": Text("署", "Station")}
    assert sum(entry.kind == "agency.registered" for entry in counted(bodies)) == 1


async def test_an_office_with_the_login_of_a_guardian_or_without_its_agency_is_refused(town: Town) -> None:
    names = {"name_ja": "署", "name_en": "Station"}
    for wrong in (
        {"id": town.registry["guardians"][0]["login"], "role": "manager"},
        {"id": "officer-1", "role": "officer"},
        {"id": "officer-1", "role": "officer", "agency": "nowhere"},
    ):
        changed = {**copy.deepcopy(town.registry), "accounts": [{**wrong, **names}]}
        with pytest.raises(RegistryError):
            await town.import_again(changed)
