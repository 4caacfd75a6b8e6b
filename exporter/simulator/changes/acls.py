"""Entries of network ACLs come, are replaced, and go.

https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateNetworkAclEntry.html
"""

from __future__ import annotations

from exporter.simulator.changes.blocks import canonical
from exporter.simulator.changes.outcome import Outcome, done, lowered, one_of
from exporter.simulator.state import Row, Where, World
from exporter.simulator.wire import AwsError

# AWS's default quota, inbound and outbound apart; the last one, which denies, is AWS's own.
MOST = 20
LAST = 32767
_PORTS = ("6", "17")
_ICMP = ("1", "58")


def create(world: World, where: Where, request: Row) -> Outcome:
    """Add an entry; raises AwsError where its number is taken."""
    acl, entry = _acl(world, where, request), _entry(request)
    if _found(acl, entry) is not None:
        raise AwsError(
            "NetworkAclEntryAlreadyExists",
            f"The network acl entry identified by {entry['RuleNumber']} already exists.",
        )
    beside = [e for e in acl["Entries"] if e["Egress"] == entry["Egress"]]
    if sum(e["RuleNumber"] != LAST for e in beside) >= MOST:
        raise AwsError(
            "NetworkAclEntryLimitExceeded",
            "The maximum number of network acl entries has been reached.",
        )
    acl["Entries"].append(entry)
    return done(NetworkAcl=acl["NetworkAclId"])


def replace(world: World, where: Where, request: Row) -> Outcome:
    """Put another entry in the place of one; raises AwsError without one."""
    acl, entry = _acl(world, where, request), _entry(request)
    acl["Entries"][acl["Entries"].index(_existing(acl, entry))] = entry
    return done(NetworkAcl=acl["NetworkAclId"])


def delete(world: World, where: Where, request: Row) -> Outcome:
    """Take an entry out; raises AwsError without one."""
    acl = _acl(world, where, request)
    _number(request)
    acl["Entries"].remove(_existing(acl, request))
    return done(NetworkAcl=acl["NetworkAclId"])


def _acl(world: World, where: Where, request: Row) -> Row:
    acls = world.tables.get(where, {}).get("NetworkAcls", ())
    return one_of(acls, "NetworkAclId", request["NetworkAclId"], "InvalidNetworkAclID")


def _found(acl: Row, like: Row) -> Row | None:
    for entry in acl["Entries"]:
        if (entry["RuleNumber"], entry["Egress"]) == (like["RuleNumber"], like["Egress"]):
            found: Row = entry
            return found
    return None


def _existing(acl: Row, like: Row) -> Row:
    found = _found(acl, like)
    if found is None:
        raise AwsError(
            "InvalidNetworkAclEntry.NotFound",
            f"The network acl entry identified by {like['RuleNumber']} does not exist.",
        )
    return found


def _number(request: Row) -> None:
    if not 1 <= request["RuleNumber"] < LAST:
        raise AwsError(
            "InvalidParameterValue",
            f"Value ({request['RuleNumber']}) for parameter ruleNumber is invalid. It must be "
            f"between 1 and {LAST - 1}.",
        )


def _entry(request: Row) -> Row:
    """Return the entry that a request describes; raises AwsError for what AWS would not take."""
    _number(request)
    blocks = [key for key in ("CidrBlock", "Ipv6CidrBlock") if request.get(key)]
    if len(blocks) != 1:
        code = "InvalidParameterCombination" if blocks else "MissingParameter"
        raise AwsError(code, "Either cidrBlock or ipv6CidrBlock must be specified.")
    if request["RuleAction"] not in ("allow", "deny"):
        raise AwsError("InvalidParameterValue", f"Invalid rule action: {request['RuleAction']}")
    protocol, ports = str(request["Protocol"]), request.get("PortRange") or {}
    number = protocol.removeprefix("-").isdecimal() and -1 <= int(protocol) <= 255
    if not number:
        raise AwsError("InvalidParameterValue", f"Invalid value '{protocol}' for IP protocol.")
    if protocol in _PORTS and not ports:
        raise AwsError("MissingParameter", "The request must contain the parameter portRange")
    if protocol in _ICMP and not request.get("IcmpTypeCode"):
        raise AwsError("MissingParameter", "The request must contain the parameter icmpTypeCode")
    if protocol in _PORTS and not 0 <= ports["From"] <= ports["To"] <= 65535:
        raise AwsError("InvalidParameterValue", f"Invalid TCP/UDP port range: {ports}")
    return {
        "RuleNumber": request["RuleNumber"],
        "RuleAction": request["RuleAction"],
        "Protocol": protocol,
        "Egress": request["Egress"],
        blocks[0]: canonical(request[blocks[0]], 4 if blocks[0] == "CidrBlock" else 6),
        **({"PortRange": ports} if protocol in _PORTS else {}),
        **({"IcmpTypeCode": request["IcmpTypeCode"]} if protocol in _ICMP else {}),
    }


def asked(name: str, request: Row) -> Row:
    """Return a request as CloudTrail has it."""
    found: Row = lowered(request)
    if "protocol" in found:
        found["aclProtocol"] = found.pop("protocol")
        found.setdefault("icmpTypeCode", {})
        found.setdefault("portRange", {})
    return found
