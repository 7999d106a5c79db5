"""What the README and the documentation show is run as it stands, page by page, and prints what they say.

Blocks of a page follow each other: those of `sh` in one shell, those of `python` in one interpreter, both in one
directory. A `python` block with a `title` is a file of that name, which a later block runs. An `output` block is what
the block before it prints, where `…` stands for anything; so is a comment in a `sh` block from `{` or `[` on. A block
that is one command which serves is the server that the page is run against; only its port is another. A later one takes
its place; it finds files that the page made. Server and commands have the data directory of a user of the page's own.
"""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.process import leveret

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
# What can't be: output that is not compared, and files of others.
NOT_RUN = {"text", "ini", "toml", "json", "yaml", "nginx"}
PATIENCE = 30  # seconds for a block

# Reads a line of JSON for each block, runs it, and says when it is done.
INTERPRETER = """
import json, sys, traceback
names = {"__name__": "__main__"}
for line in sys.stdin:
    block, end = json.loads(line)
    try:
        exec(compile(block, "<block>", "exec"), names)
    except BaseException:
        traceback.print_exc(file=sys.stdout)
        break
    print(end, flush=True)
"""

pytestmark = pytest.mark.skipif(not shutil.which("curl"), reason="curl is not installed")


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    line: int
    language: str
    title: str
    text: str

    @property
    def serves(self):
        return self.language == "sh" and re.fullmatch(r"(make|leveret) serve( [^|&;]*)?", self.text.strip()) is not None

    @property
    def runs(self):
        return self.language in {"sh", "python"} and not self.serves


def blocks_of(page):
    """All fenced blocks, those of tabs and lists included."""
    text = page.read_text()
    found = []
    for fence in re.finditer(r"^( *)```(\w*)(.*)\n((?:.*\n)*?)\1```$", text, re.MULTILINE):
        title = re.search(r'title="(.+?)"', fence[3])
        line = text.count("\n", 0, fence.start()) + 1
        found.append(Block(line, fence[2], title[1] if title else "", textwrap.dedent(fence[4])))
    return found


SHOWING = [page for page in PAGES if any(block.runs for block in blocks_of(page))]


def pattern_of(shown):
    """What is shown, as what is to be found: `…` stands for anything, and blanks for any others."""
    parts = [re.escape(part.strip()) for part in re.split(r"…", shown)]
    pattern = re.sub(r"(\\[ \n])+", r"\\s+", r"\s*.*?\s*".join(parts))
    # They count down.
    pattern = re.sub(r'("ttl":(?:\\s\+)?)600\b', r"\1(?:600|59\\d)", pattern)
    return re.sub(r'("hide":(?:\\s\+)?)60\b', r"\1(?:60|5\\d)", pattern)


class Session:
    """A program that is given blocks through its standard input, and says when each is done."""

    END = "--- the end of a block ---"

    def __init__(self, command, encode, directory, environ):
        self._encode = encode
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=directory,
            env=environ,
            start_new_session=True,
        )

    def run(self, text):
        """What a block prints; an error where it fails."""
        said = []
        timer = threading.Timer(PATIENCE, self._kill)
        timer.start()
        try:
            self._process.stdin.write(self._encode(text, self.END))
            self._process.stdin.flush()
            for line in self._process.stdout:
                before, ended, _ = line.partition(self.END)
                said.append(before)
                if ended:
                    return "".join(said)
        finally:
            timer.cancel()
        raise AssertionError(f"the block failed, or didn't end:\n{text}\nIt said:\n{''.join(said)}")

    def _kill(self):
        os.killpg(self._process.pid, 9)

    def close(self):
        with suppress(ProcessLookupError):
            self._kill()  # with what it left in the background
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait()


def for_shell(text, end):
    return f"{text}\necho '{end}'\n"


def for_python(text, end):
    return json.dumps([text, end]) + "\n"


class Page:
    """Runs a page's blocks, against a server of the page's own."""

    def __init__(self, blocks, directory):
        home = directory / "home"
        share = home / ".local/share"
        self._work = directory / "work"
        self._data = share / "leveret"  # where the commands look for it, too
        self._serving = ExitStack()
        self._server = None
        self._port = 0  # a free one
        for each in (home, self._work):
            each.mkdir()
        (home / ".curlrc").write_text("silent\nshow-error\n")
        self.serve(next((block for block in blocks if block.serves), None))
        self._port = self._server.port
        environ = {name: value for name, value in os.environ.items() if not name.startswith(("XDG_", "LEVERET_"))}
        environ |= {
            "HOME": str(home),
            "XDG_DATA_HOME": str(share),
            "LEVERET_SERVER": f"http://127.0.0.1:{self._port}",
            "no_proxy": "127.0.0.1",
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PYTHONUNBUFFERED": "1",
        }
        self._shell = Session(["bash", "-eu", "-o", "pipefail"], for_shell, self._work, environ)
        self._interpreter = Session([sys.executable, "-c", INTERPRETER], for_python, self._work, environ)

    def serve(self, block):
        """Run the server of this block, or one without options: at the same port, in place of that which runs."""
        if self._server is not None:
            self._server.signal(signal.SIGTERM)
            self._server.wait()
            self._serving.close()
        options = [self._found(option) for option in server_options(block)]
        place = ["--data", str(self._data), *options, "--port", str(self._port)]
        self._server = self._serving.enter_context(leveret(*place))

    def _found(self, option):
        """An option of the server, which runs elsewhere: where it names a file of the page's, by its whole path."""
        name, _, value = option.partition("=")
        path = self._work / value
        return f"{name}={path}" if value and path.is_file() else option

    def run(self, block):
        """What a block prints."""
        text = block.text.replace("127.0.0.1:8080", f"127.0.0.1:{self._port}").replace(".venv/bin/", "")
        if block.title:
            (self._work / block.title).write_text(text)
            return ""
        return (self._shell if block.language == "sh" else self._interpreter).run(text)

    def close(self):
        self._interpreter.close()
        self._shell.close()
        self._serving.close()


