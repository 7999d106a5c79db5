"""Leveret: a fast, simple, multi-tenant message queue service over HTTP.

Loads nothing: what programs use is loaded when they use it.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from leveret.client.connect import connect as connect
    from leveret.client.connect import connect_async as connect_async
    from leveret.client.workers import worker as worker

__all__ = ["__version__", "connect", "connect_async", "worker"]

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    # The server and the pytest plugin load this package too, and need no client.
    if name in {"connect", "connect_async", "worker"}:
        from leveret import client  # noqa: PLC0415

        return getattr(client, name)
    raise AttributeError(f"module 'leveret' has no attribute '{name}'")
