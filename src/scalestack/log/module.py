"""The log module: all records of the process go to one writer: those of `logging`, and those of structlog where it has
been imported before the module starts. What nobody uses is not imported for it."""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TextIO, TypeVar, cast

from scalestack.config import Between
from scalestack.log import Log, Said
from scalestack.log.render import Event, plain, redact_target, render_json, text_renderer
from scalestack.log.writer import Writer
from scalestack.module import Module, Needs

T = TypeVar("T")


@dataclass(frozen=True)
class LogConfig:
    format: Literal["auto", "text", "json"] = "auto"  # auto: text on a terminal, JSON elsewhere
    level: Literal["debug", "info", "warning", "error", "critical"] = "info"  # the least that is written
    access: bool = False  # one record for each request, whatever the level is
    backlog: Annotated[int, Between(1, None)] = 10_000  # records that wait to be written; more are dropped and counted


class LogModule(Module[LogConfig]):
    """Provides `Log`. While it is loaded, it has taken the place of the root logger's handlers."""

    name = "log"
    Config = LogConfig
    provides = (Log,)

    def __init__(self, config: LogConfig, needs: Needs, stream: TextIO | None = None) -> None:
        """`stream` takes the place of standard error."""
        super().__init__(config, needs)
        self._stream = stream
        self._writer = Writer(config.backlog)
        self._log = Log(_access_log(self._writer) if config.access else None)
        self._restore: Callable[[], None] | None = None

    def provider(self, interface: type[T]) -> T:
        return cast("T", self._log)

    def start(self) -> None:
        stream = self._stream if self._stream is not None else sys.stderr
        terminal = stream.isatty()
        text = self.config.format == "text" or (self.config.format == "auto" and terminal)
        colors = terminal and not os.environ.get("NO_COLOR")  # https://no-color.org
        self._writer.start(stream, text_renderer(colors) if text else render_json)
        self._restore = _install(_Handler(self._writer), getattr(logging, self.config.level.upper()))

    def stop(self) -> None:
        restore, self._restore = self._restore, None
        if restore is not None:
            restore()
        self._writer.stop()


def _install(handler: logging.Handler, level: int) -> Callable[[], None]:
    """Have all loggers write to `handler`; answers what puts back all as it was."""
    root = logging.getLogger()
    old_handlers, old_level = root.handlers[:], root.level
    root.handlers[:] = [handler]
    root.setLevel(level)
    restore_structlog = _install_structlog(level)

    def restore() -> None:
        root.handlers[:] = old_handlers
        root.setLevel(old_level)
        restore_structlog()

    return restore


def _install_structlog(level: int) -> Callable[[], None]:
    """Have its loggers write to those of `logging`, where there are any; answers what puts back all as it was."""
    if "structlog" not in sys.modules:
        return lambda: None
    import structlog  # noqa: PLC0415 - only where others have done so: it takes a tenth of the time that a start takes

    old = structlog.get_config() if structlog.is_configured() else None
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,  # a logger that was used must follow when all is put back
    )
    return structlog.reset_defaults if old is None else lambda: structlog.configure(**old)


class _Handler(logging.Handler):
    """Makes an event of each record. Renders nothing, and holds no lock: that would make one loop wait for another."""

    def __init__(self, writer: Writer) -> None:
        super().__init__()
        self._writer = writer

    def handle(self, record: logging.LogRecord) -> bool:
        passed: object = self.filter(record)
        if isinstance(passed, logging.LogRecord):  # a filter may give another record, from Python 3.12 on
            record = passed
        if passed:
            self.emit(record)
        return bool(passed)

    def emit(self, record: logging.LogRecord) -> None:
        said = _values(record)
        exc_info = _exc_info(said.pop("exc_info", None) or record.exc_info)
        event: Event = {
            **plain(said),
            "time": record.created,
            "level": record.levelname.lower(),
            "logger": "" if record.name == "root" else record.name,
        }
        if exc_info is not None:
            event["exc_info"] = exc_info
        self._writer.put(event)


def _values(record: logging.LogRecord) -> MutableMapping[str, Any]:
    """What was said: the event, and the values with it."""
    message: object = record.msg
    if isinstance(message, Said):
        return {"event": message.event, **message.values}
    # structlog's wrap_for_formatter leaves the event itself in the place of the message.
    if isinstance(message, dict) and hasattr(record, "_logger"):
        return dict(message)
    return {"event": _said(record)}


def _said(record: logging.LogRecord) -> object:
    if not record.args:
        return record.msg  # bytes, for one, are then shown as their length
    try:
        return record.getMessage()
    except Exception:
        return f"{record.msg} (its arguments do not fit)"


def _exc_info(given: object) -> Any:
    """structlog and logging take True, an exception, or a triple."""
    if isinstance(given, BaseException):
        return (type(given), given, given.__traceback__)
    if given is True:
        given = sys.exc_info()
    return given if isinstance(given, tuple) and len(given) == 3 and given[0] is not None else None


def _access_log(writer: Writer) -> Callable[[str, str, str, int, int, float], None]:
    def access(peer: str, method: str, target: str, status: int, sent: int, seconds: float) -> None:
        event: Event = {
            "time": time.time(),
            "level": "info",
            "logger": "access",
            "event": "request",
            "method": method,
            "target": redact_target(target),
            "status": status,
            "peer": peer,
            "sent": sent,
            "seconds": round(seconds, 6),
        }
        writer.put(event)

    return access
