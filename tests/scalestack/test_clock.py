"""Wall time that never jumps."""

from scalestack.clock import steady_clock


def test_it_starts_at_the_wall_time_and_goes_on_with_the_monotonic_clock():
    wall, monotonic = [1_700_000_000.0], [50.0]
    clock = steady_clock(lambda: wall[0], lambda: monotonic[0])
    assert clock() == 1_700_000_000.0
    monotonic[0] += 1.5
    assert clock() == 1_700_000_001.5


def test_a_wall_clock_that_jumps_moves_nothing():
    wall, monotonic = [1_700_000_000.0], [50.0]
    clock = steady_clock(lambda: wall[0], lambda: monotonic[0])
    wall[0] -= 86_400
    monotonic[0] += 1
    assert clock() == 1_700_000_001.0
