"""Builds what endpoints live in: VPCs, subnets, network ACLs, route tables.

Defaults are those of a network in which everything works; keyword arguments are the deviations.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Network, IPv6Network

from exporter.simulator.scope import ScopeBuilder
from exporter.simulator.state import Row

EVERYWHERE = "0.0.0.0/0"
# An entry of an ACL: number, allow or deny, protocol's number, first and last port, CIDR block.
Entry = tuple[int, str, str, tuple[int, int] | None, str]
ALL_ENTRIES: Sequence[Entry] = ((100, "allow", "-1", None, EVERYWHERE),)
# What the VPCs' blocks are cut from: RFC 3849.
_V6 = IPv6Network("2001:db8::/32")


class NetworkBuilder(ScopeBuilder):
    """Adds networks."""

    def vpc(
        self,
        cidr: str,
        name: str,
        dns_hostnames: bool = True,
        *,
        dns_support: bool = True,
        zones: int = 2,
        tiers: Sequence[str] = ("all",),
        internet: bool = True,
        ipv6: bool = False,
    ) -> str:
        """Add a VPC with a subnet per tier and zone, main route table, default ACL; returns its id.

        Clients live in the first tier, endpoints in the last.
        """
        vpc_id = self.new_id("vpc")
        number = len(self.table("Vpcs")) << (128 - 56)
        net6 = IPv6Network((int(_V6.network_address) + number, 56)) if ipv6 else None
        self.table("Vpcs").append(
            {
                "VpcId": vpc_id,
                "OwnerId": self.where.account,
                "CidrBlock": cidr,
                "CidrBlockAssociationSet": [
                    {
                        "AssociationId": self.new_id("vpc-cidr-assoc"),
                        "CidrBlock": cidr,
                        "CidrBlockState": {"State": "associated"},
                    }
                ],
                "Ipv6CidrBlockAssociationSet": [self._v6_block("vpc", str(net6))] if net6 else [],
                "State": "available",
                "IsDefault": False,
                "InstanceTenancy": "default",
                "DhcpOptionsId": "dopt-0123456789abcdef0",
                "Tags": [{"Key": "Name", "Value": name}],
                "Attributes": {
                    "EnableDnsSupport": dns_support,
                    "EnableDnsHostnames": dns_hostnames,
                },
            }
        )
        blocks = IPv4Network(cidr).subnets(new_prefix=max(24, IPv4Network(cidr).prefixlen + 4))
        blocks6 = net6.subnets(new_prefix=64) if net6 else iter(())
        for tier in tiers:
            for zone in self.table("AvailabilityZones")[:zones]:
                self._subnet(vpc_id, zone, f"{name}-{tier}", str(next(blocks)), next(blocks6, None))
        routes = [(EVERYWHERE, self.new_id("nat"), "active")] if internet else []
        self.route_table(vpc_id, routes, main=True)
        entries = [*ALL_ENTRIES, *([(101, "allow", "-1", None, "::/0")] if ipv6 else ())]
        self.network_acl(vpc_id, default=True, ingress=entries, egress=entries)
        return vpc_id

    def subnets(self, vpc_id: str, tier: str = "") -> list[Row]:
        """Return the VPC's subnets, of one tier or all."""
        return [
            row
            for row in self.table("Subnets")
            if row["VpcId"] == vpc_id and row["Tags"][0]["Value"].endswith(tier)
        ]

    def network_acl(
        self,
        vpc_id: str,
        subnets: Iterable[Row] = (),
        *,
        ingress: Iterable[Entry] = ALL_ENTRIES,
        egress: Iterable[Entry] = ALL_ENTRIES,
        default: bool = False,
    ) -> str:
        """Add an ACL, for these subnets instead of the one they had; returns its id.

        The default ACL is every subnet's that has no other: EC2 lists it as associated with them.
        """
        acl_id = self.new_id("acl")
        acls = [row for row in self.table("NetworkAcls") if row["VpcId"] == vpc_id]
        chosen = [s["SubnetId"] for s in (self.subnets(vpc_id) if default else subnets)]
        for acl in acls:
            acl["Associations"] = [a for a in acl["Associations"] if a["SubnetId"] not in chosen]
        self.table("NetworkAcls").append(
            {
                "NetworkAclId": acl_id,
                "VpcId": vpc_id,
                "OwnerId": self.where.account,
                "IsDefault": default,
                "Associations": [
                    {
                        "NetworkAclAssociationId": self.new_id("aclassoc"),
                        "NetworkAclId": acl_id,
                        "SubnetId": subnet_id,
                    }
                    for subnet_id in chosen
                ],
                "Entries": [_entry(False, e) for e in (*ingress, _LAST)]
                + [_entry(True, e) for e in (*egress, _LAST)],
                "Tags": [],
            }
        )
        return acl_id

    def route_table(
        self,
        vpc_id: str,
        routes: Iterable[tuple[str, str, str]] = (),
        subnets: Iterable[Row] = (),
        *,
        main: bool = False,
    ) -> str:
        """Add a route table, the VPC's main one or for these subnets; returns its id.

        A route is its destination, its target's id, and its state.
        """
        table_id = self.new_id("rtb")
        vpc = next(row for row in self.table("Vpcs") if row["VpcId"] == vpc_id)
        blocks = [a["Ipv6CidrBlock"] for a in vpc["Ipv6CidrBlockAssociationSet"]]
        local = [(block, "local", "active") for block in (vpc["CidrBlock"], *blocks)]
        associated: list[Row] = [{"SubnetId": s["SubnetId"], "Main": False} for s in subnets]
        if main:
            associated.append({"Main": True})
        self.table("RouteTables").append(
            {
                "RouteTableId": table_id,
                "VpcId": vpc_id,
                "OwnerId": self.where.account,
                "Associations": [
                    {
                        "RouteTableAssociationId": self.new_id("rtbassoc"),
                        "RouteTableId": table_id,
                        "AssociationState": {"State": "associated"},
                        **association,
                    }
                    for association in associated
                ],
                "PropagatingVgws": [],
                "Routes": [route(*r) for r in (*local, *routes)],
                "Tags": [],
            }
        )
        return table_id

    def _subnet(
        self, vpc_id: str, zone: Row, name: str, cidr: str, cidr6: IPv6Network | None
    ) -> None:
        subnet_id = self.new_id("subnet")
        self.table("Subnets").append(
            {
                "SubnetId": subnet_id,
                "VpcId": vpc_id,
                "OwnerId": self.where.account,
                "AvailabilityZone": zone["ZoneName"],
                "AvailabilityZoneId": zone["ZoneId"],
                "CidrBlock": cidr,
                "Ipv6CidrBlockAssociationSet": (
                    [self._v6_block("subnet", str(cidr6))] if cidr6 else []
                ),
                "AvailableIpAddressCount": 200,
                "DefaultForAz": False,
                "MapPublicIpOnLaunch": False,
                "SubnetArn": f"arn:aws:ec2:{self.where.region}:{self.where.account}:"
                f"subnet/{subnet_id}",
                "State": "available",
                "Tags": [{"Key": "Name", "Value": name}],
            }
        )

    def _v6_block(self, what: str, cidr: str) -> Row:
        return {
            "AssociationId": self.new_id(f"{what}-cidr-assoc"),
            "Ipv6CidrBlock": cidr,
            "Ipv6CidrBlockState": {"State": "associated"},
        }


_LAST: Entry = (32767, "deny", "-1", None, EVERYWHERE)


def _entry(egress: bool, entry: Entry) -> Row:
    number, action, protocol, ports, cidr = entry
    return {
        "RuleNumber": number,
        "RuleAction": action,
        "Protocol": protocol,
        "Egress": egress,
        "Ipv6CidrBlock" if ":" in cidr else "CidrBlock": cidr,
        **({"PortRange": {"From": ports[0], "To": ports[1]}} if ports else {}),
    }


def route(destination: str, target: str, state: str = "active") -> Row:
    """Return the row of a route; the target's id says what kind of target it is."""
    if destination.startswith("pl-"):
        to = "DestinationPrefixListId"
    else:
        to = "DestinationIpv6CidrBlock" if ":" in destination else "DestinationCidrBlock"
    kinds = {"nat": "NatGatewayId", "tgw": "TransitGatewayId", "pcx": "VpcPeeringConnectionId"}
    return {
        to: destination,
        kinds.get(target.partition("-")[0], "GatewayId"): target,
        "Origin": "CreateRouteTable" if target == "local" else "CreateRoute",
        "State": state,
    }
