"""The ceiling: httptools on uvloop, answering a constant. What no Python server on these two can be faster than."""

from __future__ import annotations

import asyncio
from typing import cast

import httptools
import uvloop

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Constant(asyncio.Protocol):
    """Parses requests, and looks at nothing of them but where they end."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.parser = httptools.HttpRequestParser(self)

    def data_received(self, data: bytes) -> None:
        self.parser.feed_data(data)

    def on_message_complete(self) -> None:
        self.transport.write(ANSWER)


async def main() -> None:
    server = await asyncio.get_running_loop().create_server(Constant, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    print(f"ceiling is ready on http://127.0.0.1:{port}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main())
