"""The audit module: one file of who did what, and the layer that sees refusals."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final, TypeVar, cast

from scalestack.audit.file import AppendFile
from scalestack.audit.refusals import Refusals
from scalestack.audit.trail import Audit
from scalestack.data import DataDirectory
from scalestack.event.worker import Worker
from scalestack.http.router import ADMIN
from scalestack.http.server import HttpServer
from scalestack.module import Module, Needs

T = TypeVar("T")

NAME: Final = "audit.jsonl"  # of the file, in a server's data directory


class AuditError(Exception):
    """An audit log that can't be kept: one line, for a person."""


@dataclass(frozen=True)
class AuditConfig:
    # Path of the audit log. Empty: audit.jsonl in the data directory, of what those do who are asked who they are.
    file: str = ""


class AuditModule(Module[AuditConfig]):
    """Provides `Audit`. To see who was refused what, it has to be loaded before the module `auth`."""

    name = "audit"
    Config = AuditConfig
    depends = (HttpServer, DataDirectory)
    provides = (Audit,)
    watched: ClassVar[Collection[str]] = (ADMIN,)  # actions whose refusals are recorded

    def __init__(self, config: AuditConfig, needs: Needs) -> None:
        super().__init__(config, needs)
        self._http = needs[HttpServer]
        self._file = _file(needs[DataDirectory], config.file)
        self._worker = Worker("audit")
        self._audit = Audit(self._file, self._worker, anyone=bool(config.file))
        self._layer = Refusals(self._audit, self.watched)

    @classmethod
    def of(cls, watched: Collection[str]) -> type[AuditModule]:
        """This module, for a service in which the refusals of these actions are recorded."""
        return type(cls.__name__, (cls,), {"watched": watched})

    def provider(self, interface: type[T]) -> T:
        return cast("T", self._audit)

    def start(self) -> None:
        if self.config.file:
            try:
                self._file.reopen()
            except OSError as error:
                raise AuditError(
                    f"audit.file is '{self.config.file}', which can't be written: {error.strerror or error}; "
                    "name a file in a directory that is there and that this user may write to"
                ) from error
        self._http.add_layer(self._layer)

    def stop(self) -> None:
        self._http.remove_layer(self._layer)
        self._worker.join()
        self._file.close()

    def reload(self) -> None:
        """Go on with a new file, where the old one was moved away."""
        self._file.renew()


def open_audit(data: DataDirectory, file: str = "") -> Audit:
    """The audit log of a server with this data directory and this `audit.file`, for a process beside it."""
    return Audit(_file(data, file), Worker("audit"))


def _file(data: DataDirectory, file: str) -> AppendFile:
    return AppendFile(lambda: Path(file) if file else data.file(NAME))
