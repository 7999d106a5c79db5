"""The client of the polls: how it reads answers. And what is said where it can't have its sockets."""

import resource
import socket

import pytest

from bench.polls import main, raise_descriptors, read_answer


@pytest.fixture
def pair():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (b"HTTP/1.1 204 No Content\r\nDate: x\r\n\r\n", 204),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", 200),
    ],
)
def test_the_status_of_an_answer_is_read(pair, answer, status):
    ours, theirs = pair
    theirs.sendall(answer)
    assert read_answer(ours) == status


def test_an_answer_is_read_to_its_end(pair):
    ours, theirs = pair
    theirs.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 70000\r\n\r\n" + b"x" * 70000)
    read_answer(ours)
    theirs.sendall(b"next")
    assert ours.recv(100) == b"next"


def test_a_server_that_hangs_up_is_an_error(pair):
    ours, theirs = pair
    theirs.sendall(b"HTTP/1.1 200 OK\r\nContent-Le")
    theirs.close()
    with pytest.raises(RuntimeError, match="has closed"):
        read_answer(ours)


def test_what_can_be_opened_already_is_no_matter():
    assert raise_descriptors(10) is None


def test_a_hard_limit_that_is_too_low_is_said_in_one_line(monkeypatch, capsys):
    monkeypatch.setattr(resource, "getrlimit", lambda _: (100, 100))

    def refuse(kind, limits):
        raise ValueError("not allowed to raise maximum limit")

    monkeypatch.setattr(resource, "setrlimit", refuse)
    assert main(["--polls", "1000"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("bench: 1,100 open files are needed, and the hard limit is 100; ")
    assert said.count("\n") == 1


@pytest.mark.parametrize("option", ["--rounds", "--polls", "--queues", "--seconds", "--threads"])
def test_a_number_that_can_not_be_is_refused(option, capsys):
    with pytest.raises(SystemExit) as ended:
        main([option, "0"])
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert option in said
    assert said.count("\n") == 1
