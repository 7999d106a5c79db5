"""The log module, writing to a stream of its own: what is written, what never is, and that nobody waits for it."""

from __future__ import annotations

import io
import json
import logging
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import structlog

from scalestack.kernel import Kernel
from scalestack.log import Log, Logger
from scalestack.log.module import LogConfig, LogModule
from scalestack.log.render import hide_tokens, redact_target
from scalestack.module import Needs

TOKEN = "lvk_4fBq0ZcX9a_" + "x" * 33
JWT = "eyJhbGciOiJub25lIn0.eyJzdWIiOjF9.c2lnbmF0dXJl"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class StuckPipe(io.StringIO):
    """Takes nothing until it is `opened`."""

    def __init__(self) -> None:
        super().__init__()
        self.reached = threading.Event()
        self.opened = threading.Event()

    def write(self, text: str) -> int:
        self.reached.set()
        self.opened.wait()
        return super().write(text)


class BrokenOncePipe(io.StringIO):
    """Fails to take the first thing that is written."""

    def __init__(self) -> None:
        super().__init__()
        self.reached = threading.Event()

    def write(self, text: str) -> int:
        if not self.reached.is_set():
            self.reached.set()
            raise BrokenPipeError
        return super().write(text)


class NoNeeds:
    def __getitem__(self, interface: Any, /) -> Any:
        raise KeyError(interface)


NEEDS: Needs = NoNeeds()


@contextmanager
def logging_to(stream: io.StringIO, **config: Any) -> Iterator[Log]:
    module = LogModule(LogConfig(**config), NEEDS, stream)
    module.start()
    try:
        yield module.provider(Log)
    finally:
        module.stop()


def written(write: Callable[[Log], object], **config: Any) -> str:
    stream = io.StringIO()
    with logging_to(stream, **config) as log:
        write(log)
    return stream.getvalue()


def as_text(**values: Any) -> str:
    """What follows the event in the text format."""
    line = written(lambda _: structlog.get_logger("test").info("event", **values), format="text")
    assert line.count("\n") == 1
    return line.rstrip("\n").partition("event  ")[2]


def as_json(**values: Any) -> dict[str, Any]:
    line = written(lambda _: structlog.get_logger("test").info("event", **values), format="json")
    assert line.count("\n") == 1
    assert line.isascii()
    assert line.rstrip("\n").isprintable()
    entry: dict[str, Any] = json.loads(line)
    return entry


