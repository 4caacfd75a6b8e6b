"""EC2's operations over the world's rows: one line each for those that list a table.

https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_Operations.html
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from exporter.simulator import changes, groups, offers
from exporter.simulator.ec2_filters import FILTERS
from exporter.simulator.listing import by_ids, filtered, limits, page
from exporter.simulator.state import Row, Where, World
from exporter.simulator.wire import AwsError


class _Listing(NamedTuple):
    """Which table an operation lists, how its rows are asked for, and how many fill a page."""

    table: str
    id: str = ""
    ids: str = ""
    missing: str = ""
    most: int = 1000
    # EC2 refuses page sizes outside of these; where it has no least, it gives the most.
    least: int | None = 5
    key: str = ""


_LISTINGS = {
    "DescribeVpcEndpoints": _Listing(
        "VpcEndpoints", "VpcEndpointId", "VpcEndpointIds", "InvalidVpcEndpointId", least=None
    ),
    "DescribeNetworkInterfaces": _Listing(
        "NetworkInterfaces",
        "NetworkInterfaceId",
        "NetworkInterfaceIds",
        "InvalidNetworkInterfaceID",
    ),
    "DescribeVpcs": _Listing("Vpcs", "VpcId", "VpcIds", "InvalidVpcID"),
    "DescribeSubnets": _Listing("Subnets", "SubnetId", "SubnetIds", "InvalidSubnetID"),
    "DescribeFlowLogs": _Listing(
        "FlowLogs", "FlowLogId", "FlowLogIds", "InvalidFlowLogId", least=None
    ),
    "DescribeSecurityGroups": _Listing("SecurityGroups", "GroupId", "GroupIds", "InvalidGroup"),
    "DescribeSecurityGroupRules": _Listing(
        "SecurityGroupRules",
        "SecurityGroupRuleId",
        "SecurityGroupRuleIds",
        "InvalidSecurityGroupRuleId",
    ),
    "DescribeNetworkAcls": _Listing(
        "NetworkAcls", "NetworkAclId", "NetworkAclIds", "InvalidNetworkAclID"
    ),
    "DescribeRouteTables": _Listing(
        "RouteTables", "RouteTableId", "RouteTableIds", "InvalidRouteTableID", most=100
    ),
    "DescribeManagedPrefixLists": _Listing(
        "ManagedPrefixLists",
        "PrefixListId",
        "PrefixListIds",
        "InvalidPrefixListID",
        100,
        1,
        "PrefixLists",
    ),
    "DescribePrefixLists": _Listing(
        "PrefixLists", "PrefixListId", "PrefixListIds", "InvalidPrefixListId", least=None
    ),
    "DescribeVpcEndpointServiceConfigurations": _Listing(
        "ServiceConfigurations",
        "ServiceId",
        "ServiceIds",
        "InvalidVpcEndpointServiceId",
        least=None,
    ),
    "DescribeVpcEndpointServicePermissions": _Listing(
        "ServicePermissions", least=None, key="AllowedPrincipals"
    ),
    "DescribeVpcEndpointConnections": _Listing("VpcEndpointConnections", least=None),
    "DescribeVpcEndpointAssociations": _Listing(
        "VpcEndpointAssociations",
        "VpcEndpointId",
        "VpcEndpointIds",
        "InvalidVpcEndpointId",
        100,
        1,
    ),
    "DescribeRegions": _Listing("Regions", "RegionName", "RegionNames", least=None),
    "DescribeAvailabilityZones": _Listing("AvailabilityZones", least=None),
    "GetManagedPrefixListEntries": _Listing("", most=100, least=1, key="Entries"),
}


def answer(world: World, where: Where, name: str, request: Row) -> Row:
    """Return what EC2 answers in that account and Region; raises AwsError."""
    if request.get("DryRun"):
        raise AwsError(
            "DryRunOperation", "Request would have succeeded, but DryRun flag is set.", 412
        )
    if name in changes.EC2:
        return changes.change(world, where, name, request)
    if name in _SPECIAL:
        return _SPECIAL[name](world, where, request)
    listing = _LISTINGS.get(name)
    if listing is None:
        raise AwsError("InvalidAction", f"The simulator does not answer {name}.")
    rows = _ROWS[name](world, where, request) if name in _ROWS else _table(world, where, listing)
    return _describe(name, listing, rows, request)


def _table(world: World, where: Where, listing: _Listing) -> list[Row]:
    return world.tables.get(where, {}).get(listing.table, [])


def _describe(name: str, listing: _Listing, rows: list[Row], request: Row) -> Row:
    ids = request.get(listing.ids) if listing.ids else None
    size = request.get("MaxResults")
    if ids and size is not None:
        raise AwsError(
            "InvalidParameterCombination",
            f"The parameter {listing.ids} cannot be used with the parameter maxResults",
        )
    if listing.least is not None:
        limits(size, listing.least, listing.most)
    if name == "DescribeVpcEndpointAssociations":
        # Many rows have the endpoint's id.
        rows = [row for row in rows if not ids or row["VpcEndpointId"] in ids]
    elif ids:
        rows = by_ids(rows, listing.id, ids, lambda i: not_found(listing.missing, i))
    conditions = request.get("Filters") or request.get("Filter")
    rows = filtered(rows, conditions, FILTERS.get(name, {}))
    found, token = page(rows, request.get("NextToken"), size, listing.most, name)
    return {listing.key or listing.table: found, **({"NextToken": token} if token else {})}


def not_found(what: str, name: str) -> AwsError:
    """Return the error for an id that does not exist."""
    return AwsError(f"{what}.NotFound", f"The ID '{name}' does not exist")


def _interfaces(world: World, where: Where, request: Row) -> list[Row]:
    """Interfaces of managed resources may be hidden from who does not ask for them."""
    rows = world.tables.get(where, {}).get("NetworkInterfaces", [])
    if request.get("IncludeManagedResources"):
        return rows
    return [row for row in rows if not row.get("Operator", {}).get("HiddenByDefault")]


def _prefix_lists(world: World, where: Where, request: Row) -> list[Row]:
    """DescribePrefixLists has AWS's own only, with their ranges."""
    return [
        {
            "PrefixListId": row["PrefixListId"],
            "PrefixListName": row["PrefixListName"],
            "Cidrs": [entry["Cidr"] for entry in row["Entries"]],
        }
        for row in world.tables.get(where, {}).get("ManagedPrefixLists", [])
        if row["OwnerId"] == "AWS"
    ]


