"""What becomes of a packet between two interfaces, by the world's own rules: naive on purpose.

Client's group out → client's ACL out → endpoint's ACL in → endpoint's group in, then the reply
through both ACLs. ACLs are not evaluated within a subnet; groups are stateful.

https://docs.aws.amazon.com/vpc/latest/userguide/vpc-network-acls.html
https://docs.aws.amazon.com/vpc/latest/userguide/vpc-security-groups.html
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ipaddress import ip_address, ip_network
from typing import NamedTuple

from exporter.simulator.names import addresses_of
from exporter.simulator.state import Row, World

TCP = 6
_NUMBERS = {"tcp": "6", "udp": "17", "icmp": "1", "icmpv6": "58"}


class Passage(NamedTuple):
    """Where a connection got through: at each interface, each way. None: no packet came so far."""

    client_out: bool
    endpoint_in: bool | None = None
    endpoint_out: bool | None = None
    client_in: bool | None = None

    @property
    def connects(self) -> bool:
        """Whether a connection can be opened."""
        return bool(self.client_in)


def passage(
    world: World, client: Row, endpoint: Row, port: int, client_port: int = 50000
) -> Passage:
    """Return how far a TCP connection from one interface to a port of another one gets."""
    pair = common_family(client, endpoint)
    if pair is None:
        return Passage(False)
    here, there = pair
    outside = client["SubnetId"] != endpoint["SubnetId"]
    out = groups_allow(world, client, True, there, port, endpoint) and (
        not outside or acl_allows(world, client["SubnetId"], True, there, port)
    )
    if not out:
        return Passage(False)
    inside = groups_allow(world, endpoint, False, here, port, client) and (
        not outside or acl_allows(world, endpoint["SubnetId"], False, here, port)
    )
    if not inside:
        return Passage(True, False)
    # A group lets out the reply to what it let in; an ACL does not remember.
    if outside and not acl_allows(world, endpoint["SubnetId"], True, here, client_port):
        return Passage(True, True, False)
    back = not outside or acl_allows(world, client["SubnetId"], False, there, client_port)
    return Passage(True, True, True, back)


def common_family(client: Row, endpoint: Row) -> tuple[str, str] | None:
    """Return an address of each that can speak to the other; None without one."""
    for one in addresses_of(client):
        for other in addresses_of(endpoint):
            if ip_address(one).version == ip_address(other).version:
                return one, other
    return None


def groups_allow(
    world: World, interface: Row, egress: bool, peer: str, port: int, peer_interface: Row | None
) -> bool:
    """Whether a rule of one of the interface's groups allows TCP to or from the peer.

    An interface without groups, such as that of a load balancer made without, lets all through.
    """
    own = {g["GroupId"] for g in interface["Groups"]}
    if not own:
        return True
    theirs = {g["GroupId"] for g in peer_interface["Groups"]} if peer_interface else set()
    return any(
        _is_tcp(rule["IpProtocol"])
        and (rule["IpProtocol"] == "-1" or rule["FromPort"] <= port <= rule["ToPort"])
        and _is_peer(world, rule, peer, theirs)
        for rule in _everywhere(world, "SecurityGroupRules")
        if rule["GroupId"] in own and rule["IsEgress"] == egress
    )


def acl_allows(world: World, subnet_id: str, egress: bool, peer: str, port: int) -> bool:
    """Whether the subnet's ACL allows TCP to or from the peer: the lowest entry that fits."""
    for entry in sorted(acl_of(world, subnet_id)["Entries"], key=lambda e: int(e["RuleNumber"])):
        ports = entry.get("PortRange")
        fits = (
            entry["Egress"] == egress
            and entry["Protocol"] in ("-1", str(TCP))
            and (ports is None or ports["From"] <= port <= ports["To"])
            and _within(peer, entry.get("CidrBlock") or entry["Ipv6CidrBlock"])
        )
        if fits:
            return bool(entry["RuleAction"] == "allow")
    return False


def acl_of(world: World, subnet_id: str) -> Row:
    """Return the subnet's ACL: the one associated, else its VPC's default one."""
    for acl in _everywhere(world, "NetworkAcls"):
        if any(a["SubnetId"] == subnet_id for a in acl["Associations"]):
            return acl
    vpc_id = world.row("Subnets", "SubnetId", subnet_id)["VpcId"]
    return next(
        acl
        for acl in _everywhere(world, "NetworkAcls")
        if acl["IsDefault"] and acl["VpcId"] == vpc_id
    )


def route_table_of(world: World, subnet_id: str) -> Row:
    """Return the subnet's route table: the one associated, else its VPC's main one."""
    vpc_id = world.row("Subnets", "SubnetId", subnet_id)["VpcId"]
    tables = [t for t in _everywhere(world, "RouteTables") if t["VpcId"] == vpc_id]
    for table in tables:
        if any(a.get("SubnetId") == subnet_id for a in table["Associations"]):
            return table
    return next(t for t in tables if any(a.get("Main") for a in t["Associations"]))


def prefix_list(world: World, list_id: str) -> list[str]:
    """Return the blocks of a prefix list."""
    row = world.row("ManagedPrefixLists", "PrefixListId", list_id)
    return [entry["Cidr"] for entry in row["Entries"]]


def _is_peer(world: World, rule: Row, peer: str, groups: Iterable[str]) -> bool:
    if "ReferencedGroupInfo" in rule:
        return rule["ReferencedGroupInfo"]["GroupId"] in groups
    if "PrefixListId" in rule:
        return any(_within(peer, cidr) for cidr in prefix_list(world, rule["PrefixListId"]))
    return _within(peer, rule.get("CidrIpv4") or rule["CidrIpv6"])


def _is_tcp(protocol: str) -> bool:
    return _NUMBERS.get(protocol, protocol) in ("-1", str(TCP))


def _within(address: str, cidr: str) -> bool:
    """Whether the block holds the address; one of the other family holds nothing."""
    return ip_address(address) in ip_network(cidr)


def _everywhere(world: World, table: str) -> Iterator[Row]:
    for tables in world.tables.values():
        yield from tables.get(table, ())
