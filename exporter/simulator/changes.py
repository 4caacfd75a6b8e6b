"""The calls that change the world: accept, reject, authorize, revoke. CloudTrail records each.

The caller holds the world's lock.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable

from exporter.simulator import groups, trail
from exporter.simulator.state import Row, Where, World
from exporter.simulator.wire import AwsError

NAMESPACE = "http://ec2.amazonaws.com/doc/2016-11-15/"


def accept_connections(
    world: World, where: Where, request: Row, actor: trail.Actor = trail.DEPLOY
) -> Row:
    """Accept connections to a service that wait for it, on both sides."""
    return _decide(world, where, request, actor, "Accept", ("pendingAcceptance",), "available")


def reject_connections(
    world: World, where: Where, request: Row, actor: trail.Actor = trail.DEPLOY
) -> Row:
    """Reject connections to a service, also those that were accepted, on both sides."""
    states = ("pendingAcceptance", "available")
    return _decide(world, where, request, actor, "Reject", states, "rejected")


def _decide(
    world: World,
    where: Where,
    request: Row,
    actor: trail.Actor,
    verb: str,
    allowed: tuple[str, ...],
    state: str,
) -> Row:
    service, ids = request["ServiceId"], request["VpcEndpointIds"]
    tables = world.tables.get(where, {})
    if all(row["ServiceId"] != service for row in tables.get("ServiceConfigurations", ())):
        raise AwsError(
            "InvalidVpcEndpointServiceId.NotFound",
            f"The VpcEndpointService Id '{service}' does not exist",
        )
    connections = {
        row["VpcEndpointId"]: row
        for row in tables.get("VpcEndpointConnections", ())
        if row["ServiceId"] == service
    }
    unsuccessful = []
    for name in ids:
        connection = connections.get(name)
        if connection is None:
            unsuccessful.append(
                _refused(name, "InvalidVpcEndpointId.NotFound", "does not exist for this service")
            )
        elif connection["VpcEndpointState"] not in allowed:
            unsuccessful.append(_refused(name, "InvalidState", f"is not {' or '.join(allowed)}"))
        else:
            connection["VpcEndpointState"] = state
            _endpoint(world, name, state)
    what = f"{verb}VpcEndpointConnections"
    trail.record(
        world,
        where,
        what,
        # EC2's newer calls are recorded nested, and their lists as tagged contents.
        {
            f"{what}Request": {
                "ServiceId": service,
                "VpcEndpointId": [
                    {"tag": i, "content": name} for i, name in enumerate(ids, start=1)
                ],
            }
        },
        {
            f"{what}Response": {
                "xmlns": NAMESPACE,
                "requestId": str(uuid.uuid4()),
                "unsuccessful": {"item": unsuccessful} if unsuccessful else "",
            }
        },
        actor=actor,
        resources=[("AWS::EC2::VPCEndpointService", service)],
    )
    return {"Unsuccessful": unsuccessful}


def _refused(name: str, code: str, why: str) -> Row:
    message = f"The VPC endpoint '{name}' {why}"
    return {"Error": {"Code": code, "Message": message}, "ResourceId": name}


def _endpoint(world: World, name: str, state: str) -> None:
    """Let the consumer's side follow: its rows, in each account that lists it, and its names."""
    for tables in world.tables.values():
        for row in tables.get("VpcEndpoints", ()):
            if row["VpcEndpointId"] == name:
                row["State"] = state
                publish(world, row)


def publish(world: World, endpoint: Row) -> None:
    """Put an endpoint's names into DNS, or take them out, as its state has it."""
    names: dict[str, dict[str, list[str]]] = endpoint.get("Names", {})
    for view, answers in names.items():
        known = world.names.setdefault(view, {})
        for name, answer in answers.items():
            if endpoint["State"].lower() in ("pendingacceptance", "rejected"):
                known.pop(name, None)
            else:
                known[name] = answer


def authorize_ingress(
    world: World, where: Where, request: Row, actor: trail.Actor = trail.DEPLOY
) -> Row:
    """Add the rules of a request to a group; raises AwsError for one that it has."""
    group = _group(world, where, request)
    rules = world.table("SecurityGroupRules", *where)
    own = [r for r in rules if r["GroupId"] == group["GroupId"] and not r["IsEgress"]]
    wanted = _requested(request)
    for rule in wanted:
        if any(groups.same(rule, r) for r in own):
            raise AwsError(
                "InvalidPermission.Duplicate", "the specified rule already exists for the group"
            )
    added = [
        {
            "SecurityGroupRuleId": f"sgr-{uuid.uuid4().hex[:17]}",
            "GroupId": group["GroupId"],
            "GroupOwnerId": group["OwnerId"],
            "IsEgress": False,
            **rule,
        }
        for rule in wanted
    ]
    rules.extend(added)
    _recorded(world, where, "AuthorizeSecurityGroupIngress", request, added, actor)
    return {"Return": True, "SecurityGroupRules": added}


