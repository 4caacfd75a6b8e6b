"""A log group of CloudWatch Logs: read again and again, each event counted once.

CloudWatch Logs has no query by ingestion time, so only re-reading finds what arrives late: the
tail at every pass, further back at every 5th, the whole look-back at every 15th.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from exporter.flowlogs import columns
from exporter.flowlogs.attribute import layout
from exporter.flowlogs.formats import Format
from exporter.flowlogs.judge import CLOCKS_DIFFER, Verdict
from exporter.flowlogs.parse import Gap, Line, Malformed, Record, parse
from exporter.flowlogs.passing import Pass
from exporter.flowlogs.records import Sums
from exporter.flowlogs.slices import split
from exporter.flowlogs.sources import cloudwatch
from exporter.flowlogs.sources.cloudwatch import Event
from exporter.flowlogs.table import Table
from exporter.flowlogs.tally import Tally
from exporter.model import FlowLog
from exporter.store import Batch, Seen, SourceState

# AWS delivers to CloudWatch Logs some five minutes after a window ends, and an event may take
# a moment from ingestion until it is found.
USUAL_DELIVERY = 360.0
SEARCH_DELAY = 120.0
# One read covers at most so much of the past, so that catching up commits its progress.
CHUNK = 600.0


@dataclass(slots=True)
class Group:
    """One log group in one pass: the flow logs that deliver to it, and how its lines are counted.

    `number` is how many passes there were before, `interval` the seconds between them, `front` up
    to where the group has been read by any of them. What starts later than `until` is somebody
    else's to count.
    """

    name: str
    flow_logs: Sequence[FlowLog]
    state: SourceState
    context: Pass
    number: int
    interval: float
    front: float = 0.0
    until: float = math.inf
    _layouts: dict[Format, list[FlowLog]] = field(default_factory=dict)
    _table: Table | None = None

    def __post_init__(self) -> None:
        for flow_log in self.flow_logs:
            fields = layout(flow_log)
            if fields is not None:
                self._layouts.setdefault(fields, []).append(flow_log)
        if len(self.flow_logs) == 1:
            self._table = Table(self.context.judge(self.flow_logs, self._speakers))

    @property
    def _speakers(self) -> dict[str, str]:
        """Lines speak for the flow log itself, whoever speaks now."""
        return {f.id: f.id for f in self.flow_logs}

    def read(self, logs: Any) -> None:
        """Read what is due; exactness rests on the whole reads alone. Raises StoreError."""
        end = self.context.index.as_of
        read_to = self.state.read_to
        aggregation = max(f.aggregation for f in self.flow_logs)
        reach = self.context.lookback + aggregation + SEARCH_DELAY
        every = min(15 * self.interval, 900.0)
        tail = aggregation + (USUAL_DELIVERY if self.number % 5 else 900.0)
        whole = read_to is None or self.number % 15 == 0 or end - read_to >= every
        # What is forgotten must not be read again, whatever the look-back was when it was.
        forgotten = self.state.forgotten / 1000
        last = min(end, self.until)
        if not whole and self.front >= end - tail:
            begin = max(end - tail, forgotten)
            for page in cloudwatch.pages(logs, self.name, begin, max(begin, last)):
                self._commit(page)
            self.front = max(end, self.front)
            return
        # Nothing is counted that started before we came.
        first = self.context.since(self.flow_logs) - aggregation
        begin = max(first, forgotten, 0 if read_to is None else read_to - reach)
        last = max(begin, last)
        while True:
            upto = min(begin + CHUNK, last)
            for page in cloudwatch.pages(logs, self.name, begin, upto):
                self._commit(page)
            done = upto >= last
            moved = max(upto, end if done else upto, read_to or upto)
            forget = max(0, int((moved - reach) * 1000))
            batch = Batch(read_to=moved, forget_before=forget)
            if done:
                for flow_log in self.flow_logs:
                    batch.touch |= self.context.zeros(flow_log)
            self.context.store.commit(self.context.scope, self.state.id, batch)
            self.front = moved
            # Out of time, but never without progress: the next pass begins before `read_to`.
            progress = read_to is None or upto > read_to
            if done or (progress and self.context.late()):
                return
            begin = upto

    def _commit(self, page: list[Event]) -> None:
        """Count what is new on a page."""
        unseen = self.context.store.unseen(self.state.id, (event.seen for event in page))
        fresh: dict[Seen, Event] = {}
        for event in page:
            if event.seen in unseen:
                fresh.setdefault(event.seen, event)
        if not fresh:
            return
        events = list(fresh.values())
        tally = Tally()
        if self._table:
            seen = self._together(events, self._table, tally)
        else:
            seen = self._one_by_one(events, tally)
        if seen:
            self.context.commit(self.state, tally, seen=seen)

    def _together(self, events: list[Event], table: Table, tally: Tally) -> set[Seen]:
        """Count events of one flow log; return those that have not to wait for a later index."""
        ((fields, _),) = self._layouts.items()
        as_of = self.context.index.as_of
        waiting: set[int] = set()
        # Only a line by itself is one: an event may have several, which then fits no format.
        lines = b"".join(
            event.message.rstrip("\r\n").replace("\n", "\r").encode("utf-8", "replace") + b"\n"
            for event in events
        )
        parts = split(lines, len(fields.fields))
        if parts.block:
            rows = np.arange(len(events)) if parts.rows is None else parts.rows
            ingested = np.array([events[i].ingested for i in rows.tolist()])
            sums = Sums(table)
            found = columns.sort(parts.block, fields)
            late = columns.count(found, fields, sums, ingested, tally, as_of)
            sums.flush(tally)
            waiting |= {int(rows[i]) for i in late}
        for i, text in parts.others.items():
            line, ingested_at = text.rstrip(b"\r\n"), events[i].ingested
            if not columns.one(line, fields, table.judge, ingested_at, tally, as_of):
                waiting.add(i)
        return {event.seen for i, event in enumerate(events) if i not in waiting}

    def _one_by_one(self, events: list[Event], tally: Tally) -> set[Seen]:
        """Count events of several flow logs; return those that have not to wait."""
        seen: set[Seen] = set()
        known = self.context.store.unseen(self.state.id, (event.content for event in events))
        for event in events:
            flow_logs, line = self._line(event.message)
            end = None if isinstance(line, Malformed) else line.end
            latest = event.ingested + CLOCKS_DIFFER
            if end is not None and self.context.index.as_of < end <= latest:
                continue
            seen.add(event.seen)
            verdict = self._verdict(event, flow_logs, line)
            if verdict.result == "counted" and self._overlap(line, flow_logs):
                # Flow logs of one format share this stream: only the text tells copies apart.
                if event.content in known and event.content not in seen:
                    seen.add(event.content)
                else:
                    verdict = Verdict(verdict.flow_log_id, "duplicate")
            tally.add(line, verdict, latest, event.message)
        return seen

    def _verdict(self, event: Event, flow_logs: Sequence[FlowLog], line: Line) -> Verdict:
        if isinstance(line, Malformed):
            return Verdict(flow_logs[0].id, "malformed")
        if isinstance(line, Gap):
            return Verdict(flow_logs[0].id, line.kind)
        judge = self.context.judge(flow_logs, self._speakers)
        return judge.verdict(line, event.ingested)

    def _overlap(self, line: Line, flow_logs: Sequence[FlowLog]) -> bool:
        """Whether several of the flow logs deliver the interface's records to this group."""
        if not isinstance(line, Record):
            return False
        place = self.context.index.places.get(line.interface_id)
        if place is None:
            return False
        resources = (line.interface_id, place.subnet_id, place.vpc_id)
        return sum(f.resource_id in resources and f.logs(line.action) for f in flow_logs) > 1

    def _line(self, message: str) -> tuple[Sequence[FlowLog], Line]:
        """Return the flow logs whose layout the line has, and what it says.

        Flow logs of different layouts may share a group, and then a stream. A line that fits
        none, or reads differently in two, is malformed: it is never guessed.
        """
        fitting: dict[Line, list[FlowLog]] = {}
        reasons: list[Malformed] = []
        for fields, flow_logs in self._layouts.items():
            line = parse(message, fields)
            if isinstance(line, Malformed):
                reasons.append(line)
            else:
                fitting.setdefault(line, []).extend(flow_logs)
        if len(fitting) == 1:
            ((line, found),) = fitting.items()
            return found, line
        if fitting:
            return self.flow_logs, Malformed("fits several formats of this group differently")
        return self.flow_logs, reasons[0]
