"""Flow-log records: what an interface's flow logs see of a connection, and the line of each.

https://docs.aws.amazon.com/vpc/latest/userguide/flow-log-records.html
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ipaddress import ip_address
from random import Random
from typing import NamedTuple

from exporter.simulator.network import Passage, common_family
from exporter.simulator.state import Row

# In which version each field came; the version of a line is the highest among its fields.
_SINCE = {
    3: "vpc-id subnet-id instance-id tcp-flags type pkt-srcaddr pkt-dstaddr",
    4: "region az-id sublocation-type sublocation-id",
    5: "pkt-src-aws-service pkt-dst-aws-service flow-direction traffic-path",
    8: "reject-reason",
}
_VERSION = {name: version for version, names in _SINCE.items() for name in names.split()}
# RFC 5737.
STRANGER = "198.51.100.7"
_SYN, _FIN, _SYN_ACK, _ACK_ONLY = 2, 1, 18, 0


class Record(NamedTuple):
    """One flow at one interface."""

    interface: Row
    source: str
    target: str
    source_port: int
    target_port: int
    action: str
    packets: int
    size: int
    flags: int
    direction: str

    def fields(self) -> Row:
        """Return what the record's fields are, by their names in a format."""
        return {
            "srcaddr": self.source,
            "dstaddr": self.target,
            "pkt-srcaddr": self.source,
            "pkt-dstaddr": self.target,
            "srcport": self.source_port,
            "dstport": self.target_port,
            "protocol": 6,
            "packets": self.packets,
            "bytes": self.size,
            "action": self.action,
            "log-status": "OK",
            "tcp-flags": self.flags,
            "type": f"IPv{ip_address(self.source).version}",
            "flow-direction": self.direction,
            "traffic-path": 1 if self.direction == "egress" else "-",
        }


def connection(
    draw: Random, client: Row, endpoint: Row, port: int, way: Passage, answers: bool
) -> Iterator[Record]:
    """Return the records of a connection at both interfaces, as far as its packets came.

    Without `answers` nobody stands behind the endpoint: what comes in is never replied to.
    """
    pair = common_family(client, endpoint)
    if pair is None:
        return
    here, there = pair
    client_port = draw.randrange(32768, 61000)
    opened = answers and way.connects
    packets = draw.randrange(5, 40) if opened else draw.randrange(1, 4)
    sent = (packets, packets * 120 if opened else packets * 60, _SYN | _FIN if opened else _SYN)
    back = (
        (packets, packets * 900, _SYN_ACK | _FIN) if opened else (packets, packets * 60, _SYN_ACK)
    )
    request = (here, there, client_port, port)
    reply = (there, here, port, client_port)
    yield Record(client, *request, _action(way.client_out), *sent, "egress")
    if way.endpoint_in is None:
        return
    yield Record(endpoint, *request, _action(way.endpoint_in), *sent, "ingress")
    if not answers or way.endpoint_out is None:
        return
    yield Record(endpoint, *reply, _action(way.endpoint_out), *back, "egress")
    if way.client_in is not None:
        yield Record(client, *reply, _action(way.client_in), *back, "ingress")


def outward(draw: Random, client: Row, target: str, port: int, passed: bool) -> Iterator[Record]:
    """Return the record of a connection through a gateway endpoint, which has no interface."""
    if client["PrivateIpAddresses"]:
        pair = (client["PrivateIpAddress"], target, draw.randrange(32768, 61000), port)
        packets = draw.randrange(1, 10)
        yield Record(client, *pair, _action(passed), packets, packets * 60, _SYN, "egress")


def late(draw: Random, client: Row, endpoint: Row, port: int) -> Iterator[Record]:
    """Return a packet that came after its connection was closed: refused, and no SYN."""
    pair = common_family(client, endpoint)
    if pair:
        ports = (draw.randrange(32768, 61000), port)
        yield Record(endpoint, *pair, *ports, "REJECT", 1, 40, _ACK_ONLY, "ingress")


def scan(draw: Random, host: Row, at: int | None = None) -> Iterator[Record]:
    """Return a stranger's try at a host, at some port below 440 or at the one that is given."""
    if host["PrivateIpAddresses"]:
        ports = (54321, draw.randrange(1, 440) if at is None else at)
        address = host["PrivateIpAddress"]
        yield Record(host, STRANGER, address, *ports, "REJECT", 1, 40, _SYN, "ingress")


def line(flow_log: Row, where: tuple[str, str], interface: Row, fields: Row) -> str:
    """Return a record as the flow log's format writes it; `-` for what is not known."""
    names = flow_log["LogFormat"].replace("${", "").replace("}", "").split(" ")
    values = {
        "version": version(names),
        "account-id": where[0],
        "region": where[1],
        "interface-id": interface["NetworkInterfaceId"],
        "vpc-id": interface["VpcId"],
        "subnet-id": interface["SubnetId"],
        "az-id": interface["AvailabilityZoneId"],
        "instance-id": interface.get("Attachment", {}).get("InstanceId", "-"),
        **fields,
    }
    return " ".join(str(values.get(name, "-")) for name in names)


def version(names: Iterable[str]) -> int:
    """Return the version of lines with these fields."""
    return max((_VERSION.get(name, 2) for name in names), default=2)


def _action(passed: bool | None) -> str:
    return "ACCEPT" if passed else "REJECT"
