"""A provider's keys, kept fresh in a thread of its own. Knows when to fetch them; knows no HTTP and no tokens.

Strangers make up key ids for nothing, so that an unknown one leads to a fetch once in a while and no more. What was
fetched last is in use while nothing newer can be had, up to an age.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from typing import Final

from scalestack.auth.jwt.keyset import KeySet
from scalestack.auth.jwt.limit import FetchError
from scalestack.event.loops import LoopThread
from scalestack.event.pending import Pending
from scalestack.log import Logger

_log = Logger("scalestack.auth.jwt")

GAP: Final = 10.0  # seconds from one fetch to the next, at least
PATIENCE: Final = 5.0  # seconds that a request waits for one


class Jwks:
    """The keys of one provider."""

    def __init__(
        self,
        fetch: Callable[[], KeySet],
        refresh: float,
        stale: float,
        clock: Callable[[], float] = time.monotonic,
        give_up: Callable[[], object] = lambda: None,
    ) -> None:
        """`fetch` may raise `FetchError`. `refresh`: seconds until keys are fetched again; `stale`: seconds that they
        are used meanwhile; `clock`: seconds. After `give_up`, `fetch` fails at once."""
        self.keys: KeySet | None = None  # replaced, never changed
        self.version = 0  # counts the replacements
        self._fetch = fetch
        self._refresh = refresh
        self._stale = stale
        self._clock = clock
        self._give_up = give_up
        self._due = clock()
        self._began = -math.inf  # when the last fetch did
        self._fresh = -math.inf  # when the last one did that was good
        self._troubled = False  # the last one was not, and that was said
        self._ended = False
        self._wanted = False  # a fetch is asked for
        self._under_way = False
        self._waiting: dict[Pending[None], LoopThread] = {}  # requests, for its end
        self._turn = threading.Condition()  # guards all of these, and wakes the thread
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Fetch the keys, and then again and again. Does not wait for them."""
        self._wanted = True
        self._thread = threading.Thread(target=self._run, name="jwks", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread: blocks until it has, with no fetch to wait for. Harmless when called again."""
        with self._turn:
            self._ended = True
            self._turn.notify()
        self._give_up()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        self._release()

    def hasten(self) -> None:
        """Have the keys fetched now, whenever that was done last. Does not wait for them."""
        with self._turn:
            self._wanted = True
            self._turn.notify()

    def renewed(self, thread: LoopThread) -> Pending[None] | None:
        """An answer when the keys have been fetched anew, or could not be, or that takes too long; None where it was
        tried a moment ago. Only on the loop of `thread`."""
        with self._turn:
            if self._ended:
                return None
            if not (self._wanted or self._under_way):
                if self._clock() - self._began < GAP:
                    return None
                self._wanted = True
                self._turn.notify()

            def forget() -> None:
                timer.cancel()
                with self._turn:
                    self._waiting.pop(answer, None)

            def give_up() -> None:
                forget()
                answer.resolve(None)

            answer: Pending[None] = Pending(forget)
            timer = thread.later(PATIENCE, give_up)
            self._waiting[answer] = thread
        return answer

    def renew(self) -> None:
        """Fetch the keys now, once, and tell those who wait. Blocks."""
        began = self._clock()
        with self._turn:
            self._wanted = False
            self._under_way = True
            self._began = began
        try:
            keys = self._fetch()
        except FetchError as error:
            self._failed(str(error))
        except Exception as error:  # a thread that ended would leave old keys in use, and say nothing
            self._failed(f"{type(error).__name__}: {error}")
        else:
            self._fetched(keys, began)
        with self._turn:
            self._under_way = False
        self._release()

    def _fetched(self, keys: KeySet, began: float) -> None:
        with self._turn:
            self._fresh = began
            self._due = began + self._refresh
            changed = not keys.same(self.keys)
            if changed:
                self.keys = keys
                self.version += 1
        if self._troubled:
            self._troubled = False
            _log.info("the keys that tokens are signed by can be fetched again")
        if changed and not keys:
            _log.warning("the provider has no keys of the allowed algorithms, and so no token is good")

    def _failed(self, why: str) -> None:
        with self._turn:
            self._due = self._began + min(GAP, self._refresh)
            ended = self._ended  # and so it may have been given up
        if not self._troubled and not ended:
            self._troubled = True
            use = "no token is accepted" if self.keys is None else "those fetched before stay in use for now"
            _log.warning(f"the keys that tokens are signed by can't be fetched; {use}", error=why)

    def expire(self) -> None:
        """Give up keys that nobody has confirmed for too long. To be called about once a second, from any thread: the
        one that fetches may be busy."""
        with self._turn:
            if self.keys is None or self._clock() - self._fresh < self._stale:
                return
            self.keys = None
            self.version += 1
        _log.error("the keys that tokens are signed by are too old to be used; no token is accepted")

    def _release(self) -> None:
        """Have all go on that wait."""
        with self._turn:
            waiting, self._waiting = self._waiting, {}
        for answer, thread in waiting.items():
            thread.post(_resolve, answer)

    def _run(self) -> None:
        while self._wait():
            self.renew()
            self.expire()

    def _wait(self) -> bool:
        """Until it is time for the next fetch; False where there is to be none."""
        with self._turn:
            while not self._ended and not self._wanted:
                left = self._due - self._clock()
                if left <= 0:
                    break
                self._turn.wait(left)
            return not self._ended


def _resolve(answer: Pending[None]) -> None:
    answer.resolve(None)
