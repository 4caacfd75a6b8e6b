"""Endpoints are modified and deleted, with what that does to routes, interfaces and names.

https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ModifyVpcEndpoint.html
"""

from __future__ import annotations

import json

from exporter.simulator import names
from exporter.simulator.builder import ALLOW_ALL
from exporter.simulator.changes import gateways, placement
from exporter.simulator.changes.outcome import Outcome, named, nested, one_of, refused, refused_told
from exporter.simulator.offers import endpoint_services
from exporter.simulator.state import Row, Where, World
from exporter.simulator.wire import AwsError

_MODIFIABLE = ("available", "pendingAcceptance")
_GATEWAY = ("AddRouteTableIds", "RemoveRouteTableIds")
_INTERFACE = (
    "AddSubnetIds",
    "RemoveSubnetIds",
    "AddSecurityGroupIds",
    "RemoveSecurityGroupIds",
    "PrivateDnsEnabled",
)


def modify(world: World, where: Where, request: Row) -> Outcome:
    """Change an endpoint; raises AwsError, with nothing changed, for what AWS would not take."""
    rows = world.tables.get(where, {}).get("VpcEndpoints", ())
    endpoint = one_of(rows, "VpcEndpointId", request["VpcEndpointId"], "InvalidVpcEndpointId")
    _may(where, endpoint)
    kind = endpoint["VpcEndpointType"]
    for key in (*_GATEWAY, *_INTERFACE):
        if key in request and (kind == "Gateway") != (key in _GATEWAY):
            raise invalid(f"{key} is not supported for VPC endpoints of the type {kind}.")
    policy = _policy(world, where, endpoint, request)
    private = _private_name(world, where, endpoint, request)
    if kind == "Gateway":
        gateways.check(world, where, endpoint, request)
        gateways.apply(world, where, endpoint, request)
    else:
        placement.check(world, where, endpoint, request)
        placement.apply(world, where, endpoint, request)
    if policy is not None:
        endpoint["PolicyDocument"] = policy
    if "PrivateDnsEnabled" in request:
        endpoint["PrivateDnsEnabled"] = request["PrivateDnsEnabled"]
        endpoint["PrivateName"] = private
    names.name(world, endpoint)
    told = nested("ModifyVpcEndpoint", **{"return": True})
    return Outcome({"Return": True}, told, named(VPCEndpoint=endpoint["VpcEndpointId"]))


def delete(world: World, where: Where, request: Row) -> Outcome:
    """Delete endpoints, with their interfaces, names, routes and connections."""
    known = {r["VpcEndpointId"]: r for r in world.tables.get(where, {}).get("VpcEndpoints", ())}
    unsuccessful = []
    for name in request["VpcEndpointIds"]:
        endpoint = known.get(name)
        if endpoint is None:
            why = f"The VpcEndpoint Id '{name}' does not exist"
            unsuccessful.append(refused(name, "InvalidVpcEndpointId.NotFound", why))
        elif endpoint["RequesterManaged"] or endpoint["OwnerId"] != where.account:
            why = f"Operation is not allowed for the VPC endpoint {name}"
            unsuccessful.append(refused(name, "OperationNotPermitted", why))
        else:
            _delete(world, endpoint)
    told = nested("DeleteVpcEndpoints", unsuccessful=refused_told(unsuccessful))
    gone = [("AWS::EC2::VPCEndpoint", name) for name in request["VpcEndpointIds"]]
    return Outcome({"Unsuccessful": unsuccessful}, told, gone)


def invalid(message: str) -> AwsError:
    """Return the error for parameters that do not fit the endpoint."""
    return AwsError("InvalidParameter", message)


def _may(where: Where, endpoint: Row) -> None:
    name = endpoint["VpcEndpointId"]
    if endpoint["RequesterManaged"] or endpoint["OwnerId"] != where.account:
        raise AwsError(
            "OperationNotPermitted", f"Operation is not allowed for the VPC endpoint {name}"
        )
    if endpoint["State"] not in _MODIFIABLE:
        raise AwsError("IncorrectState", f"The VPC endpoint {name} is {endpoint['State']}")


def _policy(world: World, where: Where, endpoint: Row, request: Row) -> str | None:
    """Return the policy that there is to be; None where it stays."""
    text: str | None = request.get("PolicyDocument")
    if text and request.get("ResetPolicy"):
        raise AwsError(
            "InvalidParameterCombination", "policyDocument and resetPolicy exclude each other."
        )
    if not text and not request.get("ResetPolicy"):
        return None
    offer = _offer(world, where, endpoint)
    if offer is not None and not offer["VpcEndpointPolicySupported"]:
        raise invalid(f"Endpoint policies are not supported by {endpoint['ServiceName']}.")
    if not text:
        return ALLOW_ALL
    try:
        statements = json.loads(text)["Statement"]
    except (ValueError, TypeError, KeyError):
        statements = None
    if not statements:
        raise AwsError("InvalidPolicyDocument", "The policy is not a valid policy document.")
    return text


def _private_name(world: World, where: Where, endpoint: Row, request: Row) -> str | None:
    """Return the private name that the endpoint is to have; raises AwsError where it cannot."""
    own: str | None = endpoint.get("PrivateName")
    if not request.get("PrivateDnsEnabled"):
        return own
    vpc_id = endpoint["VpcId"]
    vpc = world.row("Vpcs", "VpcId", vpc_id)
    if not names.private_names_work(vpc):
        raise invalid(
            "Enabling private DNS requires both enableDnsSupport and enableDnsHostnames VPC "
            f"attributes set to true for {vpc_id}"
        )
    offer = _offer(world, where, endpoint) or {}
    name = own or offer.get("PrivateDnsName")
    if name is None or offer.get("PrivateDnsNameVerificationState") != "verified":
        raise invalid(
            f"Private DNS can't be enabled because the service {endpoint['ServiceName']} does not "
            "provide a private DNS name."
        )
    for other in world.tables[where]["VpcEndpoints"]:
        if (
            other is not endpoint
            and other["VpcId"] == vpc_id
            and other["PrivateDnsEnabled"]
            and other.get("PrivateName") == name
        ):
            raise invalid(
                "private-dns-enabled cannot be set because there is already a conflicting DNS "
                f"domain for {name} in the VPC {vpc_id}"
            )
    return name


def _offer(world: World, where: Where, endpoint: Row) -> Row | None:
    """Return what the service's consumers see of it; None where it is not offered."""
    name = endpoint.get("ServiceName", "")
    asked = {"ServiceRegions": [endpoint.get("ServiceRegion") or where.region]}
    for row in endpoint_services(world, where, asked)["ServiceDetails"]:
        if (
            row["ServiceName"] == name
            and {"ServiceType": endpoint["VpcEndpointType"]} in (row["ServiceType"])
        ):
            found: Row = row
            return found
    return None


def _delete(world: World, endpoint: Row) -> None:
    """Take an endpoint out of every account that lists it."""
    name = endpoint["VpcEndpointId"]
    names.withdraw(world, endpoint)
    gateways.unroute(world, endpoint)
    gone = {*endpoint["NetworkInterfaceIds"]}
    for tables in world.tables.values():
        for table, key, ids in (
            ("VpcEndpoints", "VpcEndpointId", {name}),
            ("VpcEndpointConnections", "VpcEndpointId", {name}),
            ("VpcEndpointAssociations", "VpcEndpointId", {name}),
            ("NetworkInterfaces", "NetworkInterfaceId", gone),
        ):
            if table in tables:
                tables[table][:] = [row for row in tables[table] if row[key] not in ids]
    world.traffic[:] = [flow for flow in world.traffic if flow.endpoint_id != name]
