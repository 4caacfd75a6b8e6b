"""Routes come, are replaced, and go.

https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateRoute.html
"""

from __future__ import annotations

from exporter.simulator.changes.blocks import canonical
from exporter.simulator.changes.outcome import Outcome, done, missing, one_of
from exporter.simulator.networks import route
from exporter.simulator.state import Row, Where, World
from exporter.simulator.wire import AwsError

_DESTINATIONS = ("DestinationCidrBlock", "DestinationIpv6CidrBlock", "DestinationPrefixListId")
# The parameters of a target, and what its absence is called.
_TARGETS = {
    "GatewayId": "InvalidGatewayID",
    "NatGatewayId": "InvalidNatGatewayID",
    "VpcEndpointId": "InvalidVpcEndpointId",
    "NetworkInterfaceId": "InvalidNetworkInterfaceID",
    "TransitGatewayId": "InvalidTransitGatewayID",
    "VpcPeeringConnectionId": "InvalidVpcPeeringConnectionID",
    "EgressOnlyInternetGatewayId": "InvalidGatewayID",
    "InstanceId": "InvalidInstanceID",
}


def create(world: World, where: Where, request: Row) -> Outcome:
    """Add a route; raises AwsError where the table has one to the destination."""
    table = _table(world, where, request)
    key, destination = _destination(world, where, request)
    if any(row.get(key) == destination for row in table["Routes"]):
        raise AwsError(
            "RouteAlreadyExists", f"The route identified by {destination} already exists."
        )
    table["Routes"].append(_route(world, where, table, request, destination))
    return done(RouteTable=table["RouteTableId"])


def replace(world: World, where: Where, request: Row) -> Outcome:
    """Give the route to a destination another target; raises AwsError without one."""
    table = _table(world, where, request)
    _, destination = _destination(world, where, request)
    old = _existing(table, request, destination)
    new = _route(world, where, table, request, destination)
    table["Routes"][table["Routes"].index(old)] = new
    return done(RouteTable=table["RouteTableId"])


def delete(world: World, where: Where, request: Row) -> Outcome:
    """Take the route to a destination out; raises AwsError without one."""
    table = _table(world, where, request)
    _, destination = _destination(world, where, request)
    table["Routes"].remove(_existing(table, request, destination))
    return done(RouteTable=table["RouteTableId"])


def _table(world: World, where: Where, request: Row) -> Row:
    tables = world.tables.get(where, {}).get("RouteTables", ())
    return one_of(tables, "RouteTableId", request["RouteTableId"], "InvalidRouteTableID")


def _destination(world: World, where: Where, request: Row) -> tuple[str, str]:
    """Return which destination a request names, and as what."""
    found = [key for key in _DESTINATIONS if request.get(key)]
    if len(found) != 1:
        code = "InvalidParameterCombination" if found else "MissingParameter"
        raise AwsError(code, "The request must contain exactly one destination.")
    key, text = found[0], request[found[0]]
    if key == "DestinationPrefixListId":
        lists = world.table("ManagedPrefixLists", *where)
        one_of(lists, "PrefixListId", text, "InvalidPrefixListID")
        return key, text
    return key, canonical(text, 6 if "Ipv6" in key else 4)


def _existing(table: Row, request: Row, destination: str) -> Row:
    for row in table["Routes"]:
        if destination in (row.get(key) for key in _DESTINATIONS):
            if row.get("GatewayId") == "local":
                raise AwsError(
                    "InvalidParameterValue",
                    f"cannot change local route {destination} in route table "
                    f"{table['RouteTableId']}",
                )
            if "DestinationPrefixListId" in row and str(row.get("GatewayId")).startswith("vpce-"):
                raise AwsError(
                    "InvalidParameterValue",
                    f"cannot change VPC endpoint route {destination}: modify the endpoint",
                )
            found: Row = row
            return found
    raise AwsError(
        "InvalidRoute.NotFound",
        f"no route with destination {destination} in route table {request['RouteTableId']}",
    )


def _route(world: World, where: Where, table: Row, request: Row, destination: str) -> Row:
    """Return the route that a request describes; raises AwsError where its target is not there."""
    found = [key for key in _TARGETS if request.get(key)]
    if len(found) != 1:
        code = "InvalidParameterCombination" if found else "MissingParameter"
        raise AwsError(code, "The request must contain exactly one target.")
    key, target = found[0], request[found[0]]
    tables = world.tables.get(where, {})
    if key == "VpcEndpointId":
        rows = tables.get("VpcEndpoints", ())
        endpoint = one_of(rows, "VpcEndpointId", target, "InvalidVpcEndpointId")
        if endpoint["VpcEndpointType"] != "GatewayLoadBalancer":
            raise AwsError(
                "InvalidParameterValue",
                f"{target} is not a Gateway Load Balancer endpoint, to which alone a route may go",
            )
        if endpoint["VpcId"] != table["VpcId"]:
            raise AwsError(
                "InvalidParameterValue",
                f"route table {table['RouteTableId']} and {target} belong to different networks",
            )
    elif key == "NetworkInterfaceId":
        one_of(tables.get("NetworkInterfaces", ()), key, target, _TARGETS[key])
    elif not _known(tables.get("RouteTables", ()), target):
        raise missing(_TARGETS[key], target)
    return route(destination, target)


def _known(tables: object, target: str) -> bool:
    """Whether there is such a gateway: one that some route leads to."""
    assert isinstance(tables, list | tuple)
    return any(target in row.values() for table in tables for row in table["Routes"])
