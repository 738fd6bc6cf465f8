"""What a city writes down about the town: the registry, the detectors' configurations and keys.

A second time into the same directory keeps keys, sign-in codes and the tags' provisioning, and renews the rest.
"""

import json
import secrets
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from firmware_sim import air, cartography, households, offices, people, tag, vehicles
from firmware_sim import town as towns
from firmware_sim.errors import TownFileError
from wire import frames, keys
from wire.clock import Clock
from wire.errors import WireError

TAGS: Final = people.PUPILS + people.ELDERS
PUSH_GUARDIANS: Final = 10
CAMERA: Final = "gw-001"
"""The gateway whose camera films the street scene."""
FORMATS: Final = ("eid", f"uid:{tag.UID_NAMESPACE.hex()}", f"ibeacon:{uuid.UUID(bytes=tag.IBEACON_UUID)}")


@dataclass(frozen=True, slots=True)
class TownSettings:
    """What a town is made from.

    Attributes:
        directory: where it is written.
        city_file: city.json of the server, copied nowhere, named in the configurations.
        broker_url: of the detectors' broker; with `mqtts://` gateways and cars make their keys themselves, and enrol.
        upload_url: of the batch upload, where all phones post; "" = they use MQTT, on a broker without certificates.
        push_url: base URL of the families' push service; "" = nobody has push.
        camera_url: of the street scene, filmed by the gateway `CAMERA`; "" = no gateway has a camera.
    """

    seed: int
    directory: Path
    city_file: Path
    broker_url: str
    upload_url: str
    push_url: str
    radio_socket: Path
    gpsd_socket: Path
    clock: Clock
    camera_url: str = ""


def write(settings: TownSettings) -> dict[str, int]:
    """Write the town into its directory; how many there are of each kind of thing.

    Raises:
        TownFileError: the directory holds something else, or the city file cannot be read.
    """
    directory = settings.directory
    for name in ("gateways", "phones", "keys", "state", "tickets"):
        (directory / name).mkdir(parents=True, exist_ok=True)
    try:
        city = keys.CityBundle.load(settings.city_file).city
    except WireError as error:
        raise TownFileError(f"{settings.city_file}: {error}") from error
    old = _read(directory / "town.json") if (directory / "town.json").exists() else {}
    provisioned_ms = int(old.get("provisioned_ms", settings.clock.now_ms()))
    town = towns.build(settings.seed)
    persons = people.inhabitants(town)
    registry: dict[str, Any] = {
        "seed": settings.seed,
        "provisioned_ms": provisioned_ms,
        "clock": settings.clock.to_table(),
        "city": {"id": city, "name_ja": "みまもり市", "name_en": "Mimamori City", "tz": str(air.TZ)},
        "detectors": _detectors(town, settings, city),
        "tags": [_tag_row(each, provisioned_ms) for each in tag.provision(settings.seed, TAGS, provisioned_ms)],
        "wards": households.wards(persons),
        "guardians": _guardians(settings, persons, old),
        "agencies": list(offices.AGENCIES),
        "accounts": list(offices.ACCOUNTS),
        "places": households.places(town, persons),
        "watches": households.watches(persons),
    }
    _write_json(directory / "town.json", registry)
    (directory / "town.json").chmod(0o600)
    _write_json(directory / "map.geojson", cartography.geojson(town))
    counted = ("detectors", "tags", "wards", "guardians", "places", "watches")
    return {name: len(registry[name]) for name in counted}


def load(directory: Path) -> tuple[int, tuple[tag.Tag, ...], Clock]:
    """Seed, tags and clock of the town in that directory.

    Raises:
        TownFileError: there is none.
    """
    registry = _read(directory / "town.json")
    try:
        seed, provisioned_ms = int(registry["seed"]), int(registry["provisioned_ms"])
        clock = Clock.from_table(registry.get("clock", {}))
    except (KeyError, TypeError, ValueError) as error:
        raise TownFileError(f"{directory / 'town.json'}: {error!r}") from error
    return seed, tag.provision(seed, TAGS, provisioned_ms), clock


def _read(path: Path) -> dict[str, Any]:
    try:
        table = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise TownFileError(f"{path}: {error}") from error
    if not isinstance(table, dict):
        raise TownFileError(f"{path}: not a JSON object")
    return table


def _write_json(path: Path, table: dict[str, Any]) -> None:
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps(table, ensure_ascii=False, indent=1) + "\n", "utf-8")
    fresh.replace(path)


def _tag_row(each: tag.Tag, provisioned_ms: int) -> dict[str, Any]:
    row: dict[str, Any] = {"id": each.id, "kind": each.kind}
    if each.kind == "eid":
        offset_ms = each.offset_ms(provisioned_ms)
        key = each.identity_key.hex()
        return row | {"identity_key": key, "rotation_exponent": tag.ROTATION_EXPONENT, "clock_offset_ms": offset_ms}
    frame = each.sighting_frame(provisioned_ms, tag.State(sos=False, moving=False, battery_mv=3000, adv_count=0))
    found = frames.sighting_id(frame)
    return row | {"static_id": found[1].hex() if found else ""}


