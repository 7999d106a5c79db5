"""The tables and the plot, made of raw data alone."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree as ET

import pytest

from bench.peers import plot, report


def run(peer: str, workload: str, rate: float, cpu: float = 0.5, number: int = 1) -> dict[str, Any]:
    return {
        "round": number,
        "peer": peer,
        "workload": workload,
        "messages": rate * 2,
        "seconds": 2.0,
        "p50": 1.0,
        "p99": 3.0,
        "cpu": cpu * 2,
        "server_cpu": 1.0,
        "failed": 0,
    }


@pytest.fixture
def raw() -> dict[str, Any]:
    return {
        "date": "2026-01-02",
        "machine": {"cpu": "C", "cores": 2, "kernel": "6", "python": "3.11", "gil": True},
        "disk": {"file_system": "ext4", "sync_ms": [0.5, 1.5, 1.0]},
        "rounds": 3,
        "seconds": 2,
        "connections": 64,
        "body": 100,
        "peers": {
            "leveret-full": {"title": "L `full`", "level": "disk", "means": "synced", "takes": "two", "version": "1"},
            "other": {"title": "O", "level": "disk", "means": "synced", "takes": "two", "missing": "get o"},
            "quick": {"title": "Q <fast>", "level": "memory", "means": "kept", "takes": "one", "version": "2"},
            "broken": {"title": "B", "level": "memory", "means": "kept", "takes": "one", "version": "3"},
        },
        "syncs": {"leveret-full": {"messages": 1000, "fsync": 20, "fdatasync": 5}, "quick": {"messages": 10}},
        "measured": [
            *(run("leveret-full", "publish", rate) for rate in (1000, 3000, 2000)),
            run("leveret-full", "consume", 500),
            run("quick", "publish", 90_000, cpu=0.99),
            run("quick", "consume", 40_000),
        ],
    }


def row(table: str, title: str) -> list[str]:
    (line,) = [line for line in table.splitlines() if line.startswith(f"| {title}")]
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_a_figure_is_the_median_of_all_rounds_with_its_spread(raw: dict[str, Any]) -> None:
    assert row(report.published(raw), "L ")[1:3] == ["2,000", "1,000 to 3,000"]


def test_messages_are_counted_by_the_servers_processor_time(raw: dict[str, Any]) -> None:
    assert row(report.published(raw), "L ")[5] == "4,000"


def test_syncs_of_all_kinds_are_added_up(raw: dict[str, Any]) -> None:
    assert row(report.published(raw), "L ")[7] == "25"
    assert row(report.published(raw), "Q ")[7] == "0"


def test_what_is_not_installed_says_how_to_get_it(raw: dict[str, Any]) -> None:
    cells = row(report.published(raw), "O ")
    assert (cells[1], cells[-1]) == ("not installed", "get o")


def test_what_failed_in_every_round_is_not_called_missing(raw: dict[str, Any]) -> None:
    assert row(report.published(raw), "B ")[1] == "failed"


def test_a_load_whose_core_was_full_is_marked_and_explained(raw: dict[str, Any]) -> None:
    assert row(report.published(raw), "Q ")[1] == "90,000†"
    assert "† The load's core was full" in report.section(raw, "plot.svg")


def test_peers_stand_beneath_what_they_acknowledge(raw: dict[str, Any]) -> None:
    heads = [line for line in report.published(raw).splitlines() if line.startswith(("| **", "| L"))]
    assert [head[:20] for head in heads] == ["| **In memory: a mes", "| **On the disk: a m", "| L `full` 1 | 2,000"]


def test_every_row_has_all_the_columns(raw: dict[str, Any]) -> None:
    for table in (report.published(raw), report.taken(raw)):
        assert len({line.count("|") for line in table.splitlines()}) == 1


def test_the_conditions_say_how_long_the_disk_takes(raw: dict[str, Any]) -> None:
    assert "takes 1.00 ms to sync a small write (0.50 to 1.50 in these rounds)" in report.conditions(raw)


def test_a_ratio_is_of_the_same_round(raw: dict[str, Any]) -> None:
    raw["measured"] = [
        run(peer, "publish", rate, number=number)
        for number, rates in enumerate(((100, 50), (900, 300), (40, 10)))
        for peer, rate in zip(("quick", "broken"), rates, strict=True)
    ]
    assert report.ratio(raw, "quick", "broken", "seconds") == (3.0, 2.0, 4.0)


def test_there_is_no_ratio_to_what_was_not_measured(raw: dict[str, Any]) -> None:
    assert report.ratio(raw, "quick", "other", "seconds") is None


def test_only_what_is_between_the_markers_is_written() -> None:
    document = f"before\n{report.BEGIN}\nold\n{report.END}\nafter\n"
    assert report.replaced(document, "new") == f"before\n{report.BEGIN}\n\nnew\n\n{report.END}\nafter\n"


def test_a_document_without_markers_is_left_alone() -> None:
    with pytest.raises(ValueError, match="to write between"):
        report.replaced("before\n", "new")


def test_the_plot_has_a_bar_for_each_that_was_measured(raw: dict[str, Any]) -> None:
    root = ET.fromstring(plot.svg(raw))
    names = [text.text for text in root.iter("{http://www.w3.org/2000/svg}text")]
    assert {"L full", "Q <fast>"} <= set(names)
    bars = [bar for bar in root.iter("{http://www.w3.org/2000/svg}rect") if bar.get("class") in ("own", "other")]
    assert [bar.get("class") for bar in bars] == ["other", "own"]


def test_bars_of_a_group_are_as_long_as_their_rates(raw: dict[str, Any]) -> None:
    raw["measured"].append(run("broken", "publish", 45_000))
    root = ET.fromstring(plot.svg(raw))
    bars = [bar for bar in root.iter("{http://www.w3.org/2000/svg}rect") if bar.get("class") == "other"]
    longest, half = (float(bar.get("width", "0")) for bar in bars)
    assert half == pytest.approx(longest / 2, abs=0.1)
