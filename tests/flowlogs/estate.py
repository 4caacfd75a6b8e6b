"""VPCs whose flow logs deliver to groups and buckets in memory, and the truth about their records.

What must be counted is worked out when a record is made, from nothing that the exporter says.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

from exporter.flowlogs.attribute import Index, Own, Place, Resource
from exporter.flowlogs.sources import s3
from exporter.flowlogs.sources.s3 import Object
from exporter.flowlogs.tally import (
    BYTES,
    CLIENT_RECORDS,
    CLIENT_REJECTED,
    PACKETS,
    RECORDS,
    REJECTED_CONNECTIONS,
)
from exporter.model import ACTIONS, Action, FlowLog, Scope
from exporter.store import CounterKey
from tests.flowlogs import bucket
from tests.flowlogs.log_group import LogGroups

SCOPE = Scope("111122223333", "eu-west-1")
BEGIN = 1_700_000_000.0
LOOKBACK = 600.0
NAMES = (
    *("interface-id", "srcaddr", "dstaddr", "srcport", "dstport", "protocol", "packets", "bytes"),
    *("start", "end", "action", "tcp-flags", "log-status"),
)
FORMAT = " ".join(f"${{{name}}}" for name in NAMES)
FOREVER = float("inf")
How = Literal["logs", "text", "parquet"]


@dataclass
class Interface:
    """An endpoint's interface, or a client's; from when until when it is there."""

    id: str
    endpoint_id: str
    vpc: str
    address: str
    born: float
    gone: float = FOREVER


@dataclass
class Line:
    """A line on its way to one flow log's destination; `sure` when it must be read once."""

    flow_log: FlowLog
    vpc: str
    start: float
    end: float
    due: float
    text: str
    sure: bool


@dataclass
class Vpc:
    """A VPC, with the flow logs that cover it; since when each delivers."""

    id: str
    how: How
    flow_logs: list[tuple[float, FlowLog]]

    @property
    def place(self) -> Place:
        return Place(self.id, f"subnet-{self.id}")


