"""`leveret export` and `leveret import`: nothing is lost on the way, and nothing is there twice."""

import io
import json
import subprocess
import sys

import pytest
from rich.console import Console

from leveret.cli.exits import Ended
from leveret.cli.transfer import BadLine, Reached, last_line, parse_line, progress
from leveret.client import Draft
from support.web import PATIENCE


@pytest.fixture
def file(tmp_path):
    return tmp_path / "jobs.ndjson"


@pytest.fixture
def other(client, account):
    """Another queue, to import into."""
    return client.queue(account, "other")


def whole(message):
    return (
        message.id,
        message.body,
        message.content_type,
        dict(message.headers),
        bool(message.ttl),
        bool(message.hide),
    )


class TestThereAndBack:
    def test_all_that_a_message_has_survives(self, run, jobs, other, file):
        jobs.put_many(
            [
                Draft(b"\x00\xff", "binary", ttl=0),
                Draft("grüße\n", "text", ttl=1000, hide=500, content_type="text/plain", headers={"a": "b", "c": "é"}),
                Draft(b"", "empty"),
                Draft('{"base64":"eA=="}', "looks like base64"),
                Draft(b'{"a": 1}', "json", content_type="application/json"),
            ]
        )
        said = run("export", "jobs", file)
        assert (said.code, said.out) == (0, "")
        assert said.err == f"copied 5 messages of queue 'jobs' to {file}\n"
        said = run("import", "other", file)
        assert (said.code, said.out, said.err) == (0, "", "put 5 messages into queue 'other'\n")
        before, after = ([whole(message) for message in queue.messages(hidden=True)] for queue in (jobs, other))
        assert after == before
        assert 990 <= other.get("text").ttl <= 1000
        assert 490 <= other.get("text").hide <= 500
        assert [path.name for path in file.parent.glob("jobs*")] == [file.name]

    def test_through_a_pipe(self, run, jobs, other):
        jobs.put_many([f"{number}" for number in range(2500)])
        said = run("export", "jobs")
        assert len(said.lines) == 2500
        assert run("import", "other", stdin=said.raw).code == 0
        assert [message.body for message in other.messages()] == [b"%d" % number for number in range(2500)]

    def test_an_empty_queue_is_an_empty_file(self, run, account, file):
        assert run("export", "jobs", file).code == 0
        assert file.read_bytes() == b""
        assert run("import", "jobs", file).err == "put 0 messages into queue 'jobs'\n"


class TestExport:
    def test_a_file_that_is_there_is_left_alone_unless_told(self, run, jobs, file):
        jobs.put("x")
        file.write_text("mine")
        said = run("export", "jobs", file)
        assert said.code == 2
        assert said.err == f"leveret: {file} is there already; --resume goes on with it, --overwrite replaces it\n"
        assert file.read_text() == "mine"
        assert run("export", "jobs", file, "--overwrite").code == 0
        assert json.loads(file.read_bytes())["body"] == "x"

    @pytest.mark.parametrize("cut", [0, 1, 20], ids=["after a line", "in its end", "within it"])
    def test_resume_goes_on_after_the_last_whole_line(self, run, jobs, file, cut):
        jobs.put_many(["a", "b", "c"])
        run("export", "jobs", file)
        complete = [json.loads(line)["body"] for line in file.read_bytes().splitlines()]
        lines = file.read_bytes().splitlines(keepends=True)
        file.write_bytes(b"".join(lines[:2])[: -cut or None])
        said = run("export", "jobs", file, "--resume")
        assert said.code == 0
        assert [json.loads(line)["body"] for line in file.read_bytes().splitlines()] == complete

    def test_resume_goes_on_although_the_last_message_is_gone(self, run, jobs, file):
        first, second = jobs.put_many(["a", "b"])
        run("export", "jobs", file)
        jobs.delete(first)
        jobs.delete(second)
        jobs.put("c")
        assert run("export", "jobs", file, "--resume").err.startswith("copied 1 message of")
        assert [json.loads(line)["body"] for line in file.read_bytes().splitlines()] == ["a", "b", "c"]

    def test_resume_begins_a_file_that_is_not_there(self, run, jobs, file):
        jobs.put("a")
        assert run("export", "jobs", file, "--resume").code == 0
        assert file.read_bytes().count(b"\n") == 1

    def test_resume_leaves_a_file_alone_that_is_no_export(self, run, jobs, file):
        file.write_text("dear diary\n")
        said = run("export", "jobs", file, "--resume")
        assert said.code == 2
        assert "has no marker to go on after" in said.err
        assert file.read_text() == "dear diary\n"

    def test_resume_needs_a_file(self, run, account):
        assert run("export", "jobs", "--resume").code == 2


