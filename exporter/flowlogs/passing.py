"""One pass over the flow logs of a scope: what every source needs to count and to commit."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from exporter.flowlogs import tally as t
from exporter.flowlogs.attribute import Index, layout
from exporter.flowlogs.judge import Choices, Judge
from exporter.flowlogs.notes import Notes
from exporter.flowlogs.tally import Tally
from exporter.model import ACTIONS, FlowLog, Scope, Unavailable
from exporter.store import Batch, CounterKey, Seen, SourceState, Store


@dataclass(frozen=True, slots=True)
class SourceReport:
    """How one source's pass went.

    `read_to` is the moment up to which all that had been delivered has been read, in seconds;
    None before the first whole read has ended.
    """

    flow_log_ids: tuple[str, ...]
    read_to: float | None
    problem: Unavailable[None] | None = None


@dataclass(frozen=True, slots=True)
class Pass:
    """What is the same for all sources in one pass. Times in seconds.

    `speaker_of` names the speaker of each flow log. No further part is begun after `deadline`.
    `tell` logs a problem of a subject, None when it has none any more.
    """

    scope: Scope
    store: Store
    notes: Notes
    clock: Callable[[], float]
    index: Index
    choices: Choices
    first_seen: Mapping[str, float]
    speaker_of: Mapping[str, str]
    lookback: float
    deadline: float
    tell: Callable[[str, str | None, str], None]
    _told: set[str] = field(default_factory=set)

    def late(self) -> bool:
        """Whether no further part should be begun."""
        return self.clock() > self.deadline

    def judge(self, flow_logs: Sequence[FlowLog], speakers: Mapping[str, str]) -> Judge:
        """Return who decides about the lines of these flow logs; `speakers` are by their ids."""
        names = {speakers[f.id]: f.id for f in flow_logs}
        return Judge(self.index, self.choices, names, self.first_seen, self.lookback)

    def since(self, flow_logs: Iterable[FlowLog]) -> float:
        """Return when the first of the flow logs was first seen."""
        return min(self.first_seen[f.id] for f in flow_logs)

    def commit(
        self,
        state: SourceState,
        tally: Tally,
        *,
        seen: Iterable[Seen] = (),
        objects: Mapping[Seen, str] | None = None,
    ) -> None:
        """Commit a tally with the identities of what is in it; raises StoreError."""
        batch = Batch(seen=set(seen), objects=dict(objects or {}))
        self.notes.commit(state.id, batch, tally, self.clock())
        for flow_log_id, (reason, text) in tally.problem.items():
            # The first one; the counter tells of the others.
            self.tell(f"{flow_log_id} malformed line", reason, text)

    def zeros(self, flow_log: FlowLog, lines: bool = True) -> set[CounterKey]:
        """Return the counters that a flow log tells about: they exist from now on, 0 or more.

        `lines` is whether it is read line by line: a query does not tell of clients, nor of each
        line's fate.
        """
        results = t.RESULTS if lines else ("counted",)
        keys = {CounterKey(flow_log.id, t.LINES, result) for result in results}
        fields = layout(flow_log)
        if fields is None or not flow_log.delivers:
            return keys
        for interface_id, own in self.index.own.items():
            for action in ACTIONS:
                if self.index.speaker(interface_id, action) != flow_log:
                    continue
                keys.add(CounterKey(own.endpoint_id, t.RECORDS, action))
                if fields.bytes is not None:
                    keys.add(CounterKey(own.endpoint_id, t.BYTES, action))
                if fields.packets is not None:
                    keys.add(CounterKey(own.endpoint_id, t.PACKETS, action))
                if fields.tcp_flags is not None and action == "REJECT":
                    keys.add(CounterKey(own.endpoint_id, t.REJECTED_CONNECTIONS, ""))
        if lines and (fields.sources or fields.targets):
            keys |= self._clients(flow_log, fields.tcp_flags is not None)
        return keys

    def _clients(self, flow_log: FlowLog, flags: bool) -> set[CounterKey]:
        """Return the counters of the clients' side, where the flow log speaks for a client."""
        vpc = self.index.vpc_of.get(flow_log.id, "")
        endpoints = {x.endpoint_id for x in self.index.own.values() if x.place.vpc_id == vpc}
        keys: set[CounterKey] = set()
        for action in ACTIONS:
            spoken = any(
                self.index.speaker(i, action) == flow_log
                for i, place in self.index.places.items()
                if place.vpc_id == vpc and i not in self.index.own
            )
            if spoken:
                keys |= {CounterKey(e, t.CLIENT_RECORDS, action) for e in endpoints}
            if spoken and flags and action == "REJECT":
                keys |= {CounterKey(e, t.CLIENT_REJECTED, "") for e in endpoints}
        return keys
