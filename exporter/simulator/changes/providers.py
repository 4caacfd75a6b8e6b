"""What a provider does with its endpoint service: prove its private name, change it.

https://docs.aws.amazon.com/vpc/latest/privatelink/manage-dns-names.html
"""

from __future__ import annotations

from exporter.simulator.changes.outcome import Outcome, named, nested, one_of
from exporter.simulator.dns import TEXT
from exporter.simulator.state import PUBLIC, Row, Where, World
from exporter.simulator.wire import AwsError


def verify(world: World, where: Where, request: Row) -> Outcome:
    """Look for the record that proves the private name: verified with it, failed without."""
    service = _service(world, where, request)
    if "PrivateDnsName" not in service:
        raise AwsError(
            "InvalidParameter", f"The service {service['ServiceId']} has no private DNS name."
        )
    proof = service["PrivateDnsNameConfiguration"]
    domain = service["PrivateDnsName"].removeprefix("*.")
    records = world.names.get(PUBLIC, {}).get(f"{proof['Name']}.{domain}", [])
    proof["State"] = "verified" if f"{TEXT}{proof['Value']}" in records else "failed"
    return _changed("StartVpcEndpointServicePrivateDnsVerification", service)


def modify(world: World, where: Where, request: Row) -> Outcome:
    """Change whether connections wait to be accepted, and the load balancers."""
    service = _service(world, where, request)
    balancers = service.get("NetworkLoadBalancerArns", [])
    known = {row["LoadBalancerArn"] for row in world.table("LoadBalancers", *where)}
    added, gone = (request.get(f"{verb}NetworkLoadBalancerArns", []) for verb in ("Add", "Remove"))
    for arn in (*added, *gone):
        if arn not in known:
            raise AwsError("InvalidParameter", f"Load balancers '[{arn}]' not found")
    if added or gone:
        left = [arn for arn in dict.fromkeys((*balancers, *added)) if arn not in gone]
        if not left:
            raise AwsError("InvalidParameter", "A service needs at least one load balancer.")
        service["NetworkLoadBalancerArns"] = left
    if "AcceptanceRequired" in request:
        service["AcceptanceRequired"] = request["AcceptanceRequired"]
    return _changed("ModifyVpcEndpointServiceConfiguration", service)


def _service(world: World, where: Where, request: Row) -> Row:
    rows = world.tables.get(where, {}).get("ServiceConfigurations", ())
    return one_of(rows, "ServiceId", request["ServiceId"], "InvalidVpcEndpointServiceId")


def _changed(name: str, service: Row) -> Outcome:
    told = nested(name, **{"return": True})
    resources = named(VPCEndpointService=service["ServiceId"])
    return Outcome({"ReturnValue": True, "Return": True}, told, resources)
