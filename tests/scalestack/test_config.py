"""Settings: what is taken, from where, and how each error reads."""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest

from scalestack.config import Between, ConfigError, Override, Setting, Settings, parse_assignment


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


@dataclass(frozen=True)
class Http:
    host: str = "127.0.0.1"
    port: Annotated[int, Between(0, 65535)] = 8080
    timeout: Annotated[float, Between(0.5, None)] = 10.0
    secure: bool = False
    names: tuple[str, ...] = ()
    limits: tuple[int, ...] = ()
    upstream: str | None = None
    retries: Annotated[int, Between(None, 9)] | None = None

    def __post_init__(self) -> None:
        if self.secure and not self.names:
            raise ValueError("secure needs names,\nat least one")


@dataclass(frozen=True)
class Store:
    path: Path = Path("messages.db")
    sync: Literal["full", "normal"] = "full"
    level: Literal[1, 2] = 1
    color: Color = Color.RED
    tags: list[str] = field(default_factory=lambda: ["a"])


@dataclass(frozen=True)
class Needy:
    token_file: str


SECTIONS: Mapping[str, type[Any]] = {"http": Http, "store": Store}

Write = Callable[[str], Path]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    monkeypatch.chdir(tmp_path)

    def write(text: str) -> Path:
        file = Path("leveret.toml")
        file.write_text(text)
        return file

    return write


def load(
    file: Path | None = None, environ: Mapping[str, str] | None = None, *assignments: str, sections: Any = SECTIONS
) -> Settings:
    overrides = [parse_assignment(text, origin="--set") for text in assignments]
    return Settings.load(sections, file=file, environ=environ or {}, prefix="LEVERET", overrides=overrides)


