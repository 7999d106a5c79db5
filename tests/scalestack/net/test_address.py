"""Addresses to listen on."""

import socket

import pytest

from scalestack.net.address import AddressError, TcpAddress, UnixAddress, bind, bound_address, is_loopback


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
def test_what_only_this_machine_reaches(host):
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "no-such-host.invalid", ""])
def test_what_others_may_reach(host):
    assert not is_loopback(host)


def test_port_0_takes_a_free_one():
    (sock,) = bind(TcpAddress("127.0.0.1", 0), 1)
    with sock:
        address = bound_address(sock)
        assert isinstance(address, TcpAddress)
        assert address.port > 0
        assert str(address) == f"127.0.0.1:{address.port}"


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="the system has no TCP user timeout")
def test_what_is_accepted_breaks_where_the_peer_shows_no_sign_of_life_for_long():
    (listening,) = bind(TcpAddress("127.0.0.1", 0), 1, peer_timeout=40)
    with listening, socket.create_connection(listening.getsockname()), listening.accept()[0] as accepted:
        assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        idle, interval, count, user = (
            accepted.getsockopt(socket.IPPROTO_TCP, option)
            for option in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT, socket.TCP_USER_TIMEOUT)
        )
        assert idle + interval * count == 40
        assert user == 40_000


def test_a_port_in_use_is_said_to_be():
    (sock,) = bind(TcpAddress("127.0.0.1", 0), 1)
    with sock:
        port = sock.getsockname()[1]
        with pytest.raises(AddressError, match=rf"can't listen on 127.0.0.1:{port}: the port is in use"):
            bind(TcpAddress("127.0.0.1", port), 1)


def test_an_address_of_another_machine():
    with pytest.raises(AddressError, match="this machine has no such address"):
        bind(TcpAddress("192.0.2.1", 0), 1)


def test_an_unknown_host():
    with pytest.raises(AddressError, match="the host is unknown"):
        bind(TcpAddress("no-such-host.invalid", 0), 1)


def test_a_socket_that_a_killed_server_left_is_replaced(tmp_path):
    path = tmp_path / "a.sock"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    (sock,) = bind(UnixAddress(path), 1)
    sock.close()


def test_a_socket_on_which_a_server_listens_is_left_alone(tmp_path):
    (sock,) = bind(UnixAddress(tmp_path / "a.sock"), 1)
    with sock, pytest.raises(AddressError, match="another server listens there"):
        bind(UnixAddress(tmp_path / "a.sock"), 1)


def test_a_file_that_is_no_socket_is_left_alone(tmp_path):
    path = tmp_path / "a.sock"
    path.write_text("mine")
    with pytest.raises(AddressError, match="a file of another kind"):
        bind(UnixAddress(path), 1)
    assert path.read_text() == "mine"
