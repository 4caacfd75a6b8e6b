"""The network, from AWS's words to ours: interfaces, VPCs, rules, routes, flow logs."""

from __future__ import annotations

from ipaddress import ip_network

from exporter.aws.endpoints import tags
from exporter.aws.listing import Row
from exporter.model import (
    FlowLog,
    Interface,
    Network,
    NetworkAcl,
    NetworkAclEntry,
    PrefixList,
    Route,
    RouteTable,
    SecurityGroup,
    SecurityGroupRule,
    Subnet,
    Vpc,
    addresses_of,
)

# What a route may lead to, in the order in which AWS names exactly one of them. An interface comes
# with its instance's id.
_TARGETS = (
    "GatewayId",
    "NatGatewayId",
    "TransitGatewayId",
    "VpcPeeringConnectionId",
    "NetworkInterfaceId",
    "InstanceId",
    "EgressOnlyInternetGatewayId",
    "LocalGatewayId",
    "CarrierGatewayId",
    "CoreNetworkArn",
    "OdbNetworkArn",
    "IpAddress",
)


def interface(row: Row) -> Interface:
    """Translate a NetworkInterface with all of its addresses, v4 and v6."""
    private = [a["PrivateIpAddress"] for a in row.get("PrivateIpAddresses", ())]
    if row.get("PrivateIpAddress"):
        private.append(row["PrivateIpAddress"])
    return Interface(
        id=row["NetworkInterfaceId"],
        vpc_id=row.get("VpcId", ""),
        subnet_id=row.get("SubnetId", ""),
        zone=row.get("AvailabilityZone", ""),
        zone_id=row.get("AvailabilityZoneId", ""),
        addresses=addresses_of(
            iter(private + [a["Ipv6Address"] for a in row.get("Ipv6Addresses", ())])
        ),
        security_group_ids=tuple(g["GroupId"] for g in row.get("Groups", ())),
        type=row.get("InterfaceType", ""),
        status=row.get("Status", ""),
        description=row.get("Description", ""),
        owner=row.get("OwnerId", ""),
        instance_id=(row.get("Attachment") or {}).get("InstanceId", ""),
    )


def vpc(row: Row) -> Vpc:
    """Translate a Vpc; its DNS attributes need calls of their own."""
    return Vpc(row["VpcId"], row.get("OwnerId", ""), _cidrs(row), tags(row).get("Name", ""))


def subnet(row: Row) -> Subnet:
    """Translate a Subnet."""
    return Subnet(
        row["SubnetId"],
        row.get("VpcId", ""),
        row.get("AvailabilityZone", ""),
        row.get("AvailabilityZoneId", ""),
        _cidrs(row),
    )


def security_group(row: Row) -> SecurityGroup:
    """Translate a SecurityGroup; its rules are listed apart, with their ids."""
    return SecurityGroup(
        row["GroupId"], row.get("VpcId", ""), row.get("GroupName", ""), row.get("OwnerId", "")
    )


def security_group_rule(row: Row) -> SecurityGroupRule:
    """Translate a SecurityGroupRule; raises ValueError for one that names no other side."""
    cidr = row.get("CidrIpv4") or row.get("CidrIpv6")
    referenced = row.get("ReferencedGroupInfo") or {}
    if not (cidr or row.get("PrefixListId") or referenced.get("GroupId")):
        raise ValueError(f"{row['SecurityGroupRuleId']} names no source or destination")
    protocol = str(row["IpProtocol"])
    # AWS gives -1 where every port, or every type of ICMP, is meant.
    low, high = (row.get("FromPort"), row.get("ToPort")) if protocol != "-1" else (None, None)
    return SecurityGroupRule(
        id=row["SecurityGroupRuleId"],
        group_id=row["GroupId"],
        egress=bool(row["IsEgress"]),
        protocol=protocol,
        from_port=None if low == -1 else low,
        to_port=None if high == -1 else high,
        cidr=network(cidr) if cidr else None,
        prefix_list_id=row.get("PrefixListId"),
        referenced_group_id=referenced.get("GroupId"),
        referenced_account=referenced.get("UserId", ""),
        peering_connection_id=referenced.get("VpcPeeringConnectionId", ""),
        peering_status=referenced.get("PeeringStatus", ""),
        description=row.get("Description", ""),
    )


