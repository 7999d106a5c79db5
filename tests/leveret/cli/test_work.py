"""`leveret work`: what becomes of a message whose command ends, or doesn't."""

from __future__ import annotations

import asyncio
import os
import signal
import sys

import pytest

from leveret.cli.workforce import Orders, Workforce
from leveret.client import Forbidden, ServerFailed, TooManyRequests, Unauthorized, Unavailable
from support.claims import Clock, Held, Source, away, lost, make_gate, message, open_gate, until
from support.web import PATIENCE


class Shift:
    """A workforce, what it is given, and what it said."""

    def __init__(self, source, command, **options):
        self.said = []
        self.clock = Clock()
        options.setdefault("until_empty", True)
        orders = Orders([str(word) for word in command], dict(os.environ), **options)
        self.workforce = Workforce(source, orders, self.said.append, sleep=self.clock.sleep, clock=self.clock)


def finish(source, command, **options):
    """Work until it is empty."""
    shift = Shift(source, command, **options)
    asyncio.run(asyncio.wait_for(shift.workforce.run(), PATIENCE))
    return shift


def shell(text):
    return ["sh", "-c", text]


def python(text):
    return [sys.executable, "-c", text]


class TestOneMessage:
    def test_a_command_that_ends_well_has_its_message_deleted(self, tmp_path):
        held = Held(message(body=b"\x00\xffbody"))
        shift = finish(Source(held), shell(f"cat > {tmp_path}/seen"))
        assert held.done == ["delete"]
        assert (tmp_path / "seen").read_bytes() == b"\x00\xffbody"
        assert (shift.workforce.done, shift.said) == (1, [])

    def test_a_command_need_not_read_its_message(self):
        held = Held(message(body=b"x" * (1 << 20)))
        finish(Source(held), ["true"])
        assert held.done == ["delete"]

    @pytest.mark.parametrize("size", [0, 1 << 20])
    def test_a_command_may_leave_something_running(self, size, tmp_path):
        held = Held(message(body=b"x" * size))
        # A shell gives what runs in the background another input than its own.
        finish(Source(held), shell(f"exec 3<&0; sleep 1000 <&3 & echo $! > {tmp_path}/left"))
        os.kill(int((tmp_path / "left").read_text()), signal.SIGKILL)
        assert held.done == ["delete"]

    @pytest.mark.parametrize(("deliveries", "pause"), [(1, 2), (2, 4), (3, 8), (4, 10), (1000, 10)])
    def test_one_that_fails_has_it_back_after_a_while(self, deliveries, pause):
        held = Held(message(deliveries=deliveries))
        shift = finish(Source(held), shell("exit 3"), backoff=2, max_backoff=10)
        assert held.done == [("release", pause)]
        assert shift.said == [f"message '1': exited with 3; it is there again in {pause} s"]
        assert (shift.workforce.done, shift.workforce.failed) == (0, {"1"})

    def test_one_that_a_signal_ended_says_which(self):
        shift = finish(Source(Held(message())), shell("kill -SEGV $$"))
        assert shift.said == ["message '1': was ended by SIGSEGV; it is there again in 1 s"]

    def test_a_later_attempt_makes_good_for_one_that_failed(self, tmp_path):
        first, second = Held(message()), Held(message(deliveries=2))
        shift = finish(Source(first, second), shell('test "$LEVERET_DELIVERIES" = 2'))
        assert (first.done, second.done) == ([("release", 1)], ["delete"])
        assert shift.workforce.failed == set()

    @pytest.mark.parametrize(("command", "done"), [("true", "deleted"), ("false", "released")])
    def test_a_lease_that_is_lost_at_the_end_is_said(self, command, done):
        shift = finish(Source(Held(message(), settling=lost())), [command])
        assert shift.said == [f"message '1': its lease was lost before it was {done}; another worker may have it"]

    def test_a_server_that_is_away_at_the_end_is_said(self):
        shift = finish(Source(Held(message(), settling=away())), ["true"])
        assert shift.said == [
            "message '1' could not be deleted, and is there again when its lease ends: it can't be reached"
        ]
        assert shift.workforce.failed == {"1"}

    def test_headers_that_have_no_room_are_a_failure_of_the_message(self):
        held, next_one = Held(message(headers={"a": "x" * 10_000_000})), Held(message("2"))
        shift = finish(Source(held, next_one), ["true"])
        assert held.done == [("release", 1)]
        assert next_one.done == ["delete"]
        assert "can't be run: " in shift.said[0]


