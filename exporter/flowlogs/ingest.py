"""Delivered lines → counters, exactly once.

How exactness comes about:

- What is counted is remembered by identity for as long as it can be read again, and a window is
  read again for as long as something may still arrive in it. Counters, identities and `read_to`,
  the moment up to which all that was delivered is accounted for, change in one transaction.
- A record counts only when it ended before the index of interfaces was listed; one that ended
  later is left alone and read again by a later pass.
- Where several flow logs log an interface one speaks for it. When that changes, the cut is one
  instant: records that start before it count from the old one, whenever they are delivered.
- A record that came more than the look-back after its end is `late` and not counted. When it was
  delivered decides that, so the answer is the same whenever it is read.
"""

from __future__ import annotations

import itertools
import math
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, TypeAlias

from exporter.aws.errors import AWS_ERRORS, MALFORMED_ANSWER, unavailable
from exporter.flowlogs import speakers
from exporter.flowlogs.attribute import Index, Lifetime, Own, Place, with_addresses
from exporter.flowlogs.groups import Group
from exporter.flowlogs.lately import Lately
from exporter.flowlogs.notes import Noted, Notes
from exporter.flowlogs.objects import Objects
from exporter.flowlogs.passing import Pass, SourceReport
from exporter.flowlogs.picker import Picker
from exporter.flowlogs.pushed import AT_MOST_EVERY, Pushed, Wallet, question
from exporter.flowlogs.sources import cloudwatch, s3
from exporter.flowlogs.sources.s3 import Object
from exporter.flowlogs.sourcing import (
    CLOUDWATCH,
    QUERIES,
    S3,
    Pick,
    Settings,
    no_query,
    speaker,
)
from exporter.flowlogs.telling import Teller
from exporter.model import FlowLog, Scope, Unavailable
from exporter.store import CounterKey, KnownInterface, Store

# Returns the client of a service that a source asks.
Clients: TypeAlias = Callable[[str], Any]

# Reports are numbered in the order in which they are read from the store.
_COMMITTED, _NUMBERS = threading.Lock(), itertools.count(1)

# A listing finds what a notification did not name, at least so often (seconds).
LISTED_EVERY = 900.0
# What a source has not told a day after another took over is given up.
GIVEN_UP = 86400.0


@dataclass(frozen=True, slots=True)
class Report:
    """What a pass has committed so far; only what is committed is ever published.

    `sources` are by log group, or by flow log; `picks` say by which source a flow log is read.
    What has a larger `number` was committed later.
    """

    counters: Mapping[CounterKey, int] = field(default_factory=dict)
    newest_records: Mapping[str, float] = field(default_factory=dict)
    sources: Mapping[str, SourceReport] = field(default_factory=dict)
    picks: Mapping[str, Pick] = field(default_factory=dict)
    noted: Noted = field(default_factory=Noted)
    number: int = 0

    def problems(self) -> dict[str, str]:
        """Return the reason for each source that could not be read."""
        return {name: s.problem.reason for name, s in self.sources.items() if s.problem}


