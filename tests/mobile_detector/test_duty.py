import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mobile_detector.duty import SETTLE_S, Cycle, Duty, DutyPlan

PLAN = DutyPlan(rest=Cycle(2.0, 20.0), moving=Cycle(2.0, 10.0), alert_s=30.0)
START_MS = 1_795_000_000_000


def _live(duty: Duty, for_s: float, *, is_moving: bool = False, may_scan: bool = True) -> None:
    """Follow the timetable as the agent does."""
    now_ms = duty._last_ms or START_MS
    end_ms = now_ms + for_s * 1000
    while now_ms < end_ms:
        wait_s = duty.step(now_ms, is_moving=is_moving, may_scan=may_scan)
        now_ms = min(now_ms + max(1, round(wait_s * 1000)), int(end_ms))
    duty.step(now_ms, is_moving=is_moving, may_scan=may_scan)


@pytest.mark.parametrize(("is_moving", "share", "wakes_per_hour"), [(False, 0.1, 180), (True, 0.2, 360)])
def test_the_receiver_is_open_for_its_share_of_the_time(is_moving: bool, share: float, wakes_per_hour: int) -> None:  # noqa: FBT001
    duty = Duty(PLAN)
    _live(duty, 3600, is_moving=is_moving)
    assert duty.usage.scanning_share == pytest.approx(share, rel=0.01)
    assert duty.usage.wakes_per_hour == pytest.approx(wakes_per_hour, rel=0.02)
    assert duty.usage.energy_share == pytest.approx(share + wakes_per_hour * SETTLE_S / 3600, rel=0.02)


def test_a_tag_in_haste_keeps_the_receiver_open_and_then_no_longer() -> None:
    duty = Duty(PLAN)
    _live(duty, 100)
    before = duty.usage.scanning_s
    duty.alert(duty._last_ms or 0)
    _live(duty, 30)
    assert duty.usage.scanning_s - before == pytest.approx(30, abs=1)
    _live(duty, 200)
    assert duty.usage.scanning_s - before == pytest.approx(30 + 20, abs=4)


def test_nothing_is_scanned_where_it_may_not() -> None:
    duty = Duty(PLAN)
    duty.alert(START_MS)
    _live(duty, 600, may_scan=False)
    assert (duty.usage.scanning_s, duty.usage.wakes) == (0, 0)
    assert duty.usage.in_zone_s == pytest.approx(600)


def test_phones_of_a_town_do_not_wake_together() -> None:
    duties = [Duty(PLAN, phase_s=n * 0.5) for n in range(40)]
    for duty in duties:
        _live(duty, 60)
    open_at_once = []
    for second in range(20):
        for duty in duties:
            duty.step(START_MS + 60_000 + second * 1000, is_moving=False, may_scan=True)
        open_at_once.append(sum(duty.is_scanning for duty in duties))
    assert max(open_at_once) <= 8


@given(
    steps=st.lists(st.tuples(st.integers(-5_000, 60_000), st.booleans(), st.booleans()), max_size=60),
    phase_s=st.floats(0, 100),
)
def test_whatever_the_clock_does_the_waits_are_sane(steps: list[tuple[int, bool, bool]], phase_s: float) -> None:
    duty = Duty(PLAN, phase_s=phase_s)
    times_ms = itertools.accumulate((gap_ms for gap_ms, _, _ in steps), initial=START_MS)
    for now_ms, (_, is_moving, may_scan) in zip(times_ms, steps, strict=False):
        wait_s = duty.step(now_ms, is_moving=is_moving, may_scan=may_scan)
        assert 0 < wait_s <= 20
        assert may_scan or not duty.is_scanning
    assert 0 <= duty.usage.scanning_s <= duty.usage.on_s


@pytest.mark.parametrize(("scan_s", "cycle_s"), [(0, 10), (11, 10), (-1, 10)])
def test_an_impossible_cycle_is_refused(scan_s: float, cycle_s: float) -> None:
    with pytest.raises(ValueError, match="cycle"):
        Cycle(scan_s, cycle_s)
