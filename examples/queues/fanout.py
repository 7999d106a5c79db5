"""Fan-out: every reader sees every message, and one that comes back goes on where it stopped.

Run `leveret serve`, then each of these in a terminal of its own
.venv/bin/python examples/queues/fanout.py read mail
.venv/bin/python examples/queues/fanout.py read search     # stop it, publish, and start it again
.venv/bin/python examples/queues/fanout.py publish 'ada has signed up' 'bob has signed up'
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from leveret import connect
from leveret.client import Draft, LeveretError

URL = os.environ.get("LEVERET_SERVER", "http://127.0.0.1:8080")
WEEK = 7 * 86_400  # seconds for which a reader may be away: nobody deletes events, they expire


def publish(events: list[str]) -> None:
    with connect(URL) as client:
        client.queue("examples", "events").put_many([Draft(event, ttl=WEEK) for event in events])
    print(f"published {len(events)}")


def read(name: str) -> None:
    """Where a reader has come to is its own affair: it is in a file beside it."""
    place = Path(f"{name}.marker")
    after = place.read_text() if place.exists() else None
    with connect(URL) as client:
        for event in client.queue("examples", "events").follow(after):
            print(f"{name}: {event.text}", flush=True)
            # After the work: where the reader dies in between, it sees the event again rather than never.
            new = place.with_suffix(".new")
            new.write_text(event.marker)
            new.replace(place)


def main() -> None:
    match sys.argv[1:]:
        case ["publish", *events] if events:
            publish(events)
        case ["read", name]:
            try:
                read(name)
            except KeyboardInterrupt:
                print(f"{name}: stopped")
        case _:
            sys.exit("usage: fanout.py publish TEXT...\n       fanout.py read NAME")


if __name__ == "__main__":
    try:
        main()
    except LeveretError as error:  # such as a server that isn't there
        sys.exit(str(error))
