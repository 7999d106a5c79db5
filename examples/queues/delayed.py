"""Delayed jobs: reminders, each hidden until its time comes; one is put off, another is called off.

Run `leveret serve`, and then
.venv/bin/python examples/queues/delayed.py
"""

from __future__ import annotations

import os
import sys
import time

from leveret import connect
from leveret.client import LeveretError

URL = os.environ.get("LEVERET_SERVER", "http://127.0.0.1:8080")
HOUR = 3600  # seconds


def main() -> None:
    with connect(URL) as client:
        reminders = client.queue("examples", "reminders")
        reminders.purge()  # of an earlier run
        start = time.monotonic()

        # `ttl` counts from now as well: longer than `hide`, or the message expires before anybody can see it.
        reminders.put("tea is ready", id="tea", hide=2, ttl=HOUR)
        reminders.put("call Ada", id="call", hide=1, ttl=HOUR)
        reminders.put("leave for the train", id="train", hide=1, ttl=HOUR)
        reminders.put("water the plants", id="plants", hide=1, ttl=HOUR)

        # By its id, a message is reached though it is hidden.
        reminders.change("train", hide=3)
        reminders.delete("plants")

        for _ in range(3):
            claim = reminders.claim(wait=20)  # the server answers in the moment in which one is due
            assert claim is not None
            with claim:
                print(f"after {time.monotonic() - start:.0f} s: {claim.text}", flush=True)


if __name__ == "__main__":
    try:
        main()
    except LeveretError as error:  # such as a server that isn't there
        sys.exit(str(error))