# A command that runs until it is ended; it says so by a file, since it may be ended before.
FOREVER = "import pathlib, sys, time; pathlib.Path(sys.argv[1]).touch(); time.sleep(1000)"
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + FOREVER


class TestLease:
    def test_it_is_extended_at_each_third_while_the_command_runs(self, tmp_path):
        gate = make_gate(tmp_path)
        held = Held(message())

        async def run():
            shift = Shift(Source(held), shell(f": < {gate}"), seconds=30)
            running = asyncio.ensure_future(shift.workforce.run())
            for count in (1, 2):
                await shift.clock.sleeping(1)
                shift.clock.pass_(10)
                await until(lambda: held.done.count(("extend", 30)) == count)  # noqa: B023
            open_gate(gate)
            await running

        asyncio.run(run())
        assert held.done == [("extend", 30), ("extend", 30), "delete"]

    def scene(self, tmp_path, held, steps, command=FOREVER, **options):
        """Start the command, then have time pass in these steps, each once there is somebody to notice."""
        started = tmp_path / "started"

        async def run():
            shift = Shift(Source(held), [*python(command), started], seconds=30, **options)
            running = asyncio.ensure_future(shift.workforce.run())
            await until(started.exists)
            for sleepers, seconds in steps:
                await shift.clock.sleeping(sleepers)
                shift.clock.pass_(seconds)
            await asyncio.wait_for(running, PATIENCE)
            return shift

        return asyncio.run(run())

    def test_where_it_is_lost_the_command_is_ended_and_the_message_left_alone(self, tmp_path):
        held = Held(message(), extending=[lost()])
        shift = self.scene(tmp_path, held, [(1, 10)])
        assert held.done == [("extend", 30)]
        assert shift.said == ["message '1': its lease was lost, and its command was ended; another worker may have it"]

    def test_a_server_that_is_away_for_a_moment_does_no_harm(self, tmp_path):
        held = Held(message(), extending=[away(), None, lost()])
        self.scene(tmp_path, held, [(1, 10), (1, 10), (1, 10)])
        assert held.done == [("extend", 30)] * 3

    def test_where_it_runs_out_while_the_server_is_away_the_command_is_ended(self, tmp_path):
        held = Held(message(), extending=[away()] * 10)
        shift = self.scene(tmp_path, held, [(1, 10), (1, 10.1), (1, 10)])
        assert held.done == [("extend", 30)] * 3
        assert "its lease was lost" in shift.said[0]

    def test_a_command_that_takes_too_long_is_ended(self, tmp_path):
        held = Held(message())
        shift = self.scene(tmp_path, held, [(2, 5)], timeout=5.0)
        assert held.done == [("release", 1)]
        assert shift.said == ["message '1': took longer than 5 s, and was ended; it is there again in 1 s"]

    def test_one_that_will_not_end_is_killed(self, tmp_path):
        held = Held(message())
        shift = self.scene(tmp_path, held, [(2, 5), (2, 5)], command=STUBBORN, timeout=5.0)
        assert held.done[-1] == ("release", 1)
        assert "took longer than 5 s" in shift.said[0]

    @pytest.mark.parametrize(("stubborn", "steps"), [("", [5]), ("trap '' TERM; ", [5, 5])])
    def test_what_it_started_is_ended_with_it(self, tmp_path, stubborn, steps):
        held, started, pipe = Held(message()), tmp_path / "started", tmp_path / "pipe"
        os.mkfifo(pipe)
        reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)

        async def run():
            command = shell(f"({stubborn}exec sleep 1000 > {pipe}) & exec 3> {pipe}; touch {started}; exec 3>&-; wait")
            shift = Shift(Source(held), command, timeout=5.0)
            running = asyncio.ensure_future(shift.workforce.run())
            await until(started.exists)
            for seconds in steps:
                assert held.done == []
                await shift.clock.sleeping(2)
                shift.clock.pass_(seconds)
            await asyncio.wait_for(running, PATIENCE)

        asyncio.run(run())
        assert held.done == [("release", 1)]
        assert os.read(reader, 1) == b""  # nobody has the other end any more
        os.close(reader)


