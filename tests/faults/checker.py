"""Holds a history against what a queue promises. A pure function: no clock, no server, nothing kept.

In the manner of Jepsen's total queue, with leases, receipts, order and counts. What is unknown may have happened or
not, and either is right; what is certain is judged, in time nearly linear in the number of operations.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from typing import NamedTuple

from faults.history import Change, Drain, Got, History, Operation, Put, Take
from faults.messages import TOLERANCE, Message, Setter, Touch, first_end, in_force, last_end
from faults.order import disordered, passed_by


@dataclass
class Report:
    """What is wrong, in plain sentences, by kind; and what was looked at."""

    lost: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    duplicated: list[str] = field(default_factory=list)
    early_redelivered: list[str] = field(default_factory=list)
    out_of_order: list[str] = field(default_factory=list)
    stale_accepted: list[str] = field(default_factory=list)
    miscounted: list[str] = field(default_factory=list)
    spoiled: list[str] = field(default_factory=list)
    operations: int = 0
    puts: int = 0  # messages whose PUT was acknowledged
    handed: int = 0  # messages that claims and pops answered
    drained: int = 0
    unknown: int = 0  # operations without an answer, or with one that doesn't tell
    recovered: int = 0  # messages whose PUT was unknown, and that were there

    @property
    def violations(self) -> list[str]:
        """All sentences, each with its kind."""
        return [
            f"{each.name.replace('_', ' ')}: {sentence}"
            for each in fields(self)
            if isinstance(sentences := getattr(self, each.name), list)
            for sentence in sentences
        ]

    @property
    def kinds(self) -> set[str]:
        """Those of which there are any, such as "lost"."""
        return {each.name for each in fields(self) if isinstance(found := getattr(self, each.name), list) and found}

    @property
    def summary(self) -> str:
        """In figures."""
        others = len(self.violations) - len(self.lost) - len(self.unexpected)
        wrong = f"{len(self.lost)} lost, {len(self.unexpected)} unexpected, {others} violations of other kinds"
        return f"{self.puts:,} acknowledged PUTs, {self.operations:,} operations, {self.unknown:,} unanswered: {wrong}"

    def add(self, other: Report) -> None:
        """That of another history, to its own."""
        for each in fields(self):
            setattr(self, each.name, getattr(self, each.name) + getattr(other, each.name))

    def assert_whole(self, when: str = "") -> None:
        """Fail where anything is wrong, and say what."""
        violations = self.violations
        assert not violations, "\n".join([f"{len(violations)} violations {when}", *violations[:20]])


def check(history: History, *queues: str, may_lose_the_last: bool = False) -> Report:
    """Judge these queues, or all; what was drained of each is part of its history.

    Where it `may_lose_the_last`, as a database that is synced now and then and has lost its power, all queues are to be
    of that one database, and drained after the loss: then all from some moment on may be undone, and nothing before.
    """
    report = Report()
    findings: list[Finding] = []
    kept: Message | None = None  # the last that was put, of those that are there
    for queue in queues or history.queues():
        verdict = _Verdict(history.of(queue), report)
        verdict.judge()
        findings += verdict.findings
        if verdict.kept is not None and (kept is None or kept.put.began < verdict.kept.put.began):
            kept = verdict.kept
    if may_lose_the_last:
        first = min([each for each in findings if each.since is not None], key=_since, default=None)
        if first is not None and kept is not None and _since(first) < kept.put.began:
            sentence = f"{kept} is there, and was put when that which is lost had been acknowledged: {first.sentence}"
            findings.append(Finding("lost", sentence))
        else:
            findings = [finding for finding in findings if finding.since is None]
    for finding in findings:
        getattr(report, finding.kind).append(finding.sentence)
    return report


class Finding(NamedTuple):
    """A violation; `since` is when what is undone had been acknowledged, where a loss of the last explains it."""

    kind: str
    sentence: str
    since: float | None = None


def _since(finding: Finding) -> float:
    return math.inf if finding.since is None else finding.since


class _Verdict:
    """The judgement of one queue."""

    def __init__(self, operations: Iterable[Operation], report: Report) -> None:
        self.findings: list[Finding] = []
        self.kept: Message | None = None  # the last that was put, of those that are there
        self._report = report
        self._messages: dict[str, Message] = {}
        self._takes: list[Take] = []
        self._unknown_takes: list[Take] = []
        self._changes: list[Change] = []
        self._drains: list[Drain] = []
        for operation in operations:
            self._take_in(operation)
        for change in self._changes:
            self._touch(change)
        for take in self._takes:
            self._hand(take)
        for drain in self._drains:
            self._find(drain)

    # What there is.

    def _take_in(self, operation: Operation) -> None:
        report = self._report
        report.operations += 1
        report.unknown += operation.outcome == "unknown"
        if operation.strange:
            self._say("unexpected", operation.strange)
        if isinstance(operation, Put):
            report.puts += len(operation.ids) if operation.outcome == "ok" else 0
            for place, id in enumerate(operation.ids):
                if id in self._messages:
                    raise ValueError(f"{self._messages[id]} was put twice, which this checker doesn't know")
                self._messages[id] = Message(id, operation, place)
        elif operation.outcome == "failed":
            pass
        elif isinstance(operation, Change):
            self._changes.append(operation)
        elif operation.outcome == "unknown":
            if isinstance(operation, Take):
                self._unknown_takes.append(operation)
        elif isinstance(operation, Take):
            self._takes.append(operation)
        elif isinstance(operation, Drain):
            self._drains.append(operation)

    def _touch(self, change: Change) -> None:
        receipts = change.receipts or (None,) * len(change.ids)
        answers = change.answers or (None,) * len(change.ids)
        for id, receipt, answer in zip(change.ids, receipts, answers, strict=True):
            message = self._messages.get(id)
            if message is None:
                if answer == "done":
                    self._say("unexpected", f"{id} in {change.queue} was never put, and could be changed by its id")
                continue
            message.touches.append(Touch(change, receipt, answer))
            if answer in {"done", "held"}:
                message.was_there(change.ended)

    def _hand(self, take: Take) -> None:
        self._report.handed += len(take.got)
        for got in take.got:
            message = self._known(got, take, "was handed out")
            if message is not None:
                message.handed.append((take, got))
                message.was_there(take.ended)

    def _find(self, drain: Drain) -> None:
        self._report.drained += len(drain.found)
        for got in drain.found:
            message = self._known(got, drain, "is there")
            if message is not None:
                self._report.recovered += message.put.outcome == "unknown"
                message.drained.append((drain, got))
                message.was_there(drain.began)  # nobody else was, so that it was put before
                if self.kept is None or self.kept.put.began < message.put.began:
                    self.kept = message

    def _known(self, got: Got, operation: Operation, what: str) -> Message | None:
        message = self._messages.get(got.id)
        if message is None:
            self._say("unexpected", f"{got.id} in {operation.queue} {what}, and was never put")
            return None
        if message.put.outcome == "failed":
            self._say("unexpected", f"{message} {what}, and its PUT was refused")
        elif operation.ended < message.put.began:
            self._say("unexpected", f"{message} {what}, before it was put")
        if got.mark != message.mark:
            self._say("spoiled", f"{message} {what}, and its body, of {got.size} bytes, is not the one that was put")
        return message

    def _say(self, kind: str, sentence: str, since: float | None = None) -> None:
        self.findings.append(Finding(kind, sentence, since))

    # What is wrong.

    def judge(self) -> None:
        self._complete_batches()
        for message in self._messages.values():
            if message.handed or message.touches:
                message.handed.sort(key=lambda each: each[0].began)
                self._judge_deliveries(message)
                self._judge_ends(message)
                for touch in message.touches:
                    self._judge_touch(message, touch)
            self._judge_drained(message)
        missing = self._judge_missing()
        self._judge_order(missing)
        for drain in self._drains:
            self._judge_hidden(drain)
            self._judge_counts(drain)

    def _complete_batches(self) -> None:
        """Of a PUT of many, all are there where one of them is."""
        for message in self._messages.values():
            put = message.put
            if message.place == 0 and len(put.ids) > 1 and put.outcome == "unknown":
                batch = [self._messages[id] for id in put.ids]
                since = min(each.there_since for each in batch)
                for each in batch:
                    each.was_there(since)

    def _judge_deliveries(self, message: Message) -> None:
        """Each delivery beside the one before: is it after its lease?"""
        if message.hidden_without_a_receipt:
            return
        for (first, got), (second, other) in zip(message.handed, message.handed[1:], strict=False):
            if first is second:
                self._say("duplicated", f"{message} is twice in one answer")
                continue
            # Under way together: the other may have been the first, where its lease was over by then.
            of_other = [each for each in message.setters(other.receipt) if each.of is not first]
            in_this_order = first.ended < second.began or first.ended < first_end(
                [each for each in of_other if each.began <= first.ended]
            )
            if first.pops:
                if in_this_order:
                    self._say("duplicated", f"{message} was handed out again after it had been popped")
                continue
            lease = in_force(message.setters(got.receipt), second.began, second.ended)
            if second.ended < first_end(lease) and in_this_order:
                early = first_end(lease) + TOLERANCE - second.ended
                self._say("early_redelivered", f"{message} was handed out again {early:.3f} s before its lease ended")

    def _judge_ends(self, message: Message) -> None:
        """Taken out once, and not seen after."""
        ends = list(message.ends)
        if len(ends) > 1 and any(isinstance(end, Change) for end in ends):
            self._say("duplicated", f"{message} was deleted {len(ends)} times, each time with success")
            return
        gone = message.gone_since
        for take, _ in message.handed:
            if take.began > gone and not any(end.pops for end, _ in message.handed if end.began < take.began):
                self._say("duplicated", f"{message} was handed out after its delete had been acknowledged")

    def _judge_touch(self, message: Message, touch: Touch) -> None:
        change, receipt, answer = touch
        what = "DELETE" if change.seconds is None else "POST"
        if answer == "gone":
            certain = message.there_since < change.began
            taken = any(take.began <= change.ended and take.pops for take in self._unknown_takes)
            if certain and not taken and not message.may_have_ended(change.ended, change):
                self._say("lost", f"the {what} of {message} found nothing, though nobody else deleted it")
        if receipt is None or answer is None or answer == "gone" or message.hidden_without_a_receipt:
            return
        leases = [take for take, got in message.handed if got.receipt == receipt]
        if not leases:
            if answer == "done":
                self._say("stale_accepted", f"the {what} of {message} was done with a receipt that nobody was given")
            return
        lease = leases[0]
        others = [each for each in message.setters(receipt) if each.of is not change]
        mine = in_force(others, change.began, change.ended)
        if answer == "done":
            if any(lease.ended < take.began and take.ended < change.began for take, _ in message.handed):
                self._say("stale_accepted", f"the {what} of {message} was done by the receipt of an earlier lease")
            elif last_end(mine) < change.began:
                late = change.began - last_end(mine) + TOLERANCE
                sentence = f"the {what} of {message} was done by a receipt whose lease had ended {late:.3f} s before"
                self._say("stale_accepted", sentence)
        elif change.ended < first_end(mine) and not message.may_have_ended(change.ended, change):
            self._say("stale_accepted", f"the {what} of {message} was refused, though its receipt was good")

    def _judge_drained(self, message: Message) -> None:
        if len(message.drained) > 1:
            self._say("duplicated", f"{message} is there {len(message.drained)} times")
        for drain, got in message.drained[:1]:
            gone = message.gone_since
            if gone < drain.began:
                self._say("duplicated", f"{message} has come back: it had been deleted", gone)
                continue
            for take, _ in message.handed:
                if take.began > drain.ended:
                    self._say("duplicated", f"{message} was handed out after it had been drained")
            if got.hide or not message.handed or message.hidden_without_a_receipt:
                continue
            lease = in_force(message.setters(message.handed[-1][1].receipt), drain.began, drain.ended)
            if drain.ended < first_end(lease):
                left = first_end(lease) + TOLERANCE - drain.ended
                sentence = f"{message} is visible: an acknowledged claim hides it for {left:.3f} s more"
                self._say("early_redelivered", sentence, min(each.ended for each in lease))

    def _judge_missing(self) -> set[str]:
        """Lost, unless pops that got no answer may have taken as many; answers what is not there."""
        if not self._drains:
            return set()
        last = max(drain.began for drain in self._drains)
        missing = [
            each
            for each in self._messages.values()
            if not each.drained and each.there_since <= last and not each.may_have_ended()
        ]
        popped = sum(take.limit for take in self._unknown_takes if take.pops)
        if len(missing) > popped:
            for message in missing:
                self._say("lost", f"{message} is missing: {_why(message)}, and nobody deleted it", message.there_since)
        return {each.id for each in missing}

    def _judge_order(self, missing: set[str]) -> None:
        # Of what is missing, nothing is known but that it is: that has been said.
        there = {id: message for id, message in self._messages.items() if id not in missing}
        for message, take in passed_by(self._takes, self._unknown_takes, there):
            what = "pop" if take.pops else "claim"
            got = f"got {take.got[-1].id}" if take.got else "found nothing"
            self._say("out_of_order", f"a {what} {got}, and passed {message} by, whose turn it was")
        answers = [take.got for take in self._takes] + [drain.found for drain in self._drains]
        for answer in answers:
            messages = [self._messages[each.id] for each in answer if each.id in self._messages]
            for message, other in disordered(messages):
                sentence = f"{message} comes after {other.id}, which was put when it had been acknowledged"
                self._say("out_of_order", sentence)

    def _judge_hidden(self, drain: Drain) -> None:
        """What is hidden was hidden by somebody."""
        hidden = [
            got.id
            for got in drain.found
            if got.hide and got.id in self._messages and last_end(self._messages[got.id].all_setters()) < drain.began
        ]
        claims = sum(take.limit for take in self._unknown_takes if take.ended + take.hide + TOLERANCE > drain.began)
        if len(hidden) > claims:
            named = f"{', '.join(hidden[:5])}{' and others' if len(hidden) > 5 else ''} in {drain.queue}"
            self._say("unexpected", f"{named} are hidden, {len(hidden)}, and claims can have hidden {claims} at most")

    def _judge_counts(self, drain: Drain) -> None:
        counts = drain.counts
        if counts is None:
            if drain.found:
                self._say("miscounted", f"{drain.queue} has {len(drain.found)} messages, and is not listed")
            return
        size = sum(got.size for got in drain.found)
        hidden = sum(got.hide > 0 for got in drain.found)
        visible = [got for got in drain.found if not got.hide]
        # Of leases that end just then, it depends on the moment.
        if any(_may_end_in(Setter(take, take.hide, certain=False), drain) for take in self._unknown_takes):
            just_ended = len(visible)
        else:
            just_ended = sum(
                any(_may_end_in(each, drain) for each in self._messages[got.id].all_setters())
                for got in visible
                if got.id in self._messages
            )
        self._compare(drain, "messages", counts.messages, len(drain.found))
        self._compare(drain, "bytes", counts.bytes, size)
        if not hidden <= counts.hidden <= hidden + just_ended:
            self._compare(drain, "hidden messages", counts.hidden, hidden)

    def _compare(self, drain: Drain, what: str, said: int, found: int) -> None:
        if said != found:
            self._say("miscounted", f"{drain.queue} has {found} {what}, and is said to have {said}")


def _may_end_in(setter: Setter, drain: Drain) -> bool:
    return first_end([setter]) < drain.ended and last_end([setter]) > drain.began


def _why(message: Message) -> str:
    if message.put.outcome == "ok":
        return "its PUT was acknowledged"
    seen = message.handed or message.touches
    return "it was seen" if seen else f"it is one of {len(message.put.ids)}, all or none"
