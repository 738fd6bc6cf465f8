"""The JSON the API speaks. Times are UTC milliseconds, angles WGS 84 degrees; only GeoJSON puts longitude first."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from server.push_services import HOSTS
from server.store.accounts import AccountRow, AgencyRow

_HOME = {"lat_deg": 34.7612, "lon_deg": 134.8418}
_NAME = {"name_ja": "ゆい", "name_en": "Yui"}
_HEARD_AT_MS = 1_795_416_300_000
_CSR = "-----BEGIN CERTIFICATE REQUEST-----\n…\n-----END CERTIFICATE REQUEST-----\n"

Latitude = Annotated[float, Field(ge=-90, le=90, description="WGS 84 degrees", examples=[_HOME["lat_deg"]])]
Longitude = Annotated[float, Field(ge=-180, le=180, description="WGS 84 degrees", examples=[_HOME["lon_deg"]])]
Accuracy = Annotated[
    float, Field(ge=0, description="radius in metres that holds the tag 68 times in 100", examples=[35.0])
]
HeardAt = Annotated[int, Field(description="when a detector heard the tag, UTC ms", examples=[_HEARD_AT_MS])]
ReceivedAt = Annotated[int, Field(description="when the server got to know, UTC ms", examples=[_HEARD_AT_MS + 1800])]
Late = Annotated[bool, Field(description="the detector could not send at once; this came in later")]


class _Body(BaseModel):
    """What a client sends: a name that is not known here is a mistake, so it is refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True, from_attributes=True)


class ProblemBody(_Answer):
    """An error (RFC 9457): `title` in Japanese, `detail` in English, `code` for programs."""

    type: str = Field(examples=["/problems/not-found"])
    title: str = Field(examples=["見つかりませんでした。"])
    status: int = Field(ge=400, le=599, examples=[404])
    detail: str = Field(examples=["There is no such thing, or it is not yours to see."])
    code: str = Field(examples=["not-found"])
    errors: list[dict[str, str]] | None = Field(None, description="which field is not valid, and why")


class SignIn(_Body):
    """A login and its code, as the city handed them over on paper."""

    login: str = Field(min_length=1, max_length=128, examples=["demo"])
    code: str = Field(min_length=1, max_length=128, examples=["1234-5678-9012"])


class Names(_Answer):
    """A name in both languages."""

    name_ja: str = Field(examples=[_NAME["name_ja"]])
    name_en: str = Field(examples=[_NAME["name_en"]])


class Guardian(Names):
    """The person who is signed in."""

    language: Literal["ja", "en"] = Field(examples=["ja"])


class CardCode(_Body):
    """What is printed on an enrolment card; blanks, hyphens, case and width do not count."""

    code: str = Field(min_length=1, max_length=128, examples=["J2FQ-6ZKD-3M5X-PV7A-LQ4R-T2WC-OE"])


RoleName = Literal[
    "guardian", "watched", "volunteer", "officer", "handler", "supervisor", "manager", "provider", "board"
]


class Agency(Names):
    """The body an account belongs to."""

    id: str = Field(examples=["police-mimamori"])


class Account(Names):
    """Who is signed in, of whatever role."""

    id: str = Field(examples=["officer-1"])
    role: RoleName
    language: Literal["ja", "en"] = Field(examples=["ja"])
    agency: Agency | None

    @classmethod
    def of(cls, row: AccountRow, agency: AgencyRow | None) -> Account:
        """Return an account as its owner is told of it."""
        shown = None if agency is None else Agency.model_validate(agency)
        return cls.model_validate(
            {
                "id": row.id,
                "role": row.role.value,
                "name_ja": row.name_ja,
                "name_en": row.name_en,
                "language": row.language,
                "agency": shown,
            }
        )


class SignedIn(_Answer):
    """Who signed in; the session itself is in the cookie."""

    account: Account
    guardian: Guardian | None = Field(description="of a guardian's account")


class SessionState(_Answer):
    """This session: whose, and what it may do."""

    account: Account
    is_enrolling: bool = Field(description="opened by a card: may set up a way to sign in and nothing else")
    is_fresh: bool = Field(description="a passkey was shown within the last minutes")
    passkeys: int = Field(ge=0, description="how many the account has")


class OpenSession(_Answer):
    """A session of the account that is in force."""

    id: str = Field(examples=["00000000000000000000000000000001"])
    way: Literal["code", "card", "passkey", "oidc"]
    created_at_ms: int = Field(examples=[_HEARD_AT_MS])
    used_at_ms: int = Field(examples=[_HEARD_AT_MS])
    is_this: bool = Field(False, description="the session that asks")


