"""Rates as horizontal bars, in SVG, on a background of their own: dark where the reader prefers that."""

from __future__ import annotations

from html import escape

from bench.peers.peer import Level
from bench.peers.report import Raw, figures

_WIDTH = 760
_BAR, _GAP, _HEAD, _BETWEEN, _MARGIN = 18, 8, 30, 18, 20
_LEFT, _RIGHT = 250, 110  # of the bars: room for names, and for the number behind the longest
_TITLES = {
    Level.MEMORY: "acknowledged in memory",
    Level.CACHE: "acknowledged in the page cache",
    Level.DISK: "acknowledged on the disk",
}
_STYLE = """
    .paper { fill: #ffffff; stroke: #d0d4da }
    text { font: 13px system-ui, "DejaVu Sans", sans-serif; fill: #24292f }
    .head { font-weight: 600 }
    .small { font-size: 11px; fill: #57606a }
    .own { fill: #b45309 }
    .other { fill: #6e7781 }
    @media (prefers-color-scheme: dark) {
      .paper { fill: #1c2128; stroke: #444c56 }
      text { fill: #e6edf3 }
      .small { fill: #adbac7 }
      .own { fill: #f59e0b }
      .other { fill: #8b949e }
    }
"""


def svg(raw: Raw) -> str:
    """Published messages per second. Each group has a scale of its own: what is compared has the same guarantee."""
    parts: list[str] = []
    y = _MARGIN
    for level, title in _TITLES.items():
        rates = {
            name: found.rate
            for name, peer in raw["peers"].items()
            if peer["level"] == level and (found := figures(raw, name, "publish"))
        }
        if rates:
            parts.append(_text(_MARGIN, y + 14, f"Messages per second, {title}", "head"))
            y += _HEAD
            for name, rate in sorted(rates.items(), key=lambda item: -item[1]):
                length = rate / max(rates.values()) * (_WIDTH - _LEFT - _RIGHT - _MARGIN)
                parts.extend(_bar(y, raw["peers"][name]["title"].replace("`", ""), rate, length, "leveret" in name))
                y += _BAR + _GAP
            y += _BETWEEN
    parts.append(_text(_MARGIN, y + 4, "Each group has a scale of its own, from zero.", "small"))
    height = y + _MARGIN
    size = f'viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" height="{height}"'
    return "\n".join(
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">',
            "  <title>Messages published per second, by what an acknowledgement means</title>",
            f"  <style>{_STYLE}  </style>",
            f'  <rect class="paper" x="0.5" y="0.5" width="{_WIDTH - 1}" height="{height - 1}" rx="6"/>',
            *parts,
            "</svg>",
            "",
        )
    )


def _bar(y: int, title: str, rate: float, length: float, own: bool) -> list[str]:
    kind = "own" if own else "other"
    return [
        _text(_LEFT - 10, y + 14, title, "head" if own else "", "end"),
        f'  <rect class="{kind}" x="{_LEFT}" y="{y}" width="{max(length, 1):.1f}" height="{_BAR}" rx="2"/>',
        _text(round(_LEFT + length + 8), y + 14, f"{rate:,.0f}", ""),
    ]


def _text(x: int, y: int, text: str, kind: str, anchor: str = "start") -> str:
    return f'  <text x="{x}" y="{y}" class="{kind}" text-anchor="{anchor}">{escape(text)}</text>'
