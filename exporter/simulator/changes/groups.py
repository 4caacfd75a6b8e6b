"""Rules of security groups come and go.

https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_AuthorizeSecurityGroupIngress.html
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator

from exporter.simulator import groups
from exporter.simulator.changes.blocks import canonical
from exporter.simulator.changes.outcome import Outcome, lowered, missing, named, returned
from exporter.simulator.state import Row, Where, World
from exporter.simulator.wire import AwsError

# AWS's default quota, inbound and outbound apart.
MOST = 60
_LISTS = ("UserIdGroupPairs", "IpRanges", "Ipv6Ranges", "PrefixListIds")
_NAMES = {"6": "tcp", "17": "udp", "1": "icmp", "58": "icmpv6"}


def authorize_ingress(world: World, where: Where, request: Row) -> Outcome:
    """Add the inbound rules of a request to a group; raises AwsError for one that it has."""
    return _authorize(world, where, request, egress=False)


def authorize_egress(world: World, where: Where, request: Row) -> Outcome:
    """Add the outbound rules of a request to a group; raises AwsError for one that it has."""
    return _authorize(world, where, request, egress=True)


def revoke_ingress(world: World, where: Where, request: Row) -> Outcome:
    """Take inbound rules out of a group, by their ids or by what they say; raises AwsError."""
    return _revoke(world, where, request, egress=False)


def revoke_egress(world: World, where: Where, request: Row) -> Outcome:
    """Take outbound rules out of a group, by their ids or by what they say; raises AwsError."""
    return _revoke(world, where, request, egress=True)


def _authorize(world: World, where: Where, request: Row, *, egress: bool) -> Outcome:
    group = _group(world, where, request.get("GroupId"))
    own = _rules(world, where, group, egress)
    wanted = [_checked(world, where, group, rule) for rule in _requested(request)]
    if not wanted:
        raise AwsError("MissingParameter", "The request must contain the parameter ipPermissions")
    for rule in wanted:
        if any(groups.same(rule, r) for r in own):
            raise AwsError(
                "InvalidPermission.Duplicate", "the specified rule already exists for the group"
            )
    if len(own) + len(wanted) > MOST:
        raise AwsError(
            "RulesPerSecurityGroupLimitExceeded",
            "The maximum number of rules per security group has been reached.",
        )
    added = [
        {
            "SecurityGroupRuleId": f"sgr-{uuid.uuid4().hex[:17]}",
            "GroupId": group["GroupId"],
            "GroupOwnerId": group["OwnerId"],
            "IsEgress": egress,
            **rule,
        }
        for rule in wanted
    ]
    world.table("SecurityGroupRules", *where).extend(added)
    told = {**returned(), "securityGroupRuleSet": {"items": lowered(added)}}
    answer = {"Return": True, "SecurityGroupRules": added}
    return Outcome(answer, told, named(SecurityGroup=group["GroupId"]))


def _revoke(world: World, where: Where, request: Row, *, egress: bool) -> Outcome:
    group = _group(world, where, request.get("GroupId"))
    own = _rules(world, where, group, egress)
    gone = []
    for name in request.get("SecurityGroupRuleIds", ()):
        gone += _one(own, _by_id(name), f"The security group rule ID '{name}' does not exist")
    for wanted in _requested(request):
        gone += _one(own, _like(wanted), "The specified rule does not exist in this security group")
    rules = world.table("SecurityGroupRules", *where)
    for rule in gone:
        rules.remove(rule)
    told = {**returned(), "revokedSecurityGroupRuleSet": {"items": lowered(gone)}}
    revoked = [
        {**r, "ReferencedGroupId": r.get("ReferencedGroupInfo", {}).get("GroupId")} for r in gone
    ]
    answer = {"Return": True, "RevokedSecurityGroupRules": revoked}
    return Outcome(answer, told, named(SecurityGroup=group["GroupId"]))


def _rules(world: World, where: Where, group: Row, egress: bool) -> list[Row]:
    return [
        r
        for r in world.table("SecurityGroupRules", *where)
        if r["GroupId"] == group["GroupId"] and r["IsEgress"] == egress
    ]


def _by_id(name: str) -> Callable[[Row], bool]:
    return lambda rule: bool(rule["SecurityGroupRuleId"] == name)


def _like(wanted: Row) -> Callable[[Row], bool]:
    return lambda rule: groups.same(rule, wanted)


def _one(rules: list[Row], is_it: Callable[[Row], bool], why: str) -> list[Row]:
    found = [rule for rule in rules if is_it(rule)]
    if not found:
        raise AwsError("InvalidPermission.NotFound", why)
    return found


def _group(world: World, where: Where, group_id: str | None) -> Row:
    for row in world.tables.get(where, {}).get("SecurityGroups", ()):
        if row["GroupId"] == group_id:
            return row
    raise AwsError("InvalidGroup.NotFound", f"The security group '{group_id}' does not exist")


def _permissions(request: Row) -> list[Row]:
    """Return what a request names, in its list or by its older single parameters."""
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
    return permissions


def _requested(request: Row) -> Iterator[Row]:
    for permission in _permissions(request):
        protocol = _NAMES.get(permission["IpProtocol"], permission["IpProtocol"])
        for rule in groups.rules_of({**permission, "IpProtocol": protocol}):
            yield _canonical(rule)


def _canonical(rule: Row) -> Row:
    """Return a rule with its block as AWS keeps it: without the bits of a host."""
    for key in ("CidrIpv4", "CidrIpv6"):
        if key in rule:
            return {**rule, key: canonical(rule[key], 4 if key == "CidrIpv4" else 6)}
    return rule


def _checked(world: World, where: Where, group: Row, rule: Row) -> Row:
    """Return a rule as it is kept; raises AwsError for what AWS would not take."""
    if rule["IpProtocol"] in ("tcp", "udp"):
        first, last = rule["FromPort"], rule["ToPort"]
        if not 0 <= first <= 65535 or not 0 <= last <= 65535:
            raise AwsError("InvalidParameterValue", f"Invalid port range: {first}-{last}")
        if first > last:
            raise AwsError(
                "InvalidParameterValue", f"from port ({first}) is larger than to port ({last})"
            )
    if "PrefixListId" in rule:
        lists = world.table("ManagedPrefixLists", *where)
        if all(row["PrefixListId"] != rule["PrefixListId"] for row in lists):
            raise missing("InvalidPrefixListID", rule["PrefixListId"])
    if "ReferencedGroupInfo" not in rule:
        return rule
    # Without peering, a group of another VPC does not exist for this one.
    other = _group(world, where, rule["ReferencedGroupInfo"]["GroupId"])
    if other["VpcId"] != group["VpcId"]:
        raise AwsError(
            "InvalidGroup.NotFound",
            f"You have specified two resources that belong to different networks: "
            f"{group['GroupId']} and {other['GroupId']}",
        )
    info = {"UserId": other["OwnerId"], **rule["ReferencedGroupInfo"]}
    return {**rule, "ReferencedGroupInfo": info}


def asked(name: str, request: Row) -> Row:
    """Return a request as CloudTrail has it."""
    found: Row = {"groupId": request.get("GroupId")}
    ids = request.get("SecurityGroupRuleIds")
    if ids:
        rules = [{"securityGroupRuleId": i} for i in ids]
        return {**found, "securityGroupRuleIds": {"items": rules}}
    permissions = [_asked(p) for p in _permissions(request)]
    return {**found, "ipPermissions": {"items": permissions} if permissions else {}}


def _asked(permission: Row) -> Row:
    """Return a permission with its lists as items, empty ones as {}."""

    def items(member: str) -> Row:
        rows = lowered(permission.get(member, []))
        return {"items": rows} if rows else {}

    groups_, *others = (items(member) for member in _LISTS)
    ports = {
        k[:1].lower() + k[1:]: permission[k] for k in ("FromPort", "ToPort") if k in permission
    }
    keys = ("ipRanges", "ipv6Ranges", "prefixListIds")
    return {
        "ipProtocol": permission["IpProtocol"],
        **ports,
        "groups": groups_,
        **dict(zip(keys, others, strict=True)),
    }
