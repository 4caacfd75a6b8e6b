"""Listeners of load balancers come and go, and with them the use of target groups.

https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_CreateListener.html
"""

from __future__ import annotations

import uuid

from exporter.simulator.changes.balancers import resources
from exporter.simulator.changes.outcome import Outcome, lowered
from exporter.simulator.changes.targets import check_health
from exporter.simulator.elbv2_rows import load_balancer, named, target_group
from exporter.simulator.state import Row, Where, World
from exporter.simulator.wire import AwsError

# The protocols of a Network Load Balancer's listeners, and of the groups that each forwards to.
_FORWARDS = {
    "TCP": ("TCP", "TCP_UDP"),
    "UDP": ("UDP", "TCP_UDP"),
    "TCP_UDP": ("TCP_UDP",),
    "TLS": ("TCP", "TLS"),
}


def create(world: World, where: Where, request: Row) -> Outcome:
    """Add a listener; its target group is in use from then on, and its targets are checked."""
    balancer = load_balancer(world, where, request["LoadBalancerArn"])
    if balancer["Type"] == "network":
        _check(world, where, balancer, request)
    groups = [target_group(world, where, arn) for arn in _forwards_to(request)]
    for group in groups:
        if balancer["Type"] == "network" and (
            group["Protocol"] not in _FORWARDS[request["Protocol"]]
        ):
            raise AwsError(
                "IncompatibleProtocols",
                f"A listener of {request['Protocol']} cannot forward to {group['Protocol']}",
            )
        if any(arn != balancer["LoadBalancerArn"] for arn in group["LoadBalancerArns"]):
            raise AwsError(
                "TargetGroupAssociationLimit",
                f"Target group '{group['TargetGroupArn']}' is another load balancer's",
            )
    start = balancer["LoadBalancerArn"].replace(":loadbalancer/", ":listener/")
    listener: Row = {
        "ListenerArn": f"{start}/{uuid.uuid4().hex[:16]}",
        "LoadBalancerArn": balancer["LoadBalancerArn"],
        **{key: request[key] for key in ("Port", "Protocol") if key in request},
        "DefaultActions": request["DefaultActions"],
    }
    world.table("Listeners", *where).append(listener)
    for group in groups:
        if balancer["LoadBalancerArn"] not in group["LoadBalancerArns"]:
            group["LoadBalancerArns"].append(balancer["LoadBalancerArn"])
            check_health(world, where, group)
    answer = {"Listeners": [listener]}
    return Outcome(answer, lowered(answer), resources(balancer))


def delete(world: World, where: Where, request: Row) -> Outcome:
    """Delete a listener; a target group that no other one forwards to is unused from then on."""
    rows = world.table("Listeners", *where)
    found = named(rows, [request["ListenerArn"]], "ListenerArn", "ListenerNotFound")[0]
    rows.remove(found)
    balancer = load_balancer(world, where, found["LoadBalancerArn"])
    left = {
        arn
        for row in rows
        if row["LoadBalancerArn"] == found["LoadBalancerArn"]
        for arn in _forwards_to(row)
    }
    for arn in _forwards_to(found):
        if arn not in left:
            group = target_group(world, where, arn)
            group["LoadBalancerArns"].remove(found["LoadBalancerArn"])
            check_health(world, where, group)
    return Outcome({}, None, resources(balancer))


def _check(world: World, where: Where, balancer: Row, request: Row) -> None:
    protocol, port = request.get("Protocol"), request.get("Port")
    if protocol is None or port is None:
        raise AwsError("ValidationError", "A listener protocol and port must be specified")
    if protocol not in _FORWARDS:
        raise AwsError(
            "UnsupportedProtocol", f"{protocol} is not supported by network load balancers"
        )
    if not 1 <= port <= 65535:
        raise AwsError("ValidationError", f"The port {port} is not between 1 and 65535")
    if protocol == "TLS" and not request.get("Certificates"):
        raise AwsError("ValidationError", "A certificate must be specified for TLS listeners")
    for row in world.table("Listeners", *where):
        if (row["LoadBalancerArn"], row.get("Port")) == (balancer["LoadBalancerArn"], port):
            raise AwsError(
                "DuplicateListener",
                "A listener already exists on this port for this load balancer "
                f"'{balancer['LoadBalancerArn']}'",
            )


def _forwards_to(row: Row) -> list[str]:
    found = []
    for action in row["DefaultActions"]:
        if action["Type"] != "forward":
            raise AwsError("InvalidLoadBalancerAction", f"The action {action['Type']} is invalid")
        several = action.get("ForwardConfig", {}).get("TargetGroups", [])
        found += [one["TargetGroupArn"] for one in several] or [action["TargetGroupArn"]]
    return found