class OpenSessions(_Answer):
    """The last used first."""

    sessions: list[OpenSession]


_Base64url = Annotated[str, Field(min_length=1, max_length=8192, pattern="^[A-Za-z0-9_-]+={0,2}$", examples=["AQID"])]


class _FromBrowser(BaseModel):
    """Part of what `PublicKeyCredential.toJSON()` gives; browsers may say more, which is not looked at."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class MadeResponse(_FromBrowser):
    """An authenticator's answer to a registration."""

    clientDataJSON: _Base64url  # noqa: N815 - WebAuthn calls it so
    attestationObject: _Base64url  # noqa: N815 - as above
    transports: list[Annotated[str, Field(max_length=32)]] = Field([], max_length=16)


class MadeCredential(_FromBrowser):
    """A new credential (RegistrationResponseJSON)."""

    id: _Base64url
    rawId: _Base64url  # noqa: N815 - WebAuthn calls it so
    type: Literal["public-key"]
    response: MadeResponse


class MadeKey(_Body):
    """A passkey that the browser made, and what its owner calls it."""

    credential: MadeCredential
    name: str = Field("パスキー", min_length=1, max_length=64, pattern=r"^[^\x00-\x1f\x7f]+$", examples=["携帯電話"])


class ShownResponse(_FromBrowser):
    """An authenticator's answer to an assertion; `userHandle` is there, because the credential is discoverable."""

    clientDataJSON: _Base64url  # noqa: N815 - WebAuthn calls it so
    authenticatorData: _Base64url  # noqa: N815 - as above
    signature: _Base64url
    userHandle: _Base64url  # noqa: N815 - as above


class ShownCredential(_FromBrowser):
    """A credential that is shown (AuthenticationResponseJSON)."""

    id: _Base64url
    rawId: _Base64url  # noqa: N815 - WebAuthn calls it so
    type: Literal["public-key"]
    response: ShownResponse


class ShownKey(_Body):
    """A passkey that the browser shows."""

    credential: ShownCredential


class KeyOptions(_Answer):
    """For `PublicKeyCredential.parseCreationOptionsFromJSON()` or `parseRequestOptionsFromJSON()` (WebAuthn 3)."""

    options: dict[str, Any]


class Passkey(_Answer):
    """A passkey of the account."""

    id: str = Field(examples=["00000000000000000000000000000001"])
    name: str = Field(examples=["携帯電話"])
    created_at_ms: int = Field(examples=[_HEARD_AT_MS])
    last_used_at_ms: int | None = Field(examples=[_HEARD_AT_MS])


class Passkeys(_Answer):
    """The oldest first."""

    passkeys: list[Passkey]


class OidcButton(Names):
    """An identity provider by which one may sign in."""

    id: str = Field(examples=["police"])


class SignInWays(_Answer):
    """By what one may sign in here."""

    passkey: bool
    code: bool = Field(description="login and code, for families")
    oidc: list[OidcButton]


class City(Names):
    """The city this server watches over."""

    id: str = Field(examples=["mimamori"])
    tz: str = Field(description="IANA time zone", examples=["Asia/Tokyo"])


class TownClock(_Answer):
    """What time it is in the town; a simulated town may run faster than the wall clock."""

    simulated: bool
    speed: float = Field(examples=[1.0])
    now_ms: int = Field(examples=[_HEARD_AT_MS])


class Ward(Names):
    """A person whom the guardian watches over."""

    id: str = Field(examples=["ward-001"])


Recipient = Annotated[
    str,
    Field(
        pattern="^age1[02-9ac-hj-np-z]{58}$",
        description="age public key (X25519)",
        examples=["age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"],
    ),
]


class Member(Names):
    """Somebody of the household."""

    account_id: str = Field(examples=["g-001"])
    role: Literal["owner", "guardian", "viewer"]
    since_ms: int = Field(examples=[_HEARD_AT_MS])
    is_me: bool = False


class News(Names):
    """Somebody was invited, has joined or has left."""

    kind: Literal["invited", "joined", "left"]
    at_ms: int = Field(examples=[_HEARD_AT_MS])


class Household(_Answer):
    """Those who watch over the same people."""

    name: str = Field(examples=["見守り家"])
    is_owner: bool = Field(description="may invite, and end memberships")
    members: list[Member]
    news: list[News] = Field(description="not read yet, the newest first")


_Called = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[^\x00-\x1f\x7f]+$", examples=["祖母"])]


