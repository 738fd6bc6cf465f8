import time

from edge.clock import WallClock


def test_the_wall_clock_is_this_machines() -> None:
    clock = WallClock()
    assert abs(clock.now_ms() - time.time() * 1000) < 1000
    assert abs(clock.monotonic_ms() - time.monotonic() * 1000) < 1000


def test_a_clock_that_nobody_set_has_not_jumped() -> None:
    assert abs(WallClock().jumped_ms()) <= 50


def test_the_kernel_is_asked_whether_the_clock_is_right() -> None:
    clock = WallClock()
    assert clock.is_synced() in {True, False}
    error_ms = clock.error_ms()
    assert error_ms is None or 0 <= error_ms <= 2**31


def test_a_clock_that_was_set_says_by_how_much() -> None:
    origin_ms = WallClock()._origin_ms
    assert abs(WallClock(origin_ms - 5_000).jumped_ms() - 5_000) <= 50
