"""Ends what this process has started when it is killed, and can't do so itself. Knows process groups, and no queue."""

from __future__ import annotations

import subprocess
from contextlib import suppress
from types import TracebackType
from typing import Final, Self

# It reads groups to watch and to forget until there is nobody who could write any more. Signals are not for it: where
# all processes of a service get one, ours may have work to finish, and the guard has to outlive it.
_SCRIPT: Final = """
trap '' TERM INT HUP
echo
groups=
while read -r what group; do
    rest=
    for each in $groups; do
        [ "$each" = "$group" ] || rest="$rest $each"
    done
    [ "$what" = forget ] || rest="$rest $group"
    groups=$rest
done
[ -n "$groups" ] || exit 0
for each in $groups; do kill -s TERM -- "-$each"; done
sleep "$1"
for each in $groups; do kill -s KILL -- "-$each"; done
"""

_PATIENCE: Final = 1.0  # seconds for the guard to end after its grace


class Guard:
    """A small process that outlives this one. Where there is no shell to be it, nothing is guarded."""

    def __init__(self, grace: float = 5.0) -> None:
        """`grace` is in seconds, from SIGTERM to SIGKILL."""
        self._grace = grace
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        with suppress(OSError):
            self._process = subprocess.Popen(  # noqa: S603 - ours
                ["/bin/sh", "-c", _SCRIPT, "guard", f"{self._grace:g}"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
                bufsize=0,
            )
            assert self._process.stdout is not None
            with self._process.stdout as told:
                told.readline()  # it is ready
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            assert self._process.stdin is not None
            self._process.stdin.close()
            try:
                self._process.wait(self._grace + _PATIENCE)
            except subprocess.TimeoutExpired:  # somebody has stopped it
                self._process.kill()
                self._process.wait()

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    def watch(self, group: int) -> None:
        """End it, first by SIGTERM, when this process is killed."""
        self._tell("watch", group)

    def forget(self, group: int) -> None:
        """It has ended, and its number may soon be another's."""
        self._tell("forget", group)

    def _tell(self, what: str, group: int) -> None:
        if self._process is not None:
            assert self._process.stdin is not None
            with suppress(BrokenPipeError):  # somebody has killed it
                self._process.stdin.write(f"{what} {group}\n".encode())
