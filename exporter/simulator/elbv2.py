"""Elastic Load Balancing's operations over the world's rows.

https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_Operations.html
"""

from __future__ import annotations

from collections.abc import Callable

from exporter.simulator import changes
from exporter.simulator.elbv2_rows import load_balancer, named, target_group
from exporter.simulator.listing import page
from exporter.simulator.state import Row, Where, World
from exporter.simulator.wire import AwsError

_MOST = 400


def _load_balancers(world: World, where: Where, request: Row) -> Row:
    rows = world.tables.get(where, {}).get("LoadBalancers", [])
    for ids, key in (("LoadBalancerArns", "LoadBalancerArn"), ("Names", "LoadBalancerName")):
        rows = named(rows, request.get(ids), key, "LoadBalancerNotFound")
    return _page(rows, request, "LoadBalancers")


def _listeners(world: World, where: Where, request: Row) -> Row:
    rows = world.tables.get(where, {}).get("Listeners", [])
    arn = request.get("LoadBalancerArn")
    if arn:
        load_balancer(world, where, arn)
        rows = [row for row in rows if row["LoadBalancerArn"] == arn]
    elif not request.get("ListenerArns"):
        raise AwsError(
            "ValidationError", "You must specify either listener ARNs or a load balancer"
        )
    rows = named(rows, request.get("ListenerArns"), "ListenerArn", "ListenerNotFound")
    return _page(rows, request, "Listeners")


def _load_balancer_attributes(world: World, where: Where, request: Row) -> Row:
    row = load_balancer(world, where, request["LoadBalancerArn"])
    return {"Attributes": [{"Key": k, "Value": v} for k, v in row["Attributes"].items()]}


def _target_groups(world: World, where: Where, request: Row) -> Row:
    rows = world.tables.get(where, {}).get("TargetGroups", [])
    arn = request.get("LoadBalancerArn")
    if arn:
        load_balancer(world, where, arn)
        rows = [row for row in rows if arn in row["LoadBalancerArns"]]
    for ids, key in (("TargetGroupArns", "TargetGroupArn"), ("Names", "TargetGroupName")):
        rows = named(rows, request.get(ids), key, "TargetGroupNotFound")
    return _page(rows, request, "TargetGroups")


def _target_group_attributes(world: World, where: Where, request: Row) -> Row:
    row = target_group(world, where, request["TargetGroupArn"])
    return {"Attributes": [{"Key": k, "Value": v} for k, v in row["Attributes"].items()]}


def _target_health(world: World, where: Where, request: Row) -> Row:
    row = target_group(world, where, request["TargetGroupArn"])
    found: list[Row] = row["TargetHealth"]
    wanted = [(t["Id"], t.get("Port")) for t in request.get("Targets", ())]
    if wanted:
        found = [
            d
            for d in found
            if (d["Target"]["Id"], None) in wanted
            or (d["Target"]["Id"], d["Target"]["Port"]) in wanted
        ]
    return {"TargetHealthDescriptions": found}


def _page(rows: list[Row], request: Row, key: str) -> Row:
    size = request.get("PageSize")
    if size is not None and not 1 <= size <= _MOST:
        raise AwsError("ValidationError", f"Page size must be between 1 and {_MOST}")
    try:
        found, token = page(rows, request.get("Marker"), size, _MOST, key)
    except AwsError:
        raise AwsError("ValidationError", "The marker is not valid.") from None
    return {key: found, **({"NextMarker": token} if token else {})}


_OPERATIONS: dict[str, Callable[[World, Where, Row], Row]] = {
    "DescribeLoadBalancers": _load_balancers,
    "DescribeListeners": _listeners,
    "DescribeLoadBalancerAttributes": _load_balancer_attributes,
    "DescribeTargetGroups": _target_groups,
    "DescribeTargetGroupAttributes": _target_group_attributes,
    "DescribeTargetHealth": _target_health,
}


def answer(world: World, where: Where, name: str, request: Row) -> Row:
    """Return what ELBv2 answers in that account and Region; raises AwsError."""
    if name in changes.ELB:
        return changes.change(world, where, name, request)
    operation = _OPERATIONS.get(name)
    if operation is None:
        raise AwsError("InvalidAction", f"The simulator does not answer {name}.")
    return operation(world, where, request)
