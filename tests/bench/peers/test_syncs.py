"""strace's summaries, read."""

from bench.peers import syncs

SUMMARY = """% time     seconds  usecs/call     calls    errors syscall
------ ----------- ----------- --------- --------- ----------------
 93.10    0.035208          23      1510           fsync
  6.90    0.002608          37        70         2 fdatasync
------ ----------- ----------- --------- --------- ----------------
100.00    0.037816          23      1580         2 total
"""


def test_calls_are_counted_with_and_without_errors() -> None:
    assert syncs.counted(SUMMARY) == {"fsync": 1510, "fdatasync": 70}


def test_a_server_that_never_syncs_has_no_calls() -> None:
    assert syncs.counted("") == {}
