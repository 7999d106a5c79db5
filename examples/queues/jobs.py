"""Background jobs: four at a time, each leased while it runs, and tried again later where it fails.

Run `leveret serve`, and then
.venv/bin/python examples/queues/jobs.py put cat.jpg dog.jpg flaky.jpg
.venv/bin/python examples/queues/jobs.py work     # Ctrl-C lets what is running end
"""

from __future__ import annotations

import logging
import os
import sys

from leveret import connect, worker
from leveret.client import Draft, LeveretError, Message, exponential

URL = os.environ.get("LEVERET_SERVER", "http://127.0.0.1:8080")
DAY = 86_400  # seconds; a message lives ten minutes where nobody says otherwise


def put(files: list[str]) -> None:
    """The name of a file is the id of its job: one that is put twice before it is done is there once."""
    with connect(URL) as client:
        client.queue("examples", "jobs").put_many([Draft(file, id=file, ttl=DAY) for file in files])
    print(f"put {', '.join(files)}")


def resize(job: Message) -> None:
    """May be called twice for the same job, as after a crash, and so does nothing that must not be done twice."""
    if "flaky" in job.text and job.deliveries == 1:
        raise OSError(f"{job.text} can't be read just now")
    print(f"resized {job.text}, at attempt {job.deliveries}\n", end="", flush=True)  # in one piece, whatever thread


def work() -> None:
    logging.basicConfig(format="%(message)s")  # the worker says there what failed
    with connect(URL) as client:
        jobs = client.queue("examples", "jobs")
        # A lease of 30 seconds is extended for as long as a job takes; where the worker dies, it is the time after
        # which another takes the job. What raises is there again after 1 second, then 2, 4 and so on.
        make = worker(jobs, concurrency=4, seconds=30, backoff=exponential)
        make(resize).run()
    print("stopped")


def main() -> None:
    match sys.argv[1:]:
        case ["put", *files] if files:
            put(files)
        case ["work"]:
            work()
        case _:
            sys.exit("usage: jobs.py put FILE...\n       jobs.py work")


if __name__ == "__main__":
    try:
        main()
    except LeveretError as error:  # such as a server that isn't there
        sys.exit(str(error))