def revoke_ingress(
    world: World, where: Where, request: Row, actor: trail.Actor = trail.DEPLOY
) -> Row:
    """Take rules out of a group, by their ids or by what they say; raises AwsError."""
    group = _group(world, where, request)
    rules = world.table("SecurityGroupRules", *where)
    own = [r for r in rules if r["GroupId"] == group["GroupId"] and not r["IsEgress"]]
    gone = []
    for name in request.get("SecurityGroupRuleIds", ()):
        gone += _one(own, _by_id(name), f"The security group rule ID '{name}' does not exist")
    for wanted in _requested(request):
        gone += _one(own, _like(wanted), "The specified rule does not exist in this security group")
    for rule in gone:
        rules.remove(rule)
    _recorded(world, where, "RevokeSecurityGroupIngress", request, gone, actor)
    revoked = [
        {**r, "ReferencedGroupId": r.get("ReferencedGroupInfo", {}).get("GroupId")} for r in gone
    ]
    return {"Return": True, "RevokedSecurityGroupRules": revoked}


def _by_id(name: str) -> Callable[[Row], bool]:
    return lambda rule: bool(rule["SecurityGroupRuleId"] == name)


def _like(wanted: Row) -> Callable[[Row], bool]:
    return lambda rule: groups.same(rule, wanted)


def _one(rules: list[Row], is_it: Callable[[Row], bool], missing: str) -> list[Row]:
    found = [rule for rule in rules if is_it(rule)]
    if not found:
        raise AwsError("InvalidPermission.NotFound", missing)
    return found


def _group(world: World, where: Where, request: Row) -> Row:
    for row in world.tables.get(where, {}).get("SecurityGroups", ()):
        if row["GroupId"] == request.get("GroupId"):
            return row
    raise AwsError(
        "InvalidGroup.NotFound", f"The security group '{request.get('GroupId')}' does not exist"
    )


def _requested(request: Row) -> list[Row]:
    """Return the rules that a request names, in its list or by its older single parameters."""
    permissions = list(request.get("IpPermissions", ()))
    if "CidrIp" in request:
        permissions.append(
            {
                "IpProtocol": request["IpProtocol"],
                "FromPort": request.get("FromPort", -1),
                "ToPort": request.get("ToPort", -1),
                "IpRanges": [{"CidrIp": request["CidrIp"]}],
            }
        )
    return [rule for permission in permissions for rule in groups.rules_of(permission)]


def _recorded(
    world: World, where: Where, name: str, request: Row, rules: list[Row], actor: trail.Actor
) -> None:
    by_ids = request.get("SecurityGroupRuleIds")
    parameters = {
        "groupId": request["GroupId"],
        "ipPermissions": {"items": [_recorded_permission(p) for p in groups.permissions(rules)]},
    }
    if by_ids:
        ids = [{"securityGroupRuleId": i} for i in by_ids]
        parameters = {"groupId": request["GroupId"], "securityGroupRuleIds": {"items": ids}}
    key = "revokedSecurityGroupRuleSet" if name.startswith("Revoke") else "securityGroupRuleSet"
    response = {
        "requestId": str(uuid.uuid4()),
        "_return": True,
        key: {"items": [{k[:1].lower() + k[1:]: v for k, v in r.items()} for r in rules]},
    }
    trail.record(
        world,
        where,
        name,
        parameters,
        response,
        actor=actor,
        resources=[("AWS::EC2::SecurityGroup", request["GroupId"])],
    )


def _recorded_permission(permission: Row) -> Row:
    """Return a permission as CloudTrail writes it: lists as items, empty ones as {}."""

    def items(member: str) -> Row:
        rows = [{k[:1].lower() + k[1:]: v for k, v in row.items()} for row in permission[member]]
        return {"items": rows} if rows else {}

    ports = {
        k[:1].lower() + k[1:]: permission[k] for k in ("FromPort", "ToPort") if k in permission
    }
    return {
        "ipProtocol": permission["IpProtocol"],
        **ports,
        "groups": items("UserIdGroupPairs"),
        "ipRanges": items("IpRanges"),
        "ipv6Ranges": items("Ipv6Ranges"),
        "prefixListIds": items("PrefixListIds"),
    }
