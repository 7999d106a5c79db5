"""What the fuzzers found: each input is given to its target once more, without a fuzzer."""

import pytest

from fuzz.targets import TARGETS


@pytest.mark.parametrize("name", TARGETS)
def test_what_was_found_keeps_the_rules(name):
    target = TARGETS[name]
    inputs = sorted(target.corpus.iterdir())
    assert inputs
    for each in inputs:
        try:
            target.check(each.read_bytes())
        except Exception as error:
            pytest.fail(f"{each}: {error!r}")
