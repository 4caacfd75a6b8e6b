"""The evaluator that says what becomes of a packet: its rules are AWS's."""

from __future__ import annotations

import pytest

from exporter.simulator.interfaces import Rule
from exporter.simulator.network import Passage, passage
from exporter.simulator.networks import ALL_ENTRIES, Entry
from exporter.simulator.state import ACCOUNT, REGION, Row, Where, World
from exporter.simulator.world import Builder

ANY = "0.0.0.0/0"
OUT: list[Rule] = [("-1", None, ANY)]
HTTPS: list[Rule] = [("tcp", 443, "10.0.0.0/8")]
CLOSED = Passage(client_out=False)
STOPPED = Passage(client_out=True, endpoint_in=False)
MUTE = Passage(True, True, False)
DEAF = Passage(True, True, True, False)
THROUGH = Passage(True, True, True, True)
ALL = list(ALL_ENTRIES)
DENY_HTTPS: list[Entry] = [(90, "deny", "6", (443, 443), ANY), *ALL]
LATE_DENY: list[Entry] = [*ALL, (110, "deny", "6", (443, 443), ANY)]
NO_EPHEMERAL: list[Entry] = [(100, "allow", "6", (443, 443), ANY)]
UDP_ONLY: list[Entry] = [(100, "allow", "17", None, ANY)]
SIX_ONLY: list[Entry] = [(100, "allow", "-1", None, "::/0")]


def build(
    egress: list[Rule],
    ingress: list[Rule],
    client_acl: tuple[list[Entry], list[Entry]] = (ALL, ALL),
    endpoint_acl: tuple[list[Entry], list[Entry]] = (ALL, ALL),
    same_subnet: bool = False,
) -> tuple[World, Row, Row]:
    """Return a world with a client and an endpoint's interface; an ACL is (inbound, outbound)."""
    world = World()
    builder = Builder(world, 1, Where(ACCOUNT, REGION))
    builder.zones(("eu-west-1a", "euw1-az1"))
    builder.prefix_list("ours", "10.1.0.0/16", list_id="pl-0a1")
    vpc = builder.vpc("10.1.0.0/16", "net", tiers=("app", "endpoints"))
    here, there = builder.subnets(vpc)
    builder.network_acl(vpc, [here], ingress=client_acl[0], egress=client_acl[1])
    builder.network_acl(vpc, [there], ingress=endpoint_acl[0], egress=endpoint_acl[1])
    clients = builder.security_group(vpc, "clients", None, egress=egress)
    rules = [(p, port, clients if peer == "clients" else peer) for p, port, peer in ingress]
    group = builder.security_group(vpc, "endpoint", ingress=rules)
    client = builder.interface(there if same_subnet else here, [clients], "interface", "client")
    return world, client, builder.interface(there, [group], "vpc_endpoint", "endpoint")


GROUPS: dict[str, tuple[list[Rule], list[Rule], Passage]] = {
    "open": (OUT, HTTPS, THROUGH),
    "egress by port": ([("tcp", 443, ANY)], HTTPS, THROUGH),
    "egress to another port": ([("tcp", 80, ANY)], HTTPS, CLOSED),
    "no egress": ([], HTTPS, CLOSED),
    "egress by UDP": ([("udp", 443, ANY)], HTTPS, CLOSED),
    "egress to elsewhere": ([("tcp", 443, "10.2.0.0/16")], HTTPS, CLOSED),
    "egress to a prefix list": ([("tcp", 443, "pl-0a1")], HTTPS, THROUGH),
    "no ingress": (OUT, [], STOPPED),
    "ingress to another port": (OUT, [("tcp", 8443, ANY)], STOPPED),
    "ingress from elsewhere": (OUT, [("tcp", 443, "10.2.0.0/16")], STOPPED),
    "ingress of IPv6": (OUT, [("tcp", 443, "::/0")], STOPPED),
    "any protocol": (OUT, [("-1", None, "10.1.0.0/16")], THROUGH),
    "protocol by number": (OUT, [("6", 443, ANY)], THROUGH),
    "the clients' group": (OUT, [("tcp", 443, "clients")], THROUGH),
    "another group": (OUT, [("tcp", 443, "sg-0a1")], STOPPED),
    "a prefix list": (OUT, [("tcp", 443, "pl-0a1")], THROUGH),
    "two rules": (OUT, [("tcp", 80, ANY), ("tcp", 443, ANY)], THROUGH),
}


@pytest.mark.parametrize("name", GROUPS)
def test_groups(name: str) -> None:
    """A group's rules are a union, stateful, by block, prefix list or group."""
    egress, ingress, expected = GROUPS[name]
    assert passage(*build(egress, ingress), 443) == expected


ACLS = {
    "the client's lets nothing out": ((ALL, UDP_ONLY), (ALL, ALL), CLOSED),
    "the client's denies the port": ((ALL, DENY_HTTPS), (ALL, ALL), CLOSED),
    "a later deny does nothing": ((ALL, LATE_DENY), (LATE_DENY, ALL), THROUGH),
    "the endpoint's denies the port": ((ALL, ALL), (DENY_HTTPS, ALL), STOPPED),
    "only IPv6 comes in": ((ALL, ALL), (SIX_ONLY, ALL), STOPPED),
    "no answer leaves": ((ALL, ALL), (ALL, NO_EPHEMERAL), MUTE),
    "no answer comes in": ((NO_EPHEMERAL, ALL), (ALL, ALL), DEAF),
}


@pytest.mark.parametrize("name", ACLS)
def test_acls(name: str) -> None:
    """An ACL's lowest entry that fits decides, and answers are judged like everything else."""
    client_acl, endpoint_acl, expected = ACLS[name]
    assert passage(*build(OUT, HTTPS, client_acl, endpoint_acl), 443) == expected


def test_no_acl_within_a_subnet() -> None:
    """Within a subnet no ACL is asked."""
    none: tuple[list[Entry], list[Entry]] = ([], [])
    assert passage(*build(OUT, HTTPS, none, none, same_subnet=True), 443) == THROUGH
    assert passage(*build(OUT, HTTPS, none, none), 443) == CLOSED
