"""A flow log that a query counts: asked again through the look-back, and the difference counted.

So counters only grow, and come to what the settled query says.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeAlias

from exporter.flowlogs import tally as t
from exporter.flowlogs.attribute import layout
from exporter.flowlogs.parse import Record
from exporter.flowlogs.passing import Pass
from exporter.flowlogs.sources import athena, insights, pushdown
from exporter.flowlogs.sources.pushdown import Answer, Meter, QueryFailed
from exporter.flowlogs.sourcing import ATHENA, INSIGHTS, Settings, speaker
from exporter.flowlogs.tally import Port, Tally
from exporter.model import ACTIONS, FlowLog, Scope
from exporter.store import Batch, Bin, SourceState, Store

MINUTE = 60
# One question covers at most so much of the past, so that catching up commits its progress.
CHUNK = 3600
# Delivery, and a moment until what was delivered is found.
USUAL_DELIVERY, SEARCH_DELAY = 360.0, 120.0
# A query of the same lines every minute would cost five times as much and tell no more.
AT_MOST_EVERY = 300.0

# Asks for the bins of interfaces from a second to a second, of records not before a second.
Ask: TypeAlias = Callable[[tuple[str, ...], int, int, float, Meter], Answer]


def question(
    flow_log: FlowLog,
    source: str,
    scope: Scope,
    clients: Callable[[str], Any],
    settings: Settings,
    sleep: Callable[[float], object],
) -> Ask:
    """Return what asks a flow log's query."""
    fields = layout(flow_log)
    assert fields is not None, "it is readable"

    def ask(
        interfaces: tuple[str, ...], first: int, last: int, since: float, meter: Meter
    ) -> Answer:
        window = (interfaces, first, last, since, sleep)
        if source == INSIGHTS:
            logs = clients("logs")
            return insights.ask(logs, flow_log.destination, fields, *window, meter=meter)
        assert settings.athena is not None, "it was picked"
        where = (settings.athena, flow_log, fields, scope.account, scope.region)
        return athena.ask(clients(ATHENA), *where, *window, meter=meter)

    return ask


@dataclass(slots=True)
class Wallet:
    """What may be spent on queries on a day (UTC), and what was; an estimate, and it is stored."""

    store: Store
    dollars_per_day: float
    clock: Callable[[], float]

    def left(self) -> float:
        """Return how many dollars are left today; raises StoreError."""
        today = self._day()
        spent = sum(n for (_, _, day), n in self.store.spent().items() if day == today)
        return self.dollars_per_day - spent

    def pay(self, source: str, dollars: float) -> None:
        """Note what a query has cost; raises StoreError."""
        service, operation = {
            "insights": ("logs", "StartQuery"),
            "athena": ("athena", "StartQueryExecution"),
        }[source]
        self.store.spend(service, operation, self._day(), dollars)

    def _day(self) -> str:
        return datetime.fromtimestamp(self.clock(), UTC).strftime("%Y-%m-%d")


