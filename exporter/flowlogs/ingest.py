"""Delivered lines → counters, exactly once.

How exactness comes about:

- A log group is read again and again over a window that reaches back from `read_to`, the moment
  up to which all that was delivered is accounted for. CloudWatch Logs has no query by ingestion
  time, so only re-reading finds what arrives late.
- What has been committed is remembered by identity (the seen-set) for as long as it can be read
  again. Counters, seen-set and `read_to` change in one transaction.
- A record counts only when it ended before the index of interfaces was listed; one that ended
  later is left alone and read again by a later pass.
- Where several flow logs log an interface one speaks for it. When that changes, the cut is one
  instant: records that start before it count from the old one, whenever they are delivered.
- A record that came more than the look-back after its end is `late` and not counted. The stamp
  of its ingestion decides that, so the answer is the same whenever it is read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import structlog

from exporter.aws.errors import AWS_ERRORS, MALFORMED_ANSWER, unavailable
from exporter.flowlogs.attribute import Index, layout, readable
from exporter.flowlogs.formats import Format
from exporter.flowlogs.parse import Gap, Line, Malformed, Record, parse
from exporter.flowlogs.sources import cloudwatch
from exporter.flowlogs.sources.cloudwatch import Event
from exporter.model import ACTIONS, FlowLog, Scope, Unavailable
from exporter.store import Batch, CounterKey, Seen, SourceState, Store

log = structlog.get_logger()

# What is counted, as the store names it.
RECORDS, BYTES, PACKETS = "flow_records", "flow_bytes", "flow_packets"
REJECTED_CONNECTIONS = "flow_rejected_connections"
LINES = "flow_log_lines"
RESULTS = (
    "counted",
    "other",
    "before_start",
    "no_data",
    "skip_data",
    "malformed",
    "duplicate",
    "late",
)

# AWS delivers to CloudWatch Logs some five minutes after a window ends, and an event may take
# a moment from ingestion until it is found.
USUAL_DELIVERY = 360.0
SEARCH_DELAY = 120.0
# A line may not end later than this after it was delivered.
CLOCKS_DIFFER = 3600.0
# One read covers at most so much of the past, so that catching up commits its progress.
CHUNK = 600.0

# By interface and action: since which start of a record which flow log speaks, latest first.
Chosen: TypeAlias = dict[tuple[str, str], str]
Choices: TypeAlias = Mapping[tuple[str, str], list[tuple[float, str]]]


@dataclass(frozen=True, slots=True)
class GroupReport:
    """How one log group's pass went.

    `read_to` is the moment up to which all that had been delivered has been read, in seconds;
    None before the first whole read has ended.
    """

    flow_log_ids: tuple[str, ...]
    read_to: float | None
    problem: Unavailable[None] | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """What a pass has committed so far; only what is committed is ever published."""

    counters: Mapping[CounterKey, int] = field(default_factory=dict)
    newest_records: Mapping[str, float] = field(default_factory=dict)
    groups: Mapping[str, GroupReport] = field(default_factory=dict)

    def problems(self) -> dict[str, str]:
        """Return the reason for each log group that could not be read."""
        return {name: g.problem.reason for name, g in self.groups.items() if g.problem}


@dataclass(slots=True)
class Ingest:
    """The flow logs of one account and Region. `interval`, `lookback`, `budget` in seconds.

    A pass begins no further chunk once it has lasted for the budget: the next one goes on there.
    """

    scope: Scope
    store: Store
    clock: Callable[[], float]
    interval: float
    lookback: float
    budget: float
    _passes: int = 0
    _front: dict[str, float] = field(default_factory=dict)
    _told: dict[str, str] = field(default_factory=dict)

    def committed(self) -> Report:
        """Return what earlier runs have committed, before the first pass of this one."""
        return Report(self.store.counters(self.scope), self.store.newest_records(self.scope))

    def run(self, logs: Any, index: Index) -> Report:
        """Read every log group once and return what is committed then.

        A group that cannot be read is reported and leaves the others alone. Raises StoreError.
        """
        keep = self.lookback + 3600
        endpoint_of = self.store.remember(self.scope, index.endpoint_of, index.as_of, keep)
        index = replace(index, endpoint_of=endpoint_of)
        first_seen = self.store.meet(self.scope, index.flow_logs, index.as_of)
        chosen: Chosen = {key: flow_log.id for key, flow_log in index.chosen.items()}
        choices = self.store.choices(self.scope, chosen, index.as_of)
        self._tell_of_cuts(choices)
        deadline = self.clock() + self.budget
        groups: dict[str, list[FlowLog]] = {}
        for flow_log in index.flow_logs.values():
            if readable(flow_log):
                groups.setdefault(flow_log.destination, []).append(flow_log)
        reports = {}
        for name, flow_logs in sorted(groups.items()):
            state = self.store.source(self.scope, cloudwatch.KIND, name)
            group = _Group(name, tuple(flow_logs), state, index, choices, first_seen, self.lookback)
            problem: Unavailable[None] | None = None
            try:
                self._read(logs, group, deadline)
            except (*AWS_ERRORS, *MALFORMED_ANSWER) as error:
                problem = unavailable(error)
            self._tell(name, problem)
            front = self._front.get(name, state.read_to)
            reports[name] = GroupReport(group.ids, front, problem)
        self._passes += 1
        return Report(
            self.store.counters(self.scope), self.store.newest_records(self.scope), reports
        )

    def _read(self, logs: Any, group: _Group, deadline: float) -> None:
        """Read the group: the tail at every pass, further back at every 5th, all at every 15th.

        Re-reading the whole look-back each time would cost 30 times the volume. Exactness rests
        on the whole read alone, so that is due by the age of `read_to` too.
        """
        end = group.index.as_of
        read_to = group.state.read_to
        aggregation = max(f.aggregation for f in group.flow_logs)
        reach = self.lookback + aggregation + SEARCH_DELAY
        every = min(15 * self.interval, 900.0)
        tail = aggregation + (USUAL_DELIVERY if self._passes % 5 else 900.0)
        front = self._front.get(group.name, 0.0)
        whole = read_to is None or self._passes % 15 == 0 or end - read_to >= every
        # What is forgotten must not be read again, whatever the look-back was when it was.
        forgotten = group.state.forgotten / 1000
        if not whole and front >= end - tail:
            begin = max(end - tail, forgotten)
            for page in cloudwatch.pages(logs, group.name, begin, max(begin, end)):
                self._commit(group, page)
            self._front[group.name] = max(end, front)
            return
        # Nothing is counted that started before we came.
        first = min(group.first_seen[f.id] for f in group.flow_logs) - aggregation
        begin = max(first, forgotten, 0 if read_to is None else read_to - reach)
        end = max(begin, end)
        while True:
            upto = min(begin + CHUNK, end)
            for page in cloudwatch.pages(logs, group.name, begin, upto):
                self._commit(group, page)
            done = upto >= end
            moved = max(upto, read_to or upto)
            forget = max(0, int((moved - reach) * 1000))
            batch = Batch(read_to=moved, forget_before=forget)
            if done:
                batch.touch = group.zeros()
            self.store.commit(self.scope, group.state.id, batch)
            self._front[group.name] = moved
            # Out of time, but never without progress: the next pass begins before `read_to`.
            progress = read_to is None or upto > read_to
            if done or (progress and self.clock() > deadline):
                return
            begin = upto

    def _commit(self, group: _Group, page: list[Event]) -> None:
        lines = (seen for event in page for seen in (event.seen, event.content))
        fresh = self.store.unseen(group.state.id, lines)
        batch = Batch()
        for event in page:
            if event.seen in fresh and event.seen not in batch.seen:
                group.account(event, batch, fresh)
        if batch.seen:
            self.store.commit(self.scope, group.state.id, batch)
        for flow_log_id, (reason, message) in group.malformed.items():
            subject = f"{group.name} {flow_log_id} malformed line"
            if subject not in self._told:  # the first one; the counter tells of the others
                self._tell(subject, Unavailable(reason), example=message)

    def _tell_of_cuts(self, choices: Choices) -> None:
        for (interface_id, action), cuts in choices.items():
            since, flow_log_id = cuts[0]
            subject = f"{interface_id} {action} since {since}"
            if len(cuts) > 1 and subject not in self._told:
                self._told[subject] = flow_log_id
                log.warning(
                    "another flow log speaks for an interface: up to one aggregation window of "
                    "records may be missed or counted twice",
                    collector="flow_logs",
                    account=self.scope.account,
                    region=self.scope.region,
                    interface_id=interface_id,
                    action=action,
                    flow_log_id=flow_log_id,
                )

    def _tell(self, subject: str, problem: Unavailable[None] | None, **more: str) -> None:
        """Log a problem when it appears or changes, and when it has gone; not at every pass."""
        reason = problem.reason if problem else None
        if reason == self._told.get(subject):
            return
        where = {"account": self.scope.account, "region": self.scope.region}
        if reason is None:
            del self._told[subject]
            log.info("flow logs readable again", collector="flow_logs", source=subject, **where)
        else:
            self._told[subject] = reason
            log.warning(
                "flow logs: a problem",
                collector="flow_logs",
                source=subject,
                reason=reason,
                **more,
                **where,
            )


@dataclass(slots=True)
class _Group:
    """One log group in one pass: whose lines it holds, and how each is accounted for."""

    name: str
    flow_logs: tuple[FlowLog, ...]
    state: SourceState
    index: Index
    choices: Choices
    first_seen: Mapping[str, float]
    lookback: float
    malformed: dict[str, tuple[str, str]] = field(default_factory=dict)
    layouts: dict[Format, list[FlowLog]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for flow_log in self.flow_logs:
            fields = layout(flow_log)
            if fields is not None:
                self.layouts.setdefault(fields, []).append(flow_log)

    @property
    def ids(self) -> tuple[str, ...]:
        return tuple(f.id for f in self.flow_logs)

    def account(self, event: Event, batch: Batch, fresh: set[Seen]) -> None:
        """Add a new event to the batch; leave it out when it has to wait for a later index.

        `fresh` has what of the page has not been seen before.
        """
        flow_logs, line = self._read(event.message)
        end = None if isinstance(line, Malformed) else line.end
        if end is not None and end > event.ingested + CLOCKS_DIFFER:
            # It would wait for an index that never comes.
            end, line = None, Malformed("it ends after it was delivered")
        if end is not None and end > self.index.as_of:
            return
        batch.seen.add(event.seen)
        flow_log, result = self._judge(event, flow_logs, line)
        if result == "counted" and isinstance(line, Record) and self._overlap(line, flow_logs):
            # Flow logs of one format share this stream: nothing but the text tells copies apart.
            if event.content in fresh and event.content not in batch.seen:
                batch.seen.add(event.content)
            else:
                result = "duplicate"
        batch.count(flow_log.id, LINES, result)
        if end is not None:
            batch.newest[flow_log.id] = max(end, batch.newest.get(flow_log.id, 0))
        if result == "counted" and isinstance(line, Record):
            endpoint_id = self.index.endpoint_of[line.interface_id]
            batch.count(endpoint_id, RECORDS, line.action)
            if line.bytes is not None:
                batch.count(endpoint_id, BYTES, line.action, line.bytes)
            if line.packets is not None:
                batch.count(endpoint_id, PACKETS, line.action, line.packets)
            if line.refused_connection:
                batch.count(endpoint_id, REJECTED_CONNECTIONS, "")
        elif isinstance(line, Malformed):
            self.malformed[flow_log.id] = (line.reason, event.message[:200])

    def zeros(self) -> set[CounterKey]:
        """Return the counters that this group tells about: they exist from now on, 0 or more."""
        keys = {CounterKey(i, LINES, result) for i in self.ids for result in RESULTS}
        for interface_id, endpoint_id in self.index.endpoint_of.items():
            for action in ACTIONS:
                flow_log = self.index.chosen.get((interface_id, action))
                fields = layout(flow_log) if flow_log and flow_log.id in self.ids else None
                if flow_log is None or fields is None or not flow_log.delivers:
                    continue
                keys.add(CounterKey(endpoint_id, RECORDS, action))
                if fields.bytes is not None:
                    keys.add(CounterKey(endpoint_id, BYTES, action))
                if fields.packets is not None:
                    keys.add(CounterKey(endpoint_id, PACKETS, action))
                if fields.tcp_flags is not None and action == "REJECT":
                    keys.add(CounterKey(endpoint_id, REJECTED_CONNECTIONS, ""))
        return keys

    def _overlap(self, line: Record, flow_logs: tuple[FlowLog, ...]) -> bool:
        """Whether several of the flow logs deliver the interface's records to this group."""
        interface = self.index.interfaces.get(line.interface_id)
        covering = [f for f in flow_logs if interface and f.covers(interface)]
        return sum(f.logs(line.action) for f in covering) > 1

    def _read(self, message: str) -> tuple[tuple[FlowLog, ...], Line]:
        """Return the flow logs whose layout the line has, and what it says.

        Flow logs of different layouts may share a group, and then a stream. A line that fits
        none, or reads differently in two, is malformed: it is never guessed.
        """
        fitting: dict[Line, list[FlowLog]] = {}
        reasons: list[Malformed] = []
        for fields, flow_logs in self.layouts.items():
            line = parse(message, fields)
            if isinstance(line, Malformed):
                reasons.append(line)
            else:
                fitting.setdefault(line, []).extend(flow_logs)
        if len(fitting) == 1:
            (line, found) = next(iter(fitting.items()))
            return tuple(found), line
        if fitting:
            return self.flow_logs, Malformed("fits several formats of this group differently")
        return self.flow_logs, reasons[0]

    def _judge(
        self, event: Event, flow_logs: tuple[FlowLog, ...], line: Line
    ) -> tuple[FlowLog, str]:
        """Return the flow log that a line is put down to, and the line's fate."""
        first = flow_logs[0]
        if isinstance(line, Malformed):
            return first, "malformed"
        if isinstance(line, Gap):
            return first, line.kind
        if line.interface_id not in self.index.endpoint_of:
            return first, "other"
        cuts = self.choices.get((line.interface_id, line.action), [])
        spoke = next((flow_log for since, flow_log in cuts if since <= line.start), None)
        chosen = next((f for f in flow_logs if f.id == spoke), None)
        if chosen is None:
            # Another flow log speaks for this interface and has delivered this record as well.
            return first, "duplicate"
        if line.start < self.first_seen[chosen.id]:
            return chosen, "before_start"
        if event.ingested - line.end > self.lookback:
            return chosen, "late"
        return chosen, "counted"