class Invitation(_Body):
    """Whom to invite, as the household calls them."""

    name_ja: _Called
    name_en: _Called | None = None
    role: Literal["guardian", "viewer"] = "guardian"


class GivenCard(_Answer):
    """A card, told once: whoever uses it joins."""

    code: str = Field(examples=["J2FQ-6ZKD-3M5X-PV7A-LQ4R-T2WC-OE"])
    url: str = Field(description="what its QR code says", examples=["https://mimamori.example.jp/#card=J2FQ-6ZKD"])
    expires_at_ms: int = Field(examples=[_HEARD_AT_MS])


class NewRecipient(_Body):
    """The key to which footage for this officer is sealed."""

    recipient: Recipient


class GivenCode(_Answer):
    """A login and its new code, told once."""

    login: str = Field(examples=["demo"])
    code: str = Field(examples=["1234-5678-9012"])


class NewEmail(_Body):
    """Where notices are mailed to."""

    email: Annotated[str, Field(pattern=r"^[!-?A-~]+@[A-Za-z0-9.-]+$", max_length=254)] | None = Field(
        examples=["family@example.jp"]
    )


class Me(_Answer):
    """Everything the first page needs to know."""

    account: Account
    guardian: Guardian | None = Field(description="of a guardian's account")
    city: City
    clock: TownClock
    wards: list[Ward] = Field(description="of families")
    recipient: Recipient | None = Field(description="the key that footage for this account is sealed to")
    push_public_key: str | None = Field(
        description="VAPID application server key, unpadded base64url (RFC 8292)",
        examples=["BEl62iUYgUivxIkv69yViEuiBIa-Ib9-SkvMeAtA3LFgDzkrxZJjSgSnfckjBJuBkr3qBUYIHBQFLXYp5Nksh8U"],
    )


class Place(_Answer):
    """Where a ward's tag was heard last."""

    lat_deg: Latitude
    lon_deg: Longitude
    accuracy_m: Accuracy
    heard_at_ms: HeardAt
    received_at_ms: ReceivedAt
    late: Late
    near: Names | None = Field(description="the nearest named place within about 250 m")
    battery_pct: int | None = Field(ge=0, le=100, description="of the tag; null when it does not tell", examples=[87])
    sos: bool = Field(description="the button on the tag is pressed")
    traceable: bool = Field(description="a legacy tag whose identifier never changes: strangers could follow it")


class Fix(_Answer):
    """One point of a track."""

    lat_deg: Latitude
    lon_deg: Longitude
    accuracy_m: Accuracy
    heard_at_ms: HeardAt
    received_at_ms: ReceivedAt
    late: Late


class Track(_Answer):
    """One day's track, oldest first; the day is the city's."""

    fixes: list[Fix]


class Event(_Answer):
    """A ward arrived at a place, left it, or pressed the button."""

    id: str = Field(examples=["42"])
    kind: Literal["arrived", "departed", "sos"]
    place: Names | None
    at_ms: HeardAt
    received_at_ms: ReceivedAt


class Events(_Answer):
    """Newest first; `next` is the `before` of the next page."""

    events: list[Event]
    next: str | None = Field(examples=["41"])


class WatchedPlace(Names):
    """A place that is watched for a ward."""

    id: str = Field(examples=["school"])
    kind: str = Field(examples=["school"])
    lat_deg: Latitude
    lon_deg: Longitude
    radius_m: float = Field(gt=0, examples=[60.0])


class Places(_Answer):
    """The ward's own places and those that are watched for them."""

    places: list[WatchedPlace]


class LivePlace(Place):
    """The `place` message of the live stream."""

    ward_id: str = Field(examples=["ward-001"])


class LiveEvent(Event):
    """The `event` message of the live stream."""

    ward_id: str = Field(examples=["ward-001"])


class PushKeys(_Body):
    """The keys of a push subscription (RFC 8291), unpadded base64url."""

    p256dh: str = Field(
        pattern="^B[A-Za-z0-9_-]{86}$",
        description="uncompressed P-256 point, 65 octets",
        examples=["BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4"],
    )
    auth: str = Field(pattern="^[A-Za-z0-9_-]{22}$", description="16 octets", examples=["BTBZMqHH6r4Tts7J_aSIgg"])


