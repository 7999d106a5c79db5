"""A server that reads nothing: what a connection costs that uvloop holds for a protocol without a thought."""

from __future__ import annotations

import asyncio

import uvloop


class Bare(asyncio.Protocol):
    """Keeps its transport, as any protocol has to that will answer."""

    __slots__ = ("transport",)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport


async def main() -> None:
    server = await asyncio.get_running_loop().create_server(Bare, "127.0.0.1", 0, backlog=4096)
    port = server.sockets[0].getsockname()[1]
    print(f"bare is ready on http://127.0.0.1:{port}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main())
