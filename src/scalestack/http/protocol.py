"""HTTP/1.1 on one connection: requests are answered in order, and in the same call where the answer is ready."""

from __future__ import annotations

import asyncio
import contextlib
from bisect import bisect_left
from collections.abc import Awaitable
from time import monotonic
from typing import Final

from scalestack.event.loops import LoopThread
from scalestack.event.pending import Cancelled, Pending
from scalestack.http.failures import failure, named, problem
from scalestack.http.message import Head, Request, Response
from scalestack.http.meter import BOUNDS, Tally
from scalestack.http.parser import RequestParser
from scalestack.http.problem import HttpError
from scalestack.http.router import Entry
from scalestack.http.sending import PIECE, send_in_pieces, send_stream
from scalestack.http.shared import Shared
from scalestack.http.writer import CONTINUE, encode
from scalestack.log import Logger
from scalestack.net.connection import Connection

_log = Logger("scalestack.http")

_MAX_BACKLOG = 64 << 10  # bytes kept unread behind a request that must wait; then reading stops
_LAST_CALL = 0.05  # seconds for requests that were sent before a drain to be read; an idle connection ends then
_UNKNOWN: Final = Head([])
_LINGER = 2.0  # seconds that a refused client has to read the refusal before the connection is cut


class HttpConnection(Connection):
    """One client. Each call runs on the loop that owns the connection."""

    __slots__ = (
        "_access", "_backlog", "_began", "_behind", "_body_began", "_deaf", "_desk", "_draining", "_entry", "_eof",
        "_feeding", "_head", "_idle_timeout", "_in_head", "_last", "_owes_continue", "_parser", "_plain", "_request",
        "_resting", "_shared", "_streaming", "_tally", "_timeouts", "_waiting", "_writable",
    )  # fmt: skip

    def __init__(self, thread: LoopThread, shared: Shared) -> None:
        super().__init__(thread)
        self._shared = shared
        self._timeouts = shared.timeouts
        self._idle_timeout = shared.timeouts.idle + 0.0  # of its own: what threads share costs each of them
        self._access = shared.access
        self._desk = desk = shared.desk(thread)
        self._head = _UNKNOWN  # of the last request
        self._parser = RequestParser(shared.parser_limits, self._on_request, self._on_expect, desk.known)
        self._waiting: Pending[Response] | asyncio.Task[None] | None = None  # the answer under way
        self._request: Request | None = None  # whose answer that is, where it is pending
        self._behind: list[Request | HttpError] = []  # parsed, and waiting for their turn
        self._backlog: bytearray | None = None  # not parsed yet
        self._feeding = False
        self._resting = False  # it has had its turn on the loop, and goes on after the others
        self._deaf = False  # reading is paused
        self._owes_continue = False
        self._last = False  # no more requests are read
        self._eof = False  # the client sends no more
        self._draining = False
        self._streaming = False
        self._plain = shared.access is None  # an answer that is ready is sent, and that is all
        self._in_head = False
        self._body_began = 0.0  # when the body was begun that is under way
        self._writable: asyncio.Future[None] | None = None  # set while the client reads too slowly
        self._began = 0.0  # when the request under way was read, where it is logged or counted
        self._entry: Entry | None = None  # where the router sent it
        self._tally: Tally | None = None  # what its answer is counted by

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.expect(self._timeouts.head)

    def connection_lost(self, exc: Exception | None) -> None:
        self._last = True
        self._behind.clear()
        self._backlog = None
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = self._request = None
        if self._writable is not None:
            self._writable.cancel()
        self._parser.close()
        super().connection_lost(exc)

    # Bytes come in.

    def data_received(self, data: bytes) -> None:
        if self._waiting is not None or self._writable is not None or self._resting or self._last:
            if not self._last:
                self._hold(data)
            return
        parser = self._parser
        found = None
        if parser.fresh:
            desk = self._desk
            found = desk.known.recognize(data, self._head, desk.router.paths, parser.longest)
        if found is not None:  # as nearly always
            request, entry, parameters = found
            self._head = request.head
            now = monotonic()
            self._answer(request, now, entry, parameters)
            if self._plain and self._waiting is None:
                # As `expect` does it, without a call.
                self._deadline = deadline = now + self._idle_timeout
                if deadline < self._timer_at:
                    self.expect(self._idle_timeout)
            else:
                self._set_deadline()
            return
        self._feeding = True
        try:
            taken = self._parser.feed(data)
            if taken < len(data):
                self._take(data, taken)
        except HttpError as error:
            self._refuse(error)
        self._feeding = False
        self._set_deadline()

    def eof_received(self) -> bool:
        """The client has sent its last byte. It may be gone, or still wait for answers."""
        self._own.turn.flush()
        waiting = self._waiting
        if self._last or self._streaming or (waiting is None and not self._behind and not self._backlog):
            return False  # of a stream that has no end, nobody hears any more who sends nothing any more
        if isinstance(waiting, Pending) and waiting.cancel():
            self._waiting = self._request = None
            return False
        self._eof = True
        return self.transport.get_extra_info("sslcontext") is None  # TLS can't be closed by halves

    def _take(self, data: bytes, taken: int) -> None:
        """Parse the rest of `data`, as far as requests can be answered, and no others on this loop have to wait."""
        while taken < len(data):
            if self._waiting is not None or self._writable is not None:
                self._hold(data[taken:])
                return
            if not self._parser.in_body:
                # Many requests in one piece: the others have their turn, and then it goes on.
                self._resting = True
                self._hold(data[taken:])
                self._pause_reading()
                self.thread.loop.call_soon(self._go_on)
                return
            taken += self._parser.feed(memoryview(data)[taken:])

    def is_answering(self) -> bool:
        return self._waiting is not None

    def _is_busy(self) -> bool:
        """Whether what comes next has to wait."""
        return self._waiting is not None or self._writable is not None or self._resting or self._last

    def _go_on(self) -> None:
        self._resting = False
        self._advance()

    def _hold(self, data: bytes) -> None:
        if self._backlog is None:
            self._backlog = bytearray()
        self._backlog += data
        if len(self._backlog) > _MAX_BACKLOG:
            waiting = self._waiting
            if isinstance(waiting, Pending) and waiting.cancel():
                self._waiting = self._request = None
                self._refuse_flood()
            else:
                self._pause_reading()

    def _pause_reading(self) -> None:
        if not self._deaf:
            self._deaf = True
            self.transport.pause_reading()

    def _set_deadline(self) -> None:
        """Say how long the client may take to do what is next."""
        parser = self._parser
        if parser.between and self._plain and self._waiting is None:
            self.expect(self._idle_timeout)  # as nearly always
        elif self._last:
            return
        elif self._writable is not None:
            self.expect(self._timeouts.write)
        elif self._waiting is not None:
            pass  # the client has nothing to do: `timed_out` leaves it alone
        elif parser.between:
            self.expect(self._idle_timeout)
        elif parser.in_body:
            self._in_head = False
            now = monotonic()
            self._body_began = self._body_began or now
            self.expect(self._timeouts.for_body(self._body_began, parser.body_size, now))
        elif not self._in_head:
            # A head has a deadline as a whole: one that comes byte by byte must come soon.
            self._in_head = True
            self.expect(self._timeouts.head)

    # Requests come out.

    def _on_request(self, request: Request, its_turn: bool = False) -> None:
        """Answer it, unless others are before it and it is not its turn yet."""
        if not its_turn:
            self._in_head = False  # the next one has a time of its own
            self._body_began = 0.0
            self._owes_continue = False
            if self._waiting is not None or self._writable is not None or self._behind:
                self._behind.append(request)
                return
            if self._last:
                return
        self._answer(request, monotonic())

    def _answer(
        self, request: Request, began: float, entry: Entry | None = None, parameters: tuple[str, ...] = ()
    ) -> None:
        """Nothing is before it: find what answers it, and send that where it is ready."""
        request.connection = self
        tally: Tally | None = self._own.tally
        try:
            if entry is None:
                entry, parameters = self._desk.router.find(request.line)
            # Written so, CPython makes the call without a tuple and a list in between.
            if len(parameters) == 3:
                first, second, third = parameters
                answer = entry.handler(request, first, second, third)
            elif len(parameters) == 2:
                first, second = parameters
                answer = entry.handler(request, first, second)
            else:
                answer = entry.handler(request, *parameters)
        except Exception as error:
            answer = failure(request, error, self._shared.translate)
        # Sent in one piece, on a connection that stays open, and nobody wants to know of it.
        if (
            isinstance(answer, Response)
            and self._plain
            and request.usual
            and answer.stream is None
            and len(answer.body) < self._desk.piece
        ):
            if tally is not None:
                # As `Tally.answered` does it, without a call: each request pays for it. Before the client has its
                # answer, so that whoever has one finds it counted.
                try:
                    cell = tally.cells[entry][answer.status]
                except KeyError:
                    cell = tally.find(entry, request.method, answer.status)
                now = monotonic()
                seconds = now - began
                cell.counts[0 if seconds <= tally.first else bisect_left(BOUNDS, seconds)] += 1
                cell.sum += seconds
                began = now
            self._own.turn.write(self.transport, self._desk.writer.encode(answer, began))
            return
        self._began = began
        self._entry = entry
        self._tally = tally
        if isinstance(answer, Response):
            self._count(request, answer.status, monotonic())
            self._send(request, answer)
        elif isinstance(answer, Pending):
            self._waiting = answer
            self._request = request
            answer.listen(self._came)
        else:
            self._waiting = self.thread.loop.create_task(self._await(request, answer))

    def _on_expect(self) -> None:
        if self._waiting is None and not self._behind:
            self._write(CONTINUE)
        else:
            self._owes_continue = True

    def _refuse(self, error: HttpError) -> None:
        """The bytes that came are no request: answer after those before it, and close."""
        if self._waiting is not None or self._behind:
            self._behind.append(error)
            return
        tally: Tally | None = self._own.tally
        if tally is not None:
            tally.refused(error.status)
        self._write(encode(problem(error), keep_alive=False))
        if self._access is not None:
            self._access(self.peer, "-", "-", error.status, len(error.body()), 0.0)
        self._linger()

    # Answers go out.

    async def _await(self, request: Request, answer: Awaitable[Response]) -> None:
        try:
            response = await answer
        except Exception as error:
            self._answered(request, None, error)
        else:
            self._answered(request, response, None)

    def _came(self, response: Response | None, error: BaseException | None) -> None:
        request, self._request = self._request, None
        if request is None:
            return  # the client is gone
        if (
            isinstance(response, Response)
            and self._plain
            and request.usual
            and response.stream is None
            and len(response.body) < PIECE
            and not (self._behind or self._backlog or self._owes_continue or self._deaf or self._feeding or self._eof)
        ):
            # As nearly always: nothing else waits.
            now = monotonic()
            if self._tally is not None:
                self._count(request, response.status, now)
            self._waiting = None
            self._own.turn.write(self.transport, self._desk.writer.encode(response, now))
            if self._parser.between:
                self._deadline = deadline = now + self._idle_timeout
                if deadline < self._timer_at:
                    self.expect(self._idle_timeout)
            else:
                self._set_deadline()
        elif isinstance(error, Cancelled):
            self._give_up()
        else:
            self._answered(request, response, error)

    def _give_up(self) -> None:
        """The answer was cancelled before it began to wait, and so later than it was asked for."""
        self._waiting = None
        if self._eof and not self._last:
            self._finish()
        elif not self._last:
            self._refuse_flood()

    def _refuse_flood(self) -> None:
        # Who is not read from can't be seen to hang up, and must not take anything then.
        self._behind.clear()
        self._refuse(HttpError(400, "too-much-pipelined", "too much is sent behind a request that waits"))

    def _answered(self, request: Request, response: Response | None, error: BaseException | None) -> None:
        """An answer that had to wait is there."""
        if self.transport.is_closing():
            self._waiting = None
            return
        if response is None:
            response = failure(request, error, self._shared.translate)
        self._count(request, response.status, monotonic())
        self._waiting = None
        self._send(request, response)
        self._advance()

    def _write(self, data: bytes | memoryview) -> None:
        """At once, and after what was put off to the end of the loop's turn."""
        self._own.turn.flush()
        self.transport.write(data)

    def _send(self, request: Request, response: Response) -> None:
        keep_alive = request.keep_alive and not self._draining
        if response.stream is not None:
            self._waiting = self.thread.loop.create_task(self._send_stream(request, response, keep_alive))
            return
        data = encode(response, request.method == b"HEAD", keep_alive, request.http10)
        if len(data) > PIECE:
            sending = self._send_in_pieces(request, response.status, len(response.body), data, keep_alive)
            self._waiting = self.thread.loop.create_task(sending)
            return
        self._write(data)
        self._sent(request, response.status, len(response.body), keep_alive)

    def _sent(self, request: Request, status: int, size: int, keep_alive: bool) -> None:
        if self._access is not None:
            method, target = request.method.decode("latin-1"), request.target.decode("latin-1")
            self._access(self.peer, method, target, status, size, monotonic() - self._began)
        if not keep_alive:
            if self._draining and request.keep_alive:
                self._linger()  # it was not told before, and may have sent more
            else:
                self._finish()

    async def _send_in_pieces(self, request: Request, status: int, size: int, data: bytes, keep_alive: bool) -> None:
        # Not given the response: of what is read slowly, one copy is enough.
        await send_in_pieces(data, self._write, lambda: self._writable, self._desk.unsent, self.transport.abort)
        self._waiting = None
        self._sent(request, status, size, keep_alive and not self._draining)
        self._advance()

    async def _send_stream(self, request: Request, response: Response, keep_alive: bool) -> None:
        keep_alive = keep_alive and not request.http10
        self._streaming = request.method != b"HEAD"
        try:
            sent = await send_stream(request, response, keep_alive, self._write, lambda: self._writable)
        except Exception as error:
            # What was sent can't be taken back: only cutting the connection says that the answer is not whole.
            _log.error("a stream failed", **named(request), exc_info=error)
            self.transport.abort()
            return
        finally:
            self._streaming = False
        self._waiting = None
        self._sent(request, response.status, sent, keep_alive and not self._draining)
        self._advance()

    def _advance(self) -> None:
        """The request that all others waited for is answered: go on with the next."""
        while self._behind and self._waiting is None and self._writable is None and not self._last:
            following = self._behind.pop(0)
            if isinstance(following, HttpError):
                self._refuse(following)
            else:
                self._on_request(following, its_turn=True)
        if self._feeding or self._is_busy():
            return
        if self._owes_continue:
            self._owes_continue = False
            self._write(CONTINUE)
        if self._backlog:
            data, self._backlog = bytes(self._backlog), None
            self.data_received(data)
            if self._is_busy():
                return
        if self._deaf:
            self._deaf = False
            self.transport.resume_reading()
        if self._eof or (self._draining and self._parser.between):
            self._finish()
        else:
            self._set_deadline()

    def _count(self, request: Request, status: int, now: float) -> None:
        """Count an answer that is there, and is to be sent; of one that was pending, before it is forgotten."""
        if self._tally is not None:
            parked = isinstance(self._waiting, Pending) and self._waiting.parked
            self._tally.answered(self._entry, request, status, now - self._began, parked)

    # The end.

    def drain(self) -> None:
        """Answer what is under way, and what was sent already, each with "Connection: close"; then close."""
        self._draining = True
        self._plain = False
        self.thread.later(_LAST_CALL, self._close_idle)

    def _close_idle(self) -> None:
        if self._parser.between and not (self._last or self._waiting or self._behind or self._backlog):
            self._finish()

    def _finish(self) -> None:
        """All is answered: send what is left, and close."""
        self._last = True
        self._plain = False
        self._behind.clear()
        self.expect(self._timeouts.write)
        self._own.turn.flush()
        self.transport.close()

    def _linger(self) -> None:
        """Close so that a client that still sends can read the answer: to close at once would destroy it unread
        (RFC 9112 section 9.6)."""
        self._last = True
        self._plain = False
        self._behind.clear()
        self.expect(_LINGER)
        self._own.turn.flush()
        if self.transport.can_write_eof():
            with contextlib.suppress(OSError, RuntimeError):
                self.transport.write_eof()
        else:
            self.transport.close()

    def timed_out(self) -> None:
        if self._last or self._writable is not None:
            self.transport.abort()
        elif self._waiting is not None:
            pass  # for us, and is given a deadline with its answer
        elif not self._parser.between:
            what = "body" if self._parser.in_body else "head"
            self._refuse(HttpError(408, "timeout", f"the request's {what} did not come in time"))
        else:
            self._finish()

    # The client reads too slowly, or again.

    def pause_writing(self) -> None:
        if self._writable is None:
            self._writable = self.thread.loop.create_future()
            self._plain = False
            if not self._last:
                self.expect(self._timeouts.write)

    def resume_writing(self) -> None:
        if self._writable is not None:
            if not self._writable.done():
                self._writable.set_result(None)
            self._writable = None
            self._desk.unsent.goes_on(self.transport.abort, monotonic())
            self._plain = self._shared.access is None and not self._draining and not self._last
            self._set_deadline()
            self._advance()
