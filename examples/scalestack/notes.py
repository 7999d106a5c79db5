"""A small HTTP service on Scale Stack: notes that are kept while it runs, for those who know the token.

.venv/bin/python examples/scalestack/notes.py http.port=8090 notes.token=secret
curl -H 'Authorization: Bearer secret' -X PUT -d 'buy milk' http://127.0.0.1:8090/notes/shopping
curl -H 'Authorization: Bearer secret' http://127.0.0.1:8090/notes/shopping
"""

from __future__ import annotations

import hmac
import os
import sys
from dataclasses import dataclass
from typing import Annotated

from scalestack.auth.authority import Authority, Denied
from scalestack.auth.module import AuthModule
from scalestack.auth.principal import Principal
from scalestack.config import Between, ConfigError, Settings, parse_assignment
from scalestack.event.module import EventModule
from scalestack.http.message import Request, Response
from scalestack.http.module import HttpModule
from scalestack.http.problem import HttpError
from scalestack.http.router import Route
from scalestack.http.server import HttpServer
from scalestack.kernel import Kernel
from scalestack.log import Log, Logger
from scalestack.log.module import LogModule
from scalestack.module import Module, Needs
from scalestack.net.module import NetModule
from scalestack.run import run

log = Logger("notes")


@dataclass(frozen=True)
class NotesConfig:
    token: str  # what a client must show
    most: Annotated[int, Between(1, None)] = 100  # notes that are kept


class NotesModule(Module[NotesConfig]):
    """Mounts its routes on the HTTP server that the kernel hands to it, and says who may ask for them."""

    name = "notes"
    Config = NotesConfig
    depends = (HttpServer, Authority, Log)
    challenges = (b'Bearer realm="notes"',)

    def __init__(self, config: NotesConfig, needs: Needs) -> None:
        super().__init__(config, needs)
        self._notes: dict[str, bytes] = {}
        self._http = needs[HttpServer]
        self._authority = needs[Authority]
        paths = "/notes/{name}"
        self._routes = [Route("GET", paths, self.get, action="read"), Route("PUT", paths, self.put, action="write")]

    def start(self) -> None:
        self._authority.register(self)
        self._http.mount(self._routes)

    def stop(self) -> None:
        self._http.unmount(self._routes)
        self._authority.deregister(self)

    def authenticate(self, request: Request) -> Principal | None:
        shown = request.header(b"authorization")
        if shown is None:
            return None
        if not hmac.compare_digest(shown, b"Bearer " + self.config.token.encode()):
            raise Denied("it is not the token")
        return Principal("who knows the token", None, frozenset({"read", "write"}))

    def version(self) -> int:
        return 0  # the token never changes

    def get(self, request: Request, name: str) -> Response:
        if name not in self._notes:
            raise HttpError(404, "no-such-note", f"there is no note '{name}'; PUT one here to make it")
        return Response(200, self._notes[name], b"text/plain; charset=utf-8")

    def put(self, request: Request, name: str) -> Response:
        if name not in self._notes and len(self._notes) >= self.config.most:
            raise HttpError(507, "full", f"there are {self.config.most} notes, and no more are kept")
        self._notes[name] = request.body
        log.info("a note was written", name=name, size=len(request.body))
        return Response(204)


def main() -> None:
    all_of_them = (LogModule, EventModule, NetModule, HttpModule, AuthModule, NotesModule)
    modules = {module.name: module for module in all_of_them}
    sections = {name: module.Config for name, module in modules.items()}
    try:
        overrides = [parse_assignment(text, origin="the command line") for text in sys.argv[1:]]
        settings = Settings.load(sections, file=None, environ=os.environ, prefix="NOTES", overrides=overrides)
    except ConfigError as error:
        sys.exit(f"notes: {error}")
    kernel = Kernel(modules, lambda name, _: settings.section(name))

    def start() -> None:
        kernel.load("notes")
        kernel.get(HttpServer).listen()
        print(f"notes is ready on {kernel.get(HttpServer).urls[0]}", flush=True)

    run(start, stop=lambda: kernel.shutdown(5), reload=kernel.reload)


if __name__ == "__main__":
    main()
