"""What can be done to a service, as operations: which requests, and what their answers mean. No I/O; see `calls`."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote, urlencode

from leveret.client import wire
from leveret.client.calls import JSON, Call, Found, Operation, Pause, Reply, Retry, Stream, ask, error_of
from leveret.client.errors import LeveretError, TooManyRequests, Unavailable
from leveret.client.values import Draft, Message, Outcome, Policy, QueueStats, as_bytes, check_whole
from leveret.ids import make_id
from leveret.model import check_name

PAGE: Final = 1000  # objects that one request may be about
MAX_BATCH: Final = 4 << 20  # bytes of a request that publishes many
MAX_QUERY: Final = 6 << 10  # bytes of ids and receipts in one request: what is between may take no more than 8 KiB
FOLLOW_WAIT: Final = 20  # seconds that one request of a follower waits
FOLLOW_PAGE: Final = 100  # messages that it takes at once
MAX_ASKED: Final = 3600  # seconds for which a service may ask that what is tried for ever be left

_ROOT: Final = "/v1.1"


class ServiceCalls:
    """Operations on the whole of a service."""

    def __init__(self, retry: Retry) -> None:
        self._retry = retry

    def versions(self) -> Operation[list[str]]:
        reply = yield from ask(Call("GET", "/", safe=True), self._retry)
        return wire.read(good(reply).body, wire.names)

    def accounts(self) -> Stream[str]:
        return _names(_ROOT, self._retry)

    def queues(self, account: str) -> Stream[str]:
        return _names(_account(account), self._retry)

    def queue_stats(self, account: str, names: Iterable[str] | None) -> Operation[list[QueueStats]]:
        path = _account(account)
        found: list[QueueStats] = []
        if names is None:
            marker: str | None = None
            seen: set[str] = set()
            while True:
                reply = yield from ask(Call("GET", path + _query(detail="all", marker=marker), safe=True), self._retry)
                page = [] if _is_nothing(reply) else wire.read(good(reply).body, wire.stats)
                fresh = [stats for stats in page if stats.name not in seen]
                seen.update(stats.name for stats in fresh)
                found += fresh
                if not fresh or not _has_more(reply):
                    return found
                marker = page[-1].name
        for part in _in_parts([("id", check_name("queue", name)) for name in names], 1):
            reply = yield from ask(Call("GET", f"{path}?detail=all&{urlencode(part)}", safe=True), self._retry)
            if not _is_nothing(reply):
                found += wire.read(good(reply).body, wire.stats)
        return found

    def delete_account(self, account: str) -> Operation[bool]:
        path = _account(account)
        return (yield from _until_nothing(Call("DELETE", path), self._retry))


class QueueCalls:
    """Operations on one queue."""

    def __init__(self, account: str, name: str, retry: Retry) -> None:
        self._path = f"{_account(account)}/{quote(check_name('queue', name), safe='')}"
        self.retries = retry.retries
        self._retry = retry

    # Putting.

    def put(self, draft: Draft, only_new: bool) -> Operation[str]:
        draft = complete(draft)
        assert draft.id is not None
        headers = wire.headers(draft.headers or {})
        if draft.content_type is not None:
            headers.append((b"Content-Type", wire.check_header("Content-Type", draft.content_type).encode()))
        if only_new:
            headers.append((b"If-None-Match", b"*"))
        target = self._message(draft.id) + _query(ttl=draft.ttl, hide=draft.hide)
        # A second request for what is to be new would find what the first one made.
        call = Call("PUT", target, headers, as_bytes(draft.body), safe=not only_new)
        good((yield from ask(call, self._retry)))
        return draft.id

    def put_many(self, given: Iterable[bytes | str | Draft]) -> Operation[list[str]]:
        if isinstance(given, bytes | bytearray | str):
            raise TypeError("put_many takes an iterable of messages; put takes one")
        drafts = (complete(each if isinstance(each, Draft) else Draft(each)) for each in given)
        ids: list[str] = []
        for batch in _batches(map(wire.draft, drafts)):
            body = b'{"messages":[' + b",".join(batch) + b"]}"
            call = Call("PUT", self._path, [(b"Content-Type", JSON)], body, safe=True)
            ids += wire.read(good((yield from ask(call, self._retry))).body, wire.names)
        return ids

    # Reading.

    def get(self, id: str) -> Operation[Message | None]:
        reply = yield from ask(Call("GET", self._message(id) + "?detail=all", safe=True), self._retry)
        return None if _is_gone(reply) else wire.read(good(reply).body, wire.message)

    def get_many(self, ids: Iterable[str]) -> Operation[list[Message | None]]:
        found: list[Message | None] = []
        for part in _in_parts(_by_id(ids), 1):
            call = Call("GET", f"{self._path}?detail=all&{urlencode(part)}", safe=True)
            found += wire.read(good((yield from ask(call, self._retry))).body, wire.done_messages)
        return found

    def messages(self, limit: int | None, after: str | None, hidden: bool, newest_first: bool) -> Stream[Message]:
        order = "lifo" if newest_first else None
        left = limit
        while left is None or left > 0:
            most = PAGE if left is None else min(left, PAGE)
            query = _query(detail="all", limit=most, after=after, match_hidden=_flag(hidden), order=order)
            reply = yield from ask(Call("GET", self._path + query, safe=True), self._retry)
            if _is_nothing(reply):
                return
            page = wire.read(good(reply).body, wire.messages)
            yield Found(page)
            left = None if left is None else left - len(page)
            if not page or not _has_more(reply):
                return
            after = page[-1].marker

    def follow(self, after: str | None, hidden: bool) -> Stream[Message]:
        failed = 0
        reached = False
        while True:
            query = _query(detail="all", limit=FOLLOW_PAGE, after=after, match_hidden=_flag(hidden), wait=FOLLOW_WAIT)
            try:
                reply = yield from ask(Call("GET", self._path + query, safe=True, wait=FOLLOW_WAIT), self._retry)
            except Unavailable as error:
                if not reached and not isinstance(error, TooManyRequests):
                    raise  # more likely a wrong URL than a server that starts again
                yield later(self._retry, failed, error)
                failed += 1
                continue
            failed, reached = 0, True
            if not _is_nothing(reply):
                page = wire.read(good(reply).body, wire.messages)
                if page:
                    after = page[-1].marker
                yield Found(page)

    # Taking.

    def claim(self, limit: int, seconds: int, wait: int) -> Operation[list[Message]]:
        check_whole(1, limit=limit, seconds=seconds)
        check_whole(wait=wait)
        query = _query(limit=limit, hide=seconds, wait=wait or None, detail="all")
        return (yield from self._take("POST", query, wait))

    def pop(self, limit: int, wait: int) -> Operation[list[Message]]:
        check_whole(1, limit=limit)
        check_whole(wait=wait)
        return (yield from self._take("DELETE", _query(limit=limit, wait=wait or None, detail="all"), wait))

    def _take(self, method: str, query: str, wait: int) -> Operation[list[Message]]:
        reply = yield from ask(Call(method, self._path + query, wait=wait), self._retry)
        return [] if _is_nothing(reply) else wire.read(good(reply).body, wire.messages)

    # Changing and deleting by id.

    def change(
        self,
        id: str,
        ttl: int | None,
        hide: int | None,
        receipt: str | None,
        detail: str = "all",
        patience: float | None = None,
    ) -> Operation[Message | None]:
        """With `patience` (seconds), it is tried once."""
        check_whole(ttl=ttl, hide=hide)
        query = _query(ttl=ttl, hide=hide, receipt=receipt, detail=detail)
        # Without a receipt each hide begins a lease of its own, and counts as a delivery.
        safe = receipt is not None or not hide
        call = Call("POST", self._message(id) + query, safe=safe, patience=patience)
        retry = self._retry if patience is None else dataclasses.replace(self._retry, retries=0)
        reply = yield from ask(call, retry)
        return None if _is_gone(reply) else wire.read(good(reply).body, wire.message)

    def release(self, id: str, seconds: int, receipt: str | None) -> Operation[bool]:
        """False where the message is gone."""
        check_whole(seconds=seconds)
        target = self._message(id) + _query(hide=seconds, receipt=receipt)
        reply = yield from ask(Call("POST", target, safe=receipt is not None), self._retry)
        if _is_gone(reply):
            return False
        if not (reply.repeated and _code(reply) == "lease-lost"):  # the first request may have done it
            good(reply)
        return True

    def delete(self, id: str, receipt: str | None) -> Operation[bool]:
        reply = yield from ask(Call("DELETE", self._message(id) + _query(receipt=receipt), safe=True), self._retry)
        if _is_gone(reply):
            return reply.repeated  # the first request may have done it
        good(reply)
        return True

    def delete_many(self, ids: Iterable[str], receipts: Iterable[str] | None) -> Operation[list[Outcome]]:
        pairs = _by_id(ids)
        if receipts is not None:
            given = list(receipts)
            if len(given) != len(pairs):
                raise ValueError(f"there are {len(pairs)} ids and {len(given)} receipts; each id has one")
            pairs = [pair for id, receipt in zip(pairs, given, strict=True) for pair in (id, ("receipt", receipt))]
        found: list[Outcome] = []
        for part in _in_parts(pairs, 1 if receipts is None else 2):
            call = Call("DELETE", f"{self._path}?{urlencode(part)}", safe=True)
            reply = yield from ask(call, self._retry)
            told = wire.read(good(reply).body, wire.outcomes)
            if reply.repeated:  # the first request may have done it
                told = [Outcome.DONE if each is Outcome.GONE else each for each in told]
            found += told
        return found

    def purge(self) -> Operation[bool]:
        return (yield from _until_nothing(Call("DELETE", self._path + "?match_hidden=true"), self._retry))

    # The queue itself.

    def policy(self, change: Mapping[str, Any] | None) -> Operation[Policy]:
        """Change it by some members, or by none; None takes it all away. Answers what is in force then."""
        body = json.dumps(change).encode()
        call = Call("PATCH", self._path, [(b"Content-Type", JSON)], body, safe=True)
        return wire.read(good((yield from ask(call, self._retry))).body, wire.policy)

    def _message(self, id: str) -> str:
        return f"{self._path}/{quote(check_name('message', id), safe='')}"


def complete(draft: Draft) -> Draft:
    """The draft with an id, checked: so that it can be sent twice, and is there once."""
    check_whole(ttl=draft.ttl, hide=draft.hide)
    if not isinstance(draft.id, str | None):
        raise TypeError(f"an id is text, and not {type(draft.id).__name__}")
    if draft.id is None:
        return dataclasses.replace(draft, id=make_id())
    check_name("message", draft.id)
    return draft


def later(retry: Retry, failed: int, error: LeveretError) -> Pause:
    """How long to wait before trying again what is tried for ever; `failed` is how often it failed in a row before."""
    pause = dataclasses.replace(retry, first=1.0).pause(failed)
    asked = error.retry_after if isinstance(error, TooManyRequests) else None
    return pause if asked is None else Pause(max(pause.seconds, min(asked, MAX_ASKED)))


def _names(path: str, retry: Retry) -> Stream[str]:
    marker: str | None = None
    seen: set[str] = set()  # where the marker has vanished, a page begins with the first name again
    while True:
        reply = yield from ask(Call("GET", path + _query(limit=PAGE, marker=marker), safe=True), retry)
        page = [] if _is_nothing(reply) else wire.read(good(reply).body, wire.names)
        fresh = [name for name in page if name not in seen]
        seen.update(fresh)
        yield Found(fresh)
        if not fresh or not _has_more(reply):
            return
        marker = page[-1]


def _until_nothing(call: Call, retry: Retry) -> Operation[bool]:
    """Repeat what may do a page at a time, until nothing is left; whether there was anything."""
    any_at_all = False
    while True:
        reply = yield from ask(call, retry)
        if _is_nothing(reply):
            return any_at_all
        good(reply)
        any_at_all = True


def good(reply: Reply) -> Reply:
    """The answer, where it says that it was done; the error that it says, where it doesn't."""
    if reply.status >= 300:  # a redirection is not followed: a service has none
        raise error_of(reply)
    return reply


