"""The kernel, with modules that write down what is done to them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest

from scalestack.kernel import Kernel, KernelError, ModuleStatus, UndeclaredNeed, discover
from scalestack.module import Module, Needs, NoConfig

T = TypeVar("T")


class Disk:
    """An interface."""


class Store:
    """An interface."""


class Front:
    """An interface."""


class Recorder:
    """Makes modules that note in `log` what is done to them, and that fail where they are told to."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.failing: dict[str, BaseException] = {}
        self.deadlines: list[float] = []
        self.during: dict[str, Callable[[], object]] = {}
        self.made: dict[str, Any] = {}

    def make(
        self, name: str, depends: tuple[type[Any], ...] = (), provides: tuple[type[Any], ...] = ()
    ) -> type[Module[Any]]:
        recorder, module_name, module_depends, module_provides = self, name, depends, provides

        class Recorded(Module[Any]):
            name = module_name
            depends = module_depends
            provides = module_provides

            def __init__(self, config: Any, needs: Needs) -> None:
                super().__init__(config, needs)
                self.needs = needs
                self.found = {interface: needs[interface] for interface in self.depends}
                self.objects = {interface: interface() for interface in self.provides}
                recorder.made[self.name] = self
                recorder.did("make", self.name)

            def provider(self, interface: type[T]) -> T:
                return self.objects[interface]

            def start(self) -> None:
                recorder.did("start", self.name)

            def drain(self) -> None:
                recorder.did("drain", self.name)

            def settle(self, deadline: float) -> None:
                recorder.deadlines.append(deadline)
                recorder.did("settle", self.name)

            def stop(self) -> None:
                recorder.did("stop", self.name)

            def reload(self) -> None:
                recorder.did("reload", self.name)

        return Recorded

    def did(self, verb: str, name: str) -> None:
        what = f"{verb} {name}"
        self.log.append(what)
        if what in self.during:
            self.during[what]()
        if what in self.failing:
            raise self.failing[what]

    def all(self, verb: str) -> list[str]:
        return [what.removeprefix(f"{verb} ") for what in self.log if what.startswith(f"{verb} ")]


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


def kernel_of(*modules: type[Module[Any]], clock: Callable[[], float] = lambda: 0.0) -> Kernel:
    return Kernel({module.name: module for module in modules}, lambda _, config: config(), clock=clock)


@pytest.fixture
def stack(recorder: Recorder) -> Kernel:
    """rest -> queue -> disk, and log, which stands alone."""
    return kernel_of(
        recorder.make("rest", depends=(Store,), provides=(Front,)),
        recorder.make("queue", depends=(Disk,), provides=(Store,)),
        recorder.make("disk", provides=(Disk,)),
        recorder.make("log"),
    )


