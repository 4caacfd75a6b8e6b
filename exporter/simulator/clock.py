"""The clock: writes flow-log records as AWS would, and opens and closes a security group.

Stamps are wall-clock; `speed` shortens how long a window is aggregated and takes to arrive.
"""

from __future__ import annotations

import random
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from typing import Any, NamedTuple

from exporter.simulator.world import Flow, Row, World, https

AGGREGATION = 60.0
DELIVERY = 300.0
# In windows: how long the group stays closed, then open.
CLOSED, OPEN = 45, 45
# What the log groups keep, in seconds.
RETENTION = 7200.0
_SYN, _SYN_ACK, _ACKED = 2, 18, 19


class Delivery(NamedTuple):
    """A line on its way to a log group; times in seconds."""

    due: float
    account: str
    region: str
    group: str
    stream: str
    start: int
    line: str
    truth: tuple[str, str, int, int] | None  # endpoint, action, bytes, packets


class Clock:
    """Makes traffic, window after window, in a thread of its own."""

    def __init__(self, world: World, speed: float, seed: int) -> None:
        self._world = world
        self._random = random.Random(seed)
        self._window = max(1.0, AGGREGATION / speed)
        self._delay = DELIVERY / speed
        self._pending: list[Delivery] = []
        self._windows = 0
        # (endpoint, action, start) → records, bytes, packets that have been delivered.
        self._truth: dict[tuple[str, str, int], list[int]] = defaultdict(lambda: [0, 0, 0])
        self._lock = threading.RLock()
        self._stop = threading.Event()
        self.running = True

    def start(self) -> None:
        """Begin."""
        threading.Thread(target=self._run, name="clock", daemon=True).start()

    def stop(self) -> None:
        """End."""
        self._stop.set()

    def truth(self, since: float = 0) -> Row:
        """Return what has been delivered of records that start at `since` or later.

        By endpoint and action: records, bytes, packets. And how many are still on their way.
        """
        totals: dict[str, dict[str, list[int]]] = {}
        with self._lock:
            for (endpoint, action, start), counts in self._truth.items():
                if start >= since:
                    total = totals.setdefault(endpoint, {}).setdefault(action, [0, 0, 0])
                    for i, count in enumerate(counts):
                        total[i] += count
            return {"totals": totals, "pending": len(self._pending)}

    def _run(self) -> None:
        begun = time.time()
        next_window = begun + self._window
        while not self._stop.wait(min(0.2, self._window / 4)):
            now = time.time()
            if now >= next_window:
                if self.running:
                    with self._lock:
                        self._make(int(next_window - self._window), int(next_window))
                # A machine that slept does not make up for what it missed.
                next_window = max(next_window + self._window, now - self._window)
            self._deliver(now)

    def _make(self, start: int, end: int) -> None:
        world = self._world
        with world.lock:
            self._toggle()
            for flow_log in world.table("FlowLogs"):
                for interface in world.table("NetworkInterfaces"):
                    covers = (interface["VpcId"], interface["SubnetId"])
                    if flow_log["ResourceId"] in (*covers, interface["NetworkInterfaceId"]):
                        self._interface(flow_log, interface, start, end)
                self._other(flow_log, start, end)
        self._windows += 1

    def _toggle(self) -> None:
        closed = self._windows % (CLOSED + OPEN) < CLOSED
        for group in self._world.table("SecurityGroups"):
            if group["GroupId"] == self._world.toggled_group:
                group["IpPermissions"] = [] if closed else [https()]

    def _interface(self, flow_log: Row, interface: Row, start: int, end: int) -> None:
        endpoint = next(
            e
            for e in self._world.table("VpcEndpoints")
            if interface["NetworkInterfaceId"] in e["NetworkInterfaceIds"]
        )
        flows = [f for f in self._world.flows if f.endpoint_id == endpoint["VpcEndpointId"]]
        lines = 0
        for flow in flows:
            for _ in range(flow.connections):
                # Each connection goes to one of the endpoint's interfaces.
                if self._random.random() < 1 / len(endpoint["NetworkInterfaceIds"]):
                    for fields, truth in self._connection(endpoint, interface, flow):
                        self._queue(flow_log, interface, fields, truth, start, end)
                        lines += 1
        if not lines:
            self._queue(flow_log, interface, {"log-status": "NODATA"}, None, start, end)

    def _connection(
        self, endpoint: Row, interface: Row, flow: Flow
    ) -> Iterator[tuple[Row, tuple[str, str, int, int]]]:
        port = self._random.randrange(32768, 61000)
        allowed = self._world.allows([g["GroupId"] for g in interface["Groups"]], flow.port)
        address = interface["PrivateIpAddress"]
        there = (flow.client, address, port, flow.port, "ingress")
        back = (address, flow.client, flow.port, port, "egress")
        if not allowed:
            packets = self._random.randrange(1, 4)
            yield self._record(endpoint, "REJECT", there, packets, packets * 60, _SYN)
            return
        packets = self._random.randrange(5, 40)
        yield self._record(endpoint, "ACCEPT", there, packets, packets * 120, _ACKED & ~16)
        yield self._record(endpoint, "ACCEPT", back, packets, packets * 900, _SYN_ACK | 1)

    def _record(
        self,
        endpoint: Row,
        action: str,
        way: tuple[str, str, int, int, str],
        packets: int,
        size: int,
        flags: int,
    ) -> tuple[Row, tuple[str, str, int, int]]:
        source, target, source_port, target_port, direction = way
        fields = {
            "srcaddr": source,
            "dstaddr": target,
            "pkt-srcaddr": source,
            "pkt-dstaddr": target,
            "srcport": source_port,
            "dstport": target_port,
            "protocol": 6,
            "packets": packets,
            "bytes": size,
            "action": action,
            "log-status": "OK",
            "tcp-flags": flags,
            "type": "IPv4",
            "flow-direction": direction,
        }
        return fields, (endpoint["VpcEndpointId"], action, size, packets)

    def _other(self, flow_log: Row, start: int, end: int) -> None:
        """Traffic at an interface that is no endpoint's: somebody scans somebody's host."""
        host: Row = {
            "NetworkInterfaceId": f"eni-{int(flow_log['FlowLogId'][3:], 16) % 16**17:017x}",
            "VpcId": flow_log["ResourceId"],
            "SubnetId": "subnet-0123456789abcdef0",
        }
        way = ("198.51.100.7", "10.1.0.200", 54321, self._random.randrange(1, 1024), "ingress")
        fields, _ = self._record({"VpcEndpointId": ""}, "REJECT", way, 1, 40, _SYN)
        self._queue(flow_log, host, fields, None, start, end)

    def _queue(
        self,
        flow_log: Row,
        interface: Row,
        fields: Row,
        truth: tuple[str, str, int, int] | None,
        start: int,
        end: int,
    ) -> None:
        (account, region), _ = next(
            (where, t)
            for where, t in self._world.tables.items()
            if flow_log in t.get("FlowLogs", ())
        )
        values = {
            "version": 5 if "flow-direction" in flow_log["LogFormat"] else 2,
            "account-id": account,
            "interface-id": interface["NetworkInterfaceId"],
            "vpc-id": interface["VpcId"],
            "subnet-id": interface["SubnetId"],
            "start": start,
            "end": end,
            **fields,
        }
        names = flow_log["LogFormat"].replace("${", "").replace("}", "").split(" ")
        line = " ".join(str(values.get(name, "-")) for name in names)
        due = end + self._delay * self._random.uniform(0.2, 1.2)
        stream = f"{interface['NetworkInterfaceId']}-all"
        delivery = Delivery(
            due, account, region, flow_log["LogGroupName"], stream, start, line, truth
        )
        self._pending.append(delivery)

    def _deliver(self, now: float) -> None:
        # moto is heavy, and a test that needs only a world should not have to load it.
        from moto.logs import logs_backends

        with self._lock:
            due = [d for d in self._pending if d.due <= now]
            self._pending = [d for d in self._pending if d.due > now]
            by_stream: dict[tuple[str, str, str, str], list[Delivery]] = defaultdict(list)
            for d in due:
                by_stream[d.account, d.region, d.group, d.stream].append(d)
            for (account, region, group, stream), lines in by_stream.items():
                backend: Any = logs_backends[account][region]
                if group not in backend.groups:
                    continue
                streams = backend.groups[group].streams
                if stream not in streams:
                    backend.create_log_stream(group, stream)
                events = [{"timestamp": d.start * 1000, "message": d.line} for d in lines]
                streams[stream].put_log_events(events)
                oldest = (now - RETENTION) * 1000
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
