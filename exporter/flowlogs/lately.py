"""What has gone lately, and whose last records are still to come: flow logs, and interfaces.

Delivery takes minutes. Kept in memory alone: what goes while the exporter is down is not known.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from exporter.flowlogs.attribute import Index, Place
from exporter.model import FlowLog


@dataclass(slots=True)
class Lately:
    """Remembers for `keep` seconds what an index had and a younger one has not."""

    keep: float
    _last: Index | None = None
    # With when they were missed, in seconds.
    _flow_logs: dict[str, tuple[FlowLog, str, float]] = field(default_factory=dict)
    _places: dict[str, tuple[Place, float]] = field(default_factory=dict)

    def gone(self, flow_log_id: str) -> bool:
        """Whether a flow log is one that has gone."""
        return flow_log_id in self._flow_logs

    def follow(self, index: Index) -> Index:
        """Return a younger index than the last one, with what has gone lately."""
        last, now = self._last or index, index.as_of
        self._last = index
        for i in last.flow_logs.keys() - index.flow_logs.keys():
            self._flow_logs[i] = last.flow_logs[i], last.vpc_of[i], now
        for i in last.places.keys() - index.places.keys():
            self._places[i] = last.places[i], now
        oldest = now - self.keep
        self._flow_logs = {
            i: known
            for i, known in self._flow_logs.items()
            if i not in index.flow_logs and known[-1] >= oldest
        }
        self._places = {
            i: known
            for i, known in self._places.items()
            if i not in index.places and known[-1] >= oldest
        }
        return replace(
            index,
            places={i: place for i, (place, _) in self._places.items()} | dict(index.places),
            flow_logs={i: f for i, (f, _, _) in self._flow_logs.items()} | dict(index.flow_logs),
            vpc_of={i: vpc for i, (_, vpc, _) in self._flow_logs.items()} | dict(index.vpc_of),
        )
