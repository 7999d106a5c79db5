"""The module: what it needs, when it asks, and what it says where keys can't be read."""

import pytest

from scalestack.auth.authority import Authority
from scalestack.auth.keys import issue
from scalestack.auth.keys.file import KeyFile
from scalestack.auth.keys.module import KeysModule
from scalestack.auth.keys.token import TokenFormat
from scalestack.data import DataDirectory
from scalestack.http.message import Request
from scalestack.kernel import Kernel, KernelError
from scalestack.module import NoConfig


@pytest.fixture
def data(tmp_path):
    return DataDirectory(tmp_path / "data")


@pytest.fixture
def authority():
    return Authority()


@pytest.fixture
def kernel(data, authority):
    modules = {"auth.keys": KeysModule.of("tst", "tests", "; ask Ann")}
    return Kernel(modules, lambda name, _: NoConfig(), given={DataDirectory: data, Authority: authority})


def create(data):
    return issue.create(KeyFile(data.path / "keys.json"), TokenFormat("tst"), 0.0, account="a", actions=["read"])


def found(authority, token):
    authorized = authority.identify(
        Request(b"GET", b"/", [(b"Authorization", f"Bearer {token.text}".encode())], b"", True, False)
    )
    return authorized and authorized.name


def test_it_asks_for_keys_from_its_start_to_its_stop(kernel, data, authority):
    kernel.load("auth.keys")
    key, token = create(data)  # while it runs
    assert authority.challenges == [b'Bearer realm="tests"']
    assert found(authority, token) == f"key {key.id}"
    kernel.unload("auth.keys")
    assert authority.challenges == []
    assert found(authority, token) is None


def test_it_does_not_start_with_a_file_that_others_can_read(kernel, data, authority):
    create(data)
    (data.path / "keys.json").chmod(0o640)
    with pytest.raises(KernelError, match="chmod 600") as error:
        kernel.load("auth.keys")
    assert "\n" not in str(error.value)
    assert authority.challenges == []


def test_what_was_put_there_by_hand_is_read_at_a_reload(kernel, data, authority):
    kernel.load("auth.keys")
    _, token = create(data)
    assert found(authority, token)
    (data.path / "keys.json").unlink()
    kernel.reload()
    with pytest.raises(Exception, match="there is no key"):
        found(authority, token)


def test_it_says_that_there_are_no_keys_at_all_and_how_one_is_made(kernel, data, caplog):
    kernel.load("auth.keys")
    assert "there are no keys: until one is made, every request is refused; ask Ann" in caplog.text
    kernel.unload("auth.keys")
    caplog.clear()
    create(data)
    kernel.load("auth.keys")
    assert "no keys" not in caplog.text