class TestLoading:
    def test_what_a_module_needs_is_loaded_first(self, stack: Kernel, recorder: Recorder) -> None:
        stack.load("rest")
        assert recorder.log == [
            "make disk",
            "start disk",
            "make queue",
            "start queue",
            "make rest",
            "start rest",
        ]

    def test_loading_again_does_nothing(self, stack: Kernel, recorder: Recorder) -> None:
        stack.load("queue")
        stack.load("rest")
        stack.load("rest")
        assert recorder.all("start") == ["disk", "queue", "rest"]

    def test_a_module_that_two_others_need_is_loaded_once(self, recorder: Recorder) -> None:
        kernel = kernel_of(
            recorder.make("top", depends=(Store, Front)),
            recorder.make("left", depends=(Disk,), provides=(Store,)),
            recorder.make("right", depends=(Disk,), provides=(Front,)),
            recorder.make("disk", provides=(Disk,)),
        )
        kernel.load("top")
        assert recorder.all("start") == ["disk", "left", "right", "top"]

    def test_a_module_gets_its_own_configuration(self) -> None:
        class Plain(Module[NoConfig]):
            name = "plain"
            provides = (Module,)

        asked: list[tuple[str, type[Any]]] = []
        config = NoConfig()

        def configure(name: str, cls: type[Any]) -> NoConfig:
            asked.append((name, cls))
            return config

        kernel = Kernel({"plain": Plain}, configure)
        kernel.load("plain")
        assert asked == [("plain", NoConfig)]
        assert kernel.get(Module).config is config

    def test_an_unknown_name_is_answered_with_its_neighbours(self, stack: Kernel) -> None:
        with pytest.raises(KernelError, match=r"^there is no module 'quue'; did you mean queue\?$"):
            stack.load("quue")

    def test_threads_that_load_the_same_module_load_it_once(self, stack: Kernel, recorder: Recorder) -> None:
        gate = threading.Barrier(8)

        def load() -> None:
            gate.wait()
            stack.load("rest")

        threads = [threading.Thread(target=load) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert recorder.all("start") == ["disk", "queue", "rest"]

    def test_a_module_that_loads_another_one_while_it_starts_is_refused(
        self, stack: Kernel, recorder: Recorder
    ) -> None:
        recorder.during["start disk"] = lambda: stack.load("log")
        with pytest.raises(KernelError, match=r"can't change what is loaded"):
            stack.load("rest")

    def test_what_is_loaded_can_be_read_while_a_module_starts(self, stack: Kernel, recorder: Recorder) -> None:
        seen: list[list[ModuleStatus]] = []

        def read_in_another_thread() -> None:
            thread = threading.Thread(target=lambda: seen.append(stack.status()))
            thread.start()
            thread.join()

        recorder.during["start queue"] = read_in_another_thread
        stack.load("queue")
        assert [status.name for status in seen[0] if status.state == "loaded"] == ["disk"]


class TestProviders:
    def test_a_module_is_handed_the_providers_of_what_it_depends_on(self) -> None:
        class DiskModule(Module[NoConfig], Disk):
            name = "disk"
            provides = (Disk,)

        class QueueModule(Module[NoConfig]):
            name = "queue"
            depends = (Disk,)
            provides = (Module,)

            def __init__(self, config: NoConfig, needs: Needs) -> None:
                super().__init__(config, needs)
                self.disk = needs[Disk]

        kernel = kernel_of(DiskModule, QueueModule)
        kernel.load("queue")
        assert isinstance(kernel.get(Disk), DiskModule)
        assert kernel.get(Module).disk is kernel.get(Disk)

    def test_a_module_gets_nothing_that_it_did_not_declare(self) -> None:
        class Sly(Module[NoConfig]):
            name = "sly"

            def __init__(self, config: NoConfig, needs: Needs) -> None:
                super().__init__(config, needs)
                needs[Store]

        with pytest.raises(KernelError, match=r"'sly' asks for Store, which is not in its depends") as caught:
            kernel_of(Sly).load("sly")
        assert isinstance(caught.value.__cause__, UndeclaredNeed)
        assert isinstance(caught.value.__cause__, KeyError)

    def test_of_several_modules_that_provide_an_interface_the_loaded_one_is_taken(self, recorder: Recorder) -> None:
        kernel = kernel_of(
            recorder.make("queue", depends=(Disk,)),
            recorder.make("fast", provides=(Disk,)),
            recorder.make("safe", provides=(Disk,)),
        )
        kernel.load("safe")
        kernel.load("queue")
        assert recorder.all("start") == ["safe", "queue"]

    def test_what_is_given_needs_no_module(self, recorder: Recorder) -> None:
        disk = Disk()
        kernel = Kernel({"front": recorder.make("front", (Disk,))}, lambda _, config: config(), given={Disk: disk})
        kernel.load("front")
        assert recorder.made["front"].found == {Disk: disk}
        assert kernel.status() == [ModuleStatus("front", "loaded", (), ())]

    def test_the_kernel_itself_is_given(self, recorder: Recorder) -> None:
        kernel = kernel_of(recorder.make("front", (Kernel,)))
        kernel.load("front")
        assert recorder.made["front"].found == {Kernel: kernel}

    def test_a_choice_is_left_to_the_operator(self, recorder: Recorder) -> None:
        kernel = kernel_of(
            recorder.make("queue", depends=(Disk,)),
            recorder.make("fast", provides=(Disk,)),
            recorder.make("safe", provides=(Disk,)),
        )
        with pytest.raises(
            KernelError, match=r"^module 'queue' needs Disk, which fast and safe provide; load one of them first$"
        ):
            kernel.load("queue")

    def test_a_missing_provider_is_named_with_the_chain_that_led_to_it(self, recorder: Recorder) -> None:
        kernel = kernel_of(
            recorder.make("rest", depends=(Store,)), recorder.make("queue", depends=(Disk,), provides=(Store,))
        )
        with pytest.raises(
            KernelError, match=r"^module 'queue' needs Disk, which no module provides \(rest -> queue\)$"
        ):
            kernel.load("rest")
        assert recorder.log == []

    def test_a_cycle_prints_its_chain(self, recorder: Recorder) -> None:
        kernel = kernel_of(
            recorder.make("a", depends=(Store,), provides=(Disk,)),
            recorder.make("b", depends=(Disk,), provides=(Store,)),
        )
        with pytest.raises(KernelError, match=r"cycle: a -> b -> a$"):
            kernel.load("a")

    def test_a_provider_that_is_no_instance_of_its_interface_is_refused_and_its_module_stopped(
        self, recorder: Recorder
    ) -> None:
        liar = recorder.make("liar", provides=(Disk,))
        liar.provider = lambda self, _: object()  # type: ignore[method-assign, assignment]
        with pytest.raises(KernelError, match=r"'liar' failed to load: TypeError: it provides Disk, but gave a object"):
            kernel_of(liar).load("liar")
        assert recorder.log == ["make liar", "start liar", "stop liar"]

    def test_getting_what_nothing_provides_is_an_error(self, stack: Kernel) -> None:
        with pytest.raises(KernelError, match=r"no module that is loaded provides Store"):
            stack.get(Store)


class TestFailure:
    def test_a_failed_start_stops_what_it_had_started_in_reverse(self, stack: Kernel, recorder: Recorder) -> None:
        recorder.failing["start rest"] = OSError(98, "Address in use")
        with pytest.raises(KernelError) as caught:
            stack.load("rest")
        assert str(caught.value) == ("module 'rest' failed to load: [Errno 98] Address in use")
        assert caught.value.__cause__ is recorder.failing["start rest"]
        assert recorder.all("stop") == ["queue", "disk"]
        assert {status.state for status in stack.status()} == {"available"}

    def test_the_chain_names_what_led_to_the_module_at_fault(self, stack: Kernel, recorder: Recorder) -> None:
        recorder.failing["make queue"] = KeyError("path")
        with pytest.raises(KernelError, match=r"^module 'queue' failed to load: KeyError: 'path' \(rest -> queue\)$"):
            stack.load("rest")
        assert recorder.all("stop") == ["disk"]

    def test_what_was_loaded_before_stays(self, stack: Kernel, recorder: Recorder) -> None:
        stack.load("disk")
        recorder.failing["start rest"] = RuntimeError("no")
        with pytest.raises(KernelError):
            stack.load("rest")
        assert recorder.all("stop") == ["queue"]
        assert [status.name for status in stack.status() if status.state == "loaded"] == ["disk"]

    def test_errors_of_the_unwinding_are_told_as_well(self, stack: Kernel, recorder: Recorder) -> None:
        recorder.failing["start rest"] = RuntimeError("no")
        recorder.failing["stop queue"] = RuntimeError("stuck")
        with pytest.raises(KernelError, match=r"no; and while that was undone: module 'queue' failed to stop: .*stuck"):
            stack.load("rest")
        assert recorder.all("stop") == ["queue", "disk"]

    def test_an_interrupt_unwinds_and_stays_an_interrupt(self, stack: Kernel, recorder: Recorder) -> None:
        recorder.failing["start rest"] = KeyboardInterrupt()
        with pytest.raises(KeyboardInterrupt):
            stack.load("rest")
        assert recorder.all("stop") == ["queue", "disk"]

    def test_a_message_is_one_line(self, stack: Kernel, recorder: Recorder) -> None:
        recorder.failing["start log"] = RuntimeError("one\n  two")
        with pytest.raises(KernelError, match=r"one two$"):
            stack.load("log")


class TestUnloading:
    def test_a_module_in_use_is_not_unloaded(self, stack: Kernel, recorder: Recorder) -> None:
        stack.load("rest")
        with pytest.raises(KernelError, match=r"^module 'queue' is in use by rest; unload that first$"):
            stack.unload("queue")
        assert recorder.all("stop") == []

    def test_a_module_is_drained_and_settled_and_stopped(self, recorder: Recorder) -> None:
        kernel = kernel_of(recorder.make("disk"), clock=lambda: 1000.0)
        kernel.load("disk")
        kernel.unload("disk", grace=3)
        assert recorder.log[2:] == ["drain disk", "settle disk", "stop disk"]
        assert recorder.deadlines == [1003.0]

    def test_what_a_module_depends_on_stays(self, stack: Kernel, recorder: Recorder) -> None:
        stack.load("rest")
        stack.unload("rest")
        assert recorder.all("stop") == ["rest"]
        stack.unload("queue")
        assert recorder.all("stop") == ["rest", "queue"]

    def test_a_module_can_be_loaded_again(self, stack: Kernel, recorder: Recorder) -> None:
        stack.load("rest")
        stack.unload("rest")
        stack.load("rest")
        assert recorder.all("start") == ["disk", "queue", "rest", "rest"]

    def test_what_is_not_loaded_can_not_be_unloaded(self, stack: Kernel) -> None:
        with pytest.raises(KernelError, match=r"^module 'rest' is not loaded$"):
            stack.unload("rest")
        with pytest.raises(KernelError, match=r"did you mean rest"):
            stack.unload("rst")

    def test_a_module_that_fails_to_drain_is_stopped_all_the_same(self, stack: Kernel, recorder: Recorder) -> None:
        stack.load("disk")
        recorder.failing["drain disk"] = RuntimeError("no")
        with pytest.raises(KernelError, match=r"module 'disk' failed to drain: RuntimeError: no"):
            stack.unload("disk")
        assert recorder.all("stop") == ["disk"]
        assert stack.status()[0].state == "available"


class TestShutdown:
    def test_all_drain_then_all_settle_then_all_stop_the_last_loaded_first(self, recorder: Recorder) -> None:
        kernel = kernel_of(
            recorder.make("queue", depends=(Disk,)), recorder.make("disk", provides=(Disk,)), clock=lambda: 50.0
        )
        kernel.load("queue")
        recorder.log.clear()
        kernel.shutdown(5)
        assert recorder.log == [
            "drain queue",
            "drain disk",
            "settle queue",
            "settle disk",
            "stop queue",
            "stop disk",
        ]
        assert recorder.deadlines == [55.0, 55.0]

    def test_a_second_shutdown_does_nothing(self, stack: Kernel, recorder: Recorder) -> None:
        stack.load("rest")
        stack.shutdown(0)
        stack.shutdown(0)
        assert recorder.all("stop") == ["rest", "queue", "disk"]

    def test_no_module_keeps_another_from_stopping_and_all_errors_are_told(
        self, stack: Kernel, recorder: Recorder
    ) -> None:
        stack.load("rest")
        recorder.failing["settle queue"] = RuntimeError("unsettled")
        recorder.failing["stop rest"] = RuntimeError("stuck")
        with pytest.raises(KernelError) as caught:
            stack.shutdown(0)
        assert recorder.all("stop") == ["rest", "queue", "disk"]
        assert str(caught.value) == (
            "the shutdown was not clean: module 'queue' failed to settle: RuntimeError: unsettled; "
            "module 'rest' failed to stop: RuntimeError: stuck"
        )
        assert len(caught.value.errors) == 2
        assert isinstance(caught.value.__cause__, ExceptionGroup)
        stack.shutdown(0)


class TestReload:
    def test_all_reload_in_load_order(self, stack: Kernel, recorder: Recorder) -> None:
        stack.load("rest")
        stack.reload()
        assert recorder.all("reload") == ["disk", "queue", "rest"]

    def test_the_rest_go_on_where_one_fails(self, stack: Kernel, recorder: Recorder) -> None:
        stack.load("rest")
        recorder.failing["reload disk"] = OSError(2, "No such file")
        with pytest.raises(KernelError, match=r"^reloading went wrong: module 'disk' failed to reload: \[Errno 2\]"):
            stack.reload()
        assert recorder.all("reload") == ["disk", "queue", "rest"]


class TestStatus:
    def test_the_loaded_come_in_load_order_then_the_others_by_name(self, stack: Kernel) -> None:
        stack.load("queue")
        assert stack.status() == [
            ModuleStatus("disk", "loaded", (), ("queue",)),
            ModuleStatus("queue", "loaded", ("disk",), ()),
            ModuleStatus("log", "available", (), ()),
            ModuleStatus("rest", "available", ("queue",), ()),
        ]

    def test_an_interface_is_named_where_its_provider_is_open(self, recorder: Recorder) -> None:
        kernel = kernel_of(
            recorder.make("queue", depends=(Disk, Front)),
            recorder.make("fast", provides=(Disk,)),
            recorder.make("safe", provides=(Disk,)),
        )
        assert kernel.status()[1] == ModuleStatus("queue", "available", ("Disk", "Front"), ())

    def test_a_plan_loads_nothing(self, stack: Kernel, recorder: Recorder) -> None:
        assert stack.plan(["log", "rest"]) == ["log", "disk", "queue", "rest"]
        assert recorder.log == []

    def test_a_plan_leaves_out_what_is_loaded(self, stack: Kernel) -> None:
        stack.load("queue")
        assert stack.plan(["rest"]) == ["rest"]

    def test_in_a_plan_an_earlier_name_settles_a_later_choice(self, recorder: Recorder) -> None:
        kernel = kernel_of(
            recorder.make("queue", depends=(Disk,)),
            recorder.make("fast", provides=(Disk,)),
            recorder.make("safe", provides=(Disk,)),
        )
        assert kernel.plan(["safe", "queue"]) == ["safe", "queue"]

    def test_a_plan_has_the_errors_of_loading(self, stack: Kernel) -> None:
        with pytest.raises(KernelError, match=r"there is no module"):
            stack.plan(["rst"])

    def test_a_preview_shows_what_would_be(self, stack: Kernel) -> None:
        stack.load("disk")
        assert stack.preview(["queue"]) == [
            ModuleStatus("disk", "loaded", (), ("queue",)),
            ModuleStatus("queue", "planned", ("disk",), ()),
            ModuleStatus("log", "available", (), ()),
            ModuleStatus("rest", "available", ("queue",), ()),
        ]


class TestDiscovery:
    @pytest.fixture
    def install(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
        """Installs a distribution with entry points, as pip would lay it out."""
        monkeypatch.syspath_prepend(str(tmp_path))
        (tmp_path / "kernel_test_plugin.py").write_text(
            "from scalestack.module import Module\n"
            "class Good(Module):\n    name = 'good'\n"
            "class Nameless(Module):\n    pass\n"
            "number = 5\n"
        )

        def install(distribution: str, entries: str) -> None:
            info = tmp_path / f"{distribution}-1.0.dist-info"
            info.mkdir()
            (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
            (info / "entry_points.txt").write_text(f"[kernel.test]\n{entries}\n")

        return install

    def test_modules_come_by_their_own_name(self, install: Callable[[str, str], None]) -> None:
        install("plugin", "anything = kernel_test_plugin:Good")
        assert {name: module.__name__ for name, module in discover("kernel.test").items()} == {"good": "Good"}

    @pytest.mark.parametrize(
        ("entries", "message"),
        [
            ("bad = kernel_test_missing:Good", "entry point 'bad' of distribution 'plugin' can't be imported: Module"),
            ("bad = kernel_test_plugin:Other", "entry point 'bad' of distribution 'plugin' can't be imported: Attrib"),
            ("bad = kernel_test_plugin:number", "entry point 'bad' of distribution 'plugin' is .* no subclass of"),
            ("bad = kernel_test_plugin:Nameless", "entry point 'bad' of distribution 'plugin' is .* has no name"),
        ],
    )
    def test_what_is_no_module_is_named_with_its_distribution(
        self, install: Callable[[str, str], None], entries: str, message: str
    ) -> None:
        install("plugin", entries)
        with pytest.raises(KernelError, match=message):
            discover("kernel.test")

    def test_two_modules_of_one_name_are_refused(self, install: Callable[[str, str], None]) -> None:
        install("first", "one = kernel_test_plugin:Good")
        install("second", "two = kernel_test_plugin:Good")
        with pytest.raises(
            KernelError,
            match=r"distribution 'second' offers a module 'good', but entry point 'one' of distribution 'first' has",
        ):
            discover("kernel.test")

    def test_a_name_that_is_taken_is_refused(self, install: Callable[[str, str], None]) -> None:
        install("plugin", "one = kernel_test_plugin:Good")
        with pytest.raises(KernelError, match=r"offers a module 'good', but this program has one of that name"):
            discover("kernel.test", taken=["good"])
