"""The clock: writes flow-log records as AWS would, and opens and closes a security group.

Stamps are wall-clock; `speed` shortens how long a window is aggregated and takes to arrive.
"""

from __future__ import annotations

import math
import random
import threading
import time
from collections import defaultdict
from collections.abc import Iterable
from ipaddress import ip_network

from exporter.simulator import changes, groups, network, records, trail
from exporter.simulator.delivery import Deliveries, Delivery
from exporter.simulator.owners import NOBODY, Owners
from exporter.simulator.records import Record
from exporter.simulator.state import Row, Traffic, Where, World

AGGREGATION = 60.0
DELIVERY = 300.0
# How many times as long as usual what is late takes at most.
LATEST = 12
# In windows: how long the group stays closed, then open.
CLOSED, OPEN = 45, 45
# Flows that never reach an interface: their endpoint is in none of these states.
_IN_USE = ("available", "partial")


class Clock:
    """Makes traffic, window after window, in a thread of its own.

    `late` is how likely a line takes many times as long as usual to arrive.
    """

    def __init__(self, world: World, speed: float, seed: int, late: float = 0.0) -> None:
        self._world = world
        self._late = late
        self._random = random.Random(seed)
        self._window = max(1.0, AGGREGATION / speed)
        self._delay = DELIVERY / speed
        self.deliveries = Deliveries(world, seed)
        self._windows = 0
        self._stop = threading.Event()
        self.running = True

    def start(self) -> None:
        """Begin."""
        threading.Thread(target=self._run, name="clock", daemon=True).start()

    def stop(self) -> None:
        """End."""
        self._stop.set()

    def truth(self, since: float = 0) -> Row:
        """Return what an exact counter must show; see Deliveries.truth."""
        return self.deliveries.truth(since)

    def _run(self) -> None:
        begun = time.time()
        next_window = begun + self._window
        while not self._stop.wait(min(0.2, self._window / 4)):
            now = time.time()
            if now >= next_window:
                if self.running:
                    with self.deliveries.lock:
                        self.make(int(next_window - self._window), int(next_window))
                # A machine that slept does not make up for what it missed.
                next_window = max(next_window + self._window, now - self._window)
            self.deliveries.deliver(now)

    def make(self, start: int, end: int) -> None:
        """Make one window's records, in seconds since the epoch, and send them on their way."""
        with self._world.lock:
            self._toggle()
            seen: dict[str, list[Record]] = defaultdict(list)
            for record in self._records():
                seen[record.interface["NetworkInterfaceId"]].append(record)
            owners = Owners.of(self._world)
            for account_region, tables in self._world.tables.items():
                where = Where(*account_region)
                flow_logs = [f for f in tables.get("FlowLogs", ()) if _delivers(f)]
                for interface in tables.get("NetworkInterfaces", ()):
                    covering = [f for f in flow_logs if covers(f, interface)]
                    found = seen.get(interface["NetworkInterfaceId"], [])
                    for flow_log in covering:
                        told = owners if flow_log is authoritative(covering) else NOBODY
                        self._write(where, flow_log, interface, found, told, (start, end))
        self._windows += 1

    def _toggle(self) -> None:
        """Close the group, or open it, through the calls that CloudTrail records."""
        if not self._world.toggled_group:
            return
        where, group = self._world.find("SecurityGroups", "GroupId", self._world.toggled_group)
        rules = self._world.table("SecurityGroupRules", *where)
        own = [r for r in rules if r["GroupId"] == group["GroupId"] and not r["IsEgress"]]
        closed = self._windows % (CLOSED + OPEN) < CLOSED
        if closed and own:
            permissions = groups.permissions(own)
            request = {"GroupId": group["GroupId"], "IpPermissions": permissions}
            changes.change(self._world, where, "RevokeSecurityGroupIngress", request, trail.CLOCK)
        elif not closed and not own:
            request = {
                "GroupId": group["GroupId"],
                "IpPermissions": [self._world.toggled_permission],
            }
            changes.change(
                self._world, where, "AuthorizeSecurityGroupIngress", request, trail.CLOCK
            )

    def _records(self) -> Iterable[Record]:
        world = self._world
        interfaces = {
            row["NetworkInterfaceId"]: row
            for tables in world.tables.values()
            for row in tables.get("NetworkInterfaces", ())
        }
        endpoints = {
            row["VpcEndpointId"]: row
            for tables in world.tables.values()
            for row in tables.get("VpcEndpoints", ())
        }
        for flow in world.traffic:
            endpoint = endpoints[flow.endpoint_id]
            if endpoint["VpcEndpointType"] == "Gateway":
                yield from self._gateway(flow, interfaces[flow.client_interface_id], endpoint)
            elif endpoint["State"].lower() in _IN_USE and endpoint["NetworkInterfaceIds"]:
                own = [interfaces[i] for i in endpoint["NetworkInterfaceIds"]]
                yield from self._flow(flow, interfaces[flow.client_interface_id], own)
        for flow in world.traffic:
            for name in endpoints[flow.endpoint_id]["NetworkInterfaceIds"] if flow.scanned else ():
                yield from records.scan(self._random, interfaces[name])
                yield from records.scan(self._random, interfaces[name], flow.port)
        for name in sorted({flow.client_interface_id for flow in world.traffic}):
            yield from records.scan(self._random, interfaces[name])

    def _flow(self, flow: Traffic, client: Row, own: list[Row]) -> Iterable[Record]:
        for _ in range(flow.connections):
            # Each connection goes to one of the endpoint's interfaces.
            target = self._random.choice(own)
            way = network.passage(self._world, client, target, flow.port)
            yield from records.connection(
                self._random, client, target, flow.port, way, flow.answered
            )
            if flow.late_rejects:
                yield from records.late(self._random, client, target, flow.port)

    def _gateway(self, flow: Traffic, client: Row, endpoint: Row) -> Iterable[Record]:
        lists = self._world.table("ManagedPrefixLists", endpoint["OwnerId"], _region(endpoint))
        row = next(r for r in lists if r["PrefixListName"] == endpoint["ServiceName"])
        target = str(next(ip_network(row["Entries"][0]["Cidr"]).hosts()))
        passed = network.groups_allow(
            self._world, client, True, target, flow.port, None
        ) and network.acl_allows(self._world, client["SubnetId"], True, target, flow.port)
        for _ in range(flow.connections):
            yield from records.outward(self._random, client, target, flow.port, passed)

    def _write(
        self,
        where: Where,
        flow_log: Row,
        interface: Row,
        seen: list[Record],
        owners: Owners,
        window: tuple[int, int],
    ) -> None:
        """Put on their way what a flow log has of a window at one interface."""
        start, end = window
        wanted = [r for r in seen if flow_log["TrafficType"] in ("ALL", r.action)]
        # Records of a long aggregation come at its end; in windows of the short one.
        length = max(1, int(flow_log["MaxAggregationInterval"] // AGGREGATION))
        late = (-(self._windows + 1) % length) * self._window
        due = self._due(flow_log, end + late)
        stamps = {"start": start, "end": end}
        stream = f"{interface['NetworkInterfaceId']}-{flow_log['TrafficType'].lower()}"

        def send(
            fields: Row,
            truth: tuple[str, str, int, int] | None = None,
            clients_of: tuple[tuple[str, ...], str] = ((), ""),
        ) -> None:
            text = records.line(flow_log, where, interface, {**fields, **stamps})
            self.deliveries.pending.append(
                Delivery(due, where, flow_log, stream, start, end, text, truth, clients_of)
            )

        for record in wanted:
            own, others = owners.about(record)
            action = record.action
            truth = (own, action, record.size, record.packets) if own else None
            send(record.fields(), truth, (others, action))
        if not wanted and not late:
            send({"log-status": "NODATA"})

    def _due(self, flow_log: Row, end: float) -> float:
        """Return when an interface's records that end then arrive; files come in batches."""
        due = end + self._delay * self._random.uniform(0.2, 1.2)
        if self._late and self._random.random() < self._late:
            due += self._delay * self._random.uniform(1, LATEST)
        if flow_log["LogDestinationType"] == "s3":
            return math.ceil(due / self._delay) * self._delay
        return due


def _region(endpoint: Row) -> str:
    region: str = endpoint["ServiceRegion"]
    return region


def covers(flow_log: Row, interface: Row) -> bool:
    """Whether the flow log is on the interface, its subnet or its VPC."""
    return flow_log["ResourceId"] in (
        interface["NetworkInterfaceId"],
        interface["SubnetId"],
        interface["VpcId"],
    )


def authoritative(flow_logs: Iterable[Row]) -> Row:
    """Return the one flow log that speaks for an interface, among those that cover it.

    ALL before one action, then the most fields, then the shortest aggregation, then by id.
    """
    return min(
        flow_logs,
        key=lambda f: (
            f["TrafficType"] != "ALL",
            -f["LogFormat"].count("${"),
            f["MaxAggregationInterval"],
            f["FlowLogId"],
        ),
    )


def _delivers(flow_log: Row) -> bool:
    return (flow_log["FlowLogStatus"], flow_log["DeliverLogsStatus"]) == ("ACTIVE", "SUCCESS")