class TestFormat:
    def test_elsewhere_than_on_a_terminal_it_is_json(self) -> None:
        line = written(lambda _: structlog.get_logger("leveret.test").warning("it is so", queue="q", depth=3))
        entry = json.loads(line)
        assert list(entry) == ["timestamp", "level", "logger", "event", "queue", "depth"]
        assert entry["level"] == "warning"
        assert entry["logger"] == "leveret.test"
        assert entry["event"] == "it is so"
        assert entry["depth"] == 3

    def test_the_time_is_utc_with_milliseconds(self) -> None:
        record = logging.LogRecord("test", logging.INFO, "", 0, "event", None, None)
        record.created = 1_000_000_000.0625
        line = written(lambda _: logging.getLogger().handle(record))
        assert json.loads(line)["timestamp"] == "2001-09-09T01:46:40.062Z"

    def test_on_a_terminal_it_is_for_people(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("NO_COLOR", "1")
        stream = Terminal()
        with logging_to(stream):
            structlog.get_logger("test").info("it is so", queue="q", depth=3)
        assert stream.getvalue().endswith("Z info     test: it is so  queue=q depth=3\n")

    def test_on_a_terminal_the_level_has_a_color(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("NO_COLOR", raising=False)
        stream = Terminal()
        with logging_to(stream):
            structlog.get_logger("test").error("no")
        assert "\x1b[31merror   \x1b[0m test: no\n" in stream.getvalue()

    def test_the_format_can_be_chosen(self) -> None:
        assert written(lambda _: structlog.get_logger().info("event"), format="text").endswith("event\n")

    def test_what_is_below_the_level_is_not_written(self) -> None:
        def write(_: Log) -> None:
            structlog.get_logger("test").info("quiet")
            logging.getLogger("test").info("quiet")
            structlog.get_logger("test").error("loud")

        assert [json.loads(line)["event"] for line in written(write, level="warning").splitlines()] == ["loud"]

    def test_a_name_can_not_take_the_place_of_a_field(self) -> None:
        entry = as_json(timestamp="never", level="critical", logger="other")
        assert entry["timestamp"] != "never"
        assert entry["level"] == "info"
        assert entry["logger"] == "test"

    def test_values_keep_their_types_in_json(self) -> None:
        entry = as_json(a=1, b=1.5, c=True, d=None, e=["x", 2], f={"x": 1}, g=Path("/tmp"), h=float("nan"))
        assert [entry[name] for name in "abcdefgh"] == [1, 1.5, True, None, ["x", 2], {"x": 1}, "/tmp", "nan"]


class TestStandardLibrary:
    def test_its_loggers_write_to_the_same_place(self) -> None:
        line = written(lambda _: logging.getLogger("asyncio").warning("slow: %s", "task"))
        entry = json.loads(line)
        assert (entry["logger"], entry["level"], entry["event"]) == ("asyncio", "warning", "slow: task")

    def test_arguments_that_do_not_fit_lose_nothing_else(self) -> None:
        line = written(lambda _: logging.getLogger("test").warning("%d", "x"))
        assert json.loads(line)["event"] == "%d (its arguments do not fit)"

    def test_a_dict_as_a_message_is_a_message(self) -> None:
        line = written(lambda _: logging.getLogger("test").warning({"token": "s3cret", "a": 1}))
        assert json.loads(line)["event"] == {"token": "[redacted]", "a": 1}

    def test_a_name_that_logging_has_taken_can_be_logged(self) -> None:
        assert as_json(name="notes", args=[1], message="x")["name"] == "notes"


class TestRestoring:
    def test_stopping_puts_back_what_was_there(self) -> None:
        root = logging.getLogger()
        handlers, level, configured = root.handlers[:], root.level, structlog.is_configured()
        with logging_to(io.StringIO(), level="error"):
            assert root.level == logging.ERROR
            assert root.handlers != handlers
        assert (root.handlers, root.level, structlog.is_configured()) == (handlers, level, configured)

    def test_a_configuration_of_structlog_is_put_back(self) -> None:
        seen: list[str] = []

        def processor(_: Any, __: str, event: Any) -> Any:
            seen.append(event["event"])
            raise structlog.DropEvent

        logger = structlog.get_logger("test")
        structlog.configure(processors=[processor])
        try:
            with logging_to(io.StringIO()):
                logger.info("inside")
            logger.info("outside")
        finally:
            structlog.reset_defaults()
        assert seen == ["outside"]

    def test_it_can_be_stopped_twice(self) -> None:
        module = LogModule(LogConfig(), NEEDS, io.StringIO())
        module.start()
        module.stop()
        module.stop()

    def test_no_thread_is_left(self) -> None:
        before = threading.active_count()
        with logging_to(io.StringIO()):
            assert threading.active_count() == before + 1
        assert threading.active_count() == before

    def test_the_kernel_loads_it_with_standard_error(self, capsys: pytest.CaptureFixture[str]) -> None:
        kernel = Kernel({"log": LogModule}, lambda _, config: config())
        kernel.load("log")
        structlog.get_logger("test").info("event")
        kernel.shutdown(0)
        assert json.loads(capsys.readouterr().err)["event"] == "event"


class TestEscaping:
    @pytest.mark.parametrize(
        ("value", "shown"),
        [
            ("a\nb", r'"a\nb"'),
            ("a\r\x1b[2Jb", r'"a\r\x1b[2Jb"'),
            ("\u202eabc", r'"\u202eabc"'),
            ("a\u2028b\x85c\x7f", r'"a\u2028b\x85c\x7f"'),
            ("\udc80", r'"\udc80"'),
            ("a b", '"a b"'),
            ('x" level="error', r'"x\" level=\"error"'),
            (r"a\nb", r'"a\\nb"'),
            ("", '""'),
            ("köln", "köln"),
        ],
    )
    def test_in_text_a_value_can_not_forge_anything(self, value: str, shown: str) -> None:
        assert as_text(queue=value) == f"queue={shown}"

    @pytest.mark.parametrize("value", ["a\nb", "\x1b[2J", "\u202e", "\x7f", "\x9b", "\udc80", "\u2028", 'a"b\\'])
    def test_in_json_a_value_is_ascii_and_comes_back_whole(self, value: str) -> None:
        assert as_json(queue=value)["queue"] == value

    def test_a_key_is_escaped_as_well(self) -> None:
        assert as_text(**{"a\nb": 1}) == r'"a\nb"=1'

    def test_so_is_what_is_in_a_container(self) -> None:
        assert as_text(queues=["a\n", {"\x1b": "\u202e"}]) == r'queues=["a\n", {"\u001b": "\u202e"}]'

    @pytest.mark.parametrize("format", ["text", "json"])
    def test_an_event_and_a_logger_can_not_forge_a_line(self, format: str) -> None:
        line = written(lambda _: logging.getLogger("a\nb").warning("x\n2026 info y\x1b"), format=format)
        assert line.count("\n") == 1
        assert "\x1b" not in line

    def test_a_traceback_is_indented_so_that_an_error_can_not_forge_a_line(self) -> None:
        def write(_: Log) -> None:
            try:
                raise ValueError("no\n2026-01-01T00:00:00.000Z info forged\x1b[2J")
            except ValueError:
                structlog.get_logger("test").exception("it failed")

        lines = written(write, format="text").splitlines()
        assert lines[0].endswith("error    test: it failed")
        assert all(line.startswith("  | ") for line in lines[1:])
        assert lines[1] == "  | Traceback (most recent call last):"
        assert lines[-1] == r"  | 2026-01-01T00:00:00.000Z info forged\x1b[2J"

    def test_in_json_a_traceback_is_one_value(self) -> None:
        error = ValueError("no\nway")
        lines = written(lambda _: logging.getLogger("test").error("it failed", exc_info=error)).splitlines()
        assert json.loads(lines[0])["exception"] == "ValueError: no\nway"
        assert len(lines) == 1


@dataclass
class Login:
    user: str
    password: str


class Unprintable:
    def __repr__(self) -> str:
        raise RuntimeError


class TestSecrets:
    @pytest.mark.parametrize(
        "key",
        [
            "authorization",
            "Cookie",
            "set-cookie",
            "password",
            "secret",
            "token",
            "key",
            "body",
            "api_key",
            "apiKey",
            "X-Auth-Token",
            "client_secret",
            "SIGNATURE",
            "tokens",
            "AWSAccessKeyId",
        ],
    )
    def test_the_value_of_a_secret_is_not_written(self, key: str) -> None:
        assert as_json(**{key: "s3cret"})[key] == "[redacted]"

    def test_a_number_is_a_secret_only_under_its_very_name(self) -> None:
        entry = as_json(password=1234, body_size=10, monkey="x", keyboard="y")
        assert entry["password"] == "[redacted]"
        assert (entry["body_size"], entry["monkey"], entry["keyboard"]) == (10, "x", "y")

    def test_secrets_are_found_in_containers_and_dataclasses(self) -> None:
        entry = as_json(headers=[{"Authorization": "Basic x"}], login=Login("ann", "s3cret"))
        assert entry["headers"] == [{"Authorization": "[redacted]"}]
        assert entry["login"] == {"user": "ann", "password": "[redacted]"}

    def test_bytes_are_never_written(self) -> None:
        entry = as_json(data=b"hello, world", parts=[bytearray(3), memoryview(b"12")])
        assert entry["data"] == "<12 bytes>"
        assert entry["parts"] == ["<3 bytes>", "<2 bytes>"]

    def test_bytes_as_an_event_are_not_written_either(self) -> None:
        line = written(lambda _: logging.getLogger("test").warning(b"hello"))
        assert json.loads(line)["event"] == "<5 bytes>"

    def test_what_is_long_or_deep_or_refuses_to_be_shown_is_cut(self) -> None:
        loop: list[Any] = []
        loop.append(loop)
        entry = as_json(long="x" * 100_000, loop=loop, odd=Unprintable())
        assert len(entry["long"]) < 10_000
        assert entry["loop"] == [[[["…"]]]]
        assert entry["odd"] == "<a Unprintable that can't be shown>"

    def test_a_value_is_logged_as_it_was(self) -> None:
        names = ["a"]

        def write(_: Log) -> None:
            structlog.get_logger("test").info("event", names=names)
            names.append("b")

        assert json.loads(written(write))["names"] == ["a"]

    @pytest.mark.parametrize(
        ("target", "shown"),
        [
            ("/v1/q", "/v1/q"),
            ("/v1/q?limit=3", "/v1/q?limit=3"),
            ("/q?signature=abc&limit=3", "/q?signature=[redacted]&limit=3"),
            ("/q?a=1&Token=abc;key=d", "/q?a=1&Token=[redacted];key=[redacted]"),
            ("/q?%74oken=abc", "/q?%74oken=[redacted]"),
            ("/q?X-Amz-Signature=abc", "/q?X-Amz-Signature=[redacted]"),
            ("/q?token", "/q?token"),
            ("http://ann:pw@host/q?a=b", "http://[redacted]@host/q?a=b"),
            (f"/v1/{TOKEN}/q?x={JWT}", "/v1/lvk_4fBq0ZcX9a_[redacted]/q?x=[redacted]"),
            (f"/v1/lvk%5F{TOKEN[4:]}/q", "/v1/lvk_4fBq0ZcX9a_[redacted]/q"),
            ("/v1/caf%C3%A9/q", "/v1/caf%C3%A9/q"),
        ],
    )
    def test_a_target_is_written_without_its_secrets(self, target: str, shown: str) -> None:
        assert redact_target(target) == shown

    def test_a_token_is_hidden_wherever_it_stands(self) -> None:
        def write(_: Log) -> None:
            try:
                raise ValueError(f"{TOKEN} is no good")
            except ValueError as error:
                structlog.get_logger("test").error(f"what is {JWT}?", why=error, of=[TOKEN], exc_info=error)

        for text in (written(write), written(write, format="text")):
            assert TOKEN not in text
            assert JWT not in text
            assert text.count("lvk_4fBq0ZcX9a_[redacted]") >= 3

    @pytest.mark.parametrize("text", ["a_b", f"{TOKEN}x", f"{TOKEN[:-1]}", f"x_{TOKEN}", "eyJ", "eyJa.b", "keyJa.b.c"])
    def test_what_only_resembles_a_token_is_shown(self, text: str) -> None:
        assert hide_tokens(text) == text


class TestAccess:
    def test_there_is_none_unless_it_is_asked_for(self) -> None:
        assert LogModule(LogConfig(), NEEDS).provider(Log).access is None

    def test_each_request_is_one_record_whatever_the_level(self) -> None:
        def write(log: Log) -> None:
            assert log.access is not None
            log.access("192.0.2.1:5", "GET", "/v1/q?token=abc", 200, 12, 0.0012345678)

        entry = json.loads(written(write, access=True, level="critical"))
        del entry["timestamp"]
        assert entry == {
            "level": "info",
            "logger": "access",
            "event": "request",
            "method": "GET",
            "target": "/v1/q?token=[redacted]",
            "status": 200,
            "peer": "192.0.2.1:5",
            "sent": 12,
            "seconds": 0.001235,
        }

    def test_a_target_can_not_forge_anything(self) -> None:
        def write(log: Log) -> None:
            assert log.access is not None
            log.access("-", "GET", "/a status=500\n\x1b[2J", 200, 0, 0.0)

        line = written(write, access=True, format="text")
        assert r'request  method=GET target="/a status=500\n\x1b[2J" status=200' in line
        assert line.count("\n") == 1


class TestWriting:
    def test_a_full_queue_drops_records_and_counts_them(self) -> None:
        stream = StuckPipe()
        logger = structlog.get_logger("test")
        with logging_to(stream, backlog=3):
            logger.info("first")
            stream.reached.wait()  # the writer is stuck with it
            for number in range(10):
                logger.info("more", number=number)
            stream.opened.set()
        entries = [json.loads(line) for line in stream.getvalue().splitlines()]
        assert [entry.get("number") for entry in entries[:4]] == [None, 0, 1, 2]
        assert entries[4]["level"] == "warning"
        assert entries[4]["count"] == 7
        assert len(entries) == 5

    def test_stopping_writes_what_is_queued(self) -> None:
        def write(_: Log) -> None:
            for number in range(3000):
                structlog.get_logger("test").info("event", number=number)

        numbers = [json.loads(line)["number"] for line in written(write).splitlines()]
        assert numbers == list(range(3000))

    def test_all_threads_may_log_at_once(self) -> None:
        def write(_: Log) -> None:
            def many(name: int) -> None:
                for number in range(200):
                    structlog.get_logger("test").info("event", thread=name, number=number)

            threads = [threading.Thread(target=many, args=(name,)) for name in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()

        entries = [json.loads(line) for line in written(write).splitlines()]
        for name in range(4):
            assert [entry["number"] for entry in entries if entry["thread"] == name] == list(range(200))

    def test_a_stream_that_fails_ends_nothing_and_what_was_lost_is_counted(self) -> None:
        stream = BrokenOncePipe()
        with logging_to(stream):
            structlog.get_logger("test").info("lost")
            stream.reached.wait()
            structlog.get_logger("test").info("kept")
        entries = [json.loads(line) for line in stream.getvalue().splitlines()]
        assert [(entry["event"][:4], entry.get("count")) for entry in entries] == [("kept", None), ("log ", 1)]


class TestLogger:
    """What is part of a program that set nothing up."""

    def test_it_goes_over_logging_and_not_to_the_output(self, capsys, caplog):
        structlog.reset_defaults()
        with caplog.at_level("INFO"):
            Logger("test").warning("it is so", queue="q")
        assert caplog.messages == ["event='it is so' queue='q'"]
        assert capsys.readouterr().out == ""

    def test_it_is_structured_where_the_log_module_is_there(self):
        line = written(lambda _: Logger("test").info("it is so", queue="q"), format="json")
        assert '"queue": "q"' in line

    def test_where_nobody_has_imported_structlog_its_values_are_written_all_the_same(self, monkeypatch):
        monkeypatch.delitem(sys.modules, "structlog")
        line = written(lambda _: Logger("leveret.test").warning("it is so", queue="q", depth=3, token="s3cret"))
        entry = json.loads(line)
        assert (entry["logger"], entry["level"], entry["event"]) == ("leveret.test", "warning", "it is so")
        assert (entry["queue"], entry["depth"], entry["token"]) == ("q", 3, "[redacted]")

    def test_and_so_is_a_traceback(self, monkeypatch):
        monkeypatch.delitem(sys.modules, "structlog")

        def write(_: Log) -> None:
            try:
                raise ValueError("it is wrong")
            except ValueError as error:
                Logger("test").error("it failed", exc_info=error)
                Logger("test").exception("again")

        entries = [json.loads(line) for line in written(write).splitlines()]
        assert [entry["event"] for entry in entries] == ["it failed", "again"]
        assert all("ValueError: it is wrong" in entry["exception"] for entry in entries)

    def test_and_what_is_below_the_level_is_not_written(self, monkeypatch):
        monkeypatch.delitem(sys.modules, "structlog")
        assert written(lambda _: Logger("test").debug("quiet")) == ""

    def test_the_log_module_does_not_import_structlog(self, monkeypatch):
        monkeypatch.delitem(sys.modules, "structlog")
        written(lambda _: Logger("test").info("event"))
        assert "structlog" not in sys.modules
