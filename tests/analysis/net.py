"""A VPC with an interface endpoint and a client that was seen, for the tests of the way to it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from ipaddress import ip_address, ip_network

from exporter.model import (
    Accepted,
    Endpoint,
    Expected,
    Interface,
    Rejected,
    SecurityGroup,
    Subnet,
    Traffic,
    Vpc,
)
from tests.analysis.lab import NOW, Lab

STRANGER = "198.51.100.7"


@dataclass
class Net:
    """10.0.0.0/16 with a client's subnet 10.0.1.0/24 and the endpoint's 10.0.2.0/24.

    The endpoint's group lets tcp 443 in from the VPC; the client is 10.0.1.10.
    """

    lab: Lab
    vpc: Vpc
    app: Subnet
    inner: Subnet
    client_group: SecurityGroup
    group: SecurityGroup
    client: Interface
    endpoint: Endpoint
    # Other accounts that are watched.
    others: tuple[Lab, ...] = ()

    def saw(
        self,
        *rejected: Rejected,
        accepted: Iterable[str] = (),
        ports: Iterable[int] = (),
        ago: float = 60.0,
    ) -> None:
        """What flow logs tell: records, and clients that were accepted both ways."""
        self.lab.traffic[self.endpoint.id] = Traffic(
            coverage={"ACCEPT": 1.0, "REJECT": 1.0},
            accepted_ports=frozenset((6, port) for port in ports),
            clients=tuple(Accepted(ip_address(a), NOW - ago, NOW - ago) for a in accepted),
            rejected=tuple(rejected),
            read_to=NOW,
        )

    def told(self, *clients: str, ports: Iterable[int] = ()) -> None:
        """What the configuration says."""
        self.lab.expected[self.endpoint.id] = Expected(
            tuple(ports), tuple(map(ip_network, clients))
        )


def net(
    *rules: tuple[object, ...],
    service: str = "com.amazonaws.eu-west-1.sqs",
    cidr: str = "10.0.0.0/16",
    kind: str = "Interface",
) -> Net:
    """An estate in which all is well; `rules` of the endpoint's group instead of the default."""
    lab = Lab()
    vpc = lab.add_vpc(cidr)
    app, inner = lab.add_subnet(vpc, "10.0.1.0/24"), lab.add_subnet(vpc, "10.0.2.0/24")
    client_group = lab.add_group(vpc)
    group = lab.add_group(vpc, *(rules or [("10.0.0.0/16",)]))
    client = lab.add_interface(app, "10.0.1.10", groups=[client_group])
    endpoint = lab.add_endpoint(vpc, {"10.0.2.5": inner}, [group], service=service, type=kind)
    return Net(lab, vpc, app, inner, client_group, group, client, endpoint)


def reject(
    address: str = "10.0.1.10",
    port: int | None = 443,
    *,
    packets: str = "syn",
    direction: str = "to_endpoint",
    ago: float = 60.0,
    **more: object,
) -> Rejected:
    """A client that was rejected a minute ago."""
    found = Rejected(
        ip_address(address), port, 6, "endpoint", direction, packets, 3, 0, NOW - ago, NOW - ago
    )
    return replace(found, **more)  # type: ignore[arg-type]  # its fields