class TestManyMessages:
    def test_so_many_run_at_once(self, tmp_path):
        ids = ["0", "1", "2"]
        gates = [make_gate(tmp_path, f"gate-{id}") for id in ids]
        held = [Held(message(id)) for id in ids]

        async def run():
            shift = Shift(
                Source(*held), shell(f"touch {tmp_path}/$LEVERET_ID; : < {tmp_path}/gate-$LEVERET_ID"), concurrency=3
            )
            running = asyncio.ensure_future(shift.workforce.run())
            await until(lambda: all((tmp_path / id).exists() for id in ids))
            for gate in gates:
                open_gate(gate)
            await running

        asyncio.run(run())
        assert [one.done for one in held] == [["delete"]] * 3

    def test_until_empty_ends_only_after_what_runs_and_looks_again_then(self, tmp_path):
        gate = make_gate(tmp_path)

        async def run():
            source = Source(Held(message()))
            shift = Shift(source, shell(f'test "$LEVERET_ID" != 1 || : < {gate}'), concurrency=2)
            running = asyncio.ensure_future(shift.workforce.run())
            await until(lambda: source.asked == 2)
            assert not running.done()
            last = Held(message("2"))
            source.given.append(last)
            open_gate(gate)
            await running
            return last

        assert asyncio.run(run()).done == ["delete"]

    def test_what_ends_just_before_somebody_waits_for_it_is_not_missed(self):
        async def run():
            empty, deleted = (asyncio.get_running_loop().create_future() for _ in range(2))

            class SlowlyDeleted(Held):
                async def delete(self):
                    await super().delete()
                    await deleted

            class SlowlyEmpty(Source):
                async def claim(self, seconds, *, wait, keep):
                    if not self.given and not empty.done():
                        await empty
                    return await super().claim(seconds, wait=wait, keep=keep)

            held = SlowlyDeleted(message())
            shift = Shift(SlowlyEmpty(held), ["true"], concurrency=2)
            running = asyncio.ensure_future(shift.workforce.run())
            await until(lambda: held.done)
            # One hears that there is nothing, and begins to wait while the other ends.
            empty.set_result(None)
            await asyncio.sleep(0)
            deleted.set_result(None)
            await asyncio.wait_for(running, PATIENCE)
            return shift

        assert asyncio.run(run()).workforce.done == 1