class TestImport:
    def test_lines_by_hand(self, run, jobs, file):
        file.write_text('{"body": "a"}\n\n{"body": {"n": 1}}\n{"body": 7, "content_type": "text/plain", "ttl": 0}')
        assert run("import", "jobs", file).code == 0
        assert [(message.body, message.content_type) for message in jobs.messages()] == [
            (b"a", None),
            (b'{"n":1}', "application/json"),
            (b"7", "text/plain"),
        ]

    def test_a_bad_line_is_named_and_what_comes_before_is_put(self, run, jobs, file):
        file.write_text('{"body":"a"}\n\n{"body":"b"}\n{"bdoy":"c"}\n{"body":"d"}\n')
        said = run("import", "jobs", file)
        assert said.code == 1
        assert said.err.startswith(f"leveret: line 4 of {file} has an unknown member 'bdoy'; known are body, ")
        assert [message.text for message in jobs.messages()] == ["a", "b"]
        file.write_text(file.read_text().replace("bdoy", "body"))
        assert run("import", "jobs", file, "--resume").code == 0
        assert [message.text for message in jobs.messages()] == ["a", "b", "c", "d"]
        assert not file.with_name("jobs.ndjson.progress").exists()

    def test_what_the_server_refuses_is_named_by_its_lines(self, run, jobs, file):
        file.write_text('{"body":"a"}\n' + json.dumps({"body": "x" * (2 << 20)}) + "\n")
        said = run("import", "jobs", file)
        assert said.code == 1
        assert said.err.startswith(f"leveret: lines 1 to 2 of {file}: ")

    def test_a_batch_that_is_put_twice_is_there_once(self, run, jobs, file):
        """As when the import ends after the server took a batch, and before that is written down."""
        file.write_text('{"body":"a"}\n{"body":"b","id":"1"}\nbad\n')
        run("import", "jobs", file)
        sidecar = file.with_name("jobs.ndjson.progress")
        sidecar.write_text(json.dumps({**json.loads(sidecar.read_text()), "offset": 0, "line": 0}))
        file.write_text(file.read_text().replace("bad\n", ""))
        assert run("import", "jobs", file, "--resume").code == 0
        assert [message.text for message in jobs.messages()] == ["a", "b"]

    def test_one_that_stopped_midway_is_gone_on_with_only_where_asked(self, run, jobs, file):
        file.write_text('{"body":"a","id":"1"}\nbad\n')
        run("import", "jobs", file)
        said = run("import", "jobs", file)
        assert said.code == 2
        assert "an import stopped midway; --resume goes on, --from-start begins anew" in said.err
        file.write_text('{"body":"a","id":"1"}\n{"body":"b"}\n')
        assert run("import", "jobs", file, "--from-start").err == "put 2 messages into queue 'jobs'\n"

    def test_it_goes_on_only_into_the_same_queue(self, run, jobs, file):
        file.write_text("bad\n")
        run("import", "jobs", file)
        said = run("import", "other", file, "--resume")
        assert said.code == 2
        assert "the queue was 'jobs', and is 'other' now" in said.err

    def test_a_file_that_became_shorter_is_refused(self, run, jobs, file):
        file.write_text('{"body":"a"}\nbad\n')
        run("import", "jobs", file)
        file.write_text("")
        assert run("import", "jobs", file, "--resume").code == 2

    @pytest.mark.parametrize("options", [["--resume"], ["--from-start"], ["x", "--resume", "--from-start"]])
    def test_what_contradicts_itself_is_wrong_use(self, run, account, options):
        assert run("import", "jobs", *options).code == 2

    def test_at_a_terminal_a_file_is_needed(self, run, account):
        assert run("import", "jobs", terminal=True).code == 2

    def test_it_is_gone_on_with_where_it_was_killed(self, run, jobs, file):
        """Killed at whatever point: what was put once is not put again."""
        file.write_text("".join(f'{{"body":"{number}","ttl":0}}\n' for number in range(20_000)))
        sidecar = file.with_name("jobs.ndjson.progress")
        with subprocess.Popen(
            [sys.executable, "-m", "leveret", "import", "jobs", str(file)], stderr=subprocess.DEVNULL
        ) as importing:
            while importing.poll() is None and not (sidecar.exists() and json.loads(sidecar.read_text())["line"]):
                pass
            importing.kill()
            importing.wait(PATIENCE)
        assert run("import", "jobs", file, "--resume").code == 0
        assert jobs.stats().messages == 20_000


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("{", "is not JSON: "),
        ("[1]", "is no JSON object"),
        ("{}", "has no body"),
        ('{"body":"x","id":1}', "has an id that is no text"),
        ('{"body":"x","id":"a/b"}', "can't be used: the message name holds a '/'"),
        ('{"body":"x","ttl":-1}', "has a ttl of -1; whole seconds from 0 to "),
        ('{"body":"x","hide":true}', "has a hide of True; whole seconds"),
        ('{"body":"x","content_type":1}', "has a content_type that is no text"),
        ('{"body":"x","headers":{"a":1}}', "has headers that are no object of texts"),
        ('{"body":{"base64":"?"}}', "has a body that is not valid base64"),
        ('{"body":{"base64":1}}', "has a body that is not valid base64"),
        (r'{"body":"\ud800"}', "holds half of a surrogate pair"),
        ("[" * 100_000, "is not JSON: "),
    ],
)
def test_lines_that_are_no_messages(line, problem):
    with pytest.raises(BadLine) as error:
        parse_line(line.encode(), "id")
    assert str(error.value).startswith(problem)


