"""What lines add up to: counters, the newest record, and who was rejected where."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from exporter.flowlogs.judge import Side, Verdict
from exporter.flowlogs.parse import ACK, SYN, Line, Malformed, Record
from exporter.flowlogs.sketch import Sketch
from exporter.store import CounterKey

# What is counted, as the store names it.
RECORDS, BYTES, PACKETS = "flow_records", "flow_bytes", "flow_packets"
REJECTED_CONNECTIONS = "flow_rejected_connections"
CLIENT_RECORDS, CLIENT_REJECTED = "client_flow_records", "client_flow_rejected_connections"
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

# By whether it is inbound: 0, 1, -1 for unknown.
DIRECTIONS = ("from_endpoint", "to_endpoint", "")
# A scan of all ports must not make a row for each; and the rejected of how long ago are kept.
PORTS_A_MINUTE, PORTS_ACCEPTED = 64, 32
# A sample of the clients that were accepted: so many of an endpoint in each direction.
CLIENTS_ACCEPTED = 16
# The protocol and port of all the others.
OTHER = -1, -1
TCP = 6
BUCKET = 900
KEPT = 3600


class Rejected(NamedTuple):
    """Who was rejected: the other side's address, and the port on the endpoint's side.

    `direction` is to_endpoint or from_endpoint, `packets` what they were for: syn opens a
    connection, syn-ack answers that, other is of one that was open. What the record does not tell
    is empty, and -1 for `port` and `protocol`.
    """

    source: str
    port: int
    protocol: int
    side: Side
    direction: str = ""
    packets: str = ""


class Port(NamedTuple):
    """A port on an endpoint's side; -1 where the record does not tell, and for any other."""

    endpoint_id: str
    protocol: int
    port: int


