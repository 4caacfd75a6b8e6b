"""What packets pass on their way: interfaces, subnets, VPCs, and the rules that let them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TypeAlias

Address: TypeAlias = IPv4Address | IPv6Address
Network: TypeAlias = IPv4Network | IPv6Network

# RFC 1918, 6598, 3927, 4193, 4291. `is_private` would also take in documentation networks.
_NOT_PUBLIC = tuple(
    ip_network(text)
    for text in (
        "10.0.0.0/8",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "100.64.0.0/10",
        "169.254.0.0/16",
        "127.0.0.0/8",
        "fc00::/7",
        "fe80::/10",
        "::1/128",
    )
)


@dataclass(frozen=True, slots=True)
class Interface:
    """A network interface with all of its addresses.

    `instance_id` is the EC2 instance it is attached to, if any; `description` says whose it is
    where AWS made it (`ELB net/NAME/ID`).
    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_NetworkInterface.html
    """

    id: str
    vpc_id: str
    subnet_id: str
    zone: str
    zone_id: str
    addresses: tuple[Address, ...]
    security_group_ids: tuple[str, ...] = ()
    type: str = ""
    status: str = ""
    description: str = ""
    owner: str = ""
    instance_id: str = ""


@dataclass(frozen=True, slots=True)
class Vpc:
    """A VPC that holds endpoints, or the load balancer of an endpoint service."""

    id: str
    owner: str
    cidrs: tuple[Network, ...]
    name: str = ""


@dataclass(frozen=True, slots=True)
class VpcAttributes:
    """The two attributes of a VPC that private names depend on.

    https://docs.aws.amazon.com/vpc/latest/userguide/AmazonDNS-concepts.html
    """

    dns_support: bool
    dns_hostnames: bool


@dataclass(frozen=True, slots=True)
class Subnet:
    """A subnet; `zone_id` names the same zone in every account."""

    id: str
    vpc_id: str
    zone: str
    zone_id: str
    cidrs: tuple[Network, ...]


@dataclass(frozen=True, slots=True)
class SecurityGroup:
    """A security group; its rules are listed apart, as :class:`SecurityGroupRule`."""

    id: str
    vpc_id: str
    name: str = ""
    owner: str = ""


@dataclass(frozen=True, slots=True)
class SecurityGroupRule:
    """One rule of a security group: it allows; what no rule allows is dropped.

    Exactly one of `cidr`, `prefix_list_id` and `referenced_group_id` says who the other side is.
    `protocol` is tcp, udp, icmp, icmpv6, a number, or -1 for all; `from_port` and `to_port` are
    None where every port is meant, the type and code for ICMP.
    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_SecurityGroupRule.html
    """

    id: str
    group_id: str
    egress: bool
    protocol: str
    from_port: int | None = None
    to_port: int | None = None
    cidr: Network | None = None
    prefix_list_id: str | None = None
    referenced_group_id: str | None = None
    referenced_account: str = ""
    peering_connection_id: str = ""
    peering_status: str = ""
    description: str = ""


@dataclass(frozen=True, slots=True)
class NetworkAclEntry:
    """One rule of a network ACL; the lowest number that matches decides, 32767 denies the rest.

    `protocol` is a number, -1 for all; the ports are None where every port is meant.
    https://docs.aws.amazon.com/vpc/latest/userguide/nacl-rules.html
    """

    number: int
    egress: bool
    allow: bool
    protocol: str
    cidr: Network
    from_port: int | None = None
    to_port: int | None = None
    icmp_type: int | None = None
    icmp_code: int | None = None


@dataclass(frozen=True, slots=True)
class NetworkAcl:
    """A network ACL; the VPC's default one judges every subnet that has no other."""

    id: str
    vpc_id: str
    default: bool
    subnet_ids: tuple[str, ...]
    entries: tuple[NetworkAclEntry, ...]


@dataclass(frozen=True, slots=True)
class Route:
    """One route: to a network or a prefix list, by a target; `state` active, blackhole, filtered.

    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_Route.html
    """

    destination: Network | str
    target: str
    state: str = "active"
    origin: str = ""


@dataclass(frozen=True, slots=True)
class RouteTable:
    """A route table; the VPC's main one routes every subnet that has no other."""

    id: str
    vpc_id: str
    main: bool
    subnet_ids: tuple[str, ...]
    routes: tuple[Route, ...]
    gateway_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PrefixList:
    """A managed prefix list, AWS's own ones among them; its entries take a call of their own."""

    id: str
    name: str = ""
    owner: str = ""
    address_family: str = ""
    state: str = ""
    version: int | None = None
    tags: Mapping[str, str] = field(default_factory=dict)


def addresses_of(texts: Iterator[str]) -> tuple[Address, ...]:
    """Return the addresses, sorted by family and value; raises ValueError on any other text."""
    return tuple(sorted({ip_address(text) for text in texts}, key=lambda a: (a.version, int(a))))


def is_public(address: Address) -> bool:
    """Whether an address is of the internet: of no block that is kept for private use."""
    return all(address not in network for network in _NOT_PUBLIC)


def network_acl_of(subnet: Subnet, acls: Mapping[str, NetworkAcl]) -> NetworkAcl | None:
    """Return the network ACL that judges a subnet; None when it was not listed."""
    in_vpc = [acl for acl in acls.values() if acl.vpc_id == subnet.vpc_id]
    own = next((acl for acl in in_vpc if subnet.id in acl.subnet_ids), None)
    return own or next((acl for acl in in_vpc if acl.default), None)


def route_table_of(subnet: Subnet, tables: Mapping[str, RouteTable]) -> RouteTable | None:
    """Return the route table that routes a subnet; None when it was not listed."""
    in_vpc = [table for table in tables.values() if table.vpc_id == subnet.vpc_id]
    own = next((table for table in in_vpc if subnet.id in table.subnet_ids), None)
    return own or next((table for table in in_vpc if table.main), None)
