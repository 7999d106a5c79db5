"""strace, which can have a system call fail, or kill whoever makes it. Linux; knows no server."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path


@lru_cache
def unavailable() -> str:
    """Why nothing can be traced here, found by tracing something; "" where it can be."""
    strace = shutil.which("strace")
    if strace is None:
        return "there is no strace"
    done = subprocess.run([strace, "-o", os.devnull, "true"], capture_output=True, text=True, check=False)
    return f"strace can't trace here: {done.stderr.strip()}" if done.returncode else ""


def killing(call: str, number: int, paths: Iterable[Path]) -> list[str]:
    """A command that runs a program in its own place, and kills it when one of its threads makes this call to these
    files for the so many-th time; the call is not made."""
    # Without --seccomp-bpf, with which strace 6.1 does not inject into all threads.
    command = ["strace", "-D", "-f", "-qqq", "-o", os.devnull]
    command += ["-e", f"trace={call}", "-e", f"inject={call}:signal=KILL:when={number}"]
    for path in paths:
        command += ["-P", str(path)]
    return command


@contextmanager
def failing_syncs(pid: int, after: int = 0, of: Iterable[Path] = ()) -> Iterator[None]:
    """From here on a process' fsyncs fail, all or those `of` some files; the first `after` of each thread do not."""
    inject = f"inject=fsync,fdatasync:error=EIO:when={after + 1}+"
    command = ["strace", "-f", "-p", str(pid), "-e", "trace=fsync,fdatasync", "-e", inject]
    for path in of:
        command += ["-P", str(path)]
    tracer = subprocess.Popen([*command, "-o", os.devnull], stderr=subprocess.PIPE, text=True)
    with tracer:
        assert tracer.stderr is not None
        line = tracer.stderr.readline()
        while "Requested path" in line:  # it says where a path leads
            line = tracer.stderr.readline()
        assert "attached" in line, line
        try:
            yield
        finally:
            tracer.terminate()
