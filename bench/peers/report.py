"""What was measured, as medians and as a table in Markdown. Reads the raw data alone, and measures nothing."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.peers.peer import Level

BEGIN, END = "<!-- peers: written by `make bench-peers` -->", "<!-- /peers -->"
FULL = 0.9  # of its core: from there on it may be the load that is measured, and not the server

Raw = Mapping[str, Any]

_LEVELS = {
    Level.MEMORY: "In memory: a message is gone with the process",
    Level.CACHE: "In the page cache: a message outlives the process, and the last ones don't outlive a loss of power",
    Level.DISK: "On the disk: a message outlives a loss of power",
}
_PUBLISH = (
    "",
    "publish/s",
    "min to max",
    "p50 ms",
    "p99 ms",
    "per CPU second",
    "server's, load's CPU",
    "syncs per 1,000",
    "acknowledged when",
)
_PAIRS = (
    ("leveret-memory", "beanstalkd"),
    ("leveret-memory", "redis"),
    ("leveret-normal", "beanstalkd-log"),
    ("leveret-full", "beanstalkd-sync"),
    ("leveret-full", "redis-always"),
    ("leveret-full", "rabbitmq-classic"),
    ("leveret-full", "rabbitmq-quorum"),
)
_TAKE = ("", "take and delete/s", "min to max", "pop/s", "taken by")


@dataclass(frozen=True)
class Figures:
    """One workload of one peer: medians over all rounds."""

    rate: float
    lowest: float
    highest: float
    p50: float | None
    p99: float | None
    per_cpu: float  # messages per second of the server's processor time
    server_cpu: float  # share of one core
    load_cpu: float
    failed: int

    @property
    def bound_by_load(self) -> bool:
        return self.load_cpu >= FULL


def figures(raw: Raw, peer: str, workload: str) -> Figures | None:
    """None where nothing was measured."""
    runs = [run for run in raw["measured"] if run["peer"] == peer and run["workload"] == workload]
    if not runs:
        return None
    rates = [run["messages"] / run["seconds"] for run in runs]
    return Figures(
        statistics.median(rates),
        min(rates),
        max(rates),
        _median(run["p50"] for run in runs),
        _median(run["p99"] for run in runs),
        statistics.median(run["messages"] / run["server_cpu"] if run["server_cpu"] else 0.0 for run in runs),
        statistics.median(run["server_cpu"] / run["seconds"] for run in runs),
        statistics.median(run["cpu"] / run["seconds"] for run in runs),
        sum(run["failed"] for run in runs),
    )


def _median(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None


def published(raw: Raw) -> str:
    """The table of publishing, by what is acknowledged."""
    return _grouped(raw, _PUBLISH, _published)


def taken(raw: Raw) -> str:
    """The table of taking, in the same order."""
    return _grouped(raw, _TAKE, _taken)


def _grouped(raw: Raw, heads: Sequence[str], row: Callable[[Raw, str], Sequence[str]]) -> str:
    lines = [_line(heads), "|---" + "|--:" * (len(heads) - 2) + "|---|"]
    for level, title in _LEVELS.items():
        peers = [name for name, peer in raw["peers"].items() if peer["level"] == level]
        if peers:
            lines.append(_line([f"**{title}**"], len(heads)))
            lines.extend(_line(row(raw, name), len(heads)) for name in peers)
    return "\n".join(lines)


def _line(cells: Sequence[str], width: int = 0) -> str:
    return "| " + " | ".join([*cells, *[""] * (width - len(cells))]) + " |"


def _published(raw: Raw, name: str) -> Sequence[str]:
    peer = raw["peers"][name]
    found = figures(raw, name, "publish")
    if found is None:
        return peer["title"], _absent(peer), *[""] * (len(_PUBLISH) - 3), peer.get("missing", "")
    return (
        f"{peer['title']} {peer['version']}",
        _rate(found),
        f"{found.lowest:,.0f} to {found.highest:,.0f}",
        _milliseconds(found.p50),
        _milliseconds(found.p99),
        f"{found.per_cpu:,.0f}",
        f"{found.server_cpu:.0%}, {found.load_cpu:.0%}",
        _syncs(raw["syncs"].get(name)),
        peer["means"],
    )


def _taken(raw: Raw, name: str) -> Sequence[str]:
    peer = raw["peers"][name]
    found = figures(raw, name, "consume")
    if found is None:
        return peer["title"], _absent(peer)
    spread = f"{found.lowest:,.0f} to {found.highest:,.0f}"
    return peer["title"], _rate(found), spread, _rate(figures(raw, name, "pop")), peer["takes"]


def _absent(peer: Mapping[str, str]) -> str:
    return "not installed" if "missing" in peer else "failed"


def _rate(found: Figures | None) -> str:
    return f"{found.rate:,.0f}{'†' if found.bound_by_load else ''}" if found else ""


def _milliseconds(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _syncs(found: Mapping[str, int] | None) -> str:
    if found is None:
        return ""
    calls = sum(number for name, number in found.items() if name != "messages")
    per_thousand = 1000 * calls / found["messages"]
    return f"{per_thousand:,.0f}" if per_thousand >= 10 or not calls else f"{per_thousand:.1f}"


def conditions(raw: Raw) -> str:
    """Where and how it was measured, in two sentences."""
    machine, disk = raw["machine"], raw["disk"]
    gil = "" if machine["gil"] else ", free-threaded"
    sync = disk["sync_ms"]
    return (
        f"{machine['cpu']}, {machine['cores']} cores, kernel {machine['kernel']}, Python {machine['python']}{gil}; "
        f"{raw['date']}. {disk['file_system']} on a disk that takes {statistics.median(sync):.2f} ms to sync "
        f"a small write ({min(sync):.2f} to {max(sync):.2f} in these rounds). "
        f"Medians of {raw['rounds']} rounds of {raw['seconds']} s, {raw['connections']} connections with one request "
        f"under way on each, bodies of {raw['body']} bytes; the server on one core, the load on another."
    )


def ratio(raw: Raw, one: str, other: str, figure: str) -> tuple[float, float, float] | None:
    """Of what two peers published in the same round: median, least and greatest.

    What slows a machine down slows both, where they are measured one soon after the other.
    """
    by_round: dict[int, dict[str, float]] = {}
    for run in raw["measured"]:
        if run["workload"] == "publish" and run[figure]:
            by_round.setdefault(run["round"], {})[run["peer"]] = run["messages"] / run[figure]
    ratios = [found[one] / found[other] for found in by_round.values() if found.get(one) and found.get(other)]
    return (statistics.median(ratios), min(ratios), max(ratios)) if ratios else None


def compared(raw: Raw) -> str:
    """Leveret and others with the same guarantee, round by round."""
    lines = []
    for one, other in _PAIRS:
        rate, per_cpu = (ratio(raw, one, other, figure) for figure in ("seconds", "server_cpu"))
        if rate and per_cpu:
            titles = " : ".join(raw["peers"][name]["title"] for name in (one, other))
            lines.append(f"| {titles} | {_spread(rate)} | {_spread(per_cpu)} |")
    heads = ["| in the same round | publish/s | per CPU second |", "|---|--:|--:|"]
    return "\n".join([*heads, *lines]) if lines else ""


def _spread(found: tuple[float, float, float]) -> str:
    middle, least, greatest = found
    return f"{middle:.2f} ({least:.2f} to {greatest:.2f})"


def section(raw: Raw, plot: str) -> str:
    """What stands between the markers."""
    note = "† The load's core was full: compare the messages per second of the server's processor time instead."
    parts = [f"![Messages published per second]({plot})", conditions(raw), published(raw), taken(raw), compared(raw)]
    if any("†" in part for part in parts):
        parts.append(note)
    return "\n\n".join(part for part in parts if part)


def replaced(document: str, text: str) -> str:
    """The document, with other text between the markers."""
    head, began, rest = document.partition(BEGIN)
    _, ended, tail = rest.partition(END)
    if not began or not ended:
        raise ValueError(f"there is no {BEGIN} … {END} to write between")
    return f"{head}{BEGIN}\n\n{text}\n\n{END}{tail}"
