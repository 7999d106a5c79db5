"""The protocol of NATS, as far as JetStream needs it: requests are messages with a subject to answer to."""

from __future__ import annotations

import json
import socket

from bench.peers.talks import BODY, Talk, Unexpected

STREAM, SUBJECT, CONSUMER = "BENCH", "bench.jobs", "workers"
_CONNECT = (
    b'CONNECT {"verbose":false,"pedantic":false,"lang":"bench","version":"1","headers":true,"no_responders":true}'
)
_AHEAD = 64  # messages that a connection asks for at a time


def publish(subject: str, reply: str, body: bytes) -> bytes:
    return b"PUB %s %s %d\r\n%s\r\n" % (subject.encode(), reply.encode(), len(body), body)


def read(data: bytes) -> tuple[list[tuple[bytes, bytes]], bytes]:
    """Whole messages, as their subject to answer to (or b"") and their payload, headers included; and what is left."""
    found: list[tuple[bytes, bytes]] = []
    at = 0
    while (end := data.find(b"\r\n", at)) >= 0:
        line = data[at:end]
        if line.startswith((b"MSG ", b"HMSG ")):
            words = line.split(b" ")
            size = int(words[-1])
            if len(data) < end + 4 + size:
                break
            bare = 4 if words[0] == b"MSG" else 5  # words where there is nobody to answer
            found.append((words[3] if len(words) > bare else b"", data[end + 2 : end + 2 + size]))
            at = end + 4 + size
        elif line in (b"PING", b"PONG", b"+OK") or line.startswith(b"INFO "):
            at = end + 2
        else:
            raise Unexpected(line)
    return found, data[at:]


class _Nats(Talk):
    def __init__(self, number: int) -> None:
        super().__init__(number)
        # A fetch outlives its connection: what comes of it must find nobody.
        self.inbox = f"_INBOX.{type(self).__name__}{number}"

    def open(self, connection: socket.socket) -> None:
        connection.sendall(_CONNECT + b"\r\nSUB %s 1\r\nPING\r\n" % self.inbox.encode())
        data = b""
        while not data.endswith(b"PONG\r\n"):
            data += connection.recv(1 << 16)

    def ask(self, connection: socket.socket, subject: str, body: dict[str, object]) -> None:
        """A request to JetStream itself, blocking."""
        connection.sendall(publish(subject, self.inbox, json.dumps(body).encode()))
        data = b""
        while not (found := read(data))[0]:
            data += connection.recv(1 << 16)
        if "error" in json.loads(found[0][0][1]):
            raise Unexpected(found[0][0][1])


class Prepare(_Nats):
    """Makes the stream, a work queue in files, and the consumer that all connections share."""

    def open(self, connection: socket.socket) -> None:
        super().open(connection)
        stream = {"name": STREAM, "subjects": [SUBJECT], "retention": "workqueue", "storage": "file", "num_replicas": 1}
        self.ask(connection, f"$JS.API.STREAM.CREATE.{STREAM}", dict(stream))
        consumer = {"durable_name": CONSUMER, "ack_policy": "explicit", "max_ack_pending": 100_000}
        self.ask(
            connection,
            f"$JS.API.CONSUMER.DURABLE.CREATE.{STREAM}.{CONSUMER}",
            {"stream_name": STREAM, "config": consumer},
        )


class Put(_Nats):
    def __init__(self, number: int) -> None:
        super().__init__(number)
        self._put = publish(SUBJECT, self.inbox, BODY)

    def first(self) -> bytes:
        return self._put

    def answered(self, data: bytes) -> tuple[bytes, int]:
        found, self.buffer = read(self.buffer + data)
        if not found:  # a PING; the server gives up on who doesn't answer it after minutes
            return b"", 0
        if b'"seq":' not in found[0][1]:
            raise Unexpected(found[0][1])
        return self._put, len(found)


class Take(_Nats):
    """Fetch messages, acknowledge each, and fetch again when all that were asked for have come."""

    pushed = True

    def __init__(self, number: int) -> None:
        super().__init__(number)
        asked = json.dumps({"batch": _AHEAD, "expires": 30_000_000_000}).encode()
        self._fetch = publish(f"$JS.API.CONSUMER.MSG.NEXT.{STREAM}.{CONSUMER}", self.inbox, asked)
        self._due = _AHEAD

    def first(self) -> bytes:
        return self._fetch

    def answered(self, data: bytes) -> tuple[bytes, int]:
        found, self.buffer = read(self.buffer + data)
        acknowledged = [b"PUB %s 4\r\n+ACK\r\n" % reply for reply, _ in found if reply]
        self._due -= len(acknowledged)
        if self._due <= 0:
            self._due += _AHEAD
            return b"".join(acknowledged) + self._fetch, len(acknowledged)
        return b"".join(acknowledged), len(acknowledged)
