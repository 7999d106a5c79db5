"""Loads and unloads modules, one at a time, so that what a module needs is there as long as the module is.

All of the graph is settled before the first module starts: `plan` walks it without side effects, `load` then does what
the plan says. What is loaded is one dict that is replaced and never changed, so that `status` and `get` take no lock
and don't wait while a module starts.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Literal, TypeAlias, TypeVar, cast

from scalestack.config import neighbours
from scalestack.module import Module

T = TypeVar("T")

Configure: TypeAlias = Callable[[str, type[Any]], Any]  # a module's name and Config class -> its configuration

GROUP = "scalestack.modules"


class KernelError(Exception):
    """What keeps a module from being loaded, used or stopped: one line, for a person.

    `errors` are the exceptions behind it, where there are any.
    """

    def __init__(self, message: str, errors: Iterable[BaseException] = ()) -> None:
        super().__init__(message)
        self.errors = tuple(errors)

    def __str__(self) -> str:
        return str(self.args[0])  # KeyError, further down in UndeclaredNeed, would quote it


class UndeclaredNeed(KernelError, KeyError):
    """A module asked for the provider of an interface that isn't in its `depends`."""


@dataclass(frozen=True)
class ModuleStatus:
    """A module as `lsmod` would show it."""

    name: str
    state: Literal["loaded", "planned", "available"]
    depends: tuple[str, ...]  # modules; the interface itself, where it is open which module will provide it
    used_by: tuple[str, ...]  # modules


@dataclass(frozen=True)
class _Step:
    """One module to load: `uses` says which module provides each interface, `chain` what led here."""

    name: str
    uses: Mapping[type[Any], str]
    chain: tuple[str, ...]


@dataclass(frozen=True)
class _Loaded:
    module: Module[Any]
    step: _Step
    providers: Mapping[type[Any], object]


class _Needs:
    """The providers of a module's `depends`, and no others."""

    def __init__(self, name: str, providers: Mapping[type[Any], object]) -> None:
        self._name = name
        self._providers = providers

    def __getitem__(self, interface: type[T], /) -> T:
        if interface not in self._providers:
            raise UndeclaredNeed(f"module '{self._name}' asks for {interface.__name__}, which is not in its depends")
        return cast("T", self._providers[interface])


