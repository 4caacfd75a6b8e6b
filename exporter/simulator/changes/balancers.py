"""Load balancers' attributes and security groups.

https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_SetSecurityGroups.html
"""

from __future__ import annotations

from exporter.simulator.changes.outcome import Outcome, lowered
from exporter.simulator.elbv2_rows import interfaces, load_balancer
from exporter.simulator.state import Row, Where, World
from exporter.simulator.wire import AwsError

_ENFORCE = "EnforceSecurityGroupInboundRulesOnPrivateLinkTraffic"


def modify(world: World, where: Where, request: Row) -> Outcome:
    """Set attributes that the load balancer has; raises AwsError for others."""
    balancer = load_balancer(world, where, request["LoadBalancerArn"])
    answer = {"Attributes": set_attributes(balancer, request["Attributes"])}
    return Outcome(answer, lowered(answer), resources(balancer))


def set_attributes(row: Row, wanted: list[Row]) -> list[Row]:
    """Set attributes of a row that it has, and return all; raises AwsError for others."""
    for one in wanted:
        if one["Key"] not in row["Attributes"]:
            raise AwsError("InvalidConfigurationRequest", f"The attribute {one['Key']} is unknown")
        allowed = _allowed(one["Key"])
        if allowed and one.get("Value") not in allowed:
            raise AwsError(
                "InvalidConfigurationRequest",
                f"The value of '{one['Key']}' must be one of {', '.join(allowed)}",
            )
    row["Attributes"].update({one["Key"]: one.get("Value", "") for one in wanted})
    return [{"Key": key, "Value": value} for key, value in row["Attributes"].items()]


def _allowed(key: str) -> tuple[str, ...]:
    if key == "load_balancing.cross_zone.enabled":
        return ("true", "false", "use_load_balancer_configuration")
    return ("true", "false") if key.endswith(".enabled") else ()


def set_groups(world: World, where: Where, request: Row) -> Outcome:
    """Set a load balancer's groups: only one that was made with a group may have any."""
    balancer = load_balancer(world, where, request["LoadBalancerArn"])
    if not balancer.get("SecurityGroups"):
        raise AwsError(
            "InvalidConfigurationRequest",
            "You cannot set security groups on a load balancer that was made without any.",
        )
    known = {
        row["GroupId"]: row["GroupName"]
        for row in world.table("SecurityGroups", *where)
        if row["VpcId"] == balancer["VpcId"]
    }
    for name in request["SecurityGroups"]:
        if name not in known:
            raise AwsError("InvalidSecurityGroup", f"The security group '{name}' does not exist")
    if not request["SecurityGroups"]:
        raise AwsError("ValidationError", "A security group must be specified")
    balancer["SecurityGroups"] = list(request["SecurityGroups"])
    balancer[_ENFORCE] = request.get(_ENFORCE, balancer[_ENFORCE])
    for row in interfaces(world, where, balancer):
        row["Groups"] = [
            {"GroupId": name, "GroupName": known[name]} for name in balancer["SecurityGroups"]
        ]
    answer = {"SecurityGroupIds": balancer["SecurityGroups"], _ENFORCE: balancer[_ENFORCE]}
    return Outcome(answer, lowered(answer), resources(balancer))


def resources(balancer: Row) -> list[tuple[str, str]]:
    """Return a load balancer as CloudTrail lists it."""
    return [("AWS::ElasticLoadBalancingV2::LoadBalancer", balancer["LoadBalancerArn"])]