def _prefix_list_entries(world: World, where: Where, request: Row) -> list[Row]:
    for row in world.tables.get(where, {}).get("ManagedPrefixLists", ()):
        if row["PrefixListId"] == request["PrefixListId"]:
            entries: list[Row] = row["Entries"]
            return entries
    raise not_found("InvalidPrefixListID", request["PrefixListId"])


def _permissions(world: World, where: Where, request: Row) -> list[Row]:
    service = request["ServiceId"]
    tables = world.tables.get(where, {})
    if all(row["ServiceId"] != service for row in tables.get("ServiceConfigurations", ())):
        raise not_found("InvalidVpcEndpointServiceId", service)
    return [row for row in tables.get("ServicePermissions", ()) if row["ServiceId"] == service]


def _regions(world: World, where: Where, request: Row) -> list[Row]:
    rows = world.regions
    if request.get("AllRegions"):
        return rows
    return [row for row in rows if row["OptInStatus"] != "not-opted-in"]


def _zones(world: World, where: Where, request: Row) -> list[Row]:
    rows = world.tables.get(where, {}).get("AvailabilityZones", [])
    for key, member in (("ZoneNames", "ZoneName"), ("ZoneIds", "ZoneId")):
        wanted = request.get(key)
        for name in wanted or ():
            if all(row[member] != name for row in rows):
                raise AwsError("InvalidParameterValue", f"Invalid availability zone: [{name}]")
        rows = [row for row in rows if not wanted or row[member] in wanted]
    return rows


def _vpc_attribute(world: World, where: Where, request: Row) -> Row:
    """One attribute a call, as AWS has it."""
    name = request["Attribute"]
    key = name[:1].upper() + name[1:]
    for row in world.tables.get(where, {}).get("Vpcs", ()):
        if row["VpcId"] == request["VpcId"]:
            attributes = {"EnableNetworkAddressUsageMetrics": False, **row["Attributes"]}
            if key not in attributes:
                raise AwsError("InvalidParameterValue", f"Value ({name}) for attribute is invalid.")
            return {"VpcId": row["VpcId"], key: {"Value": attributes[key]}}
    raise not_found("InvalidVpcID", request["VpcId"])


# Where the rows are not simply those of a table.
_ROWS: dict[str, Callable[[World, Where, Row], list[Row]]] = {
    "DescribeNetworkInterfaces": _interfaces,
    "DescribeSecurityGroups": groups.security_groups,
    "DescribePrefixLists": _prefix_lists,
    "GetManagedPrefixListEntries": _prefix_list_entries,
    "DescribeVpcEndpointServicePermissions": _permissions,
    "DescribeRegions": _regions,
    "DescribeAvailabilityZones": _zones,
}
# Where the answer is not a page of rows.
_SPECIAL: dict[str, Callable[[World, Where, Row], Row]] = {
    "DescribeVpcAttribute": _vpc_attribute,
    "DescribeVpcEndpointServices": offers.endpoint_services,
}
