"""Give a target bytes for a while: `python tests/fuzz TARGET --seconds 60`. Needs atheris.

What reaches something new is written to --new, where the run goes on the next time; `--merge DIRECTORY` takes from
there into the corpus what it lacks, as little as can be. What breaks a rule is left in a file, that is said by name.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path[0] = str(Path(__file__).parents[1])

from fuzz.targets import TARGETS, Target  # noqa: E402 - tests/ must be on the path first
from support import figures  # noqa: E402

_MOST_FILES = 300  # of a corpus
_MOST_BYTES = 300_000
_SLOWEST = 10  # seconds that an input may take: more is a fault, too


def _engine(target: Target, *arguments: str) -> list[str]:
    return [sys.executable, str(Path(__file__).parent / "engine.py"), target.name, *arguments]


def fuzz(target: Target, seconds: int, new: Path, crashes: Path) -> int:
    """One run, told of once a minute; the exit code."""
    new.mkdir(parents=True, exist_ok=True)
    crashes.mkdir(parents=True, exist_ok=True)
    command = _engine(
        target, str(new), str(target.corpus), f"-max_total_time={seconds}", f"-max_len={target.longest}",
        f"-timeout={_SLOWEST}", f"-artifact_prefix={crashes}/", "-print_final_stats=1", "-rss_limit_mb=2048",
    )  # fmt: skip
    words = Path(__file__).parent / f"{target.name}.dict"
    if words.exists():
        command.append(f"-dict={words}")
    runs = covered = 0
    began = told = time.monotonic()
    shown: list[str] = []
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    ) as run:
        assert run.stdout is not None
        for line in run.stdout:
            if found := re.match(r"#(\d+)\s.*cov: (\d+) ft: ", line):
                runs, covered = map(int, found.groups())
                if time.monotonic() - told >= 60:
                    told = time.monotonic()
                    print(f"{told - began:,.0f} s: {runs:,} runs, {covered:,} edges", flush=True)
            elif found := re.match(r"stat::number_of_executed_units:\s*(\d+)", line):
                runs = int(found[1])
            elif re.match(r"\s*NEW_FUNC|INFO: |\s*#\d+", line) is None:
                shown.append(line)
    took = time.monotonic() - began
    sentence = f"{runs:,} inputs in {took:,.0f} s, {covered:,} edges of the code reached"
    if run.returncode:
        print("".join(shown[-60:]))
        print(f"{sentence}; it ended with {run.returncode}: what broke the rule is in {crashes}", file=sys.stderr)
        return 1
    figures.show(f"fuzz-{target.name}", f"{sentence}: {target.rule}; 0 exceptions")
    return 0


def merge(target: Target, new: Path) -> None:
    """The corpus anew: of it and of what was found, the smallest inputs that reach all that these reach."""
    with tempfile.TemporaryDirectory() as folder:
        merged = Path(folder) / "merged"
        merged.mkdir()
        short = target.longest
        again = Path(folder) / "again"
        again.write_text(f'#!/bin/sh\nexec {shlex.join(_engine(target))} "$@"\n')
        again.chmod(0o700)
        environment = {**os.environ, "LEVERET_FUZZ_AGAIN": str(again)}
        while True:
            shutil.rmtree(merged)
            merged.mkdir()
            command = _engine(target, "-merge=1", f"-max_len={short}", str(merged), str(target.corpus), str(new))
            done = subprocess.run(
                command, capture_output=True, text=True, errors="replace", check=False, env=environment
            )
            if done.returncode or not any(merged.iterdir()):
                sys.exit(done.stdout + done.stderr[-4000:])
            inputs = sorted(merged.iterdir())
            size = sum(each.stat().st_size for each in inputs)
            if len(inputs) <= _MOST_FILES and size <= _MOST_BYTES:
                break
            short = short * 2 // 3
        for old in target.corpus.iterdir():
            if not old.name.startswith("found-"):  # it found a fault once
                old.unlink()
        for each in inputs:
            shutil.copyfile(each, target.corpus / each.name)
    print(f"{len(inputs)} inputs, {size:,} bytes, up to {short:,} each")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python tests/fuzz", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("target", choices=TARGETS)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--new", type=Path, help="where inputs go that reach something new; else they are forgotten")
    parser.add_argument("--crashes", type=Path, default=Path("fuzz-crashes"), help="where inputs go that break a rule")
    parser.add_argument("--merge", type=Path, metavar="DIRECTORY", help="take what was found there into the corpus")
    given = parser.parse_args()
    target = TARGETS[given.target]
    if given.merge is not None:
        merge(target, given.merge)
        return 0
    if given.new is not None:
        return fuzz(target, given.seconds, given.new, given.crashes)
    with tempfile.TemporaryDirectory() as folder:
        return fuzz(target, given.seconds, Path(folder), given.crashes)


if __name__ == "__main__":
    sys.exit(main())
