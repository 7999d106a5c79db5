"""Queues in asyncio: the same for every URL, and the user's event loop is never held up."""

import asyncio
import itertools

import pytest

from leveret import connect_async
from leveret.client import (
    AsyncClient,
    BadRequest,
    ClientClosed,
    Draft,
    LeaseLost,
    Policy,
    Unavailable,
)
from leveret.client.calls import Retry, Unanswered, Unsent
from support.scripted import AsyncScripted, found, problem, reply

LOST = problem(409, "lease-lost")


@pytest.fixture
def run(url, account):
    """Run a coroutine function with an empty queue."""

    def run(function):
        async def main():
            async with connect_async(url) as client:
                await function(client.queue(account, "jobs"))

        asyncio.run(main())

    return run


async def bodies(messages):
    return [message.body async for message in messages]


def test_all_that_a_queue_does_is_awaitable(run):
    async def use(queue):
        assert await queue.put(b"\xff", id="1", headers={"n": "1"}) == "1"
        assert await queue.put_many(["2", Draft("3", id="3")])
        assert await bodies(queue.messages(2)) == [b"\xff", b"2"]
        assert (await queue.get("1")).headers == {"n": "1"}
        assert [each and each.body for each in await queue.get_many(["3", "4"])] == [b"3", None]
        assert (await queue.stats()).messages == 3
        assert (await queue.change("1", ttl=5)).ttl == 5
        assert (await queue.pop()).body == b"\xff"
        assert [each.body for each in await queue.pop_many(1)] == [b"2"]
        claim = await queue.claim(keep=False)
        assert (await queue.extend("3", 90, claim.message.receipt)).hide == 90
        assert await queue.delete_many(["3"], [claim.message.receipt]) == ["done"]
        assert not await queue.delete("3")
        assert await queue.set_policy(default_ttl=9) == await queue.policy() == Policy(default_ttl=9)
        await queue.remove_policy()
        await queue.put("x")
        assert await queue.purge()
        with pytest.raises(BadRequest):
            await bodies(queue.messages(after="nonsense!"))

    run(use)


def test_all_that_a_client_does_is_awaitable(run):
    async def use(queue):
        client = queue.client
        await queue.put("")
        assert queue.account in [name async for name in client.accounts()]
        assert [name async for name in client.queues(queue.account)] == ["jobs"]
        assert [stats.name for stats in await client.queue_stats(queue.account)] == ["jobs"]
        assert await client.versions() == ["v1.0", "v1.1"]
        assert await client.delete_account(queue.account)

    run(use)


def test_a_claim_is_deleted_or_released_at_the_end_of_its_block(run):
    async def use(queue):
        await queue.put("work", id="1")
        with pytest.raises(ZeroDivisionError):
            async with await queue.claim():
                raise ZeroDivisionError
        async with await queue.claim() as claim:
            assert claim.deliveries == 2
            await claim.extend(600)
            assert (await queue.get("1")).hide == 600
        assert await queue.get("1") is None

    run(use)


def test_waiting_holds_up_nothing_else(run):
    async def use(queue):
        waiting = asyncio.create_task(queue.claim(wait=60, keep=False))
        following = queue.follow()
        seen = asyncio.create_task(anext(following))
        await queue.put("late")
        assert (await waiting).body == (await seen).body == b"late"
        await following.aclose()

    run(use)


def test_a_wait_that_is_cancelled_takes_nothing(run):
    async def use(queue):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await queue.claim(wait=60)
        await queue.put("precious")
        assert (await queue.claim(keep=False)).deliveries == 1

    run(use)


def test_claims_come_one_after_the_other(run):
    async def use(queue):
        await queue.put_many([*"12"])
        seen = []
        claims = queue.claims()
        async for claim in claims:
            async with claim:
                seen.append(claim.text)
            if len(seen) == 2:
                break
        await claims.aclose()
        assert seen == ["1", "2"]

    run(use)


def test_closing_ends_what_waits(run):
    async def use(queue):
        waiting = asyncio.create_task(queue.pop(wait=60))
        await asyncio.sleep(0)
        await queue.client.close()
        with pytest.raises(ClientClosed):
            await waiting
        with pytest.raises(ClientClosed):
            await queue.put("")

    run(use)


def scripted(*script, sleep, retries=3):
    transport = AsyncScripted(*script)
    return AsyncClient(transport, Retry(retries, spread=lambda: 1.0), sleep), transport


def test_what_is_safe_is_repeated_and_follow_goes_on():
    pauses = []

    async def sleep(seconds):
        pauses.append(seconds)

    async def main():
        client, _ = scripted(
            reply(200, [found("1")]), Unsent(""), Unanswered(""), reply(200, [found("2")]), sleep=sleep, retries=0
        )
        following = client.queue("a", "q").follow()
        assert [(await anext(following)).id, (await anext(following)).id] == ["1", "2"]
        await following.aclose()
        client, _ = scripted(Unanswered(""), reply(204), sleep=sleep)
        await client.queue("a", "q").put("")
        client, _ = scripted(
            reply(200, [found("1", receipt="r")]), Unanswered(""), reply(200, [found("2", receipt="r")]), sleep=sleep
        )
        claims = client.queue("a", "q").claims()
        assert [(await anext(claims)).id, (await anext(claims)).id] == ["1", "2"]
        await claims.aclose()
        client, _ = scripted(Unsent("no way there"), sleep=sleep, retries=0)
        with pytest.raises(Unavailable):
            await anext(client.queue("a", "q").claims())

    asyncio.run(main())
    assert pauses == [1.0, 2.0, 0.1, 1.0]


def claiming(use, *script):
    """Use a claim whose time runs while the test waits; answers what was asked, and the pauses, in seconds."""
    pauses = []

    async def main():
        ticks = itertools.count()

        async def sleep(seconds):
            pauses.append(seconds)
            if next(ticks) > 5:
                await asyncio.Event().wait()
            await asyncio.sleep(0)

        client, transport = scripted(reply(200, [found("1", receipt="r")]), *script, sleep=sleep)
        await use(await client.queue("a", "q").claim(60), transport)
        return transport.asked[1:]

    return asyncio.run(main()), pauses


async def until(condition):
    """Let others go on until it holds."""
    while not condition():  # noqa: ASYNC110 - an event would have to be set by what is tested
        await asyncio.sleep(0)


def test_a_lease_is_kept_while_the_block_runs():
    async def use(claim, transport):
        async with claim:
            await until(lambda: len(transport.script) == 1)  # all but what the end asks

    extended = [reply(200, found("1", receipt=f"r{number}")) for number in (2, 3)]
    asked, pauses = claiming(use, extended[0], Unanswered(""), extended[1], reply(204))
    extend = "POST /v1.1/a/q/1?hide=60&receipt={}&detail=attributes"
    assert asked == [*(extend.format(each) for each in ("r", "r2", "r2")), "DELETE /v1.1/a/q/1?receipt=r3"]
    assert pauses[:4] == [20.0, 20.0, 10.0, 20.0]


def test_a_lease_that_was_lost_while_the_block_ran_is_told_at_its_end():
    async def use(claim, transport):
        await claim.__aenter__()
        await until(lambda: claim.lost)
        with pytest.raises(LeaseLost):
            await claim.__aexit__(None, None, None)

    asked, _ = claiming(use, LOST)
    assert len(asked) == 1
