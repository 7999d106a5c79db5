"""`make fuzz-api`: requests made from the API's own description, valid and not, until there were enough of them.

Each answer must be no 5xx, have a status, a content type and headers that are described, and a body of that shape.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from support import figures  # noqa: E402 - tests/ must be on the path first
from support.process import leveret  # noqa: E402

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
)


def fuzz(port: int, examples: int, seed: int) -> tuple[int, bool]:
    """One run: how many requests it made, and whether all answers were as described."""
    command = [
        str(Path(sys.executable).parent / "schemathesis"),
        "--config-file", str(HERE / "schemathesis.toml"),
        "run", f"http://127.0.0.1:{port}/openapi.json",
        "--phases", "examples,coverage,fuzzing", "--max-examples", str(examples), "--seed", str(seed),
        "--checks", ",".join(CHECKS), "--continue-on-failure", "--request-timeout", "10", "--warnings", "off",
    ]  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:  # it leaves its notes where it runs
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
    found = re.search(r"([\d,]+) generated", done.stdout)
    if done.returncode or found is None:
        print(done.stdout, done.stderr)
        return 0, False
    return int(found[1].replace(",", "")), True


def main() -> int:
    parser = argparse.ArgumentParser(prog="python tests/api", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--requests", type=int, default=20_000, help="at least so many")
    parser.add_argument("--examples", type=int, default=250, help="for each operation and run, at most")
    given = parser.parse_args()
    requests = seed = 0
    with tempfile.TemporaryDirectory() as folder:
        while requests < given.requests:
            seed += 1
            with leveret("--store", f"sqlite:///{folder}/{seed}.db", "--set", "sqlite.durability=off") as server:
                made, good = fuzz(server.port, given.examples, seed)
                if not good:
                    return 1
                requests += made
                print(f"{requests:,} requests, all answers as described", flush=True)
    figures.show("api", f"{requests:,} requests, all answers as described")
    return 0


if __name__ == "__main__":
    sys.exit(main())
