"""What a registry file may say, as `mimamori registry import` reads it. Fields that are not named here are ignored."""

import json
from collections.abc import Iterable
from typing import Annotated, Any, Final, Literal, Self

from cryptography.hazmat.primitives import serialization
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from server.accounts.codes import normalise, normalise_login
from server.registry.errors import RegistryError
from wire.errors import KeyFileError
from wire.keys import decode_public


def _hex(octets: int) -> AfterValidator:
    def check(text: str) -> str:
        if len(bytes.fromhex(text)) != octets:
            raise ValueError(f"{octets} octets wanted")
        return text.lower()

    return AfterValidator(check)


def _public_key(text: str) -> str:
    try:
        decode_public(text)
    except KeyFileError as error:
        raise ValueError(str(error)) from error
    return text


def _not_a_program(text: str) -> str:
    # The name in a certificate is all that a Mosquitto goes by, see deploy/mosquitto.acl.
    if text in PROGRAMS:
        raise ValueError(f"{', '.join(PROGRAMS)} are our own programs")
    return text


def _login(text: str) -> str:
    if not normalise_login(text):
        raise ValueError("nothing is left of it but blanks")
    return text


def _code(text: str) -> str:
    # Compared without blanks and hyphens: a code of nothing else would let everybody in.
    if len(normalise(text)) < MIN_CODE:
        raise ValueError(f"at least {MIN_CODE} letters or digits wanted")
    return text


PROGRAMS: Final = ("ingest", "api", "gate")
"""Programs that come to the broker; no detector may have their names."""
MIN_CODE: Final = 6
Id = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
Text = Annotated[str, Field(min_length=1, max_length=200)]
Lat = Annotated[float, Field(ge=-90, le=90)]
Lon = Annotated[float, Field(ge=-180, le=180)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


class City(_Part):
    """The city itself."""

    id: Id
    name_ja: Text
    name_en: Text
    tz: Text


class Detector(_Part):
    """A gateway, a vehicle or a volunteer's phone. Without `public_key`: it makes its key itself when it enrols."""

    id: Annotated[Id, AfterValidator(_not_a_program)]
    kind: Literal["fixed", "vehicle", "phone"]
    label_ja: Text
    label_en: Text
    lat_deg: Lat | None = None
    lon_deg: Lon | None = None
    accuracy_m: Annotated[float, Field(ge=0)] | None = None
    public_key: Annotated[str, AfterValidator(_public_key)] | None = None

    @model_validator(mode="after")
    def _has_place(self) -> Self:
        if self.kind == "fixed" and (self.lat_deg is None or self.lon_deg is None):
            raise ValueError("a fixed detector has lat_deg and lon_deg")
        return self

    @property
    def public_key_der(self) -> bytes | None:
        """SubjectPublicKeyInfo; None where the file has no key."""
        if self.public_key is None:
            return None
        form = serialization.PublicFormat.SubjectPublicKeyInfo
        return decode_public(self.public_key).public_bytes(serialization.Encoding.DER, form)


class Tag(_Part):
    """A tag. With `kind` eid it has an identity key, else the 8 octets of its static id."""

    id: Id
    kind: Literal["eid", "uid", "ibeacon"]
    identity_key: Annotated[str, _hex(16)] | None = None
    static_id: Annotated[str, _hex(8)] | None = None
    rotation_exponent: Annotated[int, Field(ge=0, le=15)] = 10
    clock_offset_ms: int = 0

    @model_validator(mode="after")
    def _has_id(self) -> Self:
        if (self.kind == "eid") != (self.identity_key is not None) or (self.kind == "eid") == (
            self.static_id is not None
        ):
            raise ValueError("an eid tag has an identity_key, any other a static_id")
        return self


class Ward(_Part):
    """Someone watched over."""

    id: Id
    name_ja: Text
    name_en: Text
    tag: Id | None = None


class Push(_Part):
    """A browser's push subscription (RFC 8030, RFC 8291)."""

    endpoint: Annotated[str, Field(pattern=r"^https?://", max_length=2000)]
    p256dh: Text
    auth: Text


class Guardian(_Part):
    """Someone who watches over wards."""

    id: Id
    login: Annotated[Text, AfterValidator(_login)]
    code: Annotated[Text, AfterValidator(_code)]
    name_ja: Text
    name_en: Text
    email: Annotated[str, Field(pattern=r"^[^@\s]+@[^@\s]+$", max_length=254)] | None = None
    language: Literal["ja", "en"] = "ja"
    wards: tuple[Id, ...] = ()
    push: Push | None = None


class Agency(_Part):
    """A body that may receive footage or have accounts here."""

    id: Id
    kind: Literal["police", "fire", "court", "city", "provider", "board"]
    name_ja: Text
    name_en: Text
    legal_basis: Text


class Account(_Part):
    """Somebody who is no guardian: signs in by passkey, once an enrolment card was made for them."""

    id: Id
    role: Literal["watched", "volunteer", "officer", "handler", "supervisor", "manager", "provider", "board"]
    name_ja: Text
    name_en: Text
    language: Literal["ja", "en"] = "ja"
    agency: Id | None = None
    ward: Id | None = None

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if self.role in {"officer", "provider"} and self.agency is None:
            raise ValueError("an officer or provider has an agency")
        if (self.role == "watched") != (self.ward is not None):
            raise ValueError("a watched person has a ward, nobody else has")
        return self


class Place(_Part):
    """A school, a home, a station."""

    id: Id
    name_ja: Text
    name_en: Text
    kind: Text
    lat_deg: Lat
    lon_deg: Lon
    radius_m: Annotated[float, Field(gt=0, le=10_000)]
    ward: Id | None = None


class Watch(_Part):
    """Which arrivals and departures a ward's family wants to hear of."""

    ward: Id
    place: Id
    arrive: bool
    leave: bool
    dwell_s: Annotated[int, Field(ge=0, le=86_400)] = 60


class Registry(_Part):
    """A whole file. Every id that is referred to is in it, none twice."""

    city: City
    detectors: tuple[Detector, ...] = ()
    tags: tuple[Tag, ...] = ()
    wards: tuple[Ward, ...] = ()
    guardians: tuple[Guardian, ...] = ()
    agencies: tuple[Agency, ...] = ()
    accounts: tuple[Account, ...] = ()
    places: tuple[Place, ...] = ()
    watches: tuple[Watch, ...] = ()


def parse(data: Any) -> Registry:  # noqa: ANN401 - decoded JSON
    """Return the registry in decoded JSON.

    Raises:
        RegistryError: says which field is wrong, as in `detectors[3].public_key: …`. Values are not repeated.
    """
    try:
        registry = Registry.model_validate(data)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        raise RegistryError(f"{_path(first['loc'])}: {first['msg']}") from None
    _check_unique(registry)
    _check_kinds(registry)
    _check_references(registry)
    return registry


def parse_text(text: str | bytes) -> Registry:
    """Return the registry in the text of a file.

    Raises:
        RegistryError: not JSON, or as `parse`.
    """
    try:
        return parse(json.loads(text))
    except (ValueError, RecursionError) as error:
        raise RegistryError("not a JSON file") from error


def _path(loc: tuple[int | str, ...]) -> str:
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc)
    return text.lstrip(".") or "(the file)"


