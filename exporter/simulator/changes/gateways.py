"""A gateway endpoint's routes: they are the endpoint's, not those who write routes.

https://docs.aws.amazon.com/vpc/latest/privatelink/gateway-endpoints.html#gateway-endpoint-routing
"""

from __future__ import annotations

from exporter.simulator.changes.outcome import missing
from exporter.simulator.networks import route
from exporter.simulator.state import Row, Where, World
from exporter.simulator.wire import AwsError


def check(world: World, where: Where, endpoint: Row, request: Row) -> None:
    """Raise AwsError where the tables cannot be added or removed."""
    tables = {t["RouteTableId"]: t for t in world.table("RouteTables", *where)}
    own = set(endpoint["RouteTableIds"])
    add, remove = (request.get(f"{verb}RouteTableIds", []) for verb in ("Add", "Remove"))
    for name in (*add, *remove):
        if name not in tables:
            raise missing("InvalidRouteTableId", name)
        if tables[name]["VpcId"] != endpoint["VpcId"]:
            raise AwsError(
                "InvalidParameter",
                f"Route table {name} and {endpoint['VpcEndpointId']} belong to different networks",
            )
    for name in add:
        list_id = _prefix_list(world, where, endpoint)
        if name in own or _routes(tables[name], list_id):
            raise AwsError(
                "RouteAlreadyExists",
                f"route table {name} already has a route with destination-prefix-list-id {list_id}",
            )
    for name in remove:
        if name not in own:
            raise AwsError(
                "InvalidParameter",
                f"Route table {name} is not one of {endpoint['VpcEndpointId']}",
            )


def apply(world: World, where: Where, endpoint: Row, request: Row) -> None:
    """Add and remove the tables with the routes in them."""
    tables = {t["RouteTableId"]: t for t in world.table("RouteTables", *where)}
    list_id = _prefix_list(world, where, endpoint)
    for name in request.get("RemoveRouteTableIds", ()):
        endpoint["RouteTableIds"].remove(name)
        for row in _routes(tables[name], list_id):
            tables[name]["Routes"].remove(row)
    for name in request.get("AddRouteTableIds", ()):
        endpoint["RouteTableIds"].append(name)
        tables[name]["Routes"].append(route(list_id, endpoint["VpcEndpointId"]))


def unroute(world: World, endpoint: Row) -> None:
    """Take the routes to an endpoint out; those that somebody wrote become blackholes."""
    written = endpoint["VpcEndpointType"] != "Gateway"
    for tables in world.tables.values():
        for table in tables.get("RouteTables", ()):
            for row in [
                r for r in table["Routes"] if r.get("GatewayId") == endpoint["VpcEndpointId"]
            ]:
                if written:
                    row["State"] = "blackhole"
                else:
                    table["Routes"].remove(row)


def _prefix_list(world: World, where: Where, endpoint: Row) -> str:
    for row in world.table("ManagedPrefixLists", *where):
        if row["PrefixListName"] == endpoint["ServiceName"]:
            found: str = row["PrefixListId"]
            return found
    raise missing("InvalidPrefixListId", endpoint["ServiceName"])


def _routes(table: Row, list_id: str) -> list[Row]:
    return [row for row in table["Routes"] if row.get("DestinationPrefixListId") == list_id]
