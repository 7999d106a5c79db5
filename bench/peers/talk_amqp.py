"""AMQP 0-9-1, as RabbitMQ speaks it: frames are made by pamqp before the measurement, and read by their types here."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator

from pamqp import base, body, commands, frame, header

from bench.peers.talks import BODY, Talk, Unexpected

_GREETING = b"AMQP\x00\x00\x09\x01"
_METHOD = 1
_HEAD = struct.Struct(">BHL")  # type, channel, size
_AROUND = 8  # bytes of a frame that are not its payload
_AHEAD = 64  # messages that a connection is sent before it has to acknowledge
_PERSISTENT = 2


def _index(method: type[base.Frame]) -> bytes:
    """How the payload of a method begins."""
    return struct.pack(">L", method.index)


_ACK, _DELIVER = _index(commands.Basic.Ack), _index(commands.Basic.Deliver)


def payloads(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Type, begin and end of each payload that is whole; the next frame begins one byte after the end."""
    at = 0
    while len(data) - at >= _AROUND:
        kind, _, size = _HEAD.unpack_from(data, at)
        if len(data) - at < size + _AROUND:
            return
        yield kind, at + 7, at + 7 + size
        at += size + _AROUND


class _Amqp(Talk):
    def __init__(self, number: int, queue: str) -> None:
        super().__init__(number)
        self.queue = queue

    def open(self, connection: socket.socket) -> None:
        connection.sendall(_GREETING)
        self._expect(connection, commands.Connection.Start)
        login = commands.Connection.StartOk({}, "PLAIN", "\0guest\0guest", "en_US")
        self.ask(connection, login, commands.Connection.Tune, 0)
        connection.sendall(frame.marshal(commands.Connection.TuneOk(2047, 131072, 0), 0))
        self.ask(connection, commands.Connection.Open(), commands.Connection.OpenOk, 0)
        self.ask(connection, commands.Channel.Open(), commands.Channel.OpenOk)

    def ask(self, connection: socket.socket, asked: base.Frame, answer: type[base.Frame], channel: int = 1) -> None:
        connection.sendall(frame.marshal(asked, channel))
        self._expect(connection, answer)

    def _expect(self, connection: socket.socket, answer: type[base.Frame]) -> None:
        while not (found := next(payloads(self.buffer), None)):
            data = connection.recv(1 << 16)
            if not data:
                raise Unexpected(self.buffer)
            self.buffer += data
        _, begin, end = found
        if not self.buffer.startswith(_index(answer), begin):
            raise Unexpected(self.buffer)
        self.buffer = self.buffer[end + 1 :]


class Prepare(_Amqp):
    """Declares the queue, durable and of one type."""

    def __init__(self, number: int, queue: str, kind: str) -> None:
        super().__init__(number, queue)
        self._kind = kind

    def open(self, connection: socket.socket) -> None:
        super().open(connection)
        declared = commands.Queue.Declare(queue=self.queue, durable=True, arguments={"x-queue-type": self._kind})
        self.ask(connection, declared, commands.Queue.DeclareOk)


class Put(_Amqp):
    """Persistent messages with publisher confirms: the next one is sent when the last is confirmed."""

    def __init__(self, number: int, queue: str) -> None:
        super().__init__(number, queue)
        properties = commands.Basic.Properties(delivery_mode=_PERSISTENT)
        self._put = b"".join(
            frame.marshal(part, 1)
            for part in (
                commands.Basic.Publish(routing_key=queue),
                header.ContentHeader(0, len(BODY), properties),
                body.ContentBody(BODY),
            )
        )

    def open(self, connection: socket.socket) -> None:
        super().open(connection)
        self.ask(connection, commands.Confirm.Select(), commands.Confirm.SelectOk)

    def first(self) -> bytes:
        return self._put

    def answered(self, data: bytes) -> tuple[bytes, int]:
        data = self.buffer + data
        found = next(payloads(data), None)
        if found is None:
            self.buffer = data
            return b"", 0
        kind, begin, end = found
        if kind != _METHOD or not data.startswith(_ACK, begin) or end + 1 != len(data):
            raise Unexpected(data)
        self.buffer = b""
        return self._put, 1


class Take(_Amqp):
    """Messages are sent ahead, and each is acknowledged by itself."""

    pushed = True

    def open(self, connection: socket.socket) -> None:
        super().open(connection)
        self.ask(connection, commands.Basic.Qos(prefetch_count=_AHEAD), commands.Basic.QosOk)

    def first(self) -> bytes:
        return frame.marshal(commands.Basic.Consume(queue=self.queue, consumer_tag="bench"), 1)

    def answered(self, data: bytes) -> tuple[bytes, int]:
        data = self.buffer + data
        tags: list[int] = []
        done = 0
        for kind, begin, end in payloads(data):
            if kind == _METHOD and data.startswith(_DELIVER, begin):
                tag_at = begin + 5 + data[begin + 4]  # after the consumer's tag
                tags.append(int.from_bytes(data[tag_at : tag_at + 8], "big"))
            done = end + 1
        self.buffer = data[done:]
        return b"".join(_acknowledge(tag) for tag in tags), len(tags)


def _acknowledge(tag: int) -> bytes:
    return b"\x01\x00\x01\x00\x00\x00\x0d" + _ACK + tag.to_bytes(8, "big") + b"\x00\xce"