class TestServer:
    def test_where_it_can_not_be_reached_at_first_that_is_the_end(self):
        with pytest.raises(Unavailable):
            finish(Source(away(), away()), ["true"], concurrency=2)

    def test_where_it_goes_away_later_it_is_waited_for(self):
        async def run():
            source = Source(None, away(), away(), Held(message()))
            shift = Shift(source, ["true"], until_empty=False)
            running = asyncio.ensure_future(shift.workforce.run())
            for pause in (1, 2):
                await shift.clock.sleeping(1)
                shift.clock.pass_(pause)
            await source.idle.wait()
            shift.workforce.stop()
            await running
            return shift

        shift = asyncio.run(run())
        assert shift.said == ["the server is away: it can't be reached"]
        assert shift.workforce.done == 1

    def test_a_store_that_fails_ends_who_works_until_all_is_done(self):
        """A damaged message waits for somebody who deletes it; to wait for that is no use here."""
        failed = ServerFailed("store-error", 500, "the message 'm' is damaged")
        with pytest.raises(ServerFailed):
            finish(Source(Held(message()), failed), ["true"])

    def test_where_it_does_not_answer_at_first_it_is_asked_once_more(self):
        unanswered = [Unavailable("unanswered", None, "it didn't answer")] * 2
        assert finish(Source(unanswered[0], Held(message())), ["true"]).workforce.done == 1
        with pytest.raises(Unavailable):
            finish(Source(*unanswered), ["true"])

    def test_where_it_says_to_come_later_it_is_waited_for_from_the_beginning(self):
        async def run():
            too_many = TooManyRequests("too-many-requests", 429, "too many; try again in 40 s", 40)
            shift = Shift(Source(too_many, Held(message())), ["true"])
            running = asyncio.ensure_future(shift.workforce.run())
            await shift.clock.sleeping(1)
            shift.clock.pass_(40)
            await running
            return shift

        shift = asyncio.run(run())
        assert shift.said == ["the server says to come later: too many; try again in 40 s"]
        assert shift.workforce.done == 1

    @pytest.mark.parametrize("kind", [Unauthorized, Forbidden])
    def test_where_it_takes_the_key_no_more_that_is_the_end(self, kind):
        with pytest.raises(kind):
            finish(Source(Held(message()), kind("code", 401, "no"), kind("code", 401, "no")), ["true"], concurrency=2)

    def test_a_command_that_vanishes_ends_it_and_its_message_is_released(self, tmp_path):
        held = Held(message())
        with pytest.raises(FileNotFoundError):
            finish(Source(held), [tmp_path / "none"], until_empty=False)
        assert held.done == [("release", 0)]


class TestStop:
    def test_who_waits_for_a_message_stops_at_once(self):
        async def run():
            source = Source()
            shift = Shift(source, ["true"], until_empty=False)
            running = asyncio.ensure_future(shift.workforce.run())
            await source.idle.wait()
            shift.workforce.stop()
            await asyncio.wait_for(running, PATIENCE)

        asyncio.run(run())

    def test_what_runs_may_end_and_nothing_more_is_claimed(self, tmp_path):
        gate, started = make_gate(tmp_path), tmp_path / "started"
        first, second = Held(message()), Held(message("2"))

        async def run():
            command = shell(f"touch {started}; : < {gate}")
            shift = Shift(Source(first, second), command, until_empty=False)
            running = asyncio.ensure_future(shift.workforce.run())
            await until(started.exists)
            shift.workforce.stop()
            open_gate(gate)
            await running
            return shift.workforce.killed

        assert asyncio.run(run()) is False
        assert (first.done, second.done) == (["delete"], [])

    def test_the_second_time_what_runs_is_ended_and_released_at_once(self, tmp_path):
        held, started = Held(message()), tmp_path / "started"

        async def run():
            shift = Shift(Source(held), [*python(FOREVER), started], until_empty=False)
            running = asyncio.ensure_future(shift.workforce.run())
            await until(started.exists)
            shift.workforce.stop()
            shift.workforce.stop()
            await asyncio.wait_for(running, PATIENCE)
            return shift.workforce.killed

        assert asyncio.run(run()) is True
        assert held.done == [("release", 0)]

    def test_what_was_claimed_in_that_moment_is_released(self):
        held = Held(message())

        class Late(Source):
            async def claim(self, seconds, *, wait, keep):
                shift.workforce._stopping = True  # as a signal does, when the answer is there already
                return held

        shift = Shift(Late(), ["true"])
        asyncio.run(shift.workforce.run())
        assert held.done == [("release", 0)]
