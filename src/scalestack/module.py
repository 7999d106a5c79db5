"""What a module is: a name, a configuration, what it needs and what it provides. Knows nothing of loading."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Generic, Protocol, TypeVar

T = TypeVar("T")
ConfigT = TypeVar("ConfigT")


@dataclass(frozen=True)
class NoConfig:
    """The configuration of a module that has nothing to configure."""


class Needs(Protocol):
    """What the kernel hands to a module: the provider of each interface that it depends on, typed."""

    def __getitem__(self, interface: type[T], /) -> T: ...


class Module(Generic[ConfigT]):
    """A part of a server that can be loaded and unloaded by itself.

    `depends` and `provides` name interfaces, which are classes. The kernel loads a provider of each
    interface in `depends` first, and unloads none of them while this module is loaded.

    A module is made, started, and later drained, settled and stopped, all by the kernel and one at a time.
    Making one must do no I/O. `start` returns when the module works, or raises, having undone what it did.
    `stop` blocks until nothing of the module runs any more, and may be called twice.
    """

    name: ClassVar[str]
    Config: ClassVar[type[Any]] = NoConfig
    depends: ClassVar[tuple[type[Any], ...]] = ()
    provides: ClassVar[tuple[type[Any], ...]] = ()

    def __init__(self, config: ConfigT, needs: Needs) -> None:
        self.config = config

    def provider(self, interface: type[T]) -> T:
        """The object that answers for `interface`, one of `provides`: the module itself, unless it says otherwise."""
        if not isinstance(self, interface):
            raise TypeError(f"module '{self.name}' provides {interface.__name__} but is none")
        return self

    def start(self) -> None:
        """Begin to work. Returns when the module is ready for those that depend on it."""

    def drain(self) -> None:
        """Take no new work and return at once: the server is about to stop."""

    def settle(self, deadline: float) -> None:
        """Block until the work that was taken is done, or until `deadline` (seconds of `time.monotonic`)."""

    def stop(self) -> None:
        """End, and free everything. Blocks until done; harmless when called again."""

    def reload(self) -> None:
        """Read again what may have changed outside, such as certificates (SIGHUP)."""
