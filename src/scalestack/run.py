"""Runs a server in the main thread until a signal ends it. Knows nothing of what it runs."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from scalestack.log import Logger

_log = Logger("scalestack.run")

SIGNALS: Final = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGHUP})


def run(
    start: Callable[[], object],
    stop: Callable[[], object],
    reload: Callable[[], object] | None = None,
    signals: Iterable[int] | None = None,
) -> None:
    """`start`, then wait for SIGTERM or SIGINT (Ctrl-C), then `stop`; SIGHUP calls `reload`.

    What `start` raises is raised, after `stop`. A reload that fails is logged, and all goes on as it was. `signals`
    takes the place of those that the process gets.
    """
    if signals is None:
        # Blocked before any thread starts, so that only this thread takes them, by waiting for them.
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        signals = _of_process()
    try:
        start()
        for number in signals:
            if number != signal.SIGHUP:
                _log.info("stopping; a second signal ends it at once", signal=signal.Signals(number).name)
                break
            if reload is not None:
                try:
                    reload()
                except Exception as error:
                    _log.error("reloading failed; all goes on as it was", error=str(error))
                else:
                    _log.info("reloaded")
    finally:
        stop()


def _of_process() -> Iterator[int]:
    """The signals of this process, as they come. Once one has ended it, a second one kills it."""
    while True:
        number = signal.sigwait(SIGNALS)
        if number != signal.SIGHUP:
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS - {signal.SIGHUP})
        yield number