_HOSTS = "|".join(re.escape(host) for host in HOSTS)
_PORT = "(:([1-9][0-9]{0,3}|[1-5][0-9]{4}))?"
_ENDPOINT = rf"^(https://([A-Za-z0-9-]+\.)*({_HOSTS})(:443)?|http://(127\.0\.0\.1|localhost|\[::1\]){_PORT})(/[!-~]*)?$"
_Endpoint = Annotated[
    str,
    Field(
        max_length=1024,
        pattern=_ENDPOINT,
        description="of a browser's push service; on loopback only where the server itself is there",
        examples=["https://fcm.googleapis.com/fcm/send/abc"],
    ),
]
_Expiration = Annotated[
    float | None, Field(strict=True, description="browsers send it along; push services tell by 410")
]


class PushSubscription(_Body):
    """What `PushManager.subscribe()` gave the browser."""

    endpoint: _Endpoint
    keys: PushKeys
    expirationTime: _Expiration = None  # noqa: N815 - the W3C Push API calls it so


class PushEndpoint(_Body):
    """Which push subscription to forget; whatever else the browser sends along is not looked at."""

    endpoint: _Endpoint
    keys: PushKeys | None = None
    expirationTime: _Expiration = None  # noqa: N815 - the W3C Push API calls it so


class ExportProgress(_Answer):
    """How far an export of footage has come."""

    export: str = Field(examples=["export-0001"])
    state: Literal["expected", "arriving", "whole", "refused"]
    sha256: str = Field(description="of the whole file, hex; empty while it is expected", examples=["00" * 32])
    parts: int = Field(ge=0, description="of the file; 0 while it is expected", examples=[12])
    have: list[list[int]] = Field(description="runs of parts here, first and last", examples=[[[0, 3], [5, 7]]])


class Health(_Answer):
    """Which parts of the server this process can reach."""

    status: Literal["ok", "degraded", "down"]
    database: Literal["up", "down"]
    broker: Literal["up", "down"]


class Enrolment(_Body):
    """A gateway asks for its first certificate, with the code on its ticket."""

    detector: str = Field(pattern="^[A-Za-z0-9_-]{1,64}$", examples=["gw-001"])
    code: str = Field(min_length=1, max_length=128, examples=["J2FQ-6ZKD-3M5X-PV7A-LQ4R-T2WC-OE"])
    csr: str = Field(
        min_length=1, max_length=4096, description="PKCS#10, PEM, of a P-256 key; CN is the detector", examples=[_CSR]
    )
    seal_key: str = Field(
        max_length=128,
        pattern="^[A-Za-z0-9+/]+={0,2}$",
        description="X25519, base64 of the SubjectPublicKeyInfo",
        examples=["MCowBQYDK2VuAyEAhSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo="],
    )


class Granted(_Answer):
    """A gateway's certificate, and what it needs to know of its city."""

    certificate: str = Field(description="PEM: the gateway's own certificate, then the issuing one")
    ca: str = Field(description="PEM: the city's root; its SHA-256 is on the ticket")
    city: dict[str, str] = Field(description="the object in city.json, docs/WIRE.md")
    broker_url: str = Field(examples=["mqtts://mqtt.example.jp:8883"])
    proof_chain: str = Field(description="PEM: certificate of the program that answered, then the issuing one")
    proof: str = Field(description="base64: its ECDSA signature of all the above, docs/WIRE.md")


class ReportYears(_Answer):
    """Which yearly reports there are."""

    years: list[int] = Field(description="fiscal years by their April, newest first", examples=[[2026]])


class StatisticRelease(_Answer):
    """A published day: how much it tells and how it was made."""

    day: str = Field(examples=["2026-11-24"])
    hours: list[int] = Field(description="of the city, that were counted", examples=[[7, 8, 15]])
    publisher_ja: str
    publisher_en: str
    licence: str = Field(examples=["CC BY 4.0"])
    licence_url: str
    published_at: str = Field(description="RFC 3339, UTC")
    k: int = Field(ge=10, description="fewest people of a cell that is shown")
    epsilon: float = Field(gt=0, le=1, description="of the whole day")
    delta: float = Field(gt=0, description="of the whole day")
    threshold: int = Field(description="smallest count with noise that is shown")
    cells_a_day: int = Field(ge=1, description="in how many cells of a day one person is counted at most")
    released: int = Field(ge=0, description="cells that are shown")
    suppressed: int = Field(ge=0, description="cells that are not, empty ones too")
    method_ja: str
    method_en: str
    sources_ja: str
    sources_en: str
    reason_ja: str = Field(description="why nothing of the day is shown; empty where something is")
    reason_en: str


class StatisticReleases(_Answer):
    """What was published, newest days first."""

    releases: list[StatisticRelease]
    licence: str
    licence_url: str