def _guardians(settings: TownSettings, persons: tuple[people.Person, ...], old: dict[str, Any]) -> list[dict[str, Any]]:
    """One guardian a ward, the demo's first; codes are secrets, kept from the last time."""
    guardians = households.guardians(persons)
    codes = {guardian["id"]: guardian["code"] for guardian in old.get("guardians", [])}
    push: dict[str, dict[str, str]] = {}
    if settings.push_url:
        from firmware_sim import family  # noqa: PLC0415 - its mail server is slow to load, and `run` needs none

        ids = [guardian["id"] for guardian in guardians[:PUSH_GUARDIANS]]
        push = family.push_subscriptions(settings.push_url, ids, settings.seed)
    for guardian in guardians:
        guardian["code"] = codes.get(guardian["id"]) or _new_code()
        guardian["push"] = push.get(guardian["id"])
    return guardians


def _new_code() -> str:
    """60 random bits in an alphabet without look-alikes, in three groups to read aloud."""
    letters = "".join(secrets.choice("23456789abcdefghjkmnpqrstuvwxyz") for _ in range(12))
    return "-".join((letters[:4], letters[4:8], letters[8:]))


def _detectors(town: towns.Town, settings: TownSettings, city: str) -> list[dict[str, Any]]:
    labels = {gateway.id: (gateway.label_ja, gateway.label_en) for gateway in town.gateways}
    labels |= {vehicle[0]: (vehicle[1], vehicle[2]) for vehicle in vehicles.VEHICLES}
    rows = []
    for receiver in air.receivers_of(town):
        volunteer = f"{receiver.id.removeprefix('phone-')}"
        label_ja, label_en = labels.get(receiver.id, (f"協力者 {volunteer}", f"Volunteer {volunteer}"))
        row: dict[str, Any] = {"id": receiver.id, "kind": receiver.kind, "label_ja": label_ja, "label_en": label_en}
        row |= {"lat_deg": None, "lon_deg": None, "accuracy_m": 5.0}
        if not _enrols(settings, receiver):
            row["public_key"] = _public_key(settings.directory / "keys" / f"{receiver.id}.pem")
        if receiver.kind == "fixed":
            row["lat_deg"], row["lon_deg"] = _rounded(town, receiver)
        folder = "phones" if receiver.kind == "phone" else "gateways"
        uploads = bool(settings.upload_url) and receiver.kind == "phone"
        text = _configuration(town, settings, receiver, city=city, uploads=uploads)
        (settings.directory / folder / f"{receiver.id}.toml").write_text(text, "utf-8")
        rows.append(row)
    return rows


def _public_key(path: Path) -> str:
    """Return the public half of the key in `path`, made if there is none: DER, base64."""
    if not path.exists():
        keys.save_private(path, keys.new_signing_key())
    return keys.encode_public(keys.load_signing_key(path).public_key())


def _rounded(town: towns.Town, receiver: air.Receiver) -> tuple[float, float]:
    lat_deg, lon_deg = town.plane.to_geo(receiver.x_m, receiver.y_m)
    return round(lat_deg, 7), round(lon_deg, 7)


def _configuration(
    town: towns.Town, settings: TownSettings, receiver: air.Receiver, *, city: str, uploads: bool
) -> str:
    directory = settings.directory.resolve()
    lines = [f"city = {_text(city)}", f"detector = {_text(receiver.id)}"]
    lines += [f"state_dir = {_text(directory / 'state' / receiver.id)}", "", *_key_lines(settings, receiver)]
    lines += ["[upload]", f"url = {_text(settings.upload_url)}"] if uploads else []
    lines += [] if uploads else ["[broker]", f"url = {_text(settings.broker_url)}"]
    formats = ", ".join(_text(each) for each in FORMATS)
    lines += ["", "[scan]", f"source = {_text(f'unix:{settings.radio_socket.resolve()}')}", f"formats = [{formats}]"]
    lines += ["window_s = 10", "", "[position]"]
    if receiver.kind == "fixed":
        lat_deg, lon_deg = _rounded(town, receiver)
        lines += [f"lat_deg = {lat_deg!r}", f"lon_deg = {lon_deg!r}", "accuracy_m = 5.0"]
    else:
        lines += [f"gpsd = {_text(f'unix:{settings.gpsd_socket.resolve()}')}"]
    if settings.camera_url and receiver.id == CAMERA:
        lines += ["", "[camera]", f"url = {_text(settings.camera_url)}", 'preset = "ultrafast"', "min_free_mb = 200"]
    lines += ["", "[clock]", *(f"{key} = {value!r}" for key, value in settings.clock.to_table().items()), ""]
    return "\n".join(lines)


def _enrols(settings: TownSettings, receiver: air.Receiver) -> bool:
    """Whether a detector makes its own key and asks the city for a certificate, which a broker with a door wants."""
    return settings.broker_url.startswith("mqtts:") and receiver.kind != "phone"


def _key_lines(settings: TownSettings, receiver: air.Receiver) -> list[str]:
    directory = settings.directory.resolve()
    if not _enrols(settings, receiver):
        key_file, city_file = directory / "keys" / f"{receiver.id}.pem", settings.city_file.resolve()
        return ["[keys]", f"signing_key_file = {_text(key_file)}", f"city_file = {_text(city_file)}", ""]
    lines = ["[enrolment]", f"ticket_file = {_text(directory / 'tickets' / f'{receiver.id}.json')}"]
    if settings.upload_url:
        server = urlsplit(settings.upload_url)
        lines += [f"server_url = {_text(f'{server.scheme}://{server.netloc}')}"]
    return [*lines, ""]


def _text(value: object) -> str:
    """A TOML basic string; JSON's escapes are TOML's."""
    return json.dumps(str(value), ensure_ascii=False)
