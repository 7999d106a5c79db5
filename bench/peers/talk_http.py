"""HTTP, as far as taking a message and then deleting it needs it; putting is left to wrk."""

from __future__ import annotations

import json
import socket

from bench.peers.talks import Talk, Unexpected


def request(method: str, target: str, body: bytes = b"", *headers: str) -> bytes:
    lines = [f"{method} {target} HTTP/1.1", "Host: bench", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def answer(data: bytes) -> tuple[int, bytes] | None:
    """Status and body of an answer with a length, once it is whole."""
    head, ended, body = data.partition(b"\r\n\r\n")
    if not ended:
        return None
    status = int(head[9:12])
    at = head.lower().find(b"\r\ncontent-length:")
    length = int(head[at + 17 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
    return (status, body) if len(body) >= length else None


class _Http(Talk):
    def answered(self, data: bytes) -> tuple[bytes, int]:
        data = self.buffer + data
        found = answer(data)
        if found is None:
            self.buffer = data
            return b"", 0
        self.buffer = b""
        return self.next(*found)

    def next(self, status: int, body: bytes) -> tuple[bytes, int]:
        raise NotImplementedError


class Leveret(_Http):
    """Claim a message, and delete it under its receipt."""

    def __init__(self, number: int, queue: str) -> None:
        super().__init__(number)
        self._queue = queue
        self._claim = request("POST", f"{queue}?limit=1&hide=60&detail=all")
        self._deleting = False

    def first(self) -> bytes:
        return self._claim

    def next(self, status: int, body: bytes) -> tuple[bytes, int]:
        if status == 404 and not self._deleting:  # nothing is left
            return b"", 0
        if not 200 <= status < 300:
            raise Unexpected(body)
        self._deleting = not self._deleting
        if not self._deleting:
            return self._claim, 1
        (message,) = json.loads(body)
        return request("DELETE", f"{self._queue}/{message['id']}?receipt={message['receipt']}"), 0


class SqsPrepare(Talk):
    """Makes the queue."""

    def open(self, connection: socket.socket) -> None:
        connection.sendall(sqs("CreateQueue", {"QueueName": "jobs"}))
        while not (found := answer(self.buffer)):
            data = connection.recv(1 << 16)
            if not data:
                raise Unexpected(self.buffer)
            self.buffer += data
        if found[0] != 200:
            raise Unexpected(found[1])


class Sqs(_Http):
    """Receive a message, and delete it by its receipt handle, in Amazon SQS's JSON protocol.

    moto closes the connection after each answer.
    """

    reopened = True

    def __init__(self, number: int, url: str) -> None:
        super().__init__(number)
        self._url = url
        self._receive = sqs("ReceiveMessage", {"QueueUrl": url, "MaxNumberOfMessages": 1, "WaitTimeSeconds": 0})
        self._request = self._receive

    def first(self) -> bytes:
        return self._request

    def next(self, status: int, body: bytes) -> tuple[bytes, int]:
        if status != 200:
            raise Unexpected(body)
        if self._request is not self._receive:
            self._request = self._receive
            return b"", 1
        messages = json.loads(body).get("Messages")
        if messages:
            receipt = messages[0]["ReceiptHandle"]
            self._request = sqs("DeleteMessage", {"QueueUrl": self._url, "ReceiptHandle": receipt})
        return b"", 0


SQS_HEADERS = {
    "Content-Type": "application/x-amz-json-1.0",
    # moto wants to see which service is meant, and doesn't verify what is signed.
    "Authorization": "AWS4-HMAC-SHA256 Credential=bench/20250101/us-east-1/sqs/aws4_request, "
    "SignedHeaders=host, Signature=none",
}


def sqs(action: str, parameters: dict[str, object]) -> bytes:
    headers = {**SQS_HEADERS, "X-Amz-Target": f"AmazonSQS.{action}"}
    lines = [f"{name}: {value}" for name, value in headers.items()]
    return request("POST", "/", json.dumps(parameters).encode(), *lines)