@dataclass(slots=True)
class Pushed:
    """One flow log in one pass; `number` is how many times it was asked about before.

    `rate` is what a second of it has cost so far, in dollars; None before the first answer. What
    starts at `until` or later is somebody else's to count.
    """

    flow_log: FlowLog
    source: str
    state: SourceState
    context: Pass
    wallet: Wallet
    number: int
    rate: float | None = None
    until: float = math.inf

    def read(self, ask: Ask) -> float:
        """Ask what is due and count what is new; return up to when all is accounted for.

        Raises StoreError, what the question raises, and QueryFailed when the budget is spent.
        """
        context, read_to = self.context, self.state.read_to
        end = int(context.index.as_of)
        reach = context.lookback + self.flow_log.aggregation + SEARCH_DELAY
        tail = self.flow_log.aggregation + USUAL_DELIVERY
        whole = read_to is None or self.number % 6 == 0 or end - read_to >= 1800
        whole = whole or self.until < end
        final = int(min(end, self.until - 1))
        first_seen = context.first_seen[self.flow_log.id]
        begin = first_seen if read_to is None else read_to - reach
        if not whole and read_to is not None:
            begin = max(begin, end - tail)
        interfaces, cut = self._interfaces()
        begin = max(begin, first_seen, cut, self.state.forgotten / 1000)
        first = int(begin) // MINUTE * MINUTE
        while True:
            last = min(first + CHUNK - 1, final)
            if interfaces and last >= first:
                self._ask(ask, interfaces, first, last, max(first_seen, cut))
            done = last >= final
            moved = max(float(end if done else last + 1), read_to or 0.0)
            progress = read_to is None or last + 1 > read_to
            batch = Batch()
            if whole:
                batch.read_to = moved
                batch.forget_before = max(0, int((moved - reach) // MINUTE * MINUTE * 1000))
                if done and self.until == math.inf:
                    batch.touch = context.zeros(self.flow_log, lines=False)
                context.store.commit(context.scope, self.state.id, batch)
            # Out of time, but never without progress: the next pass begins before `read_to`.
            if done or (progress and context.late()):
                return moved
            first = last + 1

    def _interfaces(self) -> tuple[tuple[str, ...], float]:
        """Return the endpoints' interfaces that this speaks for now, and since when the first."""
        name = speaker(self.flow_log.id, self.source)
        judge = self.context.judge([self.flow_log], {self.flow_log.id: name})
        found: dict[str, float] = {}
        for interface_id in self.context.index.own:
            for action in ACTIONS:
                cuts = judge.cuts(interface_id, Record(interface_id, action, 0, 0)) or ()
                since = [start for start, who in cuts if who == name]
                if since:
                    found[interface_id] = min(min(since), found.get(interface_id, since[0]))
        return tuple(sorted(found)), min(found.values(), default=0.0)

    def _ask(
        self, ask: Ask, interfaces: tuple[str, ...], first: int, last: int, since: float
    ) -> None:
        left = self.wallet.left()
        if left <= 0 or (self.rate or 0.0) * (last - first + 1) > left:
            raise QueryFailed(
                f"the budget of ${self.wallet.dollars_per_day:g} a day is spent: ${left:.2f} are "
                "left; it goes on at 00:00 UTC, or with a larger budget_dollars_per_day"
            )
        meter = Meter()
        try:
            answer = ask(interfaces, first, last, since, meter)
        finally:
            # AWS bills what a query has scanned, whatever came of it.
            cost = 0.0
            if meter.queries:
                source = "insights" if self.source == "insights" else "athena"
                cost = pushdown.dollars(source, meter.total, meter.queries)  # type: ignore[arg-type]
                self.wallet.pay(self.source, cost)
        self.rate = max(cost / (last - first + 1), 0.0)
        self._count(answer, self.context.store.bins(self.state.id, first, last))

    def _count(self, answer: Answer, before: Mapping[tuple[int, str, str], Bin]) -> None:
        name = speaker(self.flow_log.id, self.source)
        judge = self.context.judge([self.flow_log], {self.flow_log.id: name})
        tally, batch = Tally(), Batch()
        for found in answer.bins:
            own = self.context.index.own.get(found.interface_id)
            action = "ACCEPT" if found.action == "ACCEPT" else "REJECT"
            record = Record(found.interface_id, action, found.minute, found.minute)  # type: ignore[arg-type]
            if own is None or judge.spoke(record) != name:
                continue
            key = (found.minute, found.interface_id, found.action)
            counts = (found.records, found.bytes, found.packets, found.refused)
            old = before.get(key, Bin(0))
            new = Bin(*(_largest(a, b) for a, b in zip(old, counts, strict=True)))  # type: ignore[arg-type]
            if new == old and key in before:
                continue
            batch.bins[key] = new
            self._add(tally, own.endpoint_id, found.action, found.minute, old, new)
        if answer.newest is not None:
            tally.newest[self.flow_log.id] = answer.newest
        if batch.bins or tally.newest:
            self.context.notes.commit(self.state.id, batch, tally, self.context.clock())

    def _add(
        self, tally: Tally, endpoint_id: str, action: str, minute: int, old: Bin, new: Bin
    ) -> None:
        """Add the difference to the tally."""
        records = new.records - old.records
        tally.line(self.flow_log.id, "counted", None, records)
        tally.count(endpoint_id, t.RECORDS, action, records)
        for name, label, was, now in (
            (t.BYTES, action, old.bytes, new.bytes),
            (t.PACKETS, action, old.packets, new.packets),
            (t.REJECTED_CONNECTIONS, "", old.refused, new.refused),
        ):
            if now is not None and (name != t.REJECTED_CONNECTIONS or action == "REJECT"):
                tally.count(endpoint_id, name, label, now - (was or 0))
        if action == "REJECT" and records:
            # A query does not tell the ports.
            port = Port(endpoint_id, -1, -1)
            tally.recent[endpoint_id, minute] = {port: records}


def _largest(old: int | None, new: int | None) -> int | None:
    """Return the larger count: what was counted is not taken back."""
    return old if new is None else max(new, old or 0)
