from pathlib import Path

import pytest

from privacy.ordinance import NEUTRAL, SHIPPED, OrdinanceError, load
from privacy.ordinance_terms import KEYS, Status, shown
from privacy.terms import Purpose, Role

FOLDER = Path("privacy/ordinances")
ROOT = Path(__file__).parents[2]


def _changed(tmp_path: Path, old: str, new: str, *, of: str = "kakogawa") -> str:
    text = (ROOT / FOLDER / f"{of}.toml").read_text("utf-8")
    assert old in text
    file = tmp_path / "town.toml"
    file.write_text(text.replace(old, new, 1), "utf-8")
    return str(file)


def _problems(name: str) -> tuple[str, ...]:
    with pytest.raises(OrdinanceError) as caught:
        load(name)
    return caught.value.problems


@pytest.mark.parametrize("name", [*SHIPPED, NEUTRAL])
def test_every_shipped_profile_states_every_key_and_where_it_comes_from(name: str) -> None:
    profile = load(name)
    assert [one.key for one in profile.rules()] == list(KEYS)
    assert all(one.source for one in profile.rules() if one.status is not Status.UNVERIFIED)
    assert all(text for one in profile.rules() for text in shown(one.key, one.value))


def test_the_files_are_the_shipped_profiles_and_no_other() -> None:
    assert {file.stem for file in (ROOT / FOLDER).glob("*.toml")} == {*SHIPPED, NEUTRAL}


@pytest.mark.parametrize("name", SHIPPED)
def test_what_nobody_has_read_is_never_the_value_that_is_used(name: str) -> None:
    neutral = {one.key.name: one.value for one in load(NEUTRAL).rules()}
    narrower = {"purposes"} if name == "takarazuka" else set()
    for one in load(name).rules():
        if one.status is Status.UNVERIFIED and one.key.name not in narrower:
            assert one.value == neutral[one.key.name]


@pytest.mark.parametrize("name", SHIPPED)
def test_every_confirmed_value_names_its_city(name: str) -> None:
    profile = load(name)
    confirmed = [one.source for one in profile.rules() if one.status is Status.CONFIRMED]
    assert all(profile.city_ja.value in source for source in confirmed)


def test_the_neutral_profile_claims_nothing_of_any_city() -> None:
    assert {one.status for one in load(NEUTRAL).rules()} == {Status.PROPOSAL}
    assert load(NEUTRAL).title.status is Status.PROPOSAL


def test_kakogawas_retention_is_reported_but_not_its_rule() -> None:
    found = next(one for one in load("kakogawa").rules() if one.key.name == "retention_days")
    assert (found.status, found.reported) == (Status.UNVERIFIED, 14)


def test_a_reported_value_is_not_used_even_where_it_differs(tmp_path: Path) -> None:
    file = _changed(tmp_path, "unverified = true, value = 14", "unverified = true, value = 30")
    found = next(one for one in load(file).rules() if one.key.name == "retention_days")
    assert (found.value, found.reported, load(file).number_of("retention_days")) == (14, 30, 14)


def test_a_city_that_is_read_keeps_its_own_number() -> None:
    assert load("tennoji").number_of("retention_days") == 7
    assert Purpose.TRAFFIC_ACCIDENT not in load("kakogawa").purposes
    assert load("inami").titles[Role.MANAGER] == "管理責任者（部長）"


def test_the_facts_for_the_policies_are_those_of_the_profile() -> None:
    facts = load("kakogawa").facts(["sensor:sound"])
    assert facts.purposes == {"crime", "missing_person", "disaster", "subject_disclosure"}
    assert (facts.max_cameras, facts.max_hours, facts.board_cameras) == (10, 6, 50)
    assert (facts.lead_hours, facts.emergency_hours, facts.disaster_hours) == (3, 24, 72)
    assert facts.planning_needs_warrant
    assert facts.gates == {"sensor:sound"}


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("lead_hours = { value = 3,", "lead_hours = { value = 25,", "town.toml: rules.lead_hours: a whole number"),
        ("lead_hours = { value = 3,", "lead_hours = { value = true,", "rules.lead_hours: a whole number"),
        ('lead_hours = { value = 3, source = "proposal" }', "lead_hours = 3", "rules.lead_hours: a table"),
        ('lead_hours = { value = 3, source = "proposal" }', "lead_hours = { value = 3 }", "lead_hours: no source"),
        ("lead_hours = { value = 3,", "lead_hours = {", "rules.lead_hours: no value"),
        ('lead_hours = { value = 3, source = "proposal" }', "", "rules.lead_hours: missing"),
        ("lead_hours = ", "lead_days = { unverified = true }\nlead_hours = ", "rules.lead_days: no such key"),
        ("lead_hours = { value = 3,", "lead_hours = { value = 3, unit = 1,", "rules.lead_hours: unknown: unit"),
        ("copy_days = { unverified = true }", "copy_days = { unverified = false }", "rules.copy_days: unverified is"),
        ("copy_days = { unverified = true }", 'copy_days = { unverified = true, source = "proposal" }', "nothing of"),
        ("copy_days = { unverified = true }", "copy_days = { unverified = true, proposal = 0 }", "rules.copy_days: a"),
        ('"missing_person", "disaster"', '"monitoring", "disaster"', "rules.purposes: 'monitoring' is none of"),
        ('"missing_person", "disaster"', '"disaster", "disaster"', "rules.purposes: the same thing twice"),
        ("board_cameras = { value = 50,", "board_cameras = { value = 9,", "scope_caps.board_cameras: not below"),
        ("disaster_hours = { value = 72,", "disaster_hours = { value = 73,", "rules.disaster_hours"),
        ("[rules.scope_caps]\n", "[rules.scope_caps]\nminutes = { value = 1 }\n", "scope_caps.minutes: no"),
        ("[city]", "[town]\n[city]", "town.toml: town: no such key"),
        ('source = "加古川市 公式ページ"', "", "town.toml: note 2"),
        ("[city]", "[city", "town.toml: "),
    ],
)  # fmt: skip
def test_a_wrong_entry_is_named_with_its_file_and_key(tmp_path: Path, old: str, new: str, said: str) -> None:
    problems = _problems(_changed(tmp_path, old, new))
    assert len(problems) == 1
    assert said in problems[0]


def test_all_that_is_wrong_is_told_at_once(tmp_path: Path) -> None:
    file = _changed(tmp_path, "lead_hours = { value = 3,", "lead_hours = { value = 99,")
    text = Path(file).read_text("utf-8").replace("freeze_days = { value = 7,", "freeze_days = { value = 99,")
    Path(file).write_text(text, "utf-8")
    assert len(_problems(file)) == 2


def test_the_neutral_profile_may_not_be_unverified_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = _changed(tmp_path, "lead_hours = { value = 3,", "lead_hours = { unverified = true,", of=NEUTRAL)
    text = Path(file).read_text("utf-8").replace('{ unverified = true, source = "proposal" }', "{ unverified = true }")
    (tmp_path / "proposal.toml").write_text(text, "utf-8")
    monkeypatch.setattr("privacy.ordinance._FOLDER", tmp_path)
    assert "nothing to stand in" in _problems(NEUTRAL)[0]


@pytest.mark.parametrize("name", ["osaka", "../ordinances/kobe", "", "nowhere/town.toml"])
def test_a_profile_that_is_not_there_is_refused(name: str) -> None:
    assert len(_problems(name)) == 1