@dataclass
class Estate:
    """Everything there is, at `now`."""

    draw: random.Random
    now: float = BEGIN
    logs: LogGroups = field(default_factory=LogGroups)
    buckets: bucket.Buckets = field(init=False)
    vpcs: dict[str, Vpc] = field(default_factory=dict)
    interfaces: list[Interface] = field(default_factory=list)
    pending: list[Line] = field(default_factory=list)
    notices: list[Object] = field(default_factory=list)
    truth: Counter[CounterKey] = field(default_factory=Counter)
    # Lines by VPC: those that are read exactly once, and those that may be too late to be read.
    sure: Counter[str] = field(default_factory=Counter)
    loose: Counter[str] = field(default_factory=Counter)
    # From when on each flow log is known to the exporter.
    met: dict[str, float] = field(default_factory=dict)
    _number: int = 0
    _deadlines: dict[tuple[str, str], float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.buckets = bucket.Buckets(self.draw)

    def number(self) -> int:
        self._number += 1
        return self._number

    def vpc(self, how: How) -> Vpc:
        """Add a VPC with two endpoints, two clients and a flow log."""
        number = len(self.vpcs) + 1
        made = Vpc(f"vpc-{number}", how, [])
        self.vpcs[made.id] = made
        self.flow_log(made, how)
        for i in range(2):
            self.endpoint(made, f"10.0.0.{i + 1}")
            self.interfaces.append(Interface(self._eni(), "", made.id, f"10.0.1.{i + 1}", self.now))
        return made

    def flow_log(self, vpc: Vpc, how: How, destination: str = "", subnet: bool = False) -> FlowLog:
        """Add a flow log, which speaks as soon as it is found."""
        number = self.number()
        arn = f"arn:aws:s3:::bucket-{number}/some/prefix/"
        made = FlowLog(
            f"fl-{number:08x}",
            vpc.place.subnet_id if subnet else vpc.id,
            "ALL",
            "cloud-watch-logs" if how == "logs" else "s3",
            destination or (f"/group/{number}" if how == "logs" else arn),
            FORMAT,
            60,
            "ACTIVE",
            "SUCCESS",
            file_format="parquet" if how == "parquet" else "plain-text",
            hive=bool(number % 2),
            per_hour=bool(number % 3),
        )
        if how == "logs":
            self.logs.groups.setdefault(made.destination, [])
        vpc.flow_logs.append((self.now, made))
        return made

    def endpoint(self, vpc: Vpc, address: str) -> Interface:
        made = Interface(self._eni(), f"vpce-{self.number():08x}", vpc.id, address, self.now)
        self.interfaces.append(made)
        return made

    def _eni(self) -> str:
        return f"eni-{self.number():08x}"

    def index(self, as_of: float) -> Index:
        """Return what a listing found that was made then."""
        there = [x for x in self.interfaces if x.born <= as_of < x.gone]
        place = {x.id: self.vpcs[x.vpc].place for x in there}
        chosen: dict[Resource, FlowLog] = {}
        flow_logs: dict[str, FlowLog] = {}
        vpc_of: dict[str, str] = {}
        for vpc in self.vpcs.values():
            for since, flow_log in vpc.flow_logs:
                if since <= as_of:
                    flow_logs[flow_log.id] = flow_log
                    vpc_of[flow_log.id] = vpc.id
                    resources = {vpc.place.subnet_id, flow_log.resource_id}
                    chosen |= {(r, action): flow_log for r in resources for action in ACTIONS}
        own = {
            x.id: Own(x.endpoint_id, place[x.id], (x.address,), x.born)
            for x in there
            if x.endpoint_id
        }
        return Index(as_of, own, place, chosen, flow_logs, vpc_of)

    def traffic(self, seconds: int) -> None:
        """Make records of what goes on in the next seconds, and send them on their way."""
        for vpc in self.vpcs.values():
            there = [x for x in self.interfaces if x.vpc == vpc.id and x.gone == FOREVER]
            own = [x for x in there if x.endpoint_id]
            clients = [x for x in there if not x.endpoint_id]
            for _ in range(self.draw.randrange(4)):
                start = int(self.now) + self.draw.randrange(seconds)
                end = min(start + self.draw.choice([1, 30, 60]), int(self.now) + seconds)
                # Several in one millisecond.
                for _ in range(self.draw.choice([1, 1, 3])):
                    endpoint, client = self.draw.choice(own), self.draw.choice(clients)
                    kind = self.draw.choice(["own", "own", "client", "scan", "gap", "broken"])
                    self._make(vpc, kind, endpoint, client, start, end)

    def old_record(self, vpc: Vpc) -> None:
        """Make a record that began before the exporter first came."""
        own = next(x for x in self.interfaces if x.vpc == vpc.id and x.endpoint_id)
        start = int(BEGIN) - self.draw.randrange(1, 50)
        self._send(
            vpc,
            self.text(own.id, "10.9.9.9", own.address, "ACCEPT", 2, start, start + 60),
            start,
            start + 60,
            count=False,
        )

    def _make(
        self, vpc: Vpc, kind: str, own: Interface, client: Interface, start: int, end: int
    ) -> None:
        action: Action = self.draw.choice(ACTIONS)
        flags = self.draw.choice([2, 18, 3, 0, "-"])
        inbound = self.draw.random() < 0.6
        ends = (client.address, own.address) if inbound else (own.address, client.address)
        interface = client if kind == "client" else own
        if kind == "scan":
            interface, ends = client, ("198.51.100.7", client.address)
        if kind == "broken" and vpc.how != "parquet" and vpc.id not in self.queried:
            self._send(vpc, f"{own.id} {self.number()} nonsense", start, end)
            return
        if kind in ("gap", "broken"):
            dashes = " ".join("-" * 7)
            self._send(vpc, f"{own.id} {dashes} {start} {end} - - NODATA", start, end)
            return
        packets, size = self.draw.randrange(1, 9), self.draw.randrange(40, 9000)
        text = self.text(interface.id, *ends, action, flags, start, end, packets, size)
        in_time = self._send(vpc, text, start, end)
        if not in_time or kind == "scan":
            return
        refused = action == "REJECT" and flags in (2, 3)
        name = own.endpoint_id
        if kind == "client":
            self.truth[CounterKey(name, CLIENT_RECORDS, action)] += 1
            self.truth[CounterKey(name, CLIENT_REJECTED, "")] += refused
            return
        self.truth[CounterKey(name, RECORDS, action)] += 1
        self.truth[CounterKey(name, BYTES, action)] += size
        self.truth[CounterKey(name, PACKETS, action)] += packets
        self.truth[CounterKey(name, REJECTED_CONNECTIONS, "")] += refused

    # VPCs whose lines a query may count: it knows nothing of lines that are too late or broken.
    queried: set[str] = field(default_factory=set)

    def text(
        self,
        interface: str,
        source: str,
        target: str,
        action: Action,
        flags: object,
        start: int,
        end: int,
        packets: int = 1,
        size: int = 40,
    ) -> str:
        # No two records are the same: the port tells them apart.
        ports = f"{32768 + self.number() % 28000} 443"
        return (
            f"{interface} {source} {target} {ports} 6 {packets} {size} {start} {end} {action} "
            f"{flags} OK"
        )

    def _send(self, vpc: Vpc, text: str, start: int, end: int, count: bool = True) -> bool:
        """Send a line on its way to every flow log; return whether it will come in time."""
        lateness = self.draw.choice([(30, 200), (200, 400), (400, 560), (700, 1500)])
        if vpc.id in self.queried:
            lateness = min(lateness, (200, 400))
        in_time = lateness[0] < LOOKBACK
        for since, flow_log in vpc.flow_logs:
            if since <= start or not count:
                due = end + self.draw.uniform(*lateness)
                sure = in_time and count and start >= self.met.get(flow_log.id, FOREVER)
                self.pending.append(Line(flow_log, vpc.id, start, end, due, text, sure))
        return in_time

    def deliver(self) -> None:
        """Deliver what is due by now."""
        due = [line for line in self.pending if line.due <= self.now]
        self.pending = [line for line in self.pending if line.due > self.now]
        files: dict[tuple[str, int, int], list[Line]] = {}
        for line in due:
            (self.sure if line.sure else self.loose)[line.vpc] += 1
            if line.flow_log.destination_type != "s3":
                group, stream = line.flow_log.destination, line.text.split(" ")[0]
                self.logs.put(group, f"{stream}-all", line.text, line.start, line.due)
            else:
                key = (line.flow_log.id, int(line.end // s3.SLOT), int(line.due // 30))
                files.setdefault(key, []).append(line)
        for (_, slot, _), lines in sorted(files.items(), key=lambda item: item[0][2]):
            self._write(lines, slot * s3.SLOT)

    def _write(self, lines: list[Line], slot: float) -> None:
        flow_log = lines[0].flow_log
        write = bucket.parquet if flow_log.file_format == "parquet" else bucket.text
        key = self._key(flow_log, slot)
        name, _ = s3.bucket_of(flow_log)
        self.buckets.put(
            name, key, write(NAMES, [x.text for x in lines]), max(x.due for x in lines)
        )
        self._deadlines[name, key] = min(x.end + LOOKBACK - 1 for x in lines)
        self._notify(name, key)

    def _key(self, flow_log: FlowLog, slot: float) -> str:
        (prefix,) = s3.prefixes(flow_log, SCOPE, slot, slot)
        ending = ".log.parquet" if flow_log.file_format == "parquet" else ".log.gz"
        stamp = datetime.fromtimestamp(slot, UTC).strftime("%Y%m%dT%H%MZ")
        return f"{prefix}{stamp}_{self.draw.getrandbits(32):08x}{ending}"

    def _notify(self, name: str, key: str) -> None:
        found = s3.object_of(name, key)
        assert found
        if self.draw.random() < 0.8:  # else the message was lost
            self.notices += [found] * self.draw.choice([1, 1, 2])

    def phantom(self) -> None:
        """A file that is named and gone before it can be read."""
        files = [f for v in self.vpcs.values() for _, f in v.flow_logs if v.how != "logs"]
        flow_log = self.draw.choice(files)
        name, _ = s3.bucket_of(flow_log)
        key = self._key(flow_log, self.now // s3.SLOT * s3.SLOT)
        self.buckets.put(name, key, b"", self.now)
        self.buckets.objects[name, key].gone = True
        self._notify(name, key)

    def rewrite(self) -> None:
        """Write a file again: the same lines with another ETag."""
        known = [k for k, deadline in self._deadlines.items() if self.now < deadline]
        if known:
            name, key = self.draw.choice(known)
            self.buckets.put(name, key, self.buckets.objects[name, key].content, self.now)
            self._notify(name, key)
