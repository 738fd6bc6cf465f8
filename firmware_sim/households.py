"""Wards, guardians, places and watches of the synthetic town. Given names only: nobody here exists."""

from typing import Any, Final

from firmware_sim import people, town
from firmware_sim.people import PUPILS, YUI, Person

HOME_RADIUS_M: Final = 80.0
"""A gateway is at most 70 m from the house."""
SCHOOL_DWELL_S: Final = 20
HOME_DWELL_S: Final = 60
DEMO_LOGIN: Final = "demo"
_PUPIL_NAMES: Final = (
    ("はると", "Haruto"), ("さくら", "Sakura"), ("みなと", "Minato"), ("ひまり", "Himari"), ("あおい", "Aoi"),
    ("そうた", "Sota"), ("つむぎ", "Tsumugi"), ("ゆうま", "Yuma"), ("めい", "Mei"), ("はるき", "Haruki"),
    ("いちか", "Ichika"), ("りく", "Riku"), ("ほのか", "Honoka"), ("けんた", "Kenta"), ("かのん", "Kanon"),
    ("たくみ", "Takumi"), ("りん", "Rin"), ("しょうた", "Shota"), ("ももか", "Momoka"), ("れん", "Ren"),
    ("ひなた", "Hinata"), ("だいち", "Daichi"), ("ことね", "Kotone"), ("いつき", "Itsuki"), ("ちひろ", "Chihiro"),
    ("かいと", "Kaito"), ("みお", "Mio"), ("あさひ", "Asahi"), ("なな", "Nana"), ("こうき", "Koki"),
)  # fmt: skip
_ELDER_NAMES: Final = (
    ("はな", "Hana"), ("しげる", "Shigeru"), ("よしこ", "Yoshiko"), ("ただし", "Tadashi"), ("ふみ", "Fumi"),
    ("きよし", "Kiyoshi"), ("ちよ", "Chiyo"), ("いさむ", "Isamu"), ("すみえ", "Sumie"), ("みのる", "Minoru"),
    ("うめ", "Ume"), ("まさお", "Masao"), ("とみこ", "Tomiko"), ("かずお", "Kazuo"), ("たけ", "Take"),
    ("ひろし", "Hiroshi"), ("きく", "Kiku"), ("すすむ", "Susumu"), ("みつこ", "Mitsuko"), ("しょうぞう", "Shozo"),
)  # fmt: skip


def name(number: int) -> tuple[str, str]:
    """Japanese and English given name of a ward; ゆい is the only one of that name."""
    if number == YUI:
        return "ゆい", "Yui"
    if number < PUPILS:
        return _PUPIL_NAMES[number % len(_PUPIL_NAMES)]
    return _ELDER_NAMES[number % len(_ELDER_NAMES)]


def ward_id(number: int) -> str:
    """Id of the ward who is that person; ゆい is ward-001."""
    return f"ward-{number + 1:03d}"


def home_id(number: int) -> str:
    """Id of the place where that person lives."""
    return f"home-{number + 1:03d}"


def wards(persons: tuple[Person, ...]) -> list[dict[str, Any]]:
    """Pupils and elderly people, each with the tag of the same number."""
    rows = []
    for number in range(_ward_count(persons)):
        name_ja, name_en = name(number)
        rows.append({"id": ward_id(number), "name_ja": name_ja, "name_en": name_en, "tag": f"tag-{number + 1:03d}"})
    return rows


def guardians(persons: tuple[Person, ...]) -> list[dict[str, Any]]:
    """One for each ward, without code and push; the demo's guardian first."""
    rows = []
    for number in range(_ward_count(persons)):
        name_ja, name_en = name(number)
        login = DEMO_LOGIN if number == YUI else f"family{number + 1:03d}"
        rows.append({
            "id": f"guardian-{number + 1:03d}",
            "login": login,
            "code": "",
            "name_ja": f"{name_ja}の家族",
            "name_en": f"{name_en}'s family",
            "email": f"{login}@family.example",
            "wards": [ward_id(number)],
            "push": None,
        })  # fmt: skip
    return rows


def places(built: town.Town, persons: tuple[Person, ...]) -> list[dict[str, Any]]:
    """Sites for everybody, a home for each ward."""
    rows: list[dict[str, Any]] = []
    for site in built.sites.values():
        lat_deg, lon_deg = built.plane.to_geo(site.spot.x_m, site.spot.y_m)
        names = {"name_ja": site.name_ja, "name_en": site.name_en, "kind": site.kind}
        rows.append({"id": site.id, **names, **_at(lat_deg, lon_deg), "radius_m": site.radius_m, "ward": None})
    for number, person in enumerate(persons[: _ward_count(persons)]):
        names = {"name_ja": "自宅", "name_en": "Home", "kind": "home"}
        at = _at(*built.plane.to_geo(*built.buildings[person.home].middle))
        rows.append({"id": home_id(number), **names, **at, "radius_m": HOME_RADIUS_M, "ward": ward_id(number)})
    return rows


def watches(persons: tuple[Person, ...]) -> list[dict[str, Any]]:
    """Arrival and departure: everybody at home, pupils at school, elderly people at the place they go to."""
    rows = []
    for number, person in enumerate(persons[: _ward_count(persons)]):
        rows.append(_watch(number, home_id(number), HOME_DWELL_S))
        rows.append(_watch(number, person.goal, SCHOOL_DWELL_S if person.role == "pupil" else HOME_DWELL_S))
    return rows


def _at(lat_deg: float, lon_deg: float) -> dict[str, float]:
    return {"lat_deg": round(lat_deg, 7), "lon_deg": round(lon_deg, 7)}


def _watch(number: int, place: str, dwell_s: int) -> dict[str, Any]:
    return {"ward": ward_id(number), "place": place, "arrive": True, "leave": True, "dwell_s": dwell_s}


def _ward_count(persons: tuple[Person, ...]) -> int:
    return sum(person.role in ("pupil", "elder") for person in persons)


__all__ = ["guardians", "people", "places", "wards", "watches"]
