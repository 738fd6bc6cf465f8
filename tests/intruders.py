"""A town in which every personal field holds a marker, everybody who may sign in, and a request for every route."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote

import psycopg

from privacy.terms import Role
from server.config import ServerConfig
from tests import casework
from tests.casework import PAPERS, RECIPIENT, WINDOW, pdf

WARD: Final = "w-red"
ABSENT: Final = "w-none"
NO_CASE: Final = "0" * 32
PEOPLE: Final[dict[str, tuple[str, Role]]] = {
    "guardian": ("i-guardian", Role.GUARDIAN),
    "other guardian": ("i-other", Role.GUARDIAN),
    "barred": ("i-barred", Role.GUARDIAN),
    "ended": ("i-ended", Role.GUARDIAN),
    "watched": ("i-watched", Role.WATCHED),
    "volunteer": ("i-volunteer", Role.VOLUNTEER),
    "officer": ("o-1", Role.OFFICER),
    "other station": ("o-3", Role.OFFICER),
    "handler": ("h-1", Role.HANDLER),
    "supervisor": ("s-1", Role.SUPERVISOR),
    "manager": ("m-1", Role.MANAGER),
    "provider": ("i-provider", Role.PROVIDER),
    "other provider": ("i-provider-2", Role.PROVIDER),
    "board": ("b-1", Role.BOARD),
}
"""Who signs in, as columns of the matrix; before them comes who does not."""
VISITOR: Final = "visitor"
COLUMNS: Final = (VISITOR, *PEOPLE)

MARKS: Final[dict[str, tuple[str, ...]]] = {
    "name of the ward": ("MKWARDJA", "MkWardEn"),
    "place": ("34.987123", "134.912345", "34.977321", "134.913579"),
    "home": ("MKHOMEJA", "MkHomeEn", "34.966555"),
    "guardian": ("MKGUARDJA", "MkGuardEn", "mkguard@example.jp", "mkguardlogin", "mkpushendpoint", "mkp256dh"),
    "watched": ("MKSELFJA", "MkSelfEn", "mkselflogin"),
    "case": ("MKREASON", "MKINQUIRER", "MKPAPER"),
    "why somebody looked": ("MKWHY",),
    "tag": ("mktag", "004d4b5441470001"),
}
"""What stands in the fields of one ward, their people and one case, and nowhere else."""
_FAMILY: Final = {"guardian", "watched"}
_OFFICE: Final = {"handler", "supervisor", "manager"}
MAY_SEE: Final[dict[str, set[str]]] = {
    "name of the ward": _FAMILY | _OFFICE | {"provider"},
    "place": _FAMILY,
    "home": _FAMILY,
    "guardian": {"guardian"},
    "watched": {"watched"},
    "case": _OFFICE | {"officer", "board"},
    "why somebody looked": set(),
    "tag": set(),
}
"""Whom an answer may tell; nobody else, and no error, log, metric or export."""

_TOWN: Final = """
INSERT INTO agency (id, city_id, kind, name_ja, name_en, legal_basis) VALUES
    ('tags', 'mimamori', 'provider', 'タグ社', 'Tags Inc.', 'contract'),
    ('tags-2', 'mimamori', 'provider', '他社', 'Other Inc.', 'contract');
INSERT INTO tag (id, city_id, kind, static_id, shard) VALUES ('mktag', 'mimamori', 'uid', '\\x004d4b5441470001', 1);
INSERT INTO ward (id, city_id, name_ja, name_en, tag_id, provider_id)
    VALUES ('w-red', 'mimamori', 'MKWARDJA', 'MkWardEn', 'mktag', 'tags'),
           ('w-blue', 'mimamori', 'あおい', 'Aoi', NULL, NULL);
INSERT INTO account (id, login, name_ja, name_en, email, role, ward_id, agency_id) VALUES
    ('i-guardian', 'mkguardlogin', 'MKGUARDJA', 'MkGuardEn', 'mkguard@example.jp', 'guardian', NULL, NULL),
    ('i-other', 'i-other', '他', 'Other', NULL, 'guardian', NULL, NULL),
    ('i-barred', 'i-barred', '相手方', 'Barred', NULL, 'guardian', NULL, NULL),
    ('i-ended', 'i-ended', '元', 'Former', NULL, 'guardian', NULL, NULL),
    ('i-watched', 'mkselflogin', 'MKSELFJA', 'MkSelfEn', NULL, 'watched', 'w-red', NULL),
    ('i-volunteer', 'i-volunteer', '協力', 'Volunteer', NULL, 'volunteer', NULL, NULL),
    ('i-provider', 'i-provider', '社員', 'Technician', NULL, 'provider', NULL, 'tags'),
    ('i-provider-2', 'i-provider-2', '他社員', 'Technician', NULL, 'provider', NULL, 'tags-2'),
    ('i-manager-2', 'i-manager-2', '管理', 'Manager', NULL, 'manager', NULL, NULL);
INSERT INTO guardianship (guardian_id, ward_id, since, until) VALUES
    ('i-guardian', 'w-red', '-infinity', 'infinity'), ('i-barred', 'w-red', '-infinity', 'infinity'),
    ('i-ended', 'w-red', '-infinity', '2026-01-01'), ('i-other', 'w-blue', '-infinity', 'infinity');