@pytest.mark.parametrize("long", [1, 100_000], ids=["short", "longer than what is read at once"])
@pytest.mark.parametrize(
    ("content", "line"),
    [(b"", 0), (b"a", 0), (b"L\n", 1), (b"L\na", 1), (b"a\nL\n", 2), (b"a\nL\nL", 2), (b"\n\n", 2)],
)
def test_the_last_whole_line(content, line, long):
    content = content.replace(b"L", b"L" * long).replace(b"a", b"a" * long)
    lines = content.splitlines(keepends=True)[:line]
    expected = (lines[-1].rstrip(b"\n"), len(b"".join(lines))) if lines else (b"", 0)
    assert last_line(io.BytesIO(content)) == expected


def test_what_an_import_has_reached_can_only_be_read_where_it_was_written(tmp_path):
    file = tmp_path / "progress"
    reached = Reached.nothing("http://a", "a", "q").at(10, 2)
    reached.save(file)
    assert Reached.load(file) == reached
    for text in ("", "{}", "[]", '{"server":"","account":"","queue":"","token":"","offset":"1"}'):
        file.write_text(text)
        with pytest.raises(Ended, match="does not say how far"):
            Reached.load(file)


@pytest.mark.parametrize("terminal", [True, False])
def test_a_bar_is_shown_on_a_terminal_only(terminal):
    console = Console(file=io.StringIO(), force_terminal=terminal)
    with progress("importing", 10, console) as tell:
        tell(5)
    assert ("importing" in console.file.getvalue()) is terminal
