from privacy.retention import SCHEDULE, DataClass, expires_before_ms

NOW_MS = 1_800_000_000_000


def test_every_class_of_data_has_a_limit_and_a_reason() -> None:
    assert set(SCHEDULE) == set(DataClass)
    assert all(limit.keep_ms >= 0 and limit.reason for limit in SCHEDULE.values())


def test_raw_sightings_live_72_hours() -> None:
    assert NOW_MS - expires_before_ms(DataClass.SIGHTING, NOW_MS) == 72 * 3_600_000
