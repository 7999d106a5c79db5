"""What a database file says in two places: of what it holds, and of what its queues and accounts count. Reads only.

A count that is wrong would hide messages from everybody: a queue that counts none is not there. Nothing else compares
them, since each is true where no byte of the file was changed by others.
"""

from __future__ import annotations

import sqlite3
from typing import Final

# Each finds nothing where the two places say the same. An account or a queue that is buried has numbers of its own.
_CHECKS: Final = {
    "a queue counts other messages than there are": """
        SELECT 1 FROM queues LEFT JOIN (
            SELECT queue, count(*) AS count, total(hidden) AS concealed, total(length(body)) AS size,
                min(expires) AS expires FROM messages GROUP BY queue
        ) ON queue = number
        WHERE messages != coalesce(count, 0) OR queues.hidden != coalesce(concealed, 0)
            OR bytes != coalesce(size, 0) OR expires < coalesce(due, 1e999) OR (place IS NULL) != (messages = 0)
    """,
    "messages belong to no queue": """
        SELECT 1 FROM (SELECT DISTINCT queue FROM messages)
        WHERE queue NOT IN (SELECT number FROM queues) AND queue NOT IN (SELECT number FROM dead_queues)
    """,
    "an account counts other queues than there are": """
        SELECT 1 FROM accounts LEFT JOIN (
            SELECT account, count(*) AS count, total(messages) AS sum, total(bytes) AS size FROM queues
            WHERE place IS NOT NULL GROUP BY account
        ) ON account = number
        WHERE queues != coalesce(count, 0) OR messages != coalesce(sum, 0) OR bytes != coalesce(size, 0)
            OR (place IS NULL) != (queues = 0)
    """,
    "queues belong to no account": """
        SELECT 1 FROM queues
        WHERE account NOT IN (SELECT number FROM accounts) AND account NOT IN (SELECT number FROM dead_accounts)
    """,
    "what is there passes for deleted": """
        SELECT 1 FROM queues JOIN dead_queues USING (number)
        UNION ALL SELECT 1 FROM accounts JOIN dead_accounts USING (number)
    """,
    "a message has a place that is still to be given": """
        SELECT 1 FROM store WHERE next_sequence <= (SELECT max(sequence) FROM messages)
    """,
}


def contradiction(connection: sqlite3.Connection) -> str | None:
    """The first thing that can't be; None where all is as it should be."""
    for what, statement in _CHECKS.items():
        if connection.execute(f"{statement} LIMIT 1").fetchone() is not None:
            return what
    return None