@dataclass(slots=True)
class Tally:
    """A sum of lines, to be committed as a whole.

    `rejected` has who was, by endpoint and the quarter of an hour in which the record ended;
    `recent` rejected records at the endpoint's own interfaces by the minute in which they ended;
    `accepted` the ports that were. `clients` are some of whom these accepted at the endpoint's own
    interfaces, by endpoint and whether the record went to it: until when, by address.
    `problem` is the first malformed line of each flow log: why, and the line's beginning.
    """

    counters: dict[CounterKey, int] = field(default_factory=dict)
    newest: dict[str, float] = field(default_factory=dict)
    rejected: dict[tuple[str, int], Sketch[Rejected]] = field(default_factory=dict)
    recent: dict[tuple[str, int], dict[Port, int]] = field(default_factory=dict)
    accepted: set[Port] = field(default_factory=set)
    clients: dict[tuple[str, bool], dict[str, int]] = field(default_factory=dict)
    problem: dict[str, tuple[str, str]] = field(default_factory=dict)

    def count(self, subject: str, name: str, label: str, amount: int = 1) -> None:
        """Add to a counter."""
        key = CounterKey(subject, name, label)
        self.counters[key] = self.counters.get(key, 0) + amount

    def line(self, flow_log_id: str, result: str, end: float | None, number: int = 1) -> None:
        """Add lines of one fate, of which the newest record ended then."""
        if number:
            self.count(flow_log_id, LINES, result, number)
        if end is not None and end > self.newest.get(flow_log_id, 0):
            self.newest[flow_log_id] = end

    def malformed(self, flow_log_id: str, line: Malformed, text: str, number: int = 1) -> None:
        """Add a line that is not of its layout."""
        self.line(flow_log_id, "malformed", None, number)
        self.problem.setdefault(flow_log_id, (line.reason, text[:200]))

    def add(self, line: Line, verdict: Verdict, latest: float, text: str = "") -> None:
        """Add a line with its verdict; `latest` is the last second at which it can have ended.

        Of a gap or a malformed line the verdict's result says what it is.
        """
        if isinstance(line, Malformed):
            self.malformed(verdict.flow_log_id, line, text)
            return
        end = line.end if line.end is not None and line.end <= latest else None
        self.line(verdict.flow_log_id, verdict.result, end)
        if verdict.result == "malformed":
            self.malformed(verdict.flow_log_id, Malformed(_nonsense(line)), text, 0)
        if isinstance(line, Record) and verdict.result == "counted":
            self._record(line, verdict)

    def _record(self, record: Record, verdict: Verdict) -> None:
        endpoint_id, action = verdict.endpoint_id, record.action
        if verdict.side == "client":
            self.count(endpoint_id, CLIENT_RECORDS, action)
            if record.refused:
                self.count(endpoint_id, CLIENT_REJECTED, "")
        else:
            self.count(endpoint_id, RECORDS, action)
            if record.bytes is not None:
                self.count(endpoint_id, BYTES, action, record.bytes)
            if record.packets is not None:
                self.count(endpoint_id, PACKETS, action, record.packets)
            if record.refused:
                self.count(endpoint_id, REJECTED_CONNECTIONS, "")
        port, source = None, ""
        if verdict.inbound is not None:
            # The last one is the packet's own address, where the format has it.
            ends = record.sources if verdict.inbound else record.targets
            source = next((address for address in reversed(ends) if address != "-"), "")
            port = record.target_port if verdict.inbound else record.source_port
        who = Rejected(
            source,
            within(port, 65536),
            within(record.protocol, 256),
            verdict.side,
            DIRECTIONS[-1 if verdict.inbound is None else verdict.inbound],
            packets_of(record.tcp_flags, record.protocol),
        )
        if action == "REJECT":
            self.reject(endpoint_id, who, record.end)
        elif verdict.side == "endpoint":
            self.accept(Port(endpoint_id, who.protocol, who.port))
            self.client(endpoint_id, source, verdict.inbound is True, record.end)

    def accept(self, port: Port) -> None:
        """Take note of a port that accepts."""
        if port.port >= 0:
            self.accepted.add(port)

    def client(self, endpoint_id: str, address: str, inbound: bool, end: int) -> None:
        """Take note of who was accepted in a record that ended then, if there is room."""
        if not address:
            return
        known = self.clients.setdefault((endpoint_id, inbound), {})
        if address in known or len(known) < CLIENTS_ACCEPTED:
            known[address] = max(end, known.get(address, end))

    def reject(self, endpoint_id: str, who: Rejected, end: int) -> None:
        """Take note of who was rejected in a record that ended then."""
        self.rejects([(endpoint_id, who, end)])

    def rejects(self, rows: Iterable[tuple[str, Rejected, int]]) -> None:
        """Take note of who was rejected at which endpoint, in records that ended when."""
        # One of many: what is known already is changed here, without a call.
        recent, rejected = self.recent, self.rejected
        for endpoint_id, who, end in rows:
            _, port, protocol, side, _, _ = who
            if side == "endpoint":
                minute = endpoint_id, end // 60 * 60
                of = Port(endpoint_id, protocol, port)
                ports = recent.get(minute)
                if ports is not None and of in ports:
                    ports[of] += 1
                else:
                    self._recent(minute, protocol, port, 1)
            bucket = endpoint_id, end // BUCKET * BUCKET
            sketch = rejected.get(bucket)
            if sketch is None:
                sketch = rejected[bucket] = Sketch()
            known = sketch.counts.get(who)
            if known is None:
                sketch.add(who, 1, end, end)
            else:
                number, first, last = known
                sketch.counts[who] = number + 1, min(first, end), max(last, end)

    def _recent(self, bucket: tuple[str, int], protocol: int, port: int, amount: int) -> None:
        ports = self.recent.get(bucket)
        if ports is None:
            ports = self.recent[bucket] = {}
        of = Port(bucket[0], protocol, port)
        if len(ports) >= PORTS_A_MINUTE and of not in ports:
            of = Port(bucket[0], *OTHER)
        ports[of] = ports.get(of, 0) + amount

    def merge(self, other: Tally) -> None:
        """Add another tally."""
        for key, amount in other.counters.items():
            self.counters[key] = self.counters.get(key, 0) + amount
        for flow_log_id, end in other.newest.items():
            self.newest[flow_log_id] = max(end, self.newest.get(flow_log_id, 0))
        for bucket, ports in other.recent.items():
            if bucket not in self.recent:
                self.recent[bucket] = dict(ports)
                continue
            for port, amount in ports.items():
                self._recent(bucket, port.protocol, port.port, amount)
        for bucket, sketch in other.rejected.items():
            self.rejected.setdefault(bucket, Sketch()).merge(sketch)
        self.accepted |= other.accepted
        for (endpoint_id, inbound), ends in other.clients.items():
            for address, end in ends.items():
                self.client(endpoint_id, address, inbound, end)
        self.problem = {**other.problem, **self.problem}


def packets_of(flags: int | None, protocol: int | None) -> str:
    """Return what packets with these TCP flags, OR-ed, were for; nothing where that is not told.

    Records of other protocols have 0 for flags: it says nothing of them. Where the protocol is not
    told, flags that are set are TCP's.
    """
    if flags is None or not (protocol == TCP or (protocol is None and flags)):
        return ""
    if flags & SYN:
        return "syn-ack" if flags & ACK else "syn"
    return "other"


def within(value: int | None, limit: int) -> int:
    """Return a port or protocol; -1 for none, and for what is none."""
    return value if value is not None and 0 <= value < limit else -1


def _nonsense(line: Line) -> str:
    why = line.nonsense if isinstance(line, Record) else None
    return why or "it ends after it was delivered"