INSERT INTO protective_measure (ward_id, account_id, since, until, asked_until, entered_by)
    VALUES ('w-red', 'i-barred', '2026-01-01', '2100-01-01', '2100-01-01', 'h-1');
INSERT INTO place VALUES ('p-red', 'mimamori', 'MKHOMEJA', 'MkHomeEn', 'home', 34.966555, 134.9, 40, 'w-red');
INSERT INTO watch VALUES ('w-red', 'p-red', true, true, 60);
INSERT INTO last_place (ward_id, lat_deg, lon_deg, accuracy_m, heard_at, received_at, battery_dv)
    VALUES ('w-red', 34.987123, 134.912345, 20, '2026-11-26 13:00+09', '2026-11-26 13:00+09', 29);
INSERT INTO fix VALUES ('w-red', '2026-11-26 13:00+09', '2026-11-26 13:00+09', 34.977321, 134.913579, 20, 2, now());
INSERT INTO event (ward_id, place_id, kind, at, received_at)
    VALUES ('w-red', 'p-red', 'arrived', '2026-11-26 13:00+09', '2026-11-26 13:00+09');
INSERT INTO push_subscription (guardian_id, endpoint, p256dh, auth)
    VALUES ('i-guardian', 'https://fcm.googleapis.com/mkpushendpoint', 'mkp256dh', 'auth');
INSERT INTO town_map (city_id, geojson) VALUES ('mimamori', '{"type":"FeatureCollection","features":[]}');
"""


def found(config: ServerConfig) -> None:
    """Put the people of a request for footage and a marked family into an empty database."""
    casework.found(config)
    with psycopg.connect(config.dsn(), autocommit=True) as conn:
        conn.execute(_TOWN.encode())


CASE: Final[dict[str, Any]] = {
    "purpose": "crime",
    "offence": "窃盗",
    "has_occurred": True,
    "reason": "MKREASON",
    "inquiry": {
        "number": "加古川捜発第１２３号",
        "dated_on": "2026-11-25",
        "station": "加古川警察署",
        "officer": "MKINQUIRER",
    },
    "cameras": [{"id": WINDOW.detector, "from_ms": WINDOW.from_ms, "to_ms": WINDOW.to_ms}],
}
LOOK_UP: Final = {"case": "2026-0917", "reason": "MKWHY"}


def paper(kind: str) -> tuple[bytes, dict[str, str]]:
    """Return a paper for a request and the headers that go with it."""
    headers = {"content-type": "application/pdf", "x-file-name": quote(f"MKPAPER {kind}.pdf")}
    return pdf(*PAPERS[kind]), headers


@dataclass(frozen=True)
class Aim:
    """One request.

    Attributes:
        path: with all that the route's template leaves open.
        body: as JSON; None: none.
        content: octets instead, with `headers`.
    """

    path: str
    body: object = None
    content: bytes | None = None
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Targets:
    """What the requests aim at: all of one ward, one case, one family; or of nobody.

    Attributes:
        ward: id.
        case: id.
        paper: id, of the case.
        hold: id, of the ward.
        entry: of the log, about the ward.
        session: public id of the guardian's session.
    """

    ward: str
    case: str
    paper: str
    hold: str
    entry: int
    session: str

    def aim(self, name: str, template: str) -> Aim:
        """Return the request to the route called `name`."""
        fills = {
            "ward_id": self.ward,
            "case_id": self.case,
            "paper": "inquiry" if name == "put_paper" else self.paper,
            "hold_id": self.hold,
            "entry": str(self.entry),
            "session_id": self.session,
            "export": "ex-1",
            "part": "0",
            "account_id": "i-guardian",
            "passkey_id": "k-1",
            "provider_id": "none",
            "ledger": "provision",
            "form": "csv",
            "year": "2026",
            "day": "2026-11-24",
            "level": "0",
            "index": "000",
        }
        path = re.sub(r"\{(\w+)(?::\w+)?\}", lambda match: fills[match[1]], template)
        if name == "put_paper":
            content, headers = paper("inquiry")
            return Aim(path, content=content, headers=headers)
        if name == "get_case_export":
            path += "?mode=view"
        return Aim(path, body=_BODIES.get(name))


_BODIES: Final[dict[str, object]] = {
    "post_session": {"login": "mkguardlogin", "code": "0000"},
    "post_card": {"code": "0000-0000"},
    "put_assertion": {},
    "put_registration": {},
    "post_code": {},
    "put_email": {"email": "new@example.jp"},
    "put_recipient": {"recipient": RECIPIENT},
    "put_subscription": {
        "endpoint": "https://fcm.googleapis.com/intruder",
        "keys": {"p256dh": "B" * 87, "auth": "A" * 22},
    },
    "delete_subscription": {"endpoint": "https://fcm.googleapis.com/mkpushendpoint"},
    "post_invitation": {"name_ja": "招待", "role": "viewer"},
    "post_look_up": LOOK_UP,
    "post_hold": {**LOOK_UP, "days": 1},
    "post_case": {**CASE, "reason": "", "inquiry": {**CASE["inquiry"], "officer": "警部補 某"}},
    "put_case": {**CASE, "reason": "", "inquiry": {**CASE["inquiry"], "officer": "警部補 某"}},
    "post_step": {"step": "prepare"},
    "post_batch": {},
    "enrol_gateway": {},
    "renew_gateway": {},
}
