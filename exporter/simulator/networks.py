"""Builds what endpoints live in: VPCs, subnets, groups, ACLs, route tables, clients, flow logs.

Defaults are those of a network in which everything works; keyword arguments are the deviations.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Self

from exporter.flowlogs.formats import DEFAULT
from exporter.simulator.state import HOME, Row, Where, World

CREATED = datetime(2024, 1, 1, tzinfo=UTC)
EVERYWHERE = "0.0.0.0/0"
# A rule of a group: protocol, port or None, and a CIDR block, a group's or a prefix list's id.
Rule = tuple[str, int | None, str]
# An entry of an ACL: number, allow or deny, protocol's number, first and last port, CIDR block.
Entry = tuple[int, str, str, tuple[int, int] | None, str]
ALL_OUT: Sequence[Rule] = (("-1", None, EVERYWHERE),)
ALL_ENTRIES: Sequence[Entry] = ((100, "allow", "-1", None, EVERYWHERE),)
# What the VPCs' blocks are cut from: RFC 3849.
_V6 = IPv6Network("2001:db8::/32")


class NetworkBuilder:
    """Adds to one account in one Region of the world."""

    def __init__(self, world: World, seed: int, where: Where = HOME) -> None:
        self.world = world
        self.where = where
        self._random = random.Random(seed)
        self._taken: dict[str, set[int]] = {}

    def at(self, account: str, region: str) -> Self:
        """Return a builder for another account and Region that draws from the same seed."""
        other = type(self)(self.world, 0, Where(account, region))
        other._random = self._random
        other._taken = self._taken
        return other

    def table(self, name: str) -> list[Row]:
        """Return a table of this account and Region."""
        return self.world.table(name, *self.where)

    def new_id(self, prefix: str) -> str:
        """Return an id that nothing has yet, such as vpc-0123456789abcdef0."""
        return f"{prefix}-{self._random.getrandbits(68):017x}"

    def zones(self, *zones: tuple[str, str]) -> None:
        """Declare the Availability Zones by the names and ids that they have in this account."""
        region = self.where.region
        self.table("AvailabilityZones").extend(
            {
                "State": "available",
                "OptInStatus": "opt-in-not-required",
                "RegionName": region,
                "ZoneName": name,
                "ZoneId": zone_id,
                "GroupName": f"{region}-zg-1",
                "NetworkBorderGroup": region,
                "ZoneType": "availability-zone",
                "Messages": [],
            }
            for name, zone_id in zones
        )

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

    def security_group(
        self,
        vpc_id: str,
        name: str,
        port: int | None = 443,
        *,
        ingress: Iterable[Rule] | None = None,
        egress: Iterable[Rule] = ALL_OUT,
    ) -> str:
        """Add a group that lets 10.0.0.0/8 in to the port, or `ingress`; returns its id."""
        group_id = self.new_id("sg")
        self.table("SecurityGroups").append(
            {
                "GroupId": group_id,
                "GroupName": name,
                "Description": name,
                "VpcId": vpc_id,
                "OwnerId": self.where.account,
                "SecurityGroupArn": f"arn:aws:ec2:{self.where.region}:{self.where.account}:"
                f"security-group/{group_id}",
                "Tags": [],
            }
        )
        if ingress is None:
            ingress = [] if port is None else [("tcp", port, "10.0.0.0/8")]
        for is_egress, rules in ((False, ingress), (True, egress)):
            for rule in rules:
                self._rule(group_id, is_egress, rule)
        return group_id

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

    def interface(
        self,
        subnet: Row,
        groups: Iterable[str],
        kind: str,
        description: str,
        *,
        ip: str = "ipv4",
        **more: object,
    ) -> Row:
        """Add an interface with an address in the subnet (`ip`: ipv4, dualstack, ipv6)."""
        v4 = None if ip == "ipv6" else self._address(subnet["SubnetId"], subnet["CidrBlock"])
        v6 = None
        if ip != "ipv4":
            block = subnet["Ipv6CidrBlockAssociationSet"][0]["Ipv6CidrBlock"]
            v6 = self._address(subnet["SubnetId"], block)
        names = {g["GroupId"]: g["GroupName"] for g in self.table("SecurityGroups")}
        row: Row = {
            "NetworkInterfaceId": self.new_id("eni"),
            "InterfaceType": kind,
            "Description": description,
            "RequesterManaged": kind != "interface",
            "OwnerId": self.where.account,
            "VpcId": subnet["VpcId"],
            "SubnetId": subnet["SubnetId"],
            "AvailabilityZone": subnet["AvailabilityZone"],
            "AvailabilityZoneId": subnet["AvailabilityZoneId"],
            **({"PrivateIpAddress": v4} if v4 else {}),
            "PrivateIpAddresses": [{"PrivateIpAddress": v4, "Primary": True}] if v4 else [],
            "Ipv6Addresses": [{"Ipv6Address": v6, "IsPrimaryIpv6": False}] if v6 else [],
            "Groups": [{"GroupId": g, "GroupName": names.get(g, g)} for g in groups],
            "Status": "in-use",
            "SourceDestCheck": True,
            "TagSet": [],
            **more,
        }
        self.table("NetworkInterfaces").append(row)
        return row

    def client(
        self, vpc_id: str, zone: int = 0, *, group_id: str = "", name: str = "app", ip: str = "ipv4"
    ) -> str:
        """Add an instance's interface in the first tier; returns its id."""
        group_id = group_id or self.security_group(vpc_id, f"{name}-clients", None)
        subnet = self.subnets(vpc_id)[zone]
        instance = {
            "AttachmentId": self.new_id("eni-attach"),
            "InstanceId": self.new_id("i"),
            "InstanceOwnerId": self.where.account,
            "DeviceIndex": 0,
            "Status": "attached",
        }
        row = self.interface(subnet, [group_id], "interface", name, ip=ip, Attachment=instance)
        interface_id: str = row["NetworkInterfaceId"]
        return interface_id

    def flow_log(
        self,
        resource_id: str,
        group: str,
        log_format: str = DEFAULT,
        *,
        traffic: str = "ALL",
        aggregation: int = 60,
        error: str = "",
    ) -> str:
        """Add a flow log of the resource's traffic, to a log group; returns its id."""
        flow_log_id = self.new_id("fl")
        account, region = self.where
        self.table("FlowLogs").append(
            {
                "FlowLogId": flow_log_id,
                "FlowLogStatus": "ACTIVE",
                "ResourceId": resource_id,
                "TrafficType": traffic,
                "LogDestinationType": "cloud-watch-logs",
                "LogGroupName": group,
                "LogDestination": f"arn:aws:logs:{region}:{account}:log-group:{group}",
                "LogFormat": log_format,
                "MaxAggregationInterval": aggregation,
                "DeliverLogsPermissionArn": f"arn:aws:iam::{account}:role/flow-logs",
                "DeliverLogsStatus": "FAILED" if error else "SUCCESS",
                **({"DeliverLogsErrorMessage": error} if error else {}),
                "CreationTime": CREATED,
                "Tags": [],
            }
        )
        groups = self.world.log_groups.setdefault(self.where, [])
        if group not in groups:
            groups.append(group)
        return flow_log_id

    def prefix_list(self, name: str, *cidrs: str, owner: str = "", list_id: str = "") -> str:
        """Add a prefix list, AWS's own or the account's; returns its id."""
        list_id = list_id or self.new_id("pl")
        owner = owner or self.where.account
        arn_owner = owner.lower()
        self.table("ManagedPrefixLists").append(
            {
                "PrefixListId": list_id,
                "PrefixListName": name,
                "PrefixListArn": f"arn:aws:ec2:{self.where.region}:{arn_owner}:"
                f"prefix-list/{list_id}",
                "AddressFamily": "IPv4",
                "State": "create-complete",
                "MaxEntries": len(cidrs),
                "Version": 1,
                "OwnerId": owner,
                "Tags": [],
                "Entries": [{"Cidr": cidr} for cidr in cidrs],
            }
        )
        return list_id

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

    def _rule(self, group_id: str, is_egress: bool, rule: Rule) -> None:
        protocol, port, peer = rule
        account = self.where.account
        if peer.startswith("sg-"):
            source: Row = {"ReferencedGroupInfo": {"GroupId": peer, "UserId": account}}
        elif peer.startswith("pl-"):
            source = {"PrefixListId": peer}
        else:
            source = {"CidrIpv6" if ":" in peer else "CidrIpv4": peer}
        self.table("SecurityGroupRules").append(
            {
                "SecurityGroupRuleId": self.new_id("sgr"),
                "GroupId": group_id,
                "GroupOwnerId": account,
                "IsEgress": is_egress,
                "IpProtocol": protocol,
                "FromPort": -1 if port is None else port,
                "ToPort": -1 if port is None else port,
                **source,
            }
        )

    def _address(self, subnet_id: str, block: str) -> str:
        """Return an address that nobody has; AWS keeps the first four and the last."""
        net = ip_network(block)
        taken = self._taken.setdefault(f"{subnet_id} {block}", set())
        while True:
            number = self._random.randrange(4, min(net.num_addresses, 2**32) - 1)
            if number not in taken:
                taken.add(number)
                return str(net[number])


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
