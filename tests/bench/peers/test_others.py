"""What redis-benchmark says, read."""

import pytest

from bench.peers.others import benchmarked

OUTPUT = """"test","rps","avg_latency_ms","min_latency_ms","p50_latency_ms","p95_latency_ms","p99_latency_ms"
"RPUSH jobs xxx","50000.00","0.4","0.1","0.391","0.6","0.911"
"""


def test_rate_and_latency_are_read() -> None:
    load = benchmarked(OUTPUT, 100_000, 1.5)
    assert (load.rate, load.seconds, load.p50, load.p99) == (pytest.approx(50_000), 2.0, 0.391, 0.911)


def test_what_is_said_before_the_figures_is_passed_over() -> None:
    assert benchmarked("WARNING: no CONFIG\n" + OUTPUT, 10, 0.1).p50 == 0.391
