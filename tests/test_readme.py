"""What the README shows is run as it stands, but for the port and the place of the virtual environment."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from support.process import leveret
from support.web import PATIENCE

README = (Path(__file__).parent.parent / "README.md").read_text()
PYTHON = re.findall(r"^```python\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
BLOCKS = re.findall(r"^```sh\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)

pytestmark = pytest.mark.skipif(not shutil.which("curl"), reason="curl is not installed")


def block_with(text):
    (found,) = [block for block in BLOCKS if text in block]
    return found


@pytest.fixture
def run():
    """Run a block in a shell, against a server of the test's own."""
    with leveret() as server:

        def run(block):
            block = block.replace("127.0.0.1:8080", f"127.0.0.1:{server.port}")
            block = block.replace(".venv/bin/leveret", f"{sys.executable} -m leveret").replace("curl ", "curl -sS ")
            done = subprocess.run(
                ["bash", "-eu", "-c", block],
                capture_output=True,
                text=True,
                timeout=PATIENCE,
                env={**os.environ, "no_proxy": "127.0.0.1"},
                check=False,
            )
            assert done.returncode == 0, done.stderr
            assert done.stderr == ""
            return done.stdout

        yield run


def test_the_session(run):
    said = run(block_with("resize cat.jpg"))
    cat, dog, owl = (f'"body":"resize {animal}.jpg"}}' for animal in ("cat", "dog", "owl"))
    assert said == (
        f'[{{"id":"1","ttl":600,"hide":0,{cat},{{"id":"2","ttl":600,"hide":0,{dog}]\n'
        f'[{{"id":"1","ttl":600,"hide":60,{cat}]\n'
        f'[{{"id":"2","ttl":600,"hide":0,{dog}]\n'
        f'[{{"id":"3","ttl":600,"hide":0,{owl}]\n'
    )


def test_the_error_is_what_is_shown(run):
    block = block_with("detail=everything")
    shown = re.search(r'"status":400.*', block.replace(" ", ""))[0]
    assert shown in run(block).replace(" ", "")


def test_the_settings(run):
    said = run(block_with("leveret config"))
    assert re.search(r"^port = 9000 +# environment LEVERET_HTTP__PORT$", said, re.MULTILINE)
    assert re.search(r"^threads = 4 +# --set$", said, re.MULTILINE)
    assert re.search(r"^default_ttl = 3600 +# --set$", said, re.MULTILINE)


def test_the_python_program(tmp_path):
    (program,) = PYTHON
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=PATIENCE, cwd=tmp_path, check=False
    )
    assert (done.stdout, done.stderr) == ("b'resize cat.jpg'\n", "")


def test_the_two_commands_are_there():
    makefile = (Path(__file__).parent.parent / "Makefile").read_text()
    for command in ("serve", "test"):
        assert f"make {command}" in README
        assert re.search(rf"^{command}:", makefile, re.MULTILINE)
