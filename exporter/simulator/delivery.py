"""Lines on their way to the log groups, and the truth about those that have arrived."""

from __future__ import annotations

import threading
from collections import defaultdict
from typing import Any, NamedTuple

from exporter.simulator.state import Row, Where

# What the log groups keep, and what the truth remembers, in seconds.
LOGS_RETENTION = 3600.0
RETENTION = 7200.0


class Delivery(NamedTuple):
    """A line on its way to a log group; times in seconds."""

    due: float
    where: Where
    group: str
    stream: str
    start: int
    line: str
    truth: tuple[str, str, int, int] | None  # endpoint, action, bytes, packets


class Deliveries:
    """Lines until they are due; afterwards they are in moto's log groups."""

    def __init__(self) -> None:
        # Take it to add to what is pending.
        self.lock = threading.RLock()
        self.pending: list[Delivery] = []
        # (endpoint, action, start) → records, bytes, packets that have been delivered.
        self._truth: dict[tuple[str, str, int], list[int]] = defaultdict(lambda: [0, 0, 0])

    def truth(self, since: float = 0) -> Row:
        """Return what has been delivered of records that start at `since` or later.

        By endpoint and action, at the endpoint's own interfaces, of the flow log that speaks for
        each: records, bytes, packets. And how many are still on their way.
        """
        totals: dict[str, dict[str, list[int]]] = {}
        with self.lock:
            for (endpoint, action, start), counts in self._truth.items():
                if start >= since:
                    total = totals.setdefault(endpoint, {}).setdefault(action, [0, 0, 0])
                    for i, count in enumerate(counts):
                        total[i] += count
            return {"totals": totals, "pending": len(self.pending)}

    def deliver(self, now: float) -> None:
        """Deliver what is due."""
        # moto is heavy, and a test that needs only a world should not have to load it.
        from moto.logs import logs_backends

        with self.lock:
            due = [d for d in self.pending if d.due <= now]
            self.pending = [d for d in self.pending if d.due > now]
            by_stream: dict[tuple[Where, str, str], list[Delivery]] = defaultdict(list)
            for d in due:
                by_stream[d.where, d.group, d.stream].append(d)
            for (where, group, stream), lines in by_stream.items():
                backend: Any = logs_backends[where.account][where.region]
                if group not in backend.groups:
                    continue
                streams = backend.groups[group].streams
                if stream not in streams:
                    backend.create_log_stream(group, stream)
                events = [{"timestamp": d.start * 1000, "message": d.line} for d in lines]
                streams[stream].put_log_events(events)
                oldest = (now - LOGS_RETENTION) * 1000
                if streams[stream].events[0].timestamp < oldest:
                    streams[stream].events = [
                        e for e in streams[stream].events if e.timestamp >= oldest
                    ]
                for d in lines:
                    if d.truth:
                        endpoint, action, size, packets = d.truth
                        total = self._truth[endpoint, action, d.start]
                        total[0] += 1
                        total[1] += size
                        total[2] += packets
            for key in [k for k in self._truth if k[2] < now - RETENTION]:
                del self._truth[key]
