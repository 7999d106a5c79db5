"""Addresses that a server can listen on, and the sockets bound to them. Accepts nothing."""

from __future__ import annotations

import errno
import ipaddress
import os
import socket
import stat
from dataclasses import dataclass
from pathlib import Path


class AddressError(Exception):
    """An address that can't be listened on; its text says which and why."""


@dataclass(frozen=True, slots=True)
class TcpAddress:
    host: str  # a name or an IPv4 or IPv6 address; a name stands for all its addresses
    port: int  # 0 takes a free one

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class UnixAddress:
    path: Path
    mode: int = 0o660  # of the socket file

    def __str__(self) -> str:
        return f"unix:{self.path}"


Address = TcpAddress | UnixAddress


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach what listens on `host`: every address that it stands for is a loopback."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError:
        return False
    return bool(found) and all(ipaddress.ip_address(str(entry[4][0]).split("%")[0]).is_loopback for entry in found)


def bind(address: Address, backlog: int, peer_timeout: float = 60.0) -> list[socket.socket]:
    """Listening, non-blocking sockets for `address`: one for each address that its host stands for.

    What is accepted from them over TCP breaks where the peer's system shows no sign of life for `peer_timeout` seconds.
    """
    if isinstance(address, UnixAddress):
        return [_bind_unix(address, backlog)]
    return _bind_tcp(address, backlog, peer_timeout)


def bound_address(sock: socket.socket) -> Address:
    """What a listening socket is bound to, with the port that it took."""
    name = sock.getsockname()
    if sock.family == socket.AF_UNIX:
        return UnixAddress(Path(os.fsdecode(name)))
    return TcpAddress(name[0], name[1])


def _bind_tcp(address: TcpAddress, backlog: int, peer_timeout: float) -> list[socket.socket]:
    try:
        found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise AddressError(f"can't listen on {address}: the host is unknown ({error.strerror})") from error
    sockets: list[socket.socket] = []
    port = address.port
    try:
        for family, kind, protocol, _, name in dict.fromkeys(found):
            sock = socket.socket(family, kind, protocol)
            sockets.append(sock)
            sock.setblocking(False)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            _watch(sock, peer_timeout)
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            sock.bind((name[0], port, *name[2:]))
            port = port or sock.getsockname()[1]  # a host with several addresses has one port on all of them
            sock.listen(backlog)
    except OSError as error:
        for sock in sockets:
            sock.close()
        reason = _reason(error)
        raise AddressError(f"can't listen on {address}: {reason}") from error
    return sockets


def _watch(sock: socket.socket, seconds: float) -> None:
    """Have the system find out when a peer vanishes without a word. Accepted sockets inherit this.

    Keepalive asks a peer that is silent (RFC 9293 section 3.8.4). Where something was sent that it doesn't acknowledge,
    nobody is asked: then the user timeout counts (RFC 5482), where the system has it.
    """
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    options = {
        "TCP_KEEPIDLE": max(1, round(seconds / 2)),
        "TCP_KEEPINTVL": max(1, round(seconds / 8)),
        "TCP_KEEPCNT": 4,
        "TCP_USER_TIMEOUT": round(seconds * 1000),
    }
    for name, value in options.items():
        option = getattr(socket, name, None)
        if option is not None:
            sock.setsockopt(socket.IPPROTO_TCP, option, value)


def _reason(error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return "the port is in use; stop what listens there, or take another port (0 takes a free one)"
    if error.errno == errno.EACCES:
        return "not permitted; ports below 1024 are for the superuser"
    if error.errno == errno.EADDRNOTAVAIL:
        return "this machine has no such address"
    return error.strerror or str(error)


def _bind_unix(address: UnixAddress, backlog: int) -> socket.socket:
    path = address.path
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.setblocking(False)
    try:
        _remove_stale(path)
        before = os.umask(0o777 & ~address.mode)
        try:
            sock.bind(os.fspath(path))
        finally:
            os.umask(before)
        sock.listen(backlog)
    except OSError as error:
        sock.close()
        raise AddressError(f"can't listen on {address}: {error.strerror or error}") from error
    except AddressError:
        sock.close()
        raise
    return sock


def _remove_stale(path: Path) -> None:
    """Remove the socket file that a server which was killed left behind, and nothing else."""
    try:
        kind = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(kind):
        raise AddressError(f"can't listen on unix:{path}: there is a file of another kind; remove it, or name another")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1)
        try:
            probe.connect(os.fspath(path))
        except ConnectionRefusedError:
            path.unlink()
        else:
            raise AddressError(f"can't listen on unix:{path}: another server listens there")
