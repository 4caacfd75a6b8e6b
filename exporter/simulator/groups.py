"""Security groups: the rules are the truth, what a group permits is derived from them.

https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_SecurityGroupRule.html
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

from exporter.simulator.state import Row, Where, World


def security_groups(world: World, where: Where, request: Row) -> list[Row]:
    """Return the rows of DescribeSecurityGroups, with their permissions in both directions."""
    tables = world.tables.get(where, {})
    rules: dict[str, list[Row]] = defaultdict(list)
    for rule in tables.get("SecurityGroupRules", ()):
        rules[rule["GroupId"]].append(rule)
    names = request.get("GroupNames")
    return [
        {
            **group,
            "IpPermissions": permissions(r for r in rules[group["GroupId"]] if not r["IsEgress"]),
            "IpPermissionsEgress": permissions(r for r in rules[group["GroupId"]] if r["IsEgress"]),
        }
        for group in tables.get("SecurityGroups", ())
        if not names or group["GroupName"] in names
    ]


def permissions(rules: Iterable[Row]) -> list[Row]:
    """Return rules as IpPermissions: those of one protocol and port range are one permission."""
    found: dict[tuple[str, int | None, int | None], Row] = {}
    for rule in rules:
        protocol = rule["IpProtocol"]
        ports = (None, None) if protocol == "-1" else (rule["FromPort"], rule["ToPort"])
        permission = found.get((protocol, *ports))
        if permission is None:
            permission = found[(protocol, *ports)] = {
                "IpProtocol": protocol,
                **({} if ports[0] is None else {"FromPort": ports[0], "ToPort": ports[1]}),
                "IpRanges": [],
                "Ipv6Ranges": [],
                "PrefixListIds": [],
                "UserIdGroupPairs": [],
            }
        member, peer = _peer(rule)
        permission[member].append(peer)
    return list(found.values())


def rules_of(permission: Row) -> Iterator[Row]:
    """Return the rules that a permission of a request stands for, yet without ids and group."""
    common = {
        "IpProtocol": permission["IpProtocol"],
        # EC2 answers -1 for both where the protocol has no ports.
        "FromPort": permission.get("FromPort", -1),
        "ToPort": permission.get("ToPort", -1),
    }
    if permission["IpProtocol"] == "-1":
        common |= {"FromPort": -1, "ToPort": -1}
    members = (
        ("IpRanges", "CidrIp", "CidrIpv4"),
        ("Ipv6Ranges", "CidrIpv6", "CidrIpv6"),
        ("PrefixListIds", "PrefixListId", "PrefixListId"),
    )
    for member, key, rule_key in members:
        for peer in permission.get(member, ()):
            yield {**common, rule_key: peer[key], **_description(peer)}
    for pair in permission.get("UserIdGroupPairs", ()):
        info = {k: pair[k] for k in ("GroupId", "UserId") if k in pair}
        yield {**common, "ReferencedGroupInfo": info, **_description(pair)}


def same(one: Row, other: Row) -> bool:
    """Whether two rules of a group say the same; descriptions and ids do not matter."""
    keys = ("IpProtocol", "FromPort", "ToPort", "CidrIpv4", "CidrIpv6", "PrefixListId")
    referenced = [r.get("ReferencedGroupInfo", {}).get("GroupId") for r in (one, other)]
    return all(one.get(k) == other.get(k) for k in keys) and referenced[0] == referenced[1]


def _peer(rule: Row) -> tuple[str, Row]:
    """Return where a rule's peer stands in a permission, and as what."""
    if "CidrIpv4" in rule:
        return "IpRanges", {"CidrIp": rule["CidrIpv4"], **_description(rule)}
    if "CidrIpv6" in rule:
        return "Ipv6Ranges", {"CidrIpv6": rule["CidrIpv6"], **_description(rule)}
    if "PrefixListId" in rule:
        return "PrefixListIds", {"PrefixListId": rule["PrefixListId"], **_description(rule)}
    return "UserIdGroupPairs", {**rule["ReferencedGroupInfo"], **_description(rule)}


def _description(row: Row) -> Row:
    return {"Description": row["Description"]} if "Description" in row else {}