def error_of(*arguments: Any, **options: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        load(*arguments, **options)
    message = str(caught.value)
    assert "\n" not in message
    return message


def http(*assignments: str) -> Http:
    section: Http = load(None, None, *assignments).section("http")
    return section


def store(*assignments: str) -> Store:
    section: Store = load(None, None, *assignments).section("store")
    return section


class TestSources:
    def test_without_any_the_defaults_are_in_force(self) -> None:
        assert load().section("http") == Http()
        assert load().section("store") == Store()

    def test_the_file_is_stronger_than_the_default(self, write: Write) -> None:
        assert load(write("[http]\nport = 9000")).section("http") == Http(port=9000)

    def test_the_environment_is_stronger_than_the_file(self, write: Write) -> None:
        settings = load(write("[http]\nport = 9000"), {"LEVERET_HTTP__PORT": "9001"})
        assert settings.section("http").port == 9001

    def test_the_command_line_is_stronger_than_the_environment(self, write: Write) -> None:
        settings = load(write("[http]\nport = 9000"), {"LEVERET_HTTP__PORT": "9001"}, "http.port=9002")
        assert settings.section("http").port == 9002

    def test_of_two_overrides_the_last_one_counts(self) -> None:
        assert http("http.port=1", "http.port=2").port == 2

    def test_each_value_is_known_by_where_it_came_from(self, write: Write) -> None:
        settings = Settings.load(
            {"http": Http},
            file=write("[http]\nhost = 'localhost'\nport = 1"),
            environ={"LEVERET_HTTP__TIMEOUT": "2"},
            prefix="LEVERET",
            overrides=[Override("http.port", "9000", "--port")],
        )
        assert settings.effective()[:4] == [
            Setting("http.host", "localhost", "leveret.toml"),
            Setting("http.port", 9000, "--port"),
            Setting("http.timeout", 2.0, "environment LEVERET_HTTP__TIMEOUT"),
            Setting("http.secure", False, "default"),
        ]

    def test_keys_of_the_environment_may_be_of_any_case(self) -> None:
        assert load(None, {"LEVERET_Http__pOrt": "1"}).section("http").port == 1

    def test_other_variables_are_left_alone(self) -> None:
        environ = {"LEVERET_SERVER": "x", "LEVERETHTTP__PORT": "1", "HTTP__PORT": "1", "PATH": "/bin", "LEVERET": "x"}
        assert load(None, environ).section("http") == Http()

    def test_a_prefix_may_have_an_underscore(self) -> None:
        settings = Settings.load(SECTIONS, file=None, environ={"MY_APP_HTTP__PORT": "1"}, prefix="MY_APP", overrides=[])
        assert settings.section("http").port == 1


class TestText:
    def test_a_text_field_takes_text_as_it_is(self) -> None:
        assert http('http.host="a" = b ').host == '"a" = b '

    def test_other_fields_are_read_as_toml(self) -> None:
        assert http("http.port=0x1F90").port == 8080
        assert http("http.secure=true", "http.names=a").secure is True
        assert http("http.limits=[1, 2]").limits == (1, 2)

    def test_a_list_of_texts_may_be_separated_by_commas(self) -> None:
        assert http("http.names=a, b").names == ("a", "b")
        assert http('http.names=["a", "b,c"]').names == ("a", "b,c")
        assert http("http.names=").names == ()
        assert store("store.tags=x,y").tags == ["x", "y"]

    def test_a_path_is_taken_as_it_is(self) -> None:
        assert store("store.path=/data/a b.db").path == Path("/data/a b.db")

    def test_a_choice_is_one_of_its_words(self) -> None:
        assert store("store.sync=normal").sync == "normal"
        assert store("store.color=blue").color is Color.BLUE

    def test_optional_fields_take_what_their_type_takes(self) -> None:
        assert http("http.upstream=x").upstream == "x"
        assert http("http.retries=3").retries == 3

    @pytest.mark.parametrize("text", ["", "1\nother = 2", "]", "abc", "1 2"])
    def test_text_that_is_no_value_is_an_error(self, text: str) -> None:
        assert "a whole number from 0 to 65535 is expected" in error_of(None, None, f"http.port={text}")


class TestValues:
    def test_a_whole_number_will_do_for_a_number(self, write: Write) -> None:
        timeout = load(write("[http]\ntimeout = 3")).section("http").timeout
        assert timeout == 3.0
        assert type(timeout) is float

    @pytest.mark.parametrize(
        ("line", "message"),
        [
            ('port = "abc"', 'http.port is "abc"; a whole number from 0 to 65535 is expected'),
            ('port = "8080"', 'http.port is "8080"; a whole number from 0 to 65535 is expected'),
            ("port = 65536", "http.port is 65536; a whole number from 0 to 65535 is expected"),
            ("port = true", "http.port is true; a whole number from 0 to 65535 is expected"),
            ("port = 80.0", "http.port is 80.0; a whole number from 0 to 65535 is expected"),
            ("timeout = nan", "http.timeout is nan; a number of at least 0.5 is expected"),
            ("timeout = 0", "http.timeout is 0; a number of at least 0.5 is expected"),
            ("timeout = false", "http.timeout is false; a number of at least 0.5 is expected"),
            (f"timeout = 1{'0' * 400}", "http.timeout is a huge number; a number of at least 0.5 is expected"),
            ("retries = 10", "http.retries is 10; a whole number of at most 9 is expected"),
            ("secure = 1", "http.secure is 1; true or false is expected"),
            ("host = 5", "http.host is 5; text is expected"),
            ("host = {}", "http.host is a table; text is expected"),
            ("host = 2020-01-01", "http.host is 2020-01-01; text is expected"),
            ('names = "a"', 'http.names is "a"; a list of items that are each text is expected'),
            ("names = [1]", "http.names is [1]; a list of items that are each text is expected"),
            ('host = ["a\\u001b"]', 'http.host is ["a\\x1b"]; text is expected'),
        ],
    )
    def test_nothing_is_coerced(self, write: Write, line: str, message: str) -> None:
        assert error_of(write(f"[http]\n{line}")) == f"leveret.toml: {message}"

    @pytest.mark.parametrize(
        ("line", "message"),
        [
            ('sync = "off"', 'store.sync is "off"; one of "full", "normal" is expected'),
            ("level = true", "store.level is true; one of 1, 2 is expected"),
            ('color = "RED"', 'store.color is "RED"; one of "red", "blue" is expected'),
            ('path = ""', 'store.path is ""; a path is expected'),
        ],
    )
    def test_a_choice_is_exact(self, write: Write, line: str, message: str) -> None:
        assert error_of(write(f"[store]\n{line}")) == f"leveret.toml: {message}"

    def test_what_a_dataclass_refuses_names_its_section(self) -> None:
        assert error_of(None, None, "http.secure=true") == "section [http]: secure needs names, at least one"

    def test_a_value_without_default_must_be_set(self) -> None:
        assert error_of(sections={"needy": Needy}) == "needy.token_file is not set; text is expected"

    def test_a_wrong_value_is_not_shown_at_length(self) -> None:
        assert len(error_of(None, None, f"http.port={'x' * 1000}")) < 200

    def test_a_type_without_support_is_the_programmers_error(self) -> None:
        @dataclass(frozen=True)
        class Odd:
            value: complex = 1j

        with pytest.raises(TypeError, match=r"can't be of type"):
            load(None, None, "odd.value=1", sections={"odd": Odd})


class TestPlaces:
    def test_of_the_environment_the_variable_is_named(self) -> None:
        message = error_of(None, {"LEVERET_HTTP__PORT": "abc"})
        assert message == 'environment LEVERET_HTTP__PORT is "abc"; a whole number from 0 to 65535 is expected'

    def test_of_the_command_line_the_option_is_named(self) -> None:
        message = error_of(None, None, "http.port=abc")
        assert message == '--set: http.port is "abc"; a whole number from 0 to 65535 is expected'

    def test_an_unknown_section_names_its_neighbours(self, write: Write) -> None:
        expected = "there is no section [htpp]; did you mean http?"
        assert error_of(write("[htpp]\nport = 1")) == f"leveret.toml: {expected}"
        assert error_of(None, {"LEVERET_HTPP__PORT": "1"}) == f"environment LEVERET_HTPP__PORT: {expected}"
        assert error_of(None, None, "htpp.port=1") == f"--set: {expected}"

    def test_an_unknown_key_names_its_neighbours(self, write: Write) -> None:
        expected = "there is no http.prot; did you mean http.port?"
        assert error_of(write("[http]\nprot = 1")) == f"leveret.toml: {expected}"
        assert error_of(None, {"LEVERET_HTTP__PROT": "1"}) == f"environment LEVERET_HTTP__PROT: {expected}"
        assert error_of(None, None, "http.prot=1") == f"--set: {expected}"

    def test_where_nothing_is_near_all_keys_are_named(self) -> None:
        message = error_of(None, None, "store.zzz=1")
        assert message.endswith("known are store.color, store.level, store.path, store.sync, store.tags")

    def test_a_key_outside_of_a_section_is_told_where_it_belongs(self, write: Write) -> None:
        assert (
            error_of(write("port = 1")) == "leveret.toml: port stands outside of any section; it belongs below [http]"
        )

    @pytest.mark.parametrize("text", ["http = 1", "[[http]]\nport = 1"])
    def test_a_section_must_be_a_table(self, write: Write, text: str) -> None:
        assert error_of(write(text)).endswith("a section [http] is expected")

    @pytest.mark.parametrize("name", ["LEVERET__PORT", "LEVERET___PORT", "LEVERET_HTTP__"])
    def test_a_variable_without_section_or_key_is_an_error(self, name: str) -> None:
        assert error_of(None, {name: "1"}).endswith("LEVERET_SECTION__KEY is expected")

    def test_two_variables_for_one_setting_are_an_error(self) -> None:
        message = error_of(None, {"LEVERET_HTTP__PORT": "1", "LEVERET_http__port": "2"})
        assert message.startswith("environment LEVERET_http__port and LEVERET_HTTP__PORT set the same")

    @pytest.mark.parametrize("text", ["http.port", "port=1", "=1", ".port=1", "http.=1", ""])
    def test_an_assignment_is_section_key_and_value(self, text: str) -> None:
        with pytest.raises(ConfigError, match=r"^--set: .*; section.key=value is expected$"):
            parse_assignment(text, origin="--set")

    def test_an_assignment_may_have_more_equals_signs(self) -> None:
        assert parse_assignment("http.host=a=b", origin="--set") == Override("http.host", "a=b", "--set")

    def test_what_is_wrong_can_not_break_the_line(self) -> None:
        assert error_of(None, None, "ht\ntp.port=1").startswith("--set: there is no section [ht\\ntp]")


class TestFiles:
    def test_a_missing_file_is_an_error(self, write: Write) -> None:
        assert error_of(Path("none.toml")) == "none.toml: can't be read: No such file or directory"

    def test_a_directory_is_an_error(self, tmp_path: Path) -> None:
        assert error_of(tmp_path).endswith("can't be read: Is a directory")

    def test_what_is_not_toml_is_told_with_its_line(self, write: Write) -> None:
        message = error_of(write("[http]\nport = \n"))
        assert message.startswith("leveret.toml: is not valid TOML: ")
        assert "line 2" in message

    def test_what_is_not_text_is_an_error(self, write: Write) -> None:
        file = write("")
        file.write_bytes(b"# \xff")
        assert error_of(file) == "leveret.toml: is not UTF-8 text, from byte 2 on"

    def test_an_empty_file_sets_nothing(self, write: Write) -> None:
        assert load(write("")).section("http") == Http()


@dataclass(frozen=True)
class Rate:
    requests: Annotated[int, Between(1, None)] | None = None
    burst: float = 1.0

    def __post_init__(self) -> None:
        if self.burst > 100:
            raise ValueError("burst is more than there is")


@dataclass(frozen=True)
class Keys:
    file: str = "keys.json"


@dataclass(frozen=True)
class Limits:
    default: int = 5
    accounts: dict[str, Rate] = field(default_factory=dict)


DOTTED: Mapping[str, type[Any]] = {"auth": Http, "auth.keys": Keys, "other.jwt": Keys, "limits": Limits}


class TestSectionsWithDots:
    def test_the_file_has_them_as_tables_in_tables(self, write: Write) -> None:
        file = write('[auth]\nport = 1\n[auth.keys]\nfile = "a"\n[other.jwt]\nfile = "b"\n')
        settings = Settings.load(DOTTED, file=file)
        assert (settings.section("auth").port, settings.section("auth.keys").file) == (1, "a")
        assert settings.section("other.jwt").file == "b"

    def test_the_environment_has_two_underscores_for_each_dot(self) -> None:
        settings = Settings.load(DOTTED, environ={"X_AUTH__KEYS__FILE": "a", "X_AUTH__PORT": "1"}, prefix="X")
        assert (settings.section("auth").port, settings.section("auth.keys").file) == (1, "a")

    def test_the_command_line_spells_them_out(self) -> None:
        settings = Settings.load(DOTTED, overrides=[parse_assignment("auth.keys.file=a", "--set")])
        assert settings.section("auth.keys").file == "a"

    def test_an_unknown_one_is_answered_with_its_neighbours(self, write: Write) -> None:
        file = write("[auth.kesy]\nfile = 1\n")
        with pytest.raises(ConfigError, match=r"there is no auth\.kesy"):
            Settings.load(DOTTED, file=file)
        with pytest.raises(ConfigError, match=r"there is no section \[other\.jwx\]; did you mean other\.jwt"):
            Settings.load(DOTTED, overrides=[Override("other.jwx.file", "a", "--set")])


class TestTablesOfTables:
    def test_each_name_has_its_settings(self, write: Write) -> None:
        file = write("[limits.accounts.acme]\nrequests = 7\n[limits.accounts.'b c']\nburst = 2\n")
        settings = Settings.load(DOTTED, file=file)
        assert settings.section("limits").accounts == {"acme": Rate(requests=7), "b c": Rate(burst=2.0)}

    def test_the_environment_and_the_command_line_have_them_as_an_inline_table(self) -> None:
        settings = Settings.load(DOTTED, environ={"X_LIMITS__ACCOUNTS": "{acme = {requests = 7}}"}, prefix="X")
        assert settings.section("limits").accounts == {"acme": Rate(requests=7)}

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("5", "--set: limits.accounts is 5; a table of tables is expected, {name = {key = value}}"),
            ("nonsense", '--set: limits.accounts is "nonsense"; a table of tables is expected, {name = {key = value}}'),
            ("{acme = 5}", "--set: limits.accounts.acme is 5; a table is expected, {key = value}"),
            ("{a = {request = 5}}", "--set: limits.accounts.a: there is no request; did you mean requests?"),
            (
                "{a = {requests = 0}}",
                "--set: limits.accounts.a.requests is 0; a whole number of at least 1 is expected",
            ),
            ("{a = {burst = 1e9}}", "--set: limits.accounts.a: burst is more than there is"),
        ],
    )
    def test_what_is_wrong_in_one_is_named(self, text: str, message: str) -> None:
        with pytest.raises(ConfigError) as caught:
            Settings.load(DOTTED, overrides=[Override("limits.accounts", text, "--set")])
        assert str(caught.value) == message
