"""A second machine at the end of a wire, as far as the kernel can tell: a network namespace whose wire can be cut."""

from __future__ import annotations

import ctypes
import os
import shutil
import socket
import subprocess
import threading
from concurrent.futures import Future
from pathlib import Path
from typing import Final, Self

from support.web import PATIENCE

_CLONE_NEWNET: Final = 0x40000000

# Takes it all away when the pipe that it reads from is closed, by the test or by the end of the test's process.
_GUARD: Final = 'cat; ip netns delete "$1"; ip link delete "$2" 2>/dev/null'


def unavailable() -> str | None:
    """Why there can be none here; None where there can."""
    if os.geteuid() != 0:
        return "only root can make network namespaces"
    for tool in ("ip", "nft"):
        if shutil.which(tool) is None:
            return f"'{tool}' is missing, which makes network namespaces and cuts them off (iproute2, nftables)"
    tried = subprocess.run(["unshare", "--net", "true"], capture_output=True, text=True, check=False)
    return f"network namespaces can't be made here: {tried.stderr.strip()}" if tried.returncode else None


class FarMachine:
    """It has one wire, to this machine. What it is to be reached by is gone with the block."""

    def __init__(self) -> None:
        number = os.getpid() % 16_384  # a subnet of its own for each process that tests
        self.near = f"10.213.{number // 64}.{number % 64 * 4 + 1}"  # this machine's address on the wire
        self._far = f"10.213.{number // 64}.{number % 64 * 4 + 2}"
        self._name = f"far-{os.getpid()}"
        self._wire = f"wire{number}"
        self._guard: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        # A session of its own, so that Ctrl-C doesn't reach it.
        self._guard = subprocess.Popen(
            ["/bin/sh", "-c", _GUARD, "guard", self._name, self._wire],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            _run("ip", "netns", "add", self._name)
            _run("ip", "link", "add", self._wire, "type", "veth", "peer", "name", "wire", "netns", self._name)
            _run("ip", "address", "add", f"{self.near}/30", "dev", self._wire)
            _run("ip", "link", "set", self._wire, "up")
            self._there("ip", "address", "add", f"{self._far}/30", "dev", "wire")
            self._there("ip", "link", "set", "wire", "up")
            self._there("nft", "add table inet cut")
        except BaseException:
            self.close()
            raise
        return self

    def connect(self, port: int, count: int = 1) -> list[socket.socket]:
        """Connections from there to a port of this machine."""
        made: Future[list[socket.socket]] = Future()

        def there() -> None:
            try:
                self._enter()
                made.set_result([socket.create_connection((self.near, port), PATIENCE) for _ in range(count)])
            except BaseException as error:
                made.set_exception(error)

        # A thread of its own, as it stays in that namespace until it ends. Its sockets can be used from anywhere.
        thread = threading.Thread(target=there)
        thread.start()
        thread.join()
        return made.result()

    def _enter(self) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        descriptor = os.open(Path("/run/netns") / self._name, os.O_RDONLY)
        try:
            if libc.setns(descriptor, _CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), "the namespace can't be entered")
        finally:
            os.close(descriptor)

    def cut(self) -> None:
        """From now on, no packet gets through in either direction, and nobody is told."""
        for hook in ("input", "output"):
            self._there("nft", f"add chain inet cut {hook} {{ type filter hook {hook} priority 0; policy drop; }}")

    def mend(self) -> None:
        """Packets get through again."""
        self._there("nft", "flush table inet cut; delete table inet cut; add table inet cut")

    def _there(self, *command: str) -> None:
        _run("ip", "netns", "exec", self._name, *command)

    def close(self) -> None:
        guard, self._guard = self._guard, None
        if guard is not None:
            assert guard.stdin is not None
            guard.stdin.close()
            guard.wait(PATIENCE)

    def __exit__(self, *_: object) -> None:
        self.close()


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr.strip()}"
