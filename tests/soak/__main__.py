"""`make soak`: the trials in their long form, one after another, and their figures into docs/reliability.md.

What it says of each is kept at once, so that a soak that is interrupted loses only the trial that was running.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
from pathlib import Path

sys.path[0:1] = [str(Path(__file__).parent.parent), str(Path(__file__).parent.parent.parent)]

from rich.console import Console  # noqa: E402 - the path comes first
from rich.markup import escape  # noqa: E402
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn  # noqa: E402

from bench.record import machine  # noqa: E402
from soak import results  # noqa: E402
from soak.course import Course, Outcome  # noqa: E402
from soak.trials import TRIALS, Trial  # noqa: E402

_LAST_WORDS = 30  # lines of what a failed trial wrote


class Soak:
    """Trials, and where they are."""

    def __init__(self, trials: list[Trial], console: Console, record: bool) -> None:
        self._trials = trials
        self._record = record
        self._console = console
        self._progress = Progress(
            TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TextColumn("{task.fields[of]}"),
            console=console, disable=not console.is_terminal,
        )  # fmt: skip
        self._failed: list[str] = []

    def run(self) -> int:
        """Answers the exit code: 1 where a trial failed."""
        minutes = sum(trial.minutes for trial in self._trials)
        with self._progress as progress:
            whole = progress.add_task(
                f"{len(self._trials)} trials", total=minutes, of=f"of about {results.duration(60 * minutes)}"
            )
            for number, trial in enumerate(self._trials, 1):
                title = f"{number}/{len(self._trials)} {trial.name}"
                about = f"about {results.duration(60 * trial.minutes)}"
                task = progress.add_task(title, total=trial.minutes, of=f"of {about}")
                if not self._console.is_terminal:
                    self._console.print(f"{title}: {about}")
                course = Course(trial)
                try:
                    while (outcome := course.wait(1)) is None:
                        progress.update(task, completed=min(course.seconds / 60, trial.minutes))
                except BaseException:
                    course.stop()
                    raise
                progress.remove_task(task)
                progress.advance(whole, trial.minutes)
                self._say(trial, outcome)
        if self._failed:
            self._console.print(f"[red]failed:[/] {', '.join(self._failed)}", highlight=False, soft_wrap=True)
        return 1 if self._failed else 0

    def _say(self, trial: Trial, outcome: Outcome) -> None:
        say = self._console.print
        took = results.duration(outcome.seconds)
        if outcome.lacks:
            say(
                f"[yellow]- {trial.name}[/], {took}: not run here: {escape(outcome.lacks)}",
                highlight=False,
                soft_wrap=True,
            )
            return
        figures = "; ".join(outcome.figures) or "it said no figures"
        mark = "[green]\u2713" if outcome.passed else "[red]\u2717"
        say(f"{mark} {trial.name}[/], {took}: {escape(figures)}", highlight=False, soft_wrap=True)
        if not outcome.passed:
            self._failed.append(trial.name)
            lines = outcome.log.read_text(errors="replace").splitlines()
            say(
                escape("\n".join([f"{outcome.log} ends with:", *lines[-_LAST_WORDS:]])), highlight=False, soft_wrap=True
            )
        if not self._record:
            return
        results.write(
            results.read()
            | {
                trial.name: {
                    "passed": outcome.passed,
                    "figures": outcome.figures,
                    "seconds": round(outcome.seconds, 1),
                    "date": time.strftime("%Y-%m-%d", time.gmtime()),
                    "machine": machine(),
                }
            }
        )


def main() -> int:
    parser = argparse.ArgumentParser(prog="python tests/soak", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("trials", metavar="TRIAL", nargs="*", help="by name; all, where none is named")
    parser.add_argument("--list", action="store_true", help="say what there is, and run nothing")
    parser.add_argument(
        "--render", action="store_true", help="write docs/reliability.md from what is kept, and run nothing"
    )
    parser.add_argument(
        "--no-record", action="store_true", help="say the figures, and leave docs/reliability.md as it is"
    )
    given = parser.parse_args()
    unknown = [name for name in given.trials if name not in TRIALS]
    if unknown:
        parser.error(f"there is no trial '{unknown[0]}'; there are: {', '.join(TRIALS)}")
    if given.render:
        results.write(results.read())
        return 0
    chosen = [trial for name, trial in TRIALS.items() if name in given.trials or not given.trials]
    if given.list:
        for trial in chosen:
            print(f"{trial.name:24} {trial.minutes:5.1f} min  {trial.about}")
        return 0
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # so that no trial goes on by itself
        signal.signal(number, signal.default_int_handler)
    try:
        return Soak(chosen, Console(), record=not given.no_record).run()
    except KeyboardInterrupt:
        print("interrupted; what was finished is kept", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