def network_acl(row: Row) -> NetworkAcl:
    """Translate a NetworkAcl, its entries in the order in which they are judged."""
    entries = sorted(map(_entry, row["Entries"]), key=lambda e: (e.egress, e.number, str(e.cidr)))
    return NetworkAcl(
        row["NetworkAclId"],
        row.get("VpcId", ""),
        bool(row.get("IsDefault", False)),
        tuple(a["SubnetId"] for a in row["Associations"] if a.get("SubnetId")),
        tuple(entries),
    )


def _entry(row: Row) -> NetworkAclEntry:
    ports, icmp = row.get("PortRange") or {}, row.get("IcmpTypeCode") or {}
    return NetworkAclEntry(
        number=int(row["RuleNumber"]),
        egress=bool(row["Egress"]),
        allow=row["RuleAction"].lower() == "allow",
        protocol=str(row["Protocol"]),
        cidr=network(row.get("CidrBlock") or row["Ipv6CidrBlock"]),
        from_port=ports.get("From"),
        to_port=ports.get("To"),
        icmp_type=icmp.get("Type"),
        icmp_code=icmp.get("Code"),
    )


def route_table(row: Row) -> RouteTable:
    """Translate a RouteTable with its associations."""
    associations = [
        a
        for a in row["Associations"]
        if (a.get("AssociationState") or {}).get("State", "associated")
        in ("associated", "associating")
    ]
    return RouteTable(
        row["RouteTableId"],
        row.get("VpcId", ""),
        any(a.get("Main") for a in associations),
        tuple(a["SubnetId"] for a in associations if a.get("SubnetId")),
        tuple(_route(r) for r in row["Routes"]),
        tuple(a["GatewayId"] for a in associations if a.get("GatewayId")),
    )


def _route(row: Row) -> Route:
    prefix_list = row.get("DestinationPrefixListId")
    destination = prefix_list or network(
        row.get("DestinationCidrBlock") or row["DestinationIpv6CidrBlock"]
    )
    target = next((row[key] for key in _TARGETS if row.get(key)), "")
    return Route(destination, target, row.get("State", ""), row.get("Origin", ""))


def prefix_list(row: Row) -> PrefixList:
    """Translate a ManagedPrefixList; its entries need a call of their own."""
    return PrefixList(
        id=row["PrefixListId"],
        name=row.get("PrefixListName", ""),
        owner=row.get("OwnerId", ""),
        address_family=row.get("AddressFamily", ""),
        state=row.get("State", ""),
        version=row.get("Version"),
        tags=tags(row),
    )


def flow_log(row: Row) -> FlowLog:
    """Translate a FlowLog; `destination` is the log group's name or the bucket's ARN."""
    kind = row.get("LogDestinationType", "cloud-watch-logs")
    destination = row.get("LogDestination", "")
    if kind == "cloud-watch-logs":
        # arn:aws:logs:REGION:ACCOUNT:log-group:NAME[:*]
        tail = destination.partition(":log-group:")[2].removesuffix(":*")
        destination = row.get("LogGroupName") or tail
    created = row.get("CreationTime")
    files = row.get("DestinationOptions") or {}
    return FlowLog(
        id=row["FlowLogId"],
        resource_id=row["ResourceId"],
        traffic_type=row.get("TrafficType", ""),
        destination_type=kind,
        destination=destination,
        format=row.get("LogFormat", ""),
        aggregation=int(row.get("MaxAggregationInterval", 600)),
        status=row.get("FlowLogStatus", ""),
        delivery_status=row.get("DeliverLogsStatus", ""),
        delivery_error=row.get("DeliverLogsErrorMessage", ""),
        created=created.timestamp() if created else None,
        file_format=files.get("FileFormat", ""),
        hive=bool(files.get("HiveCompatiblePartitions", False)),
        per_hour=bool(files.get("PerHourPartition", False)),
    )


def network(cidr: str) -> Network:
    """Return a CIDR block; host bits, which AWS ignores, are ignored. Raises ValueError."""
    return ip_network(cidr, strict=False)


def _cidrs(row: Row) -> tuple[Network, ...]:
    """Return the blocks that are associated now: a block that was given back is still listed."""
    found = [row["CidrBlock"]] if row.get("CidrBlock") else []
    for key, block in (
        ("CidrBlockAssociationSet", "CidrBlock"),
        ("Ipv6CidrBlockAssociationSet", "Ipv6CidrBlock"),
    ):
        for association in row.get(key, ()):
            state = association.get(f"{block}State") or {}
            if state.get("State", "associated") in ("associated", "associating"):
                found.append(association[block])
    return tuple(network(cidr) for cidr in dict.fromkeys(found))
