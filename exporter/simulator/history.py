"""What CloudTrail has of the time before the simulation began: who brought the faults about.

https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-log-file-examples.html
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import NamedTuple

from exporter.simulator.changes.outcome import nested, returned, tagged
from exporter.simulator.state import Row, Scenario, Where, World
from exporter.simulator.trail import DEPLOY, ELB, Actor, record

_OPERATOR = Actor("operator", "console", "198.51.100.31")
_ROUTE53 = "route53.amazonaws.com"
# Route 53 is global: its events are in this Region.
_GLOBAL = "us-east-1"
_DENIED = (
    "Client.UnauthorizedOperation",
    "You are not authorized to perform this operation.",
)


class _Event(NamedTuple):
    """An event some minutes ago; `error` where the attempt failed."""

    minutes: int
    where: Where
    name: str
    request: Row
    response: Row | None = None
    source: str = "ec2.amazonaws.com"
    actor: Actor = DEPLOY
    error: tuple[str, str] | None = None


def tell(world: World) -> None:
    """Record what was done in the hours before, oldest first."""
    now = time.time()
    for event in sorted(_events(world), key=lambda e: -e.minutes):
        record(
            world,
            event.where,
            event.name,
            event.request,
            event.response,
            source=event.source,
            actor=event.actor,
            error=event.error,
            at=now - 60 * event.minutes,
        )


def _events(world: World) -> Iterator[_Event]:
    yield from _of_endpoints(world)
    yield from _of_networks(world)
    yield from _of_providers(world)


def _of_endpoints(world: World) -> Iterator[_Event]:
    for name, minutes in (("stuck-pending", 60), ("awaiting-acceptance", 180)):
        where, row = _endpoint(world, name)
        request = {
            "VpcEndpointType": row["VpcEndpointType"],
            "VpcId": row["VpcId"],
            "ServiceName": row["ServiceName"],
            "SubnetId": tagged(row["SubnetIds"]),
            "SecurityGroupId": tagged([g["GroupId"] for g in row["Groups"]]),
            "PrivateDnsEnabled": row["PrivateDnsEnabled"],
        }
        answer = {"vpcEndpoint": {"vpcEndpointId": row["VpcEndpointId"], "state": row["State"]}}
        yield _Event(
            minutes, where, "CreateVpcEndpoint", *_nested("CreateVpcEndpoint", request, answer)
        )
    modified = (
        ("policy-denies-all", 25, "PolicyDocument"),
        ("private-dns-off", 400, "PrivateDnsEnabled"),
        ("private-dns-off-no-internet", 40, "PrivateDnsEnabled"),
    )
    for name, minutes, member in modified:
        where, row = _endpoint(world, name)
        request = {"VpcEndpointId": row["VpcEndpointId"], member: row[member]}
        pair = _nested("ModifyVpcEndpoint", request, {"return": True})
        yield _Event(minutes, where, "ModifyVpcEndpoint", *pair)
    where, row = _endpoint(world, "deleting")
    request = {"VpcEndpointId": tagged([row["VpcEndpointId"]])}
    pair = _nested("DeleteVpcEndpoints", request, {"unsuccessful": ""})
    yield _Event(1, where, "DeleteVpcEndpoints", *pair)


def _of_networks(world: World) -> Iterator[_Event]:
    where, row = _endpoint(world, "dns-hostnames-off")
    attribute = {"vpcId": row["VpcId"], "enableDnsHostnames": {"value": False}}
    yield _Event(90, where, "ModifyVpcAttribute", attribute, returned(), actor=_OPERATOR)
    where, row = _endpoint(world, "sg-port-missing")
    rule = {"groupId": row["Groups"][0]["GroupId"], "ipPermissions": _https("10.0.0.0/8")}
    yield _Event(22, where, "RevokeSecurityGroupIngress", rule, returned(), actor=_OPERATOR)
    yield _Event(18, where, "AuthorizeSecurityGroupIngress", rule, actor=_OPERATOR, error=_DENIED)
    where, row = _endpoint(world, "client-egress-closed")
    group = next(
        g["GroupId"]
        for g in world.table("SecurityGroups", *where)
        if g["VpcId"] == row["VpcId"] and g["GroupName"].endswith("-clients")
    )
    rule = {"groupId": group, "ipPermissions": _https("0.0.0.0/0")}
    yield _Event(50, where, "RevokeSecurityGroupEgress", rule, returned())
    for name, minutes, action in (
        ("nacl-inbound", 35, "CreateNetworkAclEntry"),
        ("nacl-return", 33, "ReplaceNetworkAclEntry"),
    ):
        where, row = _endpoint(world, name)
        yield _Event(minutes, where, action, _acl_entry(world, where, row), returned())
    where, row = _endpoint(world, "gateway-no-route")
    request = {
        "VpcEndpointId": row["VpcEndpointId"],
        "RemoveRouteTableId": tagged([_clients_table(world, where, row)]),
    }
    pair = _nested("ModifyVpcEndpoint", request, {"return": True})
    yield _Event(28, where, "ModifyVpcEndpoint", *pair)
    where, row = _endpoint(world, "no-flow-log")
    request = {"FlowLogId": tagged(["fl-0123456789abcdef0"])}
    pair = _nested("DeleteFlowLogs", request, {"unsuccessful": ""})
    yield _Event(300, where, "DeleteFlowLogs", *pair)
    where, row = _endpoint(world, "hub-kms")
    zone = {
        "hostedZoneId": "Z0123456789EXAMPLE",
        "vPC": {"vPCRegion": where.region, "vPCId": row["VpcId"]},
    }
    there = Where(where.account, _GLOBAL)
    yield _Event(600, there, "AssociateVPCWithHostedZone", zone, {}, source=_ROUTE53)


def _of_providers(world: World) -> Iterator[_Event]:
    where, service = _service(world, "guarded")
    endpoint = world.scenarios["rejected"].id
    request = {"ServiceId": service["ServiceId"], "VpcEndpointId": tagged([endpoint])}
    pair = _nested("RejectVpcEndpointConnections", request, {"unsuccessful": ""})
    yield _Event(70, where, "RejectVpcEndpointConnections", *pair)
    where, service = _service(world, "no-listener")
    balancer = service["NetworkLoadBalancerArns"][0]
    listener = balancer.replace(":loadbalancer/", ":listener/") + "/0123456789abcdef"
    yield _Event(45, where, "DeleteListener", {"listenerArn": listener}, None, ELB)
    where, service = _service(world, "nlb-closed")
    balancer = service["NetworkLoadBalancerArns"][0]
    groups = world.row("LoadBalancers", "LoadBalancerArn", balancer)["SecurityGroups"]
    request = {"loadBalancerArn": balancer, "securityGroups": groups}
    yield _Event(44, where, "SetSecurityGroups", request, {"securityGroupIds": groups}, ELB)
    where, service = _service(world, "target-closed")
    group = next(
        g["GroupId"]
        for g in world.table("SecurityGroups", *where)
        if g["GroupName"] == "target-closed-targets"
    )
    rule = {"groupId": group, "ipPermissions": _https("10.200.0.0/16")}
    yield _Event(43, where, "RevokeSecurityGroupIngress", rule, returned(), actor=_OPERATOR)


def _endpoint(world: World, name: str) -> tuple[Where, Row]:
    scenario: Scenario = world.scenarios[name]
    return Where(scenario.account, scenario.region), world.row(
        "VpcEndpoints", "VpcEndpointId", scenario.id
    )


def _service(world: World, name: str) -> tuple[Where, Row]:
    return world.find("ServiceConfigurations", "ServiceId", world.scenarios[name].id)


def _nested(name: str, request: Row, response: Row) -> tuple[Row, Row]:
    return {f"{name}Request": request}, nested(name, **response)


def _https(cidr: str) -> Row:
    permission = {
        "ipProtocol": "tcp",
        "fromPort": 443,
        "toPort": 443,
        "groups": {},
        "ipRanges": {"items": [{"cidrIp": cidr}]},
        "ipv6Ranges": {},
        "prefixListIds": {},
    }
    return {"items": [permission]}


def _acl_entry(world: World, where: Where, endpoint: Row) -> Row:
    """Return the entry of the endpoint's ACL that was added on purpose."""
    acl = next(
        row
        for row in world.table("NetworkAcls", *where)
        if any(a["SubnetId"] in endpoint["SubnetIds"] for a in row["Associations"])
    )
    entry = next(e for e in acl["Entries"] if "PortRange" in e)
    ports = entry["PortRange"]
    return {
        "networkAclId": acl["NetworkAclId"],
        "ruleNumber": entry["RuleNumber"],
        "egress": entry["Egress"],
        "ruleAction": entry["RuleAction"],
        "icmpTypeCode": {},
        "portRange": {"from": ports["From"], "to": ports["To"]},
        "aclProtocol": entry["Protocol"],
        "cidrBlock": entry["CidrBlock"],
    }


def _clients_table(world: World, where: Where, endpoint: Row) -> str:
    """Return the route table of the VPC's that is not the endpoint's, nor the main one."""
    return next(
        str(row["RouteTableId"])
        for row in world.table("RouteTables", *where)
        if row["VpcId"] == endpoint["VpcId"]
        and row["RouteTableId"] not in endpoint["RouteTableIds"]
        and not row["Associations"][0]["Main"]
    )
