"""The calls that change the world. CloudTrail records each, also those that are refused.

A module for each subject; here is which operation is whose.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from exporter.simulator import trail
from exporter.simulator.changes import (
    acls,
    balancers,
    connections,
    endpoints,
    flow_logs,
    groups,
    listeners,
    providers,
    routes,
    targets,
    vpcs,
)
from exporter.simulator.changes.outcome import Outcome, asked_elb, asked_flat, asked_nested
from exporter.simulator.state import Row, Where, World
from exporter.simulator.wire import AwsError


class _Operation(NamedTuple):
    """What a call does, and how CloudTrail writes what was asked."""

    act: Callable[[World, Where, Row], Outcome]
    asked: Callable[[str, Row], Row]


EC2: Mapping[str, _Operation] = {
    "AcceptVpcEndpointConnections": _Operation(connections.accept, asked_nested),
    "RejectVpcEndpointConnections": _Operation(connections.reject, asked_nested),
    "AuthorizeSecurityGroupIngress": _Operation(groups.authorize_ingress, groups.asked),
    "AuthorizeSecurityGroupEgress": _Operation(groups.authorize_egress, groups.asked),
    "RevokeSecurityGroupIngress": _Operation(groups.revoke_ingress, groups.asked),
    "RevokeSecurityGroupEgress": _Operation(groups.revoke_egress, groups.asked),
    "CreateNetworkAclEntry": _Operation(acls.create, acls.asked),
    "ReplaceNetworkAclEntry": _Operation(acls.replace, acls.asked),
    "DeleteNetworkAclEntry": _Operation(acls.delete, acls.asked),
    "CreateRoute": _Operation(routes.create, asked_flat),
    "ReplaceRoute": _Operation(routes.replace, asked_flat),
    "DeleteRoute": _Operation(routes.delete, asked_flat),
    "ModifyVpcAttribute": _Operation(vpcs.modify, asked_flat),
    "ModifyVpcEndpoint": _Operation(endpoints.modify, asked_nested),
    "DeleteVpcEndpoints": _Operation(endpoints.delete, asked_nested),
    "CreateFlowLogs": _Operation(flow_logs.create, asked_nested),
    "DeleteFlowLogs": _Operation(flow_logs.delete, asked_nested),
    "StartVpcEndpointServicePrivateDnsVerification": _Operation(providers.verify, asked_nested),
    "ModifyVpcEndpointServiceConfiguration": _Operation(providers.modify, asked_nested),
}
ELB: Mapping[str, _Operation] = {
    "CreateListener": _Operation(listeners.create, asked_elb),
    "DeleteListener": _Operation(listeners.delete, asked_elb),
    "ModifyLoadBalancerAttributes": _Operation(balancers.modify, asked_elb),
    "SetSecurityGroups": _Operation(balancers.set_groups, asked_elb),
    "ModifyTargetGroupAttributes": _Operation(targets.modify, asked_elb),
    "RegisterTargets": _Operation(targets.register, asked_elb),
    "DeregisterTargets": _Operation(targets.deregister, asked_elb),
}


def change(
    world: World, where: Where, name: str, request: Row, actor: trail.Actor = trail.DEPLOY
) -> Row:
    """Return what AWS answers; raises AwsError. The caller holds the world's lock."""
    ec2 = name in EC2
    operation = EC2[name] if ec2 else ELB[name]
    source = trail.EC2 if ec2 else trail.ELB
    told = operation.asked(name, request)
    try:
        outcome = operation.act(world, where, request)
    except AwsError as error:
        code = f"Client.{error.code}" if ec2 else error.code
        said = (code, error.message)
        trail.record(world, where, name, told, actor=actor, source=source, error=said)
        raise
    trail.record(
        world,
        where,
        name,
        told,
        outcome.told,
        actor=actor,
        source=source,
        resources=outcome.resources,
    )
    return outcome.answer
