"""Rows of Elastic Load Balancing by their ARNs and names."""

from __future__ import annotations

from exporter.simulator.state import Row, Where, World
from exporter.simulator.wire import AwsError

# How many a request may name.
MOST_NAMED = 20
_WORDS = {
    "LoadBalancerNotFound": "Load balancers",
    "ListenerNotFound": "Listeners",
    "TargetGroupNotFound": "Target groups",
}


def named(rows: list[Row], wanted: list[str] | None, key: str, missing: str) -> list[Row]:
    """Return the rows that have the names, all without any; raises AwsError for one not there."""
    if not wanted:
        return rows
    if len(wanted) > MOST_NAMED:
        raise AwsError(
            "ValidationError", f"1 validation error detected: at most {MOST_NAMED} of {key}"
        )
    by_name = {row[key]: row for row in rows}
    for name in wanted:
        if name not in by_name:
            raise AwsError(missing, f"{_WORDS[missing]} '[{name}]' not found")
    return [by_name[name] for name in wanted]


def load_balancer(world: World, where: Where, arn: str) -> Row:
    """Return the load balancer; raises AwsError."""
    rows = world.tables.get(where, {}).get("LoadBalancers", [])
    return named(rows, [arn], "LoadBalancerArn", "LoadBalancerNotFound")[0]


def target_group(world: World, where: Where, arn: str) -> Row:
    """Return the target group; raises AwsError."""
    rows = world.tables.get(where, {}).get("TargetGroups", [])
    return named(rows, [arn], "TargetGroupArn", "TargetGroupNotFound")[0]


def interfaces(world: World, where: Where, balancer: Row) -> list[Row]:
    """Return the load balancer's interfaces."""
    name = "ELB " + balancer["LoadBalancerArn"].partition(":loadbalancer/")[2]
    rows = world.tables.get(where, {}).get("NetworkInterfaces", ())
    return [row for row in rows if row["Description"] == name]
