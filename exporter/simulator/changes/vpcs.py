"""A VPC's attributes, which private names need.

https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ModifyVpcAttribute.html
"""

from __future__ import annotations

from exporter.simulator import names
from exporter.simulator.changes.outcome import Outcome, done, one_of
from exporter.simulator.state import Row, Where, World
from exporter.simulator.wire import AwsError

_ATTRIBUTES = ("EnableDnsSupport", "EnableDnsHostnames", "EnableNetworkAddressUsageMetrics")


def modify(world: World, where: Where, request: Row) -> Outcome:
    """Change one attribute, and with it where the names of the VPC's endpoints lead."""
    rows = world.tables.get(where, {}).get("Vpcs", ())
    vpc = one_of(rows, "VpcId", request["VpcId"], "InvalidVpcID")
    wanted = [key for key in _ATTRIBUTES if key in request]
    if len(wanted) != 1:
        code = "InvalidParameterCombination" if wanted else "MissingParameter"
        raise AwsError(code, "The request must contain exactly one attribute.")
    if vpc["OwnerId"] != where.account:
        raise AwsError(
            "UnauthorizedOperation", "You are not authorized to perform this operation.", 403
        )
    (key,) = wanted
    value = request[key].get("Value", False)
    if key == "EnableDnsHostnames" and value and not vpc["Attributes"]["EnableDnsSupport"]:
        raise AwsError(
            "InvalidParameterValue", "DNS hostnames cannot be enabled without DNS support."
        )
    vpc["Attributes"][key] = value
    for endpoint in world.tables[where].get("VpcEndpoints", ()):
        if endpoint["VpcId"] == vpc["VpcId"]:
            names.name(world, endpoint)
    return done(VPC=vpc["VpcId"])
