"""A web page that shows the messages of a queue as they come, by server-sent events, and puts new ones.

Run `leveret serve`, then this, and open the address that it prints in two windows
.venv/bin/python examples/queues/web_page.py [PORT]

A page may speak to the server that it came from and to no other, and so this one hands the queue's stream on to it.
"""

from __future__ import annotations

import http.client
import os
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

LEVERET = urlsplit(os.environ.get("LEVERET_SERVER", "http://127.0.0.1:8080")).netloc
QUEUE = "/v1.1/examples/chat"
PAGE = Path(__file__).with_name("web_page.html")
AWAY = (OSError, http.client.HTTPException)  # what a connection raises whose other end is not there, or is no more


class Handler(BaseHTTPRequestHandler):
    """The page, the stream of the queue, and what is put into it; each connection has a thread."""

    def do_GET(self) -> None:
        if self.path == "/":
            self._answer(200, "text/html; charset=utf-8", PAGE.read_bytes())
        elif self.path == "/events":
            self._hand_on()
        else:
            self.send_error(404)

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        leveret = http.client.HTTPConnection(LEVERET)
        try:
            leveret.request("PUT", f"{QUEUE}/{os.urandom(8).hex()}?ttl=3600", body)
            self._answer(leveret.getresponse().status)
        except AWAY:
            self._answer(502)
        finally:
            leveret.close()

    def _hand_on(self) -> None:
        """Every byte of the stream, as soon as it comes: events, and a comment each 15 seconds where there are none."""
        headers = {"Accept": "text/event-stream"}
        if last := self.headers.get("Last-Event-ID"):
            headers["Last-Event-ID"] = last
        leveret = http.client.HTTPConnection(LEVERET)
        try:
            leveret.request("GET", QUEUE, headers=headers)
            stream = leveret.getresponse()
            self.send_response(stream.status)
            self.send_header("Content-Type", stream.headers["Content-Type"])
            self.end_headers()
            while piece := stream.read1(65536):
                self.wfile.write(piece)
        except AWAY:
            pass  # the page was closed; or the queue is away, and the browser asks again
        finally:
            leveret.close()

    def _answer(self, status: int, kind: str = "text/plain", body: bytes = b"") -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing of each request."""


def main() -> None:
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 8000
    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    print(f"the page is ready on http://127.0.0.1:{server.server_port}", flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        print("stopped")


if __name__ == "__main__":
    main()