class Kernel:
    """The modules of one process. Any thread may call it; modules themselves may only read from it."""

    def __init__(
        self,
        modules: Mapping[str, type[Module[Any]]],
        configure: Configure,
        *,
        given: Mapping[type[Any], object] | None = None,
        clock: Callable[[], float] | None = None,
    ) -> None:
        """`configure` gives a module's configuration, just before it is made. `clock`: seconds, `time.monotonic`.

        `given` are providers that no module has to be loaded for; the kernel itself is one, for `Kernel`.
        """
        self._modules = dict(modules)
        self._given: dict[type[Any], object] = {Kernel: self, **(given or {})}
        self._configure = configure
        self._clock = clock or time.monotonic
        self._loaded: Mapping[str, _Loaded] = {}  # in load order
        self._change_lock = threading.RLock()  # reentrant so that a module that calls back gets an error, no deadlock
        self._changing = False
        self._ended = False  # by a shutdown

    def load(self, name: str) -> None:
        """Load a module, and first what it depends on; nothing is loaded twice.

        An interface is provided by the module that was loaded first of those that provide it, else by the only one that
        could. `KernelError` where there is none, or a choice, or a cycle, or where a module fails to start: then what
        this call has started is stopped again, and what was loaded before stays.
        """
        with self._change():
            if self._ended:
                raise KernelError("the server has ended, and loads nothing any more")
            begun: list[str] = []
            for step in self._steps([name]):
                try:
                    self._start_locked(step)
                except BaseException as error:
                    problems = self._stop_all_locked(reversed(begun))
                    if not isinstance(error, Exception):
                        for problem in problems:
                            error.add_note(str(problem))
                        raise
                    undone = "".join(f"; and while that was undone: {_text(problem)}" for problem in problems)
                    message = f"module '{step.name}' failed to load: {_text(error)}{_led_by(step.chain)}{undone}"
                    raise KernelError(message, [error, *problems]) from error
                begun.append(step.name)

    def _start_locked(self, step: _Step) -> None:
        cls = self._modules[step.name]
        needs = {interface: self._given[interface] for interface in cls.depends if interface in self._given}
        needs.update((interface, self._loaded[name].providers[interface]) for interface, name in step.uses.items())
        module = cls(self._configure(step.name, cls.Config), _Needs(step.name, needs))
        module.start()
        try:
            providers = {interface: _provider(step.name, module, interface) for interface in cls.provides}
        except BaseException as error:
            # It has started, unlike one whose start() raised, which has undone what it did.
            try:
                module.stop()
            except Exception as problem:
                error.add_note(f"and stopping it failed: {_text(problem)}")
            raise
        self._loaded = {**self._loaded, step.name: _Loaded(module, step, providers)}

    def unload(self, name: str, grace: float = 10.0) -> None:
        """Stop a module, which has `grace` seconds to end its work, and forget it; what it depends on stays loaded.

        `KernelError` where it isn't loaded or another module uses it; or where it failed to stop, but then it is gone.
        """
        with self._change():
            if name not in self._loaded:
                self._check_known(name)
                raise KernelError(f"module '{name}' is not loaded")
            users = _users(name, [loaded.step for loaded in self._loaded.values()])
            if users:
                raise KernelError(f"module '{name}' is in use by {_listed(users)}; unload that first")
            _raise_together("unloading went wrong", self._end_locked([name], grace))

    def shutdown(self, grace: float) -> None:
        """End all modules, the last loaded first: all drain, then settle within `grace` seconds in all, then stop.

        No module keeps another from stopping: what went wrong is raised at the end, as one `KernelError`.
        """
        with self._change():
            self._ended = True
            _raise_together("the shutdown was not clean", self._end_locked(list(self._loaded)[::-1], grace))

    def _end_locked(self, names: Sequence[str], grace: float) -> list[Exception]:
        modules = [self._loaded[name].module for name in names]
        deadline = self._clock() + grace
        errors = _each(names, "drain", [module.drain for module in modules])
        errors += _each(names, "settle", [partial(module.settle, deadline) for module in modules])
        return errors + self._stop_all_locked(names)

    def _stop_all_locked(self, names: Iterable[str]) -> list[Exception]:
        errors: list[Exception] = []
        for name in names:
            errors += _each([name], "stop", [self._loaded[name].module.stop])
            self._loaded = {other: loaded for other, loaded in self._loaded.items() if other != name}
        return errors

    def reload(self) -> None:
        """Have all loaded modules read again what may have changed outside, in load order.

        No module keeps another from it: what went wrong is raised at the end, as one `KernelError`.
        """
        with self._change():
            reloads = [loaded.module.reload for loaded in self._loaded.values()]
            _raise_together("reloading went wrong", _each(list(self._loaded), "reload", reloads))

    def get(self, interface: type[T]) -> T:
        """What provides `interface`: of several modules that do, the one loaded first; `KernelError` for none."""
        for loaded in self._loaded.values():
            if interface in loaded.providers:
                return cast("T", loaded.providers[interface])
        raise KernelError(f"no module that is loaded provides {interface.__name__}")

    def plan(self, names: Iterable[str]) -> list[str]:
        """The modules that loading `names`, one after the other, would load, in order. The errors are those of `load`,
        as far as they can be known before anything starts."""
        return [step.name for step in self._steps(names)]

    def status(self) -> list[ModuleStatus]:
        """All modules: those that are loaded, in load order, then the others, by name."""
        return self._statuses([])

    def preview(self, names: Iterable[str]) -> list[ModuleStatus]:
        """As `status`, with what `plan(names)` would load as "planned", after what is loaded."""
        return self._statuses(self._steps(names))

    def _statuses(self, planned: Sequence[_Step]) -> list[ModuleStatus]:
        loaded = [entry.step for entry in self._loaded.values()]
        steps = [*loaded, *planned]
        rows = [
            ModuleStatus(
                step.name,
                "loaded" if index < len(loaded) else "planned",
                tuple(dict.fromkeys(step.uses.values())),
                tuple(_users(step.name, steps)),
            )
            for index, step in enumerate(steps)
        ]
        present = [step.name for step in steps]
        for name in sorted(self._modules.keys() - set(present)):
            depends = []
            for interface in self._needed(name):
                candidates = self._candidates(interface, present)
                depends.append(candidates[0] if len(candidates) == 1 else interface.__name__)
            rows.append(ModuleStatus(name, "available", tuple(dict.fromkeys(depends)), ()))
        return rows

    def _steps(self, names: Iterable[str]) -> list[_Step]:
        steps: dict[str, _Step] = {}
        loaded = self._loaded
        for name in names:
            self._check_known(name)
            self._visit(name, (), loaded, steps)
        return list(steps.values())

    def _visit(self, name: str, path: tuple[str, ...], loaded: Mapping[str, _Loaded], steps: dict[str, _Step]) -> None:
        if name in loaded or name in steps:
            return
        chain = (*path, name)
        if name in path:
            raise KernelError(f"modules depend on each other in a cycle: {' -> '.join(chain)}")
        uses: dict[type[Any], str] = {}
        for interface in self._needed(name):
            candidates = self._candidates(interface, [*loaded, *steps])
            needs = f"module '{name}' needs {interface.__name__}, which"
            if not candidates:
                raise KernelError(f"{needs} no module provides{_led_by(chain)}")
            if len(candidates) > 1:
                raise KernelError(f"{needs} {_listed(candidates)} provide; load one of them first{_led_by(chain)}")
            self._visit(candidates[0], chain, loaded, steps)
            uses[interface] = candidates[0]
        steps[name] = _Step(name, uses, chain)

    def _needed(self, name: str) -> list[type[Any]]:
        """The interfaces that a module has to be loaded for, before `name` is."""
        return [interface for interface in self._modules[name].depends if interface not in self._given]

    def _candidates(self, interface: type[Any], present: Iterable[str]) -> list[str]:
        """The first of the modules in `present` that provides it, else all that could."""
        for name in present:
            if interface in self._modules[name].provides:
                return [name]
        return sorted(name for name, cls in self._modules.items() if interface in cls.provides)

    def _check_known(self, name: str) -> None:
        if name not in self._modules:
            raise KernelError(f"there is no module {name!r}; {neighbours(name, self._modules)}")

    @contextmanager
    def _change(self) -> Iterator[None]:
        """Hold the lock of all changes. Modules run under it, since they are to be made and ended one at a time."""
        with self._change_lock:
            if self._changing:
                raise KernelError("a module that is being loaded, reloaded or stopped can't change what is loaded")
            self._changing = True
            try:
                yield
            finally:
                self._changing = False


