"""What a server says of itself on /metrics, one number at a time."""

from __future__ import annotations

from support.web import Client


def gauge(client: Client, name: str, headers: dict[str, str] | None = None) -> float:
    """The value of a series without labels; 0 where there is none."""
    answer = client("GET", "/metrics", headers=headers)
    assert answer.status == 200, f"{answer}"
    for line in answer.text.splitlines():
        series, _, value = line.rpartition(" ")
        if series == name:
            return float(value)
    return 0.0