@dataclass(slots=True)
class Ingest:
    """The flow logs of one account and Region.

    A pass begins no further part once it has lasted for its budget: the next one goes on there.
    """

    scope: Scope
    store: Store
    clock: Callable[[], float]
    settings: Settings = field(default_factory=Settings)
    # How it waits between polls of a query.
    sleep: Callable[[float], object] = time.sleep
    _passes: int = 0
    _sources: dict[str, SourceReport] = field(default_factory=dict)
    _fronts: dict[str, float] = field(default_factory=dict)
    _asked: dict[str, tuple[int, float, float | None]] = field(default_factory=dict)
    _notified: dict[str, float] = field(default_factory=dict)
    _listed: dict[str, float] = field(default_factory=dict)
    # What a queue named and could not be read.
    _troubles: dict[str, Unavailable[None]] = field(default_factory=dict)
    # The flow logs whose files are read; None before the first pass.
    _by_file: frozenset[str] | None = None
    _notes: Notes | None = None
    _index: Index | None = None
    # The store's file that all of this was found in.
    _opening: int = 0
    # Notifications come beside the passes.
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _teller: Teller = field(init=False)
    _picker: Picker = field(init=False)
    _lately: Lately = field(init=False)

    def __post_init__(self) -> None:
        self._teller = Teller(self.scope)
        self._picker = Picker(self.settings, self._teller)
        self._lately = Lately(self._keep)

    @property
    def _keep(self) -> float:
        """For how many seconds what has gone is remembered: its records may still come."""
        return self.settings.lookback + 3600

    def committed(self) -> Report:
        """Return what is committed, with how the last pass went; raises StoreError."""
        if self._notes is None:
            self._notes = Notes(self.store, self.scope)
        with _COMMITTED:
            return Report(
                self.store.counters(self.scope),
                self.store.newest_records(self.scope),
                dict(self._sources),
                self._picker.picks,
                self._notes.noted(),
                next(_NUMBERS),
            )

    def run(self, clients: Clients, index: Index) -> Report:
        """Read every source once and return what is committed then.

        One that cannot be read is reported and leaves the others alone. Raises StoreError.
        """
        with self._lock:
            self._follow_store()
            index = self._youngest(index)
            self._pick(index)
            context = self._prepare(index)
            reads = [*self._groups(context, clients), *self._files(context, clients)]
            reads += self._queries(context, clients)
            self._sources = {
                name: self._guarded(name, flow_logs, read) for name, flow_logs, read in reads
            }
            self._picker.watch(index.as_of, self._sources)
            self._passes += 1
            self._save(context)
            return self.committed()

    def notified(self, clients: Clients, index: Index, files: Iterable[Object]) -> set[str]:
        """Count files that notifications name; return the keys of those that are accounted for.

        What fails or has to wait is not among them. Raises StoreError.
        """
        done: set[str] = set()
        with self._lock:
            self._follow_store()
            index = self._youngest(index)
            if not index.flow_logs.keys() <= self._picker.picks.keys():
                self._pick(index)
            context = self._prepare(index)
            by_flow_log: dict[str, list[Object]] = {}
            for file in files:
                if file.flow_log_id in index.flow_logs:
                    by_flow_log.setdefault(file.flow_log_id, []).append(file)
            for flow_log_id, found in by_flow_log.items():
                objects = self._objects(context, index.flow_logs[flow_log_id])
                objects.count(clients(S3), found)
                self._note(flow_log_id, objects.problem)
                self._notified[flow_log_id] = self.clock()
                done |= objects.done
            self._save(context)
        return done

    def _save(self, context: Pass) -> None:
        """Save what is noted, and drop what nothing will ask for again."""
        now, index = self.clock(), context.index
        context.notes.save(now, {own.endpoint_id for own in index.own.values()})
        destinations = {flow_log.destination for flow_log in index.flow_logs.values()}
        self.store.retire(self.scope, destinations | index.flow_logs.keys(), index.as_of)

    def _follow_store(self) -> None:
        """Forget how far reading had come when the store's file is another one, or was restored.

        What came since that one was saved is read again.
        """
        opening = self.store.opening()
        if opening != self._opening:
            self._opening = opening
            self._notes = None
            self._sources = {}
            self._picker = Picker(self.settings, self._teller, self._picker.picks)
            for remembered in (self._fronts, self._asked, self._listed, self._notified):
                remembered.clear()

    def _note(self, flow_log_id: str, problem: Unavailable[None] | None) -> None:
        """Note how files went that notifications named."""
        self._teller.problem(flow_log_id, problem.reason if problem else None)
        if problem:
            self._troubles[flow_log_id] = problem
        else:
            self._troubles.pop(flow_log_id, None)
        report = self._sources.get(flow_log_id)
        if report:
            self._sources = {**self._sources, flow_log_id: replace(report, problem=problem)}

    def drained(self, began: float) -> None:
        """Take note that a queue has told of every file that was there when it began to be read."""
        with self._lock:
            for flow_log_id in self._notified.keys() - self._troubles.keys():
                report = self._sources.get(flow_log_id)
                if report and report.read_to is not None and report.problem is None:
                    front = max(began, report.read_to)
                    self._fronts[flow_log_id] = front
                    self._sources = {**self._sources, flow_log_id: replace(report, read_to=front)}

    def _youngest(self, index: Index) -> Index:
        """Return the youngest index so far.

        Whoever has waited with an older one must not undo what has been decided since.
        """
        if self._index is None or self._index.as_of < index.as_of:
            self._index = self._lately.follow(index)
        return self._index

    def _pick(self, index: Index) -> None:
        self._picker.pick(index, self.store.choices(self.scope), self._notified)  # type: ignore[arg-type]  # actions come back as texts

    def expects(self, index: Index, file: Object) -> bool:
        """Whether a file is one of a flow log's that is read here, in the bucket it delivers to."""
        flow_log = index.flow_logs.get(file.flow_log_id)
        if flow_log is None or file.scope != self.scope or flow_log.destination_type != S3:
            return False
        if self._by_file is not None and flow_log.id not in self._by_file:
            return False  # a query counts it, or nothing is to: its files would be read in vain
        bucket, prefix = s3.bucket_of(flow_log)
        return file.bucket == bucket and file.key.startswith(f"{prefix}AWSLogs/")

    def _prepare(self, index: Index) -> Pass:
        """Return what all sources share: the index with what is remembered, and who speaks."""
        if self._notes is None:
            self._notes = Notes(self.store, self.scope)
        listed = [
            KnownInterface(i, x.endpoint_id, *x.place, x.addresses, x.created, 0.0)
            for i, x in index.own.items()
        ]
        known = self.store.remember(self.scope, listed, index.as_of, self._keep)
        own = {
            i: Own(x.endpoint_id, Place(x.vpc_id, x.subnet_id), x.addresses, x.born)
            for i, x in known.items()
        }
        lives = {
            i: Lifetime(x.born, float("inf") if i in index.own else x.last_listed, x.endpoint_id)
            for i, x in known.items()
        }
        index = with_addresses(index, own, lives)
        begin = index.as_of - self.settings.history
        first_seen = self.store.meet(self.scope, index.flow_logs, begin)
        speaker_of = {i: speaker(i, found.source) for i, found in self._picker.picks.items()}
        newest = self.store.newest_records(self.scope)
        reached = {
            i: max(report.read_to, newest.get(i, 0.0))
            for report in self._sources.values()
            for i in report.flow_log_ids
            if report.read_to is not None
        }
        unread = {i for i, found in self._picker.picks.items() if not found.source}
        choices = speakers.decide(self.store, self.scope, index, speaker_of, reached, unread)
        index = speakers.settled(index, choices, speaker_of)
        self._teller.cuts(choices)
        return Pass(
            self.scope,
            self.store,
            self._notes,
            self.clock,
            index,
            choices,
            first_seen,
            speaker_of,
            self.settings.lookback,
            self.clock() + self.settings.budget,
            self._teller.problem,
        )

    def _until(
        self, context: Pass, flow_log: FlowLog, source: str, kind: str, name: str
    ) -> float | None:
        """Return up to which start a source is read: for ever, or up to where another took over.

        None when it is not read: what it has to count has come, and has been.
        """
        picked = self._picker.picks[flow_log.id].source
        if source == picked:
            return math.inf
        who = speaker(flow_log.id, source)
        ended = [
            cuts[i - 1][0]
            for cuts in context.choices.values()
            for i, (_, spoke) in enumerate(cuts)
            if spoke == who and i
        ]
        now = context.index.as_of
        if not picked or not ended or now - max(ended) > GIVEN_UP:
            return None
        reach = self.settings.lookback + flow_log.aggregation + 600
        read_to = self.store.source(self.scope, kind, name).read_to
        last = max(ended)
        return last if min(now, read_to or now) < last + reach else None

    def _groups(self, context: Pass, clients: Clients) -> list[Read]:
        groups: dict[str, list[FlowLog]] = {}
        ends: dict[str, float] = {}
        for flow_log in context.index.flow_logs.values():
            name = flow_log.destination
            if flow_log.destination_type == "cloud-watch-logs":
                until = self._until(context, flow_log, CLOUDWATCH, cloudwatch.KIND, name)
                if until is not None:
                    groups.setdefault(name, []).append(flow_log)
                    ends[name] = max(until, ends.get(name, until))
        return [
            (name, found, partial(self._read_group, context, clients, name, found, ends[name]))
            for name, found in sorted(groups.items())
        ]

    def _read_group(
        self,
        context: Pass,
        clients: Clients,
        name: str,
        flow_logs: Sequence[FlowLog],
        until: float,
    ) -> float | None:
        state = self.store.source(self.scope, cloudwatch.KIND, name)
        group = Group(
            name,
            flow_logs,
            state,
            context,
            self._passes,
            self.settings.interval,
            self._fronts.get(name, 0.0),
            until,
        )
        try:
            group.read(clients("logs"))
        finally:
            self._fronts[name] = group.front
        return group.front or state.read_to

    def _files(self, context: Pass, clients: Clients) -> list[Read]:
        found = {
            i: flow_log
            for i, flow_log in sorted(context.index.flow_logs.items())
            if flow_log.destination_type == S3
            and self._until(context, flow_log, S3, s3.KIND, i) is not None
        }
        self._by_file = frozenset(found)
        return [
            (i, [flow_log], partial(self._list_files, context, clients, flow_log))
            for i, flow_log in found.items()
        ]

    def _list_files(self, context: Pass, clients: Clients, flow_log: FlowLog) -> float | None:
        now = self.clock()
        notified = now - self._notified.get(flow_log.id, 0.0) < 2 * LISTED_EVERY
        every = min(LISTED_EVERY, self.settings.lookback / 2)
        if notified and now - self._listed.get(flow_log.id, 0.0) < every:
            # A queue tells of new files; a listing only finds what it did not tell.
            trouble = self._troubles.get(flow_log.id)
            if trouble:
                raise _Reported(trouble, self._fronts.get(flow_log.id))
            return self._fronts.get(flow_log.id)
        objects = self._objects(context, flow_log)
        moved = objects.list(clients(S3))
        if objects.problem:
            raise _Reported(objects.problem, moved)
        self._troubles.pop(flow_log.id, None)
        self._listed[flow_log.id] = now
        self._fronts[flow_log.id] = moved or 0.0
        return moved

    def _objects(self, context: Pass, flow_log: FlowLog) -> Objects:
        return Objects(flow_log, self.store.source(self.scope, s3.KIND, flow_log.id), context)

    def _queries(self, context: Pass, clients: Clients) -> list[Read]:
        return [
            (
                f"{flow_log.id} {source}",
                [flow_log],
                partial(self._ask, context, clients, flow_log, source, until),
            )
            for flow_log in context.index.flow_logs.values()
            for source in QUERIES
            if source == self._picker.picks[flow_log.id].source or self._may_ask(source)
            if (until := self._until(context, flow_log, source, source, flow_log.id)) is not None
        ]

    def _may_ask(self, source: str) -> bool:
        """Whether a query that no longer speaks may be asked for what is still to come."""
        return no_query(source, self.settings, ()) is None

    def _ask(
        self, context: Pass, clients: Clients, flow_log: FlowLog, source: str, until: float
    ) -> float | None:
        state = self.store.source(self.scope, source, flow_log.id)
        number, last, rate = self._asked.get(flow_log.id, (0, 0.0, None))
        now = self.clock()
        # As often as the interval says, where that is short; else every five minutes.
        every = min(AT_MOST_EVERY, 5 * self.settings.interval)
        if now - last < every:
            return state.read_to
        wallet = Wallet(self.store, self.settings.dollars_per_day, self.clock)
        pushed = Pushed(flow_log, source, state, context, wallet, number, rate, until)
        ask = question(flow_log, source, self.scope, clients, self.settings, self.sleep)
        moved = pushed.read(ask)
        self._asked[flow_log.id] = (number + 1, now, pushed.rate)
        return moved

    def _guarded(
        self, name: str, flow_logs: Sequence[FlowLog], read: Callable[[], float | None]
    ) -> SourceReport:
        """Return how a source's reading went; a failure of AWS stays with it."""
        ids = tuple(f.id for f in flow_logs)
        before = self._sources.get(name)
        problem: Unavailable[None] | None = None
        front = before.read_to if before else None
        try:
            front = read()
        except _Reported as reported:
            problem, front = reported.problem, reported.read_to
        except (*AWS_ERRORS, *MALFORMED_ANSWER) as error:
            problem = unavailable(error)
            front = self._fronts.get(name) or front
        self._teller.problem(name, problem.reason if problem else None)
        if problem and all(self._lately.gone(f.id) for f in flow_logs):
            # Its log group or bucket may have gone with it: nobody waits for it any more.
            problem = None
        return SourceReport(ids, front, problem)


# A source: its name, its flow logs, and what reads it and returns up to when it has been read.
Read: TypeAlias = tuple[str, Sequence[FlowLog], Callable[[], "float | None"]]


class _Reported(Exception):  # noqa: N818  # names what it is
    """Raised when some of a source was read, and some could not be."""

    def __init__(self, problem: Unavailable[None], read_to: float | None) -> None:
        super().__init__(problem.reason)
        self.problem = problem
        self.read_to = read_to