def _check_unique(registry: Registry) -> None:
    columns: dict[str, list[object]] = {
        "detectors[{}].id": [item.id for item in registry.detectors],
        "tags[{}].id": [item.id for item in registry.tags],
        "wards[{}].id": [item.id for item in registry.wards],
        "guardians[{}].id": [item.id for item in registry.guardians],
        "guardians[{}].login": [normalise_login(item.login) for item in registry.guardians],
        "agencies[{}].id": [item.id for item in registry.agencies],
        "accounts[{}].id": [item.id for item in registry.accounts],
        "places[{}].id": [item.id for item in registry.places],
        "watches[{}]": [(item.ward, item.place) for item in registry.watches],
        "wards[{}].tag": [item.tag or (number,) for number, item in enumerate(registry.wards)],
        "tags[{}].static_id": [item.static_id or (number,) for number, item in enumerate(registry.tags)],
        "tags[{}].identity_key": [item.identity_key or (number,) for number, item in enumerate(registry.tags)],
    }
    for path, values in columns.items():
        seen: set[object] = set()
        for number, value in enumerate(values):
            if value in seen:
                raise RegistryError(f"{path.format(number)}: occurs twice")
            seen.add(value)


def _check_kinds(registry: Registry) -> None:
    """Refuse an account with the id or login of a guardian: they share one table."""
    taken = {item.id for item in registry.guardians} | {normalise_login(item.login) for item in registry.guardians}
    for number, item in enumerate(registry.accounts):
        if item.id in taken or normalise_login(item.id) in taken:
            raise RegistryError(f"accounts[{number}].id: a guardian has it")


def _check_references(registry: Registry) -> None:
    tags = {item.id for item in registry.tags}
    wards = {item.id for item in registry.wards}
    places = {item.id for item in registry.places}
    agencies = {item.id for item in registry.agencies}
    references: Iterable[tuple[str, str | None, set[str]]] = (
        *((f"wards[{n}].tag", item.tag, tags) for n, item in enumerate(registry.wards)),
        *(
            (f"guardians[{n}].wards[{k}]", ward, wards)
            for n, item in enumerate(registry.guardians)
            for k, ward in enumerate(item.wards)
        ),
        *((f"accounts[{n}].agency", item.agency, agencies) for n, item in enumerate(registry.accounts)),
        *((f"accounts[{n}].ward", item.ward, wards) for n, item in enumerate(registry.accounts)),
        *((f"places[{n}].ward", item.ward, wards) for n, item in enumerate(registry.places)),
        *((f"watches[{n}].ward", item.ward, wards) for n, item in enumerate(registry.watches)),
        *((f"watches[{n}].place", item.place, places) for n, item in enumerate(registry.watches)),
    )
    for path, wanted, there in references:
        if wanted is not None and wanted not in there:
            raise RegistryError(f"{path}: there is no such id")
