"""What may be done to queues, as keys and tokens allow it. Names only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from scalestack.http.router import ADMIN, METRICS

SEND: Final = "send"
RECEIVE: Final = "receive"
READ: Final = "read"
POLICY: Final = "policy"

ACTIONS: Final[Mapping[str, str]] = {
    SEND: "put messages",
    RECEIVE: "claim, pop, change and delete messages, and delete queues",
    READ: "list queues, and list, get and follow messages",
    POLICY: "read and set the policies of queues",
    METRICS: "read /metrics",
    ADMIN: "everything, in all accounts: accounts, modules and metrics too",
}

# What a key has no account for, and stands alone.
OF_THE_SERVER: Final[Mapping[str, str]] = {
    ADMIN: "for everything in all accounts",
    METRICS: "for what the server tells of all accounts",
}
