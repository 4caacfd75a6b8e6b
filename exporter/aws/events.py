"""The form of a CloudTrail event: what is watched, and its members in one spelling.

Requests are recorded as each service's own protocol spells them: `items`, `item`, tagged contents,
a request nested in a member of its name, capitals or none. Here all of them become plain lists and
members in small letters. Whatever else an event is made of, nothing here raises.
https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-record-contents.html
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

Folded: TypeAlias = Any

EC2 = "ec2.amazonaws.com"
ELB = "elasticloadbalancing.amazonaws.com"
ROUTE53 = "route53.amazonaws.com"

# What is watched, by the service that records it: others have operations of the same names.
EVENTS: Mapping[str, frozenset[str]] = {
    EC2: frozenset(
        [
            *("CreateVpcEndpoint", "ModifyVpcEndpoint", "DeleteVpcEndpoints"),
            "CreateVpcEndpointServiceConfiguration",
            "ModifyVpcEndpointServiceConfiguration",
            "DeleteVpcEndpointServiceConfigurations",
            "ModifyVpcEndpointServicePermissions",
            *("AcceptVpcEndpointConnections", "RejectVpcEndpointConnections"),
            "StartVpcEndpointServicePrivateDnsVerification",
            *("CreateFlowLogs", "DeleteFlowLogs"),
            *("AuthorizeSecurityGroupIngress", "AuthorizeSecurityGroupEgress"),
            *("RevokeSecurityGroupIngress", "RevokeSecurityGroupEgress"),
            "ModifySecurityGroupRules",
            *("CreateNetworkAclEntry", "ReplaceNetworkAclEntry", "DeleteNetworkAclEntry"),
            "ReplaceNetworkAclAssociation",
            *("CreateRoute", "ReplaceRoute", "DeleteRoute"),
            *("AssociateRouteTable", "DisassociateRouteTable", "ReplaceRouteTableAssociation"),
            *("ModifyVpcAttribute", "AssociateDhcpOptions"),
            *("ModifyNetworkInterfaceAttribute", "ModifyManagedPrefixList"),
        ]
    ),
    ELB: frozenset(
        [
            *("SetSecurityGroups", "SetSubnets"),
            *("ModifyLoadBalancerAttributes", "ModifyTargetGroupAttributes"),
            *("CreateListener", "ModifyListener", "DeleteListener"),
            *("RegisterTargets", "DeregisterTargets", "DeleteLoadBalancer"),
        ]
    ),
    ROUTE53: frozenset(
        [
            "ChangeResourceRecordSets",
            "AssociateVPCWithHostedZone",
            "DisassociateVPCFromHostedZone",
        ]
    ),
}

# What nobody's request needs; beyond it nothing is looked at.
_DEEPEST, _MOST, _LONGEST = 12, 5000, 2048
_KINDS = (
    "vpce-svc|vpce-con|vpce-rsc|vpce|vpc|sgr|sg|aclassoc|acl|rtbassoc|rtb|subnet|eni|pl|fl|pcx|"
    "tgw-attach|tgw-rtb|tgw|igw|eigw|nat|vgw|lgw|cagw|dopt|rslvr-in|rslvr-out|i"
)
_ID = re.compile(rf"(?<![A-Za-z0-9_-])(?:{_KINDS})-[0-9a-f]{{3,32}}(?![A-Za-z0-9_-])")
_ELB_ARN = re.compile(r"arn:[a-z-]+:elasticloadbalancing:[a-z0-9-]+:\d{12}:[A-Za-z0-9/._-]{3,256}")
_ZONE = re.compile(r"(?:/hostedzone/)?(Z[A-Z0-9]{5,31})")
_SERVICE = re.compile(r"(?:com\.amazonaws|cn\.com\.amazonaws|aws)\.[a-z0-9.-]{3,200}")
_NAME = re.compile(r"[a-z0-9_*-]{1,63}(?:\.[a-z0-9_-]{1,63})+")
# Texts that may say anything, of other things too.
_TALK = frozenset(
    [
        *("policydocument", "description", "clienttoken", "logformat", "userdata"),
        *("tagspecification", "tagspecifications", "tagspecificationset", "tagset", "tags"),
        *("tagspecificationsset", "errormessage", "comment", "requestid", "xmlns"),
    ]
)


def watched(source: object, name: object) -> bool:
    """Whether events of that service and operation are of interest."""
    return isinstance(source, str) and isinstance(name, str) and name in EVENTS.get(source, ())


def clean(text: object, longest: int = 200) -> str:
    """Return a text in one line, without control characters, at most so long; others as nothing.

    Those that turn the direction of writing go too.
    """
    if isinstance(text, bool) or not isinstance(text, str | int | float):
        return ""
    kept = "".join(
        c if unicodedata.category(c)[0] != "C" else " " for c in str(text)[: 4 * longest]
    )
    line = " ".join(kept.split())
    return line if len(line) <= longest else f"{line[: longest - 1]}…"


def fold(value: object) -> Folded:
    """Return a request or an answer in one spelling: see above."""
    left = [_MOST]
    folded = _fold(value, _DEEPEST, left)
    if isinstance(folded, dict):
        for name, inner in folded.items():
            if name.endswith(("request", "response")) and isinstance(inner, dict):
                return inner
    return folded if isinstance(folded, dict) else {}


def _fold(value: object, depth: int, left: list[int]) -> Folded:
    left[0] -= 1
    if depth <= 0 or left[0] <= 0:
        return None
    if isinstance(value, dict):
        names = {str(name).lower() for name in value}
        if names in ({"items"}, {"item"}, {"member"}):
            (inner,) = value.values()
            return _list(inner, depth, left)
        if "content" in names and names <= {"content", "tag"}:
            return next(
                _fold(v, depth - 1, left) for k, v in value.items() if str(k).lower() == "content"
            )
        return {
            str(name).lower()[:100]: _fold(inner, depth - 1, left)
            for name, inner in value.items()
            if left[0] > 0
        }
    if isinstance(value, list):
        return _list(value, depth, left)
    if isinstance(value, str):
        return value[:_LONGEST]
    return value if isinstance(value, bool | int | float) else None


def _list(value: object, depth: int, left: list[int]) -> Folded:
    several = value if isinstance(value, list) else [value]
    return [_fold(inner, depth - 1, left) for inner in several if left[0] > 0]


def listed(value: Folded) -> list[Folded]:
    """Return a member that may be one or several as a list; nothing and {} are none."""
    if isinstance(value, list):
        return [inner for inner in value if inner not in (None, {}, "")]
    return [] if value in (None, {}, "") else [value]


def member(value: Folded, *names: str) -> Folded:
    """Return the first of these members that is there; None where none is, or in what has none."""
    if not isinstance(value, dict):
        return None
    return next((value[name] for name in names if value.get(name) is not None), None)


def named(value: Folded, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield the ids, ARNs and DNS names in it, each with the members that lead there."""
    if isinstance(value, dict):
        for name, inner in value.items():
            if name not in _TALK:
                yield from named(inner, (*path, name))
    elif isinstance(value, list):
        for inner in value:
            yield from named(inner, path)
    elif isinstance(value, str):
        for found in _named(value, path[-1] if path else ""):
            yield path, found


def _named(text: str, key: str) -> Iterator[str]:
    arn = _ELB_ARN.fullmatch(text)
    if arn:
        yield text
        yield from _parents(text)
        return
    yield from _ID.findall(text)
    if key in ("hostedzoneid", "id") and (zone := _ZONE.fullmatch(text)):
        yield zone[1]
    if key == "servicename" and _SERVICE.fullmatch(text):
        yield text
    if key in ("name", "privatednsname"):
        name = text.lower().rstrip(".").replace("\\052", "*")
        if _NAME.fullmatch(name):
            yield name


def _parents(arn: str) -> Iterator[str]:
    """Yield the load balancer of a listener, and the listener of a rule."""
    kind, _, rest = arn.rpartition(":")[2].partition("/")
    head = arn.rpartition(":")[0]
    parts = rest.split("/")
    if kind == "listener-rule" and len(parts) > 4:
        yield f"{head}:listener/{'/'.join(parts[:4])}"
    if kind in ("listener", "listener-rule") and len(parts) > 3:
        yield f"{head}:loadbalancer/{'/'.join(parts[:3])}"