def server_options(block):
    """Those of a block that serves; `make` is given them as ARGS."""
    if block is None:
        return ["--store", "memory://"]
    words = shlex.split(block.text, comments=True)[2:]
    return [option for word in words for option in (shlex.split(word[5:]) if word.startswith("ARGS=") else [word])]


def check(page, directory):
    """Run a page from its beginning to its end, and compare what it prints."""
    blocks = blocks_of(page)
    first = next((block for block in blocks if block.serves), None)
    with closing(Page(blocks, directory)) as running:
        said = ""
        for block in blocks:
            where = f"{page.relative_to(ROOT)}:{block.line}"
            if block.language == "output":
                assert re.fullmatch(pattern_of(block.text), said.strip(), re.DOTALL), f"{where} was\n{said}"
            elif block.serves and block is not first:
                running.serve(block)
            elif block.runs:
                said = running.run(block)
                for comment in re.findall(r"(?:^|\s)# .*?([\[{][\"{…].*)$", block.text, re.MULTILINE):
                    assert re.search(pattern_of(comment), said), f"{where}: {comment} was\n{said}"


@pytest.fixture(scope="module")
def checks(request, tmp_path_factory):
    """What comes of the pages that are asked for. Two at a time: each waits for its own servers and clients."""
    chosen = [item for item in request.session.items if item.function is test_what_is_shown_works]
    with ThreadPoolExecutor(2) as threads:
        yield {
            page: threads.submit(check, page, tmp_path_factory.mktemp(page.stem))
            for page in (item.callspec.params["page"] for item in chosen)
        }


@pytest.mark.parametrize("page", SHOWING, ids=lambda page: str(page.relative_to(ROOT)))
def test_what_is_shown_works(page, checks):
    checks[page].result()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_block_is_run_or_says_by_its_language_that_it_can_not_be(page):
    blocks = blocks_of(page)
    assert len(blocks) * 2 == len(re.findall(r"^ *```", page.read_text(), re.MULTILINE))
    for number, block in enumerate(blocks):
        where = f"{page.relative_to(ROOT)}:{block.line}"
        assert block.language in {"sh", "python", "output"} | NOT_RUN, where
        if block.language == "python" and block.title:
            later = [other.text for other in blocks[number + 1 :] if other.language == "sh"]
            assert any(block.title in text for text in later), f"{where}: {block.title} is never run"


def test_most_of_what_is_shown_is_run():
    blocks = [block for page in PAGES for block in blocks_of(page)]
    shell_in_text = [block for block in blocks if block.language == "text" and re.match(r"(leveret|curl) ", block.text)]
    assert len(shell_in_text) < 5
    assert len([block for block in blocks if block.language == "sh"]) > 40


def test_what_the_readme_names_is_there():
    readme = (ROOT / "README.md").read_text()
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"\bmake ([\w-]+)`", readme)) <= targets
    for link in re.findall(r"\]\((?!https?:|#)(.+?)(?:#.*?)?\)", readme):
        assert (ROOT / link).exists(), link


# What the documentation takes from the code when it is built.


@pytest.fixture(scope="module")
def generated():
    sys.path.insert(0, str(ROOT / "docs"))
    try:
        import hooks
    finally:
        sys.path.pop(0)
    return hooks


def test_every_operation_is_in_the_reference(generated):
    for path, item in generated.openapi()["paths"].items():
        version = path.split("/")[1]
        for method in item.keys() - {"parameters"}:
            if version:
                assert f"{method.upper()}</span> <span class='path'>{path}</span>" in generated.rest(version)


def test_every_command_and_setting_is_in_the_reference(generated):
    from leveret.cli.main import cli
    from leveret.server import Server

    commands = generated.commands()
    for name in cli.list_commands(None):
        assert f"### leveret {name}\n" in commands
    settings = generated.settings()
    for setting in Server().settings.effective():
        assert f"| `{setting.key}` |" in settings


def test_pages_ask_only_for_what_can_be_generated(generated):
    for page in PAGES:
        for name in re.findall(r"<!-- generated: (.+?) -->", page.read_text()):
            assert name in generated.GENERATED
    assert generated.on_page_markdown("a\n<!-- generated: settings -->") == f"a\n{generated.settings()}"


def test_what_a_page_says_where_nothing_is_generated_is_not_in_the_site(generated):
    page = "a\n<!-- generated: settings -->\nelsewhere\n<!-- end -->\nb\n<!-- generated: commands -->\nc"
    assert generated.on_page_markdown(page) == f"a\n{generated.settings()}\nb\n{generated.commands()}\nc"


def test_every_error_code_is_explained():
    said = (ROOT / "docs/reference/rest.md").read_text()
    codes = set()
    for path in (ROOT / "src").rglob("*.py"):
        text = path.read_text()
        codes.update(re.findall(r'HttpError\(\s*\d+,\s*"([a-z-]+)"', text))
        codes.update(re.findall(r'_bad\(\s*"([a-z-]+)"', text))
        codes.update(re.findall(r'\(\w+, \d{3}, "([a-z-]+)"\)', text))
    assert len(codes) > 25
    assert {code for code in codes if f"`{code}`" not in said} == set()