def _code(reply: Reply) -> str:
    return error_of(reply).code if reply.status >= 400 else ""


def _is_gone(reply: Reply) -> bool:
    return reply.status == 404 and _code(reply) == "no-such-message"


def _is_nothing(reply: Reply) -> bool:
    return reply.status == 404 and _code(reply) == "no-match"


def _has_more(reply: Reply) -> bool:
    return 'rel="next"' in reply.headers.get("link", "")


def _account(account: str) -> str:
    return f"{_ROOT}/{quote(check_name('account', account), safe='')}"


def _flag(value: bool) -> str | None:
    return "true" if value else None


def _query(**given: int | str | None) -> str:
    pairs = [(name, value) for name, value in given.items() if value is not None]
    return "?" + urlencode(pairs) if pairs else ""


def _by_id(ids: Iterable[str]) -> list[tuple[str, str]]:
    return [("id", check_name("message", id)) for id in ids]


def _in_parts(pairs: Sequence[tuple[str, str]], together: int) -> Iterator[Sequence[tuple[str, str]]]:
    """Parameters in parts that fit into a request each; so many that follow each other stay together."""
    part: list[tuple[str, str]] = []
    size = 0
    for start in range(0, len(pairs), together):
        following = pairs[start : start + together]
        length = len(urlencode(following)) + 1
        if part and (size + length > MAX_QUERY or len(part) >= PAGE * together):
            yield part
            part, size = [], 0
        part += following
        size += length
    if part:
        yield part


def _batches(objects: Iterable[bytes]) -> Iterator[list[bytes]]:
    batch: list[bytes] = []
    size = 0
    for each in objects:
        if batch and (size + len(each) > MAX_BATCH or len(batch) >= PAGE):
            yield batch
            batch, size = [], 0
        batch.append(each)
        size += len(each) + 1
    if batch:
        yield batch
