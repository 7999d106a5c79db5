"""`leveret serve`, as a process of its own."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading

import pytest

import leveret as package
from support.process import leveret
from support.web import PATIENCE, Raw, eventually


def fails(*options, **environ):
    """Run a command that is wrong; answers its exit code and the one line that it says."""
    done = subprocess.run(
        [sys.executable, "-m", "leveret", *options],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        env={**os.environ, **environ},
        check=False,
    )
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1, done.stderr
    return done.returncode, done.stderr.rstrip()


def test_one_line_says_where_it_is_ready_and_where_messages_go(data_directory):
    with leveret() as server:
        assert re.fullmatch(
            rf"leveret {package.__version__} is ready on http://127\.0\.0\.1:\d+, storing in "
            rf"sqlite:///{data_directory}/leveret/queue\.db \(durable: synced before it is acknowledged\)\n",
            server.line,
        )
        with Raw(server.port) as raw:
            assert raw.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").answer().status == 200


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--store", "memory://"], r"memory:// \(gone when this process ends\)"),
        (["--set", "sqlite.durability=normal"], r"sqlite:///\S+ \(durable, but for the last before a loss of power\)"),
        (["--set", "sqlite.durability=off"], r"sqlite:///\S+ \(not synced: a loss of power may take all\)"),
        (["--set", "sqlite.shards=2"], r"sqlite:///\S+ \(durable: synced before it is acknowledged, in 2 files\)"),
    ],
)
def test_the_line_says_what_becomes_of_messages(options, words):
    with leveret(*options) as server:
        assert re.search(rf", storing in {words}\n$", server.line)


def test_messages_outlive_the_server():
    for _ in range(2):
        with leveret() as server, Raw(server.port) as raw:
            there = raw.send(b"GET /v1.0/a/q/m HTTP/1.1\r\nHost: a\r\n\r\n").answer().status
            raw.send(b"PUT /v1.0/a/q/m HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n").answer()
            server.signal(signal.SIGTERM)
            assert server.wait() == 0
    assert there == 200


def test_a_second_server_on_the_same_file_is_refused_by_the_name_of_the_first(data_directory):
    with leveret() as server:
        code, line = fails("serve", "--port", "0")
    assert code == 1
    assert re.fullmatch(
        rf"leveret: {data_directory}/leveret/queue\.db is in use by process {server.popen.pid} \(.*leveret serve.*\); "
        "one server at a time can have it: stop that one, or give this one a --store of its own",
        line,
    )


def test_sigterm_drains_and_exits_with_0():
    with leveret("--set", "event.threads=1") as server, Raw(server.port) as poll, Raw(server.port) as idle:
        poll.send(b"GET /v1.0/a/q?wait=3600 HTTP/1.1\r\nHost: a\r\n\r\n")
        # A poll looks twice before it is parked, and is served in turn with these.
        for status in (201, 204, 204):
            put = b"PUT /v1.0/a/other/m HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"
            assert idle.send(put).answer().status == status
        server.signal(signal.SIGTERM)
        answer = poll.answer()
        assert (answer.status, answer.headers["connection"]) == (404, "close")
        assert poll.at_end()
        assert idle.at_end()
        assert server.wait() == 0
        (line,) = server.popen.stderr.read().splitlines()
        assert json.loads(line)["event"] == "stopping; a second signal ends it at once"


def test_ctrl_c_does_the_same():
    with leveret() as server:
        server.signal(signal.SIGINT)
        assert server.wait() == 0


def test_five_hundred_polls_are_answered_when_it_drains():
    with leveret("--set", "event.threads=2") as server:
        polls = [Raw(server.port) for _ in range(500)]
        for poll in polls:
            poll.send(b"POST /v1.0/a/q?wait=3600&hide=60 HTTP/1.1\r\nHost: a\r\n\r\n")
        with Raw(server.port) as raw:
            raw.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").answer()
        server.signal(signal.SIGTERM)
        assert all(poll.answer().status == 404 for poll in polls)
        assert server.wait() == 0
        for poll in polls:
            poll.close()


def test_no_answer_is_lost_when_it_drains_under_load():
    """Each client knows of every request whether it was done: it was answered, or it never was begun."""
    with leveret("--set", "event.threads=2") as server:
        done, stop = [], threading.Event()
        answered = [0] * 8

        def load(client):
            with Raw(server.port) as raw:
                number = 0
                while not stop.is_set():
                    path = f"/v1.0/a/q/{client}-{number}".encode()
                    try:
                        raw.send(b"PUT " + path + b" HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx")
                        answer = raw.answer()
                    except (AssertionError, ConnectionError):
                        done.append((client, "unanswered"))
                        return
                    assert answer.status == 201
                    if answer.headers.get("connection") == "close":
                        done.append((client, "told"))
                        return
                    number += 1
                    answered[client] = number

        clients = [threading.Thread(target=load, args=(client,)) for client in range(8)]
        for client in clients:
            client.start()
        eventually(lambda: min(answered) > 100)
        server.signal(signal.SIGTERM)
        assert server.wait() == 0
        stop.set()
        for client in clients:
            client.join()
        assert sorted(done) == [(client, "told") for client in range(8)]


def test_a_unix_socket(tmp_path):
    path = tmp_path / "leveret.sock"
    with leveret("--set", f"http.unix={path}") as server:
        assert f" and unix://{path}," in server.line
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(str(path))
            sock.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            assert sock.recv(1000).startswith(b"HTTP/1.1 200 OK")


def test_settings_by_file_environment_and_command_line_in_rising_strength(tmp_path, monkeypatch):
    file = tmp_path / "leveret.toml"
    file.write_text("[queue]\ndefault_ttl = 1\ndefault_hide = 1\n[http]\nmax_body = 1\n")
    monkeypatch.setenv("LEVERET_QUEUE__DEFAULT_HIDE", "2")
    monkeypatch.setenv("LEVERET_HTTP__MAX_BODY", "2")
    with leveret("--config", str(file), "--set", "http.max_body=3") as server, Raw(server.port) as raw:
        put = b"PUT /v1.0/a/q/m HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s"
        assert raw.send(put % (3, b"abc")).answer().status == 201
        found = raw.send(b"GET /v1.0/a/q/m HTTP/1.1\r\nHost: a\r\n\r\n").answer().json
        assert (found["ttl"], found["hide"]) == (1, 2)
        assert raw.send(put % (4, b"abcd")).answer().status == 413


@pytest.mark.parametrize(
    ("options", "environ", "said"),
    [
        (["--port", "http"], {}, 'leveret: --port: http.port is "http"; a whole number from 0 to 65535 is expected'),
        (["--set", "http.prot=1"], {}, "leveret: --set: there is no http.prot; did you mean "),
        (["--set", "port=1"], {}, "leveret: --set: "),
        (
            ["--store", "redis://x"],
            {},
            "leveret: server.store is 'redis://x'; known are memory://, sqlite:///relative.db and sqlite:////absolute.db",
        ),
        (
            [],
            {"LEVERET_EVENT__THREADS": "-1"},
            "leveret: environment LEVERET_EVENT__THREADS is -1; a whole number from",
        ),
        ([], {"LEVERET_EVENTS__THREADS": "1"}, "leveret: environment LEVERET_EVENTS__THREADS: there is no section"),
        (["--set", "event.loop=trio"], {}, "leveret: section [event]: there is no loop 'trio'; known are auto, uvloop"),
        (
            ["--set", "server.without=queue.metrics,rest"],
            {},
            "leveret: section [server]: without has 'rest'; queue.health, queue.metrics, admin can be left out",
        ),
        (["--set", "http.tls_key=/x"], {}, "leveret: section [http]: tls_key is set without tls_certificate"),
    ],
)
def test_a_wrong_setting_is_one_line_and_nothing_starts(options, environ, said):
    code, line = fails("serve", "--port", "0", *options, **environ)
    assert code == 2
    assert line.startswith(said)


def test_a_wrong_file_is_one_line(tmp_path):
    missing = tmp_path / "none.toml"
    assert fails("serve", "--config", str(missing))[1].startswith(f"leveret: {missing}: ")
    file = tmp_path / "leveret.toml"
    file.write_text("[http]\nport = 'x'\n")
    assert f"{file}: http.port" in fails("serve", "--config", str(file))[1]
    file.write_text("[http\n")
    assert f"{file}: is not valid TOML" in fails("serve", "--config", str(file))[1]


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_it_refuses_to_be_open_to_others_without_authentication_unless_told_to(host):
    code, line = fails("serve", "--host", host, "--port", "0")
    assert code == 2
    assert "--insecure" in line
    with leveret("--host", host, "--insecure") as server:
        assert server.port


def test_a_variable_with_one_underscore_is_told_from_those_of_others():
    code, line = fails("serve", "--port", "0", LEVERET_HTTP_PORT="1")
    assert code == 2
    assert line == (
        "leveret: environment LEVERET_HTTP_PORT: two underscores part section and key; LEVERET_HTTP__PORT is expected"
    )


def test_a_port_in_use_is_one_line():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        code, line = fails("serve", "--port", str(port))
    assert code == 1
    assert line == (
        f"leveret: can't listen on 127.0.0.1:{port}: the port is in use; "
        "stop what listens there, or take another port (0 takes a free one)"
    )


def test_a_certificate_that_can_not_be_read_is_one_line():
    code, line = fails("serve", "--port", "0", "--set", "http.tls_certificate=/none.pem")
    assert code == 1
    assert line.startswith("leveret: the TLS certificate in '/none.pem' can't be used: ")


def test_sighup_is_survived():
    with leveret() as server, Raw(server.port) as raw:
        server.signal(signal.SIGHUP)
        for _ in range(3):
            assert raw.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").answer().status == 200
        server.signal(signal.SIGTERM)
        assert server.wait() == 0
