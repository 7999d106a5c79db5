"""Lists, loads and unloads modules of a running server, for its admins. One change at a time, and none on a loop.

The kernel's calls block, and a shutdown has the kernel to itself: a change that waits for it then is answered at once,
that it is not done, and nobody waits for the thread in which it is asked.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar, Final

from scalestack.audit.trail import Audit
from scalestack.auth.authority import Authority
from scalestack.config import ConfigError, neighbours
from scalestack.event.loops import LoopThread
from scalestack.event.pending import Answer, Pending
from scalestack.event.worker import Worker
from scalestack.http.message import Request, Response
from scalestack.http.problem import HttpError
from scalestack.http.router import ADMIN, Route
from scalestack.http.server import HttpServer
from scalestack.kernel import Kernel, KernelError, ModuleStatus
from scalestack.log import Logger
from scalestack.module import Module, Needs, NoConfig

_log = Logger("scalestack.admin")

_JSON: Final = b"application/json"
_ONE: Final = "/admin/modules/{name}"

# Why a module may not be loaded in a running server, in one line; None where it may.
Forbids = Callable[[str], str | None]


def allow_all(name: str) -> str | None:
    """No module is kept from being loaded."""
    return None


class Admin:
    """The handlers. `close` ends what is under way."""

    def __init__(self, kernel: Kernel, audit: Audit, forbids: Forbids, own: str) -> None:
        """`own` is the name of the module that these are of."""
        self._kernel = kernel
        self._audit = audit
        self._forbids = forbids
        self._own = own
        self._worker = Worker("admin")
        self._waiting: dict[Pending[Any], LoopThread] = {}  # changes that are not answered yet
        self._closed = False
        self._waiting_lock = threading.Lock()  # guards the two above

    def routes(self) -> list[Route]:
        return [
            Route("GET", "/admin/modules", self.list, action=ADMIN),
            Route("PUT", _ONE, self.load, action=ADMIN),
            Route("DELETE", _ONE, self.unload, action=ADMIN),
        ]

    def list(self, request: Request) -> Response:
        _refuse_extras(request)
        return _answer({"modules": [_object(status) for status in self._kernel.status()]})

    def load(self, request: Request, name: str) -> Answer[Response]:
        _refuse_extras(request)
        change = partial(self._change, request, partial(self._load, name))
        return _then_answer(self._audit.recorded(request, "module.load", change, _if_any, module=name))

    def unload(self, request: Request, name: str) -> Answer[Response]:
        _refuse_extras(request)
        change = partial(self._change, request, partial(self._unload, name))
        return _then_answer(self._audit.recorded(request, "module.unload", change, lambda _: {}, module=name))

    def close(self) -> None:
        """Take no more changes, and answer those that wait that they are not done. Doesn't block."""
        with self._waiting_lock:
            self._closed = True
            waiting, self._waiting = self._waiting, {}
        for answer, thread in waiting.items():
            thread.post(answer.fail, _ending())
        self._worker.close()

    def _change(self, request: Request, change: Callable[[], dict[str, Any]]) -> Answer[dict[str, Any]]:
        """Have it made in the thread for that."""
        assert request.connection is not None
        thread = request.connection.thread
        answer: Pending[dict[str, Any]] = Pending()
        with self._waiting_lock:
            if self._closed:
                raise _ending()
            self._waiting[answer] = thread

        def run() -> None:
            if self._closed:
                return
            result: dict[str, Any] | Exception
            try:
                result = change()
            except Exception as error:
                result = error
            with self._waiting_lock:
                self._waiting.pop(answer, None)
            thread.post(answer.fail if isinstance(result, Exception) else answer.resolve, result)

        self._worker.do(run)
        return answer

    # In the worker's thread.

    def _load(self, name: str) -> dict[str, Any]:
        before = self._known(name)
        try:
            for each in self._kernel.plan([name]):
                reason = self._forbids(each)
                if reason is not None:
                    raise HttpError(409, "module-refused", reason)
            self._kernel.load(name)
        except KernelError as error:
            raise _failed(name, "loaded", error) from error
        loaded = [
            each for each, status in self._statuses().items() if _is_loaded(status) and not _is_loaded(before[each])
        ]
        for each in loaded:
            _log.info("a module was loaded", module=each)
        return {"loaded": loaded}

    def _unload(self, name: str) -> dict[str, Any]:
        status = self._known(name)[name]
        if not _is_loaded(status):
            raise HttpError(409, "module-not-loaded", f"module '{name}' is not loaded")
        if name == self._own:
            raise HttpError(
                409, "module-in-use", f"module '{name}' is in use by this request; stop the server to end it"
            )
        if status.used_by:
            users = ", ".join(f"'{user}'" for user in status.used_by)
            raise HttpError(409, "module-in-use", f"module '{name}' is in use by {users}; unload that first")
        try:
            self._kernel.unload(name)
        except KernelError as error:
            raise _failed(name, "unloaded", error) from error
        _log.info("a module was unloaded", module=name)
        return {"unloaded": name}

    def _known(self, name: str) -> Mapping[str, ModuleStatus]:
        statuses = self._statuses()
        if name not in statuses:
            raise HttpError(404, "unknown-module", f"there is no module '{name}'; {neighbours(name, statuses)}")
        return statuses

    def _statuses(self) -> dict[str, ModuleStatus]:
        return {status.name: status for status in self._kernel.status()}