def discover(group: str = GROUP, taken: Collection[str] = ()) -> dict[str, type[Module[Any]]]:
    """The modules that installed distributions offer as entry points of `group`, by name.

    `KernelError` for an entry point that can't be imported, is no module, or has a name that another one has, or that
    is in `taken`; it says which entry point, and of which distribution.
    """
    found: dict[str, type[Module[Any]]] = {}
    origins = dict.fromkeys(taken, "this program")
    for entry in sorted(entry_points(group=group), key=lambda entry: (entry.name, entry.value)):
        origin = _origin(entry)
        try:
            module = entry.load()
        except Exception as error:
            raise KernelError(f"{origin} can't be imported: {_text(error)}", [error]) from error
        if not (isinstance(module, type) and issubclass(module, Module)):
            raise KernelError(f"{origin} is {entry.value}, which is no subclass of scalestack.module.Module")
        name = getattr(module, "name", None)
        if not isinstance(name, str) or not name:
            raise KernelError(f"{origin} is {entry.value}, which has no name")
        if name in origins:
            raise KernelError(f"{origin} offers a module '{name}', but {origins[name]} has one of that name")
        origins[name] = origin
        found[name] = module
    return found


def _origin(entry: EntryPoint) -> str:
    distribution = entry.dist.name if entry.dist is not None else "unknown"
    return f"entry point '{entry.name}' of distribution '{distribution}'"


def _provider(name: str, module: Module[Any], interface: type[Any]) -> object:
    provider: object = module.provider(interface)
    if not isinstance(provider, interface):
        raise TypeError(f"it provides {interface.__name__}, but gave a {type(provider).__name__}")
    return provider


def _users(name: str, steps: Iterable[_Step]) -> list[str]:
    return [step.name for step in steps if name in step.uses.values()]


def _each(names: Sequence[str], verb: str, calls: Iterable[Callable[[], object]]) -> list[Exception]:
    """Call all; what they raise, with a note that names the module at fault."""
    errors: list[Exception] = []
    for name, call in zip(names, calls, strict=True):
        try:
            call()
        except Exception as error:
            problem = KernelError(f"module '{name}' failed to {verb}: {_text(error)}", [error])
            problem.__cause__ = error
            errors.append(problem)
    return errors


def _raise_together(what: str, errors: Sequence[Exception]) -> None:
    if errors:
        message = f"{what}: {'; '.join(map(str, errors))}"
        raise KernelError(message, errors) from (errors[0] if len(errors) == 1 else ExceptionGroup(what, errors))


def _led_by(chain: Sequence[str]) -> str:
    return f" ({' -> '.join(chain)})" if len(chain) > 1 else ""


def _listed(names: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def _text(error: BaseException) -> str:
    """An exception on one line. Python's own are named: a bare KeyError would say no more than a word."""
    text = " ".join(str(error).split())
    own = type(error).__module__ != "builtins" or isinstance(error, OSError)
    parts = [text if own and text else f"{type(error).__name__}: {text}".removesuffix(": ")]
    return "; ".join([*parts, *getattr(error, "__notes__", ())])
