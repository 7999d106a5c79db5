"""Whether a server syncs what it acknowledges, as the kernel sees it: strace counts the calls during a load."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
from pathlib import Path

from bench.peers.load import LoadFailed, Pressure
from bench.peers.peer import Peer
from bench.peers.processes import Server

_CALLS = ("fsync", "fdatasync", "sync_file_range", "msync", "syncfs")
# Share of the time, seconds, microseconds per call, calls, errors where there were any, and the name.
_LINE = re.compile(rf"^\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+)\s+(?:\d+\s+)?({'|'.join(_CALLS)})$", re.MULTILINE)


def missing() -> str | None:
    return None if shutil.which("strace") else "apt-get install strace"


def count(peer: Peer, server: Server, pressure: Pressure, folder: Path) -> dict[str, int]:
    """The calls of each kind while messages are published, and the messages. strace makes a server slower."""
    output = folder / "strace"
    pids = server.pids()
    attached = [word for pid in pids for word in ("-p", str(pid))]
    command = ["strace", "-f", "-c", "-e", f"trace={','.join(_CALLS)}", "-o", str(output), *attached]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        for _ in pids:  # a line for each, when it is traced
            line = process.stderr.readline()
            if "attached" not in line:
                raise LoadFailed(f"strace: {line.strip() or 'it ended'}")
        messages = peer.publish(server, pressure).messages
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate()
    return {"messages": messages, **counted(output.read_text())}


def counted(summary: str) -> dict[str, int]:
    """The calls in a summary of strace, by name."""
    return {name: int(calls) for calls, name in _LINE.findall(summary)}
