"""An estate to be judged: what is measured is every check of every endpoint, on one core."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

from exporter.model import Accepted, Facts, NetworkAclEntry, Rejected, Traffic
from tests.analysis.lab import ALLOW_ALL, NOW, Lab, facts

ENDPOINTS, PER_VPC, GROUPS, ZONES = 5_000, 50, 5, 2
CLIENTS, REJECTED = 8, 2
RULES, ENTRIES = 10, 10


def estate(endpoints: int = ENDPOINTS) -> Facts:
    """Return facts of so many endpoints: 50, 5 groups and 2 network ACLs for each VPC.

    Each endpoint has interfaces in two zones, four names that are answered, eight clients that were
    accepted and two that were rejected, one of them a stranger. A group has ten rules, a network
    ACL ten entries.
    """
    lab = Lab()
    for number in range(endpoints // PER_VPC):
        _vpc(lab, number)
    return facts(lab)


def _vpc(lab: Lab, number: int) -> None:
    high, low = divmod(number, 250)
    base = f"{10 + high}.{low}"
    vpc = lab.add_vpc(f"{base}.0.0/16")
    inner = [lab.add_subnet(vpc, f"{base}.{z}.0/24", zone=z + 1) for z in range(ZONES)]
    app = [lab.add_subnet(vpc, f"{base}.{10 + z}.0/24", zone=z + 1) for z in range(ZONES)]
    for subnets in (inner, app):
        entries = [
            NetworkAclEntry(n, egress, False, "6", ip_network(f"192.0.2.{n}/32"), 1, 65535)
            for n in range(1, ENTRIES // 2)
            for egress in (False, True)
        ]
        lab.add_acl(vpc, [*entries, *ALLOW_ALL], subnets)
    guards = [
        lab.add_group(vpc, *((f"192.0.2.{n}/32",) for n in range(RULES - 1)), (f"{base}.0.0/16",))
        for _ in range(GROUPS - 1)
    ]
    clients = lab.add_group(vpc)
    seen = [
        lab.add_interface(app[i % ZONES], f"{base}.{10 + i % ZONES}.{i + 10}", groups=[clients])
        for i in range(2 * CLIENTS)
    ]
    for i in range(PER_VPC):
        addresses = {f"{base}.{z}.{i + 10}": inner[z] for z in range(ZONES)}
        endpoint = lab.add_endpoint(
            vpc, addresses, [guards[i % len(guards)]], private_name="sqs.eu-west-1.amazonaws.com"
        )
        for name in endpoint.dns_names:
            wanted = [a for a, s in addresses.items() if name.zone in (None, s.zone)]
            lab.answer(endpoint, name, *wanted)
        own = [seen[(i + k) % len(seen)].addresses[0] for k in range(CLIENTS)]
        refused = (own[0], ip_address("198.51.100.7"))
        lab.traffic[endpoint.id] = Traffic(
            {"ACCEPT": 1.0, "REJECT": 1.0},
            accepted_ports=frozenset({(6, 443)}),
            clients=tuple(Accepted(a, NOW - 60, NOW - 60) for a in own),
            rejected=tuple(
                Rejected(a, 443, 6, "endpoint", "to_endpoint", "syn", 1, 0, NOW - 60, NOW - 60)
                for a in refused[:REJECTED]
            ),
            read_to=NOW,
        )
