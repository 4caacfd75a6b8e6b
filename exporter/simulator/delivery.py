"""Lines on their way to log groups and buckets, and the truth about those that have arrived."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterable
from random import Random
from typing import Any, NamedTuple

from moto.logs import logs_backends

from exporter.simulator import log_files
from exporter.simulator.buckets import Buckets
from exporter.simulator.notifications import Notifications
from exporter.simulator.state import Row, Where, World

# What the log groups keep, and what the truth remembers, in seconds.
LOGS_RETENTION = 3600.0
RETENTION = 7200.0


class Delivery(NamedTuple):
    """A line on its way to where its flow log delivers; times in seconds."""

    due: float
    where: Where
    flow_log: Row
    stream: str
    start: int
    end: int
    line: str
    truth: tuple[str, str, int, int] | None  # endpoint, action, bytes, packets
    # The endpoints of the VPC that a line at another's interface is about, and its action.
    clients_of: tuple[tuple[str, ...], str] = ((), "")

    @property
    def group(self) -> str:
        """The log group; empty on the way to a bucket."""
        name: str = self.flow_log.get("LogGroupName", "")
        return name


class Deliveries:
    """Lines until they are due; afterwards they are in moto's log groups and buckets."""

    def __init__(self, world: World, seed: int = 1) -> None:
        # Take it to add to what is pending.
        self.lock = threading.RLock()
        self.pending: list[Delivery] = []
        self.buckets = Buckets()
        self.notifications = Notifications(world, seed)
        self._random = Random(seed)
        # (endpoint, action, start) → records, bytes, packets that have been delivered.
        self._truth: dict[tuple[str, str, int], list[int]] = defaultdict(lambda: [0, 0, 0])
        # The same of records at clients' interfaces → records.
        self._clients: dict[tuple[str, str, int], int] = defaultdict(int)

    def truth(self, since: float = 0) -> Row:
        """Return what has been delivered of records that start at `since` or later.

        `totals`, by endpoint and action, at the endpoint's own interfaces, of the flow log that
        speaks for each: records, bytes, packets. `client_totals`, by endpoint and action: records
        at the other interfaces of its VPC that have an address of the endpoint's. And how many
        lines are still on their way.
        """
        totals: dict[str, dict[str, list[int]]] = {}
        clients: dict[str, dict[str, int]] = {}
        with self.lock:
            for (endpoint, action, start), counts in self._truth.items():
                if start >= since:
                    total = totals.setdefault(endpoint, {}).setdefault(action, [0, 0, 0])
                    for i, count in enumerate(counts):
                        total[i] += count
            for (endpoint, action, start), count in self._clients.items():
                if start >= since:
                    by_action = clients.setdefault(endpoint, {})
                    by_action[action] = by_action.get(action, 0) + count
            pending = len(self.pending)
        return {"totals": totals, "client_totals": clients, "pending": pending}

    def deliver(self, now: float) -> None:
        """Deliver what is due."""
        with self.lock:
            due = [d for d in self.pending if d.due <= now]
            self.pending = [d for d in self.pending if d.due > now]
            by_stream: dict[tuple[Where, str, str], list[Delivery]] = defaultdict(list)
            by_file: dict[tuple[str, int], list[Delivery]] = defaultdict(list)
            for d in due:
                if d.group:
                    by_stream[d.where, d.group, d.stream].append(d)
                else:
                    by_file[d.flow_log["FlowLogId"], log_files.slot(d.end)].append(d)
            for lines in by_stream.values():
                if _append(lines, now):
                    self._count(lines)
            for lines in by_file.values():
                if self._store(lines, now):
                    self._count(lines)
            for counted in (self._truth, self._clients):
                for key in [k for k in counted if k[2] < now - RETENTION]:
                    del counted[key]

    def _store(self, lines: list[Delivery], now: float) -> bool:
        """Write one file of one flow log; False when its bucket is gone."""
        flow_log, where = lines[0].flow_log, lines[0].where
        bucket, _ = log_files.bucket_of(flow_log)
        # Random: a later file of a slot may sort before an earlier one.
        digest = f"{self._random.getrandbits(32):08x}"
        key = log_files.key(flow_log, where, log_files.slot(lines[0].end), digest)
        content = log_files.content(flow_log, [d.line for d in lines])
        stored = self.buckets.put(bucket, key, content, now)
        if stored is None:
            return False
        self.notifications.created(stored)
        return True

    def _count(self, lines: Iterable[Delivery]) -> None:
        for d in lines:
            if d.truth:
                endpoint, action, size, packets = d.truth
                total = self._truth[endpoint, action, d.start]
                total[0] += 1
                total[1] += size
                total[2] += packets
            endpoints, action = d.clients_of
            for endpoint in endpoints:
                self._clients[endpoint, action, d.start] += 1


def _append(lines: list[Delivery], now: float) -> bool:
    """Write lines of one stream to their log group; False when the group is gone."""
    where, group, stream = lines[0].where, lines[0].group, lines[0].stream
    backend: Any = logs_backends[where.account][where.region]
    if group not in backend.groups:
        return False
    streams = backend.groups[group].streams
    if stream not in streams:
        backend.create_log_stream(group, stream)
    streams[stream].put_log_events(
        [{"timestamp": d.start * 1000, "message": d.line} for d in lines]
    )
    oldest = (now - LOGS_RETENTION) * 1000
    if streams[stream].events[0].timestamp < oldest:
        streams[stream].events = [e for e in streams[stream].events if e.timestamp >= oldest]
    return True
