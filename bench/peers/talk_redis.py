"""RESP, as far as a queue that loses nothing needs it: a message is moved to a list of what is under way, and removed
there when the work is done. What redis-benchmark can do itself is left to it.
"""

from __future__ import annotations

from bench.peers.talks import BODY, Talk, Unexpected


def command(*words: bytes) -> bytes:
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)


_MOVED, _REMOVED, _EMPTY = b"$%d\r\n%s\r\n" % (len(BODY), BODY), b":1\r\n", b"$-1\r\n"


class Take(Talk):
    """LMOVE to a list of this connection, and LREM: one request each."""

    def __init__(self, number: int, key: str) -> None:
        super().__init__(number)
        busy = b"busy:%d" % number
        self._move = command(b"LMOVE", key.encode(), busy, b"LEFT", b"RIGHT")
        self._remove = command(b"LREM", busy, b"1", BODY)

    def first(self) -> bytes:
        return self._move

    def answered(self, data: bytes) -> tuple[bytes, int]:
        data = self.buffer + data
        self.buffer = b""
        if data == _MOVED:
            return self._remove, 0
        if data == _REMOVED:
            return self._move, 1
        if data == _EMPTY:
            return b"", 0
        if any(whole.startswith(data) for whole in (_MOVED, _REMOVED, _EMPTY)):
            self.buffer = data
            return b"", 0
        raise Unexpected(data)
