"""beanstalkd's protocol: lines, with a length before each body. One request is under way on a connection."""

from __future__ import annotations

from bench.peers.talks import BODY, Talk, Unexpected

_PUT = b"put 0 0 60 %d\r\n%s\r\n" % (len(BODY), BODY)
_RESERVE = b"reserve-with-timeout 0\r\n"


class Put(Talk):
    def first(self) -> bytes:
        return _PUT

    def answered(self, data: bytes) -> tuple[bytes, int]:
        if self.buffer:
            data = self.buffer + data
        if not data.endswith(b"\r\n"):
            self.buffer = data
            return b"", 0
        if not data.startswith(b"INSERTED "):
            raise Unexpected(data)
        self.buffer = b""
        return _PUT, 1


class Take(Talk):
    """Reserve a job, and delete it when it is there."""

    def first(self) -> bytes:
        return _RESERVE

    def answered(self, data: bytes) -> tuple[bytes, int]:
        data = self.buffer + data
        self.buffer = b""
        line, ended, rest = data.partition(b"\r\n")
        if ended and line == b"DELETED":
            return _RESERVE, 1
        if ended and line == b"TIMED_OUT":
            return b"", 0
        if ended and line.startswith(b"RESERVED "):
            _, job, length = line.split(b" ")
            if len(rest) == int(length) + 2:
                return b"delete %s\r\n" % job, 0
        elif ended:
            raise Unexpected(data)
        self.buffer = data
        return b"", 0
