import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

from firmware_sim import registry, tag
from firmware_sim.errors import TownFileError
from firmware_sim.registry import TownSettings
from wire import frames, keys
from wire.clock import Clock
from wire.formats import Formats

CLOCK = Clock(1_795_000_000_000, 1_795_473_600_000, 60.0)


@pytest.fixture
def settings(tmp_path: Path, city_file: Path) -> TownSettings:
    return TownSettings(
        seed=7,
        directory=tmp_path / "town",
        city_file=city_file,
        broker_url="mqtt://127.0.0.1:1883",
        upload_url="http://127.0.0.1:8780/api/v1/batches",
        push_url="http://127.0.0.1:9999",
        radio_socket=tmp_path / "radio.sock",
        gpsd_socket=tmp_path / "gpsd.sock",
        clock=CLOCK,
    )


def _town(settings: TownSettings) -> dict[str, Any]:
    table: dict[str, Any] = json.loads((settings.directory / "town.json").read_text())
    return table


def test_a_town_is_whole(settings: TownSettings) -> None:
    counts = registry.write(settings)
    assert counts == {"detectors": 103, "tags": 200, "wards": 200, "guardians": 200, "places": 209, "watches": 400}
    town = _town(settings)
    wards, places = {ward["id"] for ward in town["wards"]}, {place["id"] for place in town["places"]}
    assert all(watch["ward"] in wards and watch["place"] in places for watch in town["watches"])
    assert all(set(guardian["wards"]) <= wards for guardian in town["guardians"])
    assert {ward["tag"] for ward in town["wards"]} == {each["id"] for each in town["tags"]}
    assert sum(guardian["push"] is not None for guardian in town["guardians"]) == registry.PUSH_GUARDIANS
    assert [ward["name_en"] for ward in town["wards"]].count("Yui") == 1
    demo = next(guardian for guardian in town["guardians"] if guardian["login"] == "demo")
    assert town["wards"][0] | {"name_ja": "ゆい"} == town["wards"][0]
    assert demo["wards"] == [town["wards"][0]["id"]]


def test_the_registry_names_the_ids_that_the_tags_send(settings: TownSettings) -> None:
    registry.write(settings)
    _, tags, clock = registry.load(settings.directory)
    assert clock == CLOCK
    state = tag.State(sos=False, moving=False, battery_mv=3000, adv_count=0)
    for row, each in zip(_town(settings)["tags"], tags, strict=True):
        if each.kind == "eid":
            assert bytes.fromhex(row["identity_key"]) == each.identity_key
            noted_ms = CLOCK.origin_town_ms - row["clock_offset_ms"]
            assert abs(noted_ms - each.beacon_ms(CLOCK.origin_town_ms)) < 3_600_000
        else:
            found = frames.sighting_id(each.sighting_frame(CLOCK.origin_town_ms, state))
            assert found is not None
            assert row["static_id"] == found[1].hex()


def test_every_detector_has_a_configuration_and_the_key_in_the_registry(settings: TownSettings) -> None:
    registry.write(settings)
    files = sorted(settings.directory.glob("*/*.toml"))
    rows = {row["id"]: row for row in _town(settings)["detectors"]}
    assert sorted(file.stem for file in files) == sorted(rows)
    for file in files:
        table = tomllib.loads(file.read_text())
        row = rows[table["detector"]]
        own = keys.load_signing_key(table["keys"]["signing_key_file"]).public_key()
        assert keys.encode_public(own) == row["public_key"]
        assert table["clock"] == CLOCK.to_table()
        assert ("broker" in table) != ("upload" in table)
        assert ("gpsd" in table["position"]) == (row["kind"] != "fixed")
        formats = Formats.parse(table["scan"]["formats"])
        assert (formats.has_eid, len(formats.namespaces), len(formats.uuids)) == (True, 1, 1)
        assert Path(table["keys"]["signing_key_file"]).stat().st_mode & 0o077 == 0


def test_a_second_time_keeps_secrets_and_renews_addresses(settings: TownSettings) -> None:
    registry.write(settings)
    first = _town(settings)
    moved = TownSettings(
        **{name: getattr(settings, name) for name in settings.__slots__} | {"broker_url": "mqtt://h:2"}
    )
    registry.write(moved)
    second = _town(settings)
    assert first == second
    assert "mqtt://h:2" in (settings.directory / "gateways" / "gw-001.toml").read_text()


def test_codes_are_not_the_seeds(settings: TownSettings) -> None:
    registry.write(settings)
    codes = [guardian["code"] for guardian in _town(settings)["guardians"]]
    (settings.directory / "town.json").unlink()
    registry.write(settings)
    assert len(set(codes)) == 200
    assert set(codes).isdisjoint(guardian["code"] for guardian in _town(settings)["guardians"])


def test_what_is_no_town_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TownFileError):
        registry.load(tmp_path)
    (tmp_path / "town.json").write_text('{"seed": "x"}')
    with pytest.raises(TownFileError):
        registry.load(tmp_path)


def test_at_a_broker_with_a_door_gateways_enrol_and_phones_post(settings: TownSettings) -> None:
    values = {name: getattr(settings, name) for name in settings.__slots__}
    secured = TownSettings(
        **values | {"broker_url": "mqtts://h:8883", "upload_url": "http://127.0.0.1:8/api/v1/batches"}
    )
    registry.write(secured)
    kinds = {row["id"]: (row["kind"], "public_key" in row) for row in _town(secured)["detectors"]}
    for file in sorted(secured.directory.glob("*/*.toml")):
        table = tomllib.loads(file.read_text())
        kind, has_key = kinds[table["detector"]]
        assert has_key is ("keys" in table) is ("upload" in table) is (kind == "phone")
        if kind != "phone":
            assert table["broker"] == {"url": "mqtts://h:8883"}
            assert table["enrolment"]["server_url"] == "http://127.0.0.1:8"
            assert Path(table["enrolment"]["ticket_file"]).name == f"{file.stem}.json"
