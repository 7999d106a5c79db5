"""Random bytes to the socket: they kill nothing, and nothing of them is left."""

import os
import random
import socket
import struct
import threading
from contextlib import suppress
from pathlib import Path

from support.process import leveret
from support.web import PATIENCE, Raw, eventually

STRINGS = 100_000
THREADS = 4
GROWTH = 8 << 20  # bytes that the server may grow by between the halves; a leak of 200 bytes a string would pass it
ABORT = struct.pack("ii", 1, 0)  # SO_LINGER: closes without leaving a port behind that waits

SEEDS = [
    b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    b"PUT /v1.0/a/q/m?ttl=1 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
    b"PUT /v1.0/a/q/m HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    b"POST /v1.0/a/q?limit=1&hide=1&detail=all&wait=1 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    b"DELETE /v1.0?limit=1 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    b"GET /v1.0/a/q/%6d?detail=body HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\r\n",
]


def string(rng):
    """Noise, or a request with some of it damaged, doubled, cut off or put elsewhere."""
    if rng.random() < 0.25:
        return rng.randbytes(rng.randrange(1, 200))
    data = bytearray(rng.choice(SEEDS))
    for _ in range(rng.randrange(1, 4)):
        at = rng.randrange(len(data) + 1)
        choice = rng.randrange(5)
        if choice == 0:
            data[at:at] = rng.randbytes(rng.randrange(1, 5))
        elif choice == 1:
            del data[at : at + rng.randrange(1, 10)]
        elif choice == 2 and at < len(data):
            data[at] = rng.randrange(256)
        elif choice == 3:
            data[at:at] = data[at : at + rng.randrange(1, 30)]
        else:
            data[at:at] = rng.choice([b"\r\n", b"\n", b"\r", b"\0", b" ", b":", b"%", b"0", b"\t", b"\r\n "])
        if not data:
            return b"\n"
    return bytes(data)


def throw(port, seed, count):
    """Send so many strings, each on its own connection, and read now and then what comes back."""
    rng = random.Random(seed)
    for _ in range(count):
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ABORT)
            try:
                sock.sendall(string(rng))
                if rng.random() < 0.1:
                    sock.shutdown(socket.SHUT_WR)
                    while sock.recv(65536):
                        pass
            except ConnectionError:
                continue


def throw_all(port, seed, count):
    throwers = [threading.Thread(target=throw, args=(port, seed + index, count // THREADS)) for index in range(THREADS)]
    for thrower in throwers:
        thrower.start()
    for thrower in throwers:
        thrower.join()


def test_a_hundred_thousand_random_strings():
    with leveret("--set", "event.threads=2") as server:
        folder = Path(f"/proc/{server.popen.pid}")

        def sockets():
            found = 0
            for link in (folder / "fd").iterdir():
                with suppress(FileNotFoundError):  # closed meanwhile
                    found += str(link.readlink()).startswith("socket:")
            return found

        def memory():
            return int((folder / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

        before = sockets()

        def purge():
            with Raw(server.port) as raw:  # some of the strings were good enough to put messages
                raw.send(b"DELETE /v1.0 HTTP/1.1\r\nHost: a\r\n\r\n").answer()

        throw_all(server.port, 1, STRINGS // 2)
        purge()
        half = memory()
        throw_all(server.port, 1000, STRINGS // 2)
        purge()
        eventually(lambda: sockets() == before)
        grown = memory() - half
        assert grown < GROWTH, f"it grew by {grown / (1 << 20):.1f} MB"
        with Raw(server.port) as raw:
            assert raw.send(SEEDS[0]).answer().status == 200
        server.popen.terminate()
        assert server.wait() == 0
        assert server.popen.stderr.read().count("\n") == 1, "it said more than that it stops"
