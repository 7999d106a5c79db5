"""How long it takes to refuse a token tells nothing of how much of it is right.

The method is that of dudect (Reparaz, Balasch and Verbauwhede, "Dude, is my code constant time?", DATE 2017): inputs of
two classes in random order, what is slow by accident cropped away at a percentile of both together, and Welch's t of
the rest. |t| beyond 4.5 says that the classes differ. LEVERET_TIMING_TRIES=1000000 has it look closer.

Both classes present the same tokens, and differ in what is kept. For the time does depend on the token itself: its
check is worked out with whole numbers, which take longer from 2^30 on. Who sends a token knows that of it. Were tokens
with the right beginning compared with others, it would be that which is measured: t is 40 then, and stays 40 where the
key that is kept has nothing to do with either. Inputs are made some time before, as dudect has it, and copied in the
same steps for both classes: else what making them leaves in the caches is measured as well.
"""

import gc
import math
import os
import random
from array import array
from dataclasses import replace
from time import perf_counter_ns

import pytest

from scalestack.auth.keys import keyring as under_test
from scalestack.auth.keys.keyring import Refused
from scalestack.auth.keys.token import _check_of, digest
from support import figures

TRIES = int(os.environ.get("LEVERET_TIMING_TRIES", "20000"))
KEPT = 0.9  # of the tries, the faster ones: the others were interrupted
BEYOND = 4.5
CHUNK = 1000  # inputs that are made at once
LETTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

pytestmark = pytest.mark.timeout(1800)


def welch(first, second):
    """Welch's t of two samples."""
    means, errors = [], []
    for sample in (first, second):
        mean = sum(sample) / len(sample)
        means.append(mean)
        errors.append(sum((value - mean) ** 2 for value in sample) / (len(sample) - 1) / len(sample))
    return (means[0] - means[1]) / math.sqrt(sum(errors))


def t_of(refusing, prepare, tries):
    """Welch's t of how long a token is checked; `prepare` makes one of class 0 or 1, and what is kept for it."""
    times = (array("q"), array("q"))
    gc.collect()
    gc.disable()
    try:
        while len(times[0]) + len(times[1]) < tries:
            for which, token, kept in [(which, *prepare(which)) for which in random.choices((0, 1), k=CHUNK)]:
                refusing.keep(kept)
                copy = bytes(bytearray(token))
                began = perf_counter_ns()
                refusing.check(copy)
                ended = perf_counter_ns()
                times[which].append(ended - began)
    finally:
        gc.enable()
    together = sorted([*times[0], *times[1]])
    most = together[int(len(together) * KEPT)]
    return welch(*([time for time in sample if time <= most] for sample in times))


def assert_it_does_not_show(what, refusing, prepare):
    found = t_of(refusing, prepare, TRIES)
    figures.show("timing", f"{what}: t = {found:.2f} over {TRIES:,} tries")
    assert abs(found) < BEYOND


def with_check(body):
    return (body + _check_of(body.encode())).encode()


def secret():
    return "".join(random.choices(LETTERS, k=27))


def other_than(letter):
    """Another letter; all of them are as likely."""
    return LETTERS[(LETTERS.index(letter) + random.randrange(1, len(LETTERS))) % len(LETTERS)]


class Refusing:
    """A keyring with one key, whose check always refuses."""

    def __init__(self, site):
        self.key, self.token = site.create()
        self.keyring = site.keyring
        self.keyring.find(self.key.id)
        self.start = self.token[:15]

    def check(self, token):
        try:
            self.keyring.check(token)
        except Refused:
            return
        raise AssertionError("it was not refused")

    def keep(self, sha256):
        """Have the key kept with another digest: a new object each time, so that no class has a place of its own."""
        self.keyring._loaded.keys[self.key.id] = replace(self.key, sha256=bytes(bytearray(sha256)))


@pytest.fixture
def refusing(open_site):
    return Refusing(open_site)


def test_whether_the_secret_begins_as_the_right_one_does_not_show(refusing):
    """All of it is right but its last letter, or none of it is."""

    def prepare(which):
        presented, same = secret(), (26, 0)[which]
        others = [other_than(letter) for letter in presented]
        right = "".join(
            [(mine, other)[place >= same] for place, (mine, other) in enumerate(zip(presented, others, strict=True))]
        )
        return with_check(refusing.start + presented), digest(with_check(refusing.start + right))

    assert_it_does_not_show("the secret", refusing, prepare)


def kept_as(refusing):
    """Prepares a token whose digest has its first 31 bytes as the one that is kept has them, or none of them."""

    def prepare(which):
        token, same = with_check(refusing.start + secret()), (31, 0)[which]
        kept = [byte ^ (0, 255)[place >= same] for place, byte in enumerate(digest(token))]
        return token, bytes(kept)

    return prepare


def test_whether_the_digest_begins_as_the_right_one_does_not_show(refusing):
    assert_it_does_not_show("the digest", refusing, kept_as(refusing))


def test_a_comparison_that_stops_at_the_first_difference_would_be_seen(refusing, monkeypatch):
    def leaky(first, second):
        return all(one == other for one, other in zip(first, second, strict=True))

    monkeypatch.setattr(under_test.hmac, "compare_digest", leaky)
    assert abs(t_of(refusing, kept_as(refusing), 3000)) > 10 * BEYOND
