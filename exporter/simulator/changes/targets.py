"""Target groups: their attributes, who is in them, and how they fare.

https://docs.aws.amazon.com/elasticloadbalancing/latest/network/target-group-health-checks.html
"""

from __future__ import annotations

from exporter.simulator import network
from exporter.simulator.changes.balancers import set_attributes
from exporter.simulator.changes.outcome import Outcome, lowered
from exporter.simulator.elbv2_rows import interfaces, load_balancer, target_group
from exporter.simulator.names import addresses_of
from exporter.simulator.state import Row, Where, World
from exporter.simulator.wire import AwsError

HEALTHY: Row = {"State": "healthy"}
UNHEALTHY: Row = {
    "State": "unhealthy",
    "Reason": "Target.FailedHealthChecks",
    "Description": "Health checks failed",
}
UNUSED: Row = {
    "State": "unused",
    "Reason": "Target.NotInUse",
    "Description": "Target group is not configured to receive traffic",
}


def modify(world: World, where: Where, request: Row) -> Outcome:
    """Set attributes that the target group has; raises AwsError for others."""
    group = target_group(world, where, request["TargetGroupArn"])
    answer = {"Attributes": set_attributes(group, request["Attributes"])}
    return Outcome(answer, lowered(answer), _resources(group))


def register(world: World, where: Where, request: Row) -> Outcome:
    """Add targets by their addresses, and check them where the group is in use."""
    group = target_group(world, where, request["TargetGroupArn"])
    wanted = [(t["Id"], t.get("Port", group["Port"])) for t in request["Targets"]]
    for address, _ in wanted:
        if _interface(world, where, group, address) is None:
            raise AwsError(
                "InvalidTarget",
                f"The IP address '{address}' is not within a range of the VPC {group['VpcId']}",
            )
    known = {(t["Target"]["Id"], t["Target"]["Port"]) for t in group["TargetHealth"]}
    for address, port in wanted:
        if (address, port) not in known:
            interface = _interface(world, where, group, address)
            assert interface is not None
            group["TargetHealth"].append(
                {
                    "Target": {
                        "Id": address,
                        "Port": port,
                        "AvailabilityZone": interface["AvailabilityZone"],
                    },
                    "HealthCheckPort": _port(group, port),
                    "TargetHealth": UNUSED,
                }
            )
    check_health(world, where, group)
    return Outcome({}, None, _resources(group))


def deregister(world: World, where: Where, request: Row) -> Outcome:
    """Take targets out; raises AwsError for one that is not in the group."""
    group = target_group(world, where, request["TargetGroupArn"])
    found = []
    for target in request["Targets"]:
        rows = [
            row
            for row in group["TargetHealth"]
            if row["Target"]["Id"] == target["Id"]
            and target.get("Port") in (None, row["Target"]["Port"])
        ]
        if not rows:
            raise AwsError("InvalidTarget", f"The target '{target['Id']}' is not registered")
        found += rows
    group["TargetHealth"][:] = [row for row in group["TargetHealth"] if row not in found]
    return Outcome({}, None, _resources(group))


def check_health(world: World, where: Where, group: Row) -> None:
    """Check the targets of a group anew: unused without a listener; what fails goes on to fail."""
    for row in group["TargetHealth"]:
        if not group["LoadBalancerArns"]:
            row["TargetHealth"] = dict(UNUSED)
        elif row["TargetHealth"]["State"] != "unhealthy":
            well = _answers(world, where, group, row)
            row["TargetHealth"] = dict(HEALTHY if well else UNHEALTHY)


def _answers(world: World, where: Where, group: Row, row: Row) -> bool:
    """Whether the health check gets through to a target, from the load balancer's interfaces."""
    target = _interface(world, where, group, row["Target"]["Id"])
    if target is None:
        return False
    balancer = load_balancer(world, where, group["LoadBalancerArns"][0])
    return all(
        network.passage(world, one, target, int(row["HealthCheckPort"])).connects
        for one in interfaces(world, where, balancer)
    )


def _interface(world: World, where: Where, group: Row, address: str) -> Row | None:
    for row in world.table("NetworkInterfaces", *where):
        if row["VpcId"] == group["VpcId"] and address in addresses_of(row):
            return row
    return None


def _port(group: Row, port: int) -> str:
    """Return at which port a target's health is checked."""
    checked: str = group["HealthCheckPort"]
    return str(port) if checked == "traffic-port" else checked


def _resources(group: Row) -> list[tuple[str, str]]:
    return [("AWS::ElasticLoadBalancingV2::TargetGroup", group["TargetGroupArn"])]
