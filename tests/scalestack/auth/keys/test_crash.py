"""A change that ends in the middle: killed, or refused by the system, at each of its steps in turn."""

import errno
import json
import os
import subprocess
import sys

import pytest

from scalestack.auth.keys import issue
from scalestack.auth.keys.keyring import Refused
from scalestack.private import Unusable

CALLS = ["open", "close", "fchmod", "fstat", "write", "fsync", "pread", "pwrite", "replace", "unlink", "mkdir"]
CALLS += ["posix_fallocate"]

# Revokes a key, once for each of its system calls, in a process of its own that is killed before or after that call.
# Says after each how far it came, and waits to be told to go on.
KILLER = """
import json, os, signal, sys
from pathlib import Path
from scalestack.auth.keys import issue
from scalestack.auth.keys.file import KeyFile

path, id, calls = Path(sys.argv[1]), sys.argv[2], json.loads(sys.argv[3])

def die_at(step, after):
    count = 0
    def wrap(function):
        def call(*arguments, **options):
            nonlocal count
            count += 1
            here = count == step
            if here and not after:
                os.kill(os.getpid(), signal.SIGKILL)
            try:
                return function(*arguments, **options)
            finally:
                if here:
                    os.kill(os.getpid(), signal.SIGKILL)
        return call
    for name in calls:
        setattr(os, name, wrap(getattr(os, name)))

step = 0
while True:
    step += 1
    for after in (False, True):
        process = os.fork()
        if not process:
            die_at(step, after)
            issue.revoke(KeyFile(path), id, 1000.0)
            os._exit(0)
        _, status = os.waitpid(process, 0)
        print(json.dumps([step, after, os.waitstatus_to_exitcode(status)]), flush=True)
        sys.stdin.readline()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
def test_who_is_killed_at_any_step_leaves_the_old_file_or_the_new_one_and_no_server_behind(open_site):
    site = open_site
    key, token = site.create()
    other, other_token = site.create()
    before = site.file.path.read_bytes()
    killer = subprocess.Popen(
        [sys.executable, "-c", KILLER, str(site.file.path), key.id, json.dumps(CALLS)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    outcomes = []
    try:
        for line in killer.stdout:
            _, _, code = json.loads(line)
            kept = site.file.read()
            revoked = kept[key.id].revoked is not None
            assert kept.keys() == {key.id, other.id}
            # The server that runs meanwhile has what the file has.
            assert site.check(other_token).id == other.id
            if revoked:
                with pytest.raises(Refused, match="revoked"):
                    site.check(token)
            else:
                assert site.check(token).id == key.id
            outcomes.append(revoked)
            if code == 0:  # all steps were taken
                break
            assert code == -9
            # Who comes later is not kept from changing it; then all is as it was.
            if revoked:
                with site.file.change() as keys:
                    keys[key.id] = key
                assert site.file.path.read_bytes() == before
                assert site.check(token).id == key.id
            killer.stdin.write("go on\n")
            killer.stdin.flush()
    finally:
        killer.kill()
        killer.communicate()
    assert len(outcomes) > 20
    assert outcomes[0] is False
    assert outcomes[-1] is True
    assert sorted(path.name for path in site.file.path.parent.iterdir()) == ["keys.json", "keys.lock", "keys.version"]


class FailsAt:
    """The system, which refuses the so-manieth call that changes something."""

    def __init__(self, step):
        self.step = step
        self.count = 0

    def wrap(self, function):
        def call(*arguments, **options):
            self.count += 1
            if self.count == self.step:
                raise OSError(errno.ENOSPC, "No space left on device")
            return function(*arguments, **options)

        return call


@pytest.mark.parametrize("number", range(1, 13))
def test_what_the_system_refuses_is_one_line_and_leaves_the_old_file_or_the_new_one(open_site, monkeypatch, number):
    site = open_site
    key, token = site.create()
    system = FailsAt(number)
    for name in ("open", "fchmod", "write", "fsync", "pwrite", "replace", "posix_fallocate"):
        monkeypatch.setattr(os, name, system.wrap(getattr(os, name)))
    failed = None
    try:
        issue.revoke(site.file, key.id, site.now)
    except Unusable as error:
        failed = str(error)
    monkeypatch.undo()
    assert failed is None or (failed.endswith("No space left on device") and "\n" not in failed)
    assert (failed is None) == (system.count < number)
    if site.file.read()[key.id].revoked is None:
        assert failed
        assert site.check(token).id == key.id
    else:
        with pytest.raises(Refused, match="revoked"):
            site.check(token)
    assert not (site.file.path.parent / "keys.json.new").exists()
    issue.revoke(site.file, key.id, site.now)
    with pytest.raises(Refused, match="revoked"):
        site.check(token)
