"""A file of keys for each test, clocks that stand still, and keys made for one account."""

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from scalestack.auth.keys import issue
from scalestack.auth.keys.file import KeyFile
from scalestack.auth.keys.keyring import Keyring
from scalestack.auth.keys.token import TokenFormat

TOKENS = TokenFormat("tst")


@dataclass
class Site:
    """A file of keys, a server's view of it, and the time, which the test sets."""

    path: Path
    now: float = 1_000_000.0  # wall seconds
    uptime: float = 0.0  # monotonic seconds
    file: KeyFile = field(init=False)
    keyring: Keyring = field(init=False)

    def __post_init__(self):
        self.file = KeyFile(self.path)
        self.keyring = Keyring(self.file, TOKENS, lambda: self.now, lambda: self.uptime, look=0.0)

    def create(self, account="a", actions=("read",), **more):
        """A key and the text of its token."""
        key, token = issue.create(self.file, TOKENS, self.now, account=account, actions=actions, **more)
        return key, token.text

    def revoke(self, key):
        issue.revoke(self.file, key.id, self.now)

    def check(self, token):
        return self.keyring.check(token.encode())


@pytest.fixture
def site(tmp_path):
    return Site(tmp_path / "data" / "keys.json")


@pytest.fixture
def open_site(site):
    """With a server that has opened its keys."""
    site.keyring.open()
    return site