class AdminModule(Module[NoConfig]):
    """Serves /admin/modules."""

    name = "admin"
    # The authority, so that what is asked for rights is there as long as this is.
    depends = (Kernel, HttpServer, Authority, Audit)
    forbids: ClassVar[Forbids] = staticmethod(allow_all)

    def __init__(self, config: NoConfig, needs: Needs) -> None:
        super().__init__(config, needs)
        self._http = needs[HttpServer]
        self._admin = Admin(needs[Kernel], needs[Audit], type(self).forbids, self.name)
        self._routes = self._admin.routes()

    @classmethod
    def forbidding(cls, forbids: Forbids) -> type[AdminModule]:
        """This module, for a server some of whose modules may not be loaded while it runs."""
        return type(cls.__name__, (cls,), {"forbids": staticmethod(forbids)})

    def start(self) -> None:
        self._http.mount(self._routes)

    def drain(self) -> None:
        self._admin.close()

    def stop(self) -> None:
        self._http.unmount(self._routes)
        self._admin.close()


def _refuse_extras(request: Request) -> None:
    """To ignore them would leave their sender believing that they did something."""
    if request.query_string:
        raise HttpError(400, "unknown-parameter", "there are no parameters here")
    if request.body:
        raise HttpError(400, "unexpected-body", "no body is taken here: the module's name is in the path")


def _object(status: ModuleStatus) -> dict[str, Any]:
    return {
        "name": status.name,
        "state": status.state,
        "depends": list(status.depends),
        "used_by": list(status.used_by),
    }


def _is_loaded(status: ModuleStatus) -> bool:
    return status.state == "loaded"


def _if_any(result: Mapping[str, Sequence[str]]) -> Mapping[str, Any] | None:
    """What was loaded; what was there before is nothing to write down."""
    return result if result["loaded"] else None


def _then_answer(result: Answer[dict[str, Any]]) -> Answer[Response]:
    return result.then(_answer) if isinstance(result, Pending) else _answer(result)


def _answer(value: Any) -> Response:
    return Response(200, json.dumps(value, separators=(",", ":")).encode(), _JSON)


def _failed(name: str, done: str, error: KernelError) -> HttpError:
    # A setting that is wrong is said in one line.
    told = bool(error.errors) and all(isinstance(each, ConfigError) for each in error.errors)
    _log.error("a module could not be " + done, module=name, error=str(error), exc_info=None if told else error)
    return HttpError(409, "module-failed", str(error))


def _ending() -> HttpError:
    return HttpError(503, "draining", "the server is about to end, and loads and unloads nothing any more")
