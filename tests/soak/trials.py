"""All trials of `make soak`: what each does, what must hold, and the command that is its long form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final


@dataclass(frozen=True)
class Trial:
    """One row of the table in docs/reliability.md. Its tests say their figures under its name."""

    name: str
    about: str  # what is done, and what must hold; in Markdown
    minutes: float  # on two cores, about
    command: tuple[str, ...]  # beginning with "pytest" or "make"
    settings: Mapping[str, str] = field(default_factory=dict)  # environment variables, which make it long


def _pytest(name: str, about: str, minutes: float, path: str, select: str = "", **settings: str) -> Trial:
    chosen = ("-k", select) if select else ()
    return Trial(name, about, minutes, ("pytest", f"tests/{path}", *chosen), settings)


def _make(name: str, about: str, minutes: float, *words: str) -> Trial:
    return Trial(name, about, minutes, ("make", *words))


def _fuzz(target: str, about: str) -> Trial:
    return _make(f"fuzz-{target}", about, 61, "fuzz", f"TARGETS={target}", "SECONDS=3600")


# By heading.
GROUPS: Final[Mapping[str, tuple[Trial, ...]]] = {
    "Crashes, and disks that fail": (
        _pytest(
            "kill",
            "kill -9 under load, again and again on one database: nothing acknowledged is lost",
            25,
            "faults/test_kill.py",
            LEVERET_KILL_CYCLES="1000",
        ),
        _pytest(
            "kill-at-each-write",
            "killed at each single write, sync, truncation and removal of its files: nothing acknowledged is lost",
            30,
            "faults/test_kill_at_each_write.py",
            LEVERET_KILL_WRITES="1000",
        ),
        _pytest(
            "power",
            "the power goes within a second of load: `full` loses nothing acknowledged, `normal` nothing but the last",
            12,
            "faults/test_power.py",
            LEVERET_POWER_CYCLES="300",
        ),
        _pytest(
            "sync-fails",
            "syncs fail with EIO: the server ends with exit code 74, and has acknowledged nothing that isn't there",
            0.5,
            "faults/test_disk.py",
            select="fsync",
        ),
        _pytest(
            "disk-full",
            "the disk is full: PUT alone is refused, nothing is lost, and it goes on when there is room",
            0.5,
            "faults/test_disk.py",
            select="not fsync",
        ),
        _pytest(
            "damage",
            "bits, sectors and ends of database and log are damaged: refused, served whole, or said",
            15,
            "faults/test_damage.py",
            LEVERET_DAMAGES="20000",
        ),
        _pytest(
            "upgrade",
            "files of each earlier version of the tables, upgraded and killed at each write of it: all is there",
            2,
            "faults/test_upgrade.py",
            LEVERET_UPGRADE_KILLS="1000",
        ),
        _pytest(
            "controls",
            "servers that are broken on purpose: the checker finds each of them out, and no sound one",
            1,
            "faults/test_controls.py",
        ),
    ),
    "Clocks, networks and crowds": (
        _pytest(
            "clock",
            "the wall clock jumps by an hour or a day, either way: no lease, delay or poll moves, and order holds",
            10,
            "faults/test_clock.py",
            LEVERET_CLOCK_ROUNDS="40",
        ),
        _pytest(
            "slow-clients",
            "2,000 sockets that send or read slowly: cut off in their time; a healthy p99 stays within 1.5 times",
            7,
            "faults/test_slow_clients.py",
            LEVERET_SLOW_SOCKETS="2000",
        ),
        _pytest(
            "half-open",
            "packets are dropped in mid-poll: given up in time, nothing is lost, others are served meanwhile",
            5,
            "faults/test_half_open.py",
            LEVERET_HALF_OPEN_CYCLES="50",
            LEVERET_HALF_OPEN_POLLS="500",
        ),
        _pytest(
            "idle-polls",
            "10,000 polls wait: they take little memory and no time, and one message wakes one of them",
            0.5,
            "faults/test_idle_polls.py",
            LEVERET_IDLE_POLLS="10000",
        ),
        _pytest(
            "descriptors",
            "400 clients of a server that may have 256 descriptors: it doesn't spin, serves all in turn, and recovers",
            4,
            "faults/test_descriptors.py",
            LEVERET_DESCRIPTOR_CYCLES="50",
        ),
        _pytest(
            "drain",
            "SIGTERM with 500 polls parked and writes under way: nothing is lost, nothing hangs, over within 5 seconds",
            6,
            "faults/test_drain.py",
            LEVERET_DRAIN_CYCLES="100",
        ),
        _pytest(
            "leak",
            "ten million operations, while queues, accounts and keys come and go: memory grows by less than 1 %",
            10,
            "faults/test_leak.py",
            LEVERET_LEAK_OPERATIONS="10000000",
        ),
        _pytest(
            "followers",
            "ten followers of one queue, one of them slow and one killed and resumed: each sees all, in order, once",
            2,
            "leveret/test_following.py",
            LEVERET_FOLLOW_MESSAGES="100000",
        ),
    ),
    "The model, and interleavings": (
        _pytest(
            "model",
            "random histories of every store, and of both versions over HTTP, beside a model: no answer differs",
            15,
            "model/test_model.py",
            LEVERET_MODEL_STEPS="300000",
            LEVERET_MODEL_SEED="1000",  # not those of `make model`
        ),
        _pytest(
            "model-mutants", "stores that are broken on purpose: the model finds each", 0.5, "model/test_mutants.py"
        ),
        _pytest(
            "interleavings",
            "threads are switched between any two lines of store, waiters and loops: nothing is lost or done twice",
            4,
            "interleavings",
            LEVERET_INTERLEAVINGS="2000",
        ),
    ),
    "Attacks": (
        _pytest(
            "smuggling",
            "cases of framing, cut at many places: each answered as its RFC section says, nothing smuggled",
            1,
            "attacks/test_smuggling.py",
            LEVERET_SMUGGLING_CUTS="40",
        ),
        _pytest(
            "smuggling-behind-proxies",
            "the same through nginx and HAProxy: each answer is its own request's, no body becomes a request",
            1,
            "attacks/test_proxied.py",
            LEVERET_PROXY_ROUNDS="5",
        ),
        _pytest(
            "oversized",
            "too large in every way, many connections at once: refused, and never held in memory",
            1,
            "attacks/test_oversized.py",
            LEVERET_OVERSIZED_CONNECTIONS="200",
        ),
        _pytest(
            "injection",
            "control characters in all that can be sent: none comes back, and none gets into a log",
            0.5,
            "attacks/test_injection.py",
        ),
        _pytest(
            "names",
            "names that can't be are refused, those that can stay distinct, in both stores and over the client",
            0.5,
            "attacks/test_names.py",
        ),
        _pytest(
            "json",
            "bad JSON by every entrance: none is a 5xx, none is half done, and none takes more than linear time",
            0.5,
            "attacks/test_json.py",
        ),
        _fuzz("parser", "arbitrary bytes, cut anywhere, to the HTTP parser: the same requests, or a refusal"),
        _fuzz("query", "any path and query: one route and exactly what was sent, or a 4xx"),
        _fuzz("batch", "JSON and NDJSON of any kind: what JSON says, or a 400; whole or nothing"),
        _make(
            "api",
            "requests made from the API's description: no 5xx, and no answer that is not described",
            8,
            "fuzz-api",
        ),
        _pytest(
            "timing",
            "how long it takes to refuse a key tells nothing of how much of it is right: Welch's t stays below 4.5",
            4,
            "scalestack/auth/keys/test_timing.py",
            LEVERET_TIMING_TRIES="1000000",
        ),
    ),
}

TRIALS: Final[Mapping[str, Trial]] = {trial.name: trial for trials in GROUPS.values() for trial in trials}
