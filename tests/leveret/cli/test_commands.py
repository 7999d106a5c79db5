"""The commands that print and end."""

import tomllib

import pytest

import leveret
from leveret.cli import main


@pytest.fixture
def run(capsys):
    def run(*arguments):
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        said = capsys.readouterr()
        return ended.value.code or 0, said.out, said.err

    return run


def test_version(run):
    assert run("--version") == (0, f"leveret {leveret.__version__}\n", "")


@pytest.mark.parametrize("command", [[], ["serve"], ["config"], ["modules"]])
def test_every_command_explains_itself_with_an_example(run, command):
    code, out, _ = run(*command, "--help")
    assert code == 0
    assert "Example" in out
    assert "leveret " in out


def test_an_unknown_command_is_said_to_be(run):
    code, _, err = run("sevre")
    assert code == 2
    assert "No such command 'sevre'" in err


class TestConfig:
    def test_it_is_toml_with_every_setting(self, run):
        code, out, _ = run("config")
        settings = tomllib.loads(out)
        assert code == 0
        assert settings["http"]["port"] == 8080
        assert settings["sqlite"] == {"durability": "full", "shards": 1}
        assert settings["queue"]["default_ttl"] == 600
        assert set(settings) >= {"server", "log", "event", "net", "http", "queue"}

    def test_each_value_says_where_it_comes_from(self, run, tmp_path, monkeypatch):
        file = tmp_path / "leveret.toml"
        file.write_text("[http]\nmax_target = 500\n")
        monkeypatch.setenv("LEVERET_QUEUE__DEFAULT_TTL", "7")
        _, out, _ = run("config", "--config", str(file), "--port", "9000", "--set", "event.threads=3")
        origins = {line.split(" = ")[0]: line.split("# ")[1] for line in out.splitlines() if " = " in line}
        assert origins["port"] == "--port"
        assert origins["threads"] == "--set"
        assert origins["default_ttl"] == "environment LEVERET_QUEUE__DEFAULT_TTL"
        assert origins["max_target"] == str(file)
        assert origins["max_headers"] == "default"


class TestModules:
    def test_what_serve_would_load_comes_first_in_its_order(self, run):
        code, out, _ = run("modules")
        rows = [line.split() for line in out.splitlines() if line.strip()]
        assert code == 0
        assert rows[0] == ["name", "state", "depends", "used", "by"]
        names = [row[0] for row in rows[2:]]
        assert set(names) >= {"log", "event", "net", "http", "memory", "sqlite", "queue", "rest"}
        assert names.index("event") < names.index("net") < names.index("http") < names.index("rest")
        assert names.index("sqlite") < names.index("queue") < names.index("rest")

    def test_who_uses_whom(self, run):
        _, out, _ = run("modules")
        row = next(line for line in out.splitlines() if line.split()[:1] == ["queue"])
        assert "sqlite, event" in row
        assert "rest" in row
