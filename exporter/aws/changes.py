"""An event of CloudTrail's → a Change. It is foreign input: whatever it is, nothing here raises."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from exporter.aws.actors import actor
from exporter.aws.errors import outcome_of
from exporter.aws.events import Folded, clean, fold, listed, member, named, watched
from exporter.aws.wording import what
from exporter.model import Change, ChangeOutcome, Scope

# By event the members that name what it acts on. Others name all of what they act on.
_ACTS_ON: Mapping[str, frozenset[str]] = {
    **dict.fromkeys(
        ["CreateVpcEndpoint", "ModifyVpcEndpoint", "DeleteVpcEndpoints"],
        frozenset(["vpcendpointid", "vpcendpointids"]),
    ),
    **dict.fromkeys(
        [
            "CreateVpcEndpointServiceConfiguration",
            "ModifyVpcEndpointServiceConfiguration",
            "DeleteVpcEndpointServiceConfigurations",
            "ModifyVpcEndpointServicePermissions",
        ],
        frozenset(["serviceid", "serviceids"]),
    ),
    **dict.fromkeys(
        [
            "AuthorizeSecurityGroupIngress",
            "AuthorizeSecurityGroupEgress",
            "RevokeSecurityGroupIngress",
            "RevokeSecurityGroupEgress",
            "ModifySecurityGroupRules",
        ],
        frozenset(["groupid", "securitygroupruleid", "securitygroupruleids"]),
    ),
    **dict.fromkeys(
        ["CreateRoute", "ReplaceRoute", "DeleteRoute"],
        frozenset(["routetableid"]),
    ),
    "AssociateDhcpOptions": frozenset(["vpcid"]),
    "ModifyNetworkInterfaceAttribute": frozenset(["networkinterfaceid"]),
    "ModifyManagedPrefixList": frozenset(["prefixlistid"]),
    **dict.fromkeys(
        ["SetSecurityGroups", "SetSubnets", "ModifyLoadBalancerAttributes", "DeleteLoadBalancer"],
        frozenset(["loadbalancerarn"]),
    ),
    **dict.fromkeys(
        ["CreateListener", "ModifyListener", "DeleteListener"],
        frozenset(["loadbalancerarn", "listenerarn"]),
    ),
    **dict.fromkeys(
        ["RegisterTargets", "DeregisterTargets", "ModifyTargetGroupAttributes"],
        frozenset(["targetgrouparn"]),
    ),
}
# In these a rule names the other side, or a listener where it forwards.
_OTHER_SIDE = frozenset(["ippermissions", "referencedgroupinfo", "groups", "defaultactions"])


def translate(text: object, scope: Scope) -> Change | None:
    """Return the change that an event, as JSON, tells of; None where it is none that is watched.

    `scope` is where it was found.
    """
    try:
        return change(json.loads(text), scope)  # type: ignore[arg-type]  # checked by itself
    except (TypeError, ValueError, RecursionError):
        return None


def scope_of(event: object) -> Scope | None:
    """Return the account and Region that an event was recorded in; None where it does not say."""
    if not isinstance(event, dict):
        return None
    account, region = event.get("recipientAccountId"), event.get("awsRegion")
    if not (isinstance(account, str) and isinstance(region, str)):
        return None
    return Scope(account, region)


def change(event: Any, scope: Scope) -> Change | None:
    """Return the change that an event tells of; None where it is none that is watched."""
    if not isinstance(event, dict):
        return None
    source, name, id_ = event.get("eventSource"), event.get("eventName"), event.get("eventID")
    at = _moment(event.get("eventTime"))
    if not (isinstance(source, str) and isinstance(name, str) and watched(source, name)):
        return None
    if not isinstance(id_, str) or not 0 < len(id_) <= 100 or at is None:
        return None
    request, answer = fold(event.get("requestParameters")), fold(event.get("responseElements"))
    failed = _unsuccessful(answer)
    pairs = [
        (path, found)
        for path, found in (*named(request), *named(_successful(answer)))
        if found not in failed
    ]
    wanted = _ACTS_ON.get(name)
    subjects = frozenset(
        found
        for path, found in pairs
        if wanted is None or (wanted.intersection(path) and _OTHER_SIDE.isdisjoint(path))
    )
    error = clean(event.get("errorCode"), 100)
    if not error and failed and not _others(request, failed):
        error = next(iter(failed.values()))
    told = what(name, request, answer)
    return Change(
        clean(id_, 100),
        scope,
        at,
        name,
        source,
        actor(event.get("userIdentity")),
        clean(event.get("sourceIPAddress"), 100),
        _outcome(error),
        frozenset(found for _, found in pairs) or frozenset(failed),
        f"not done: {told}" if error else told,
        error,
        subjects,
    )


def _outcome(error: str) -> ChangeOutcome:
    if not error:
        return "ok"
    code = error.removeprefix("Client.").removeprefix("Server.")
    return "denied" if outcome_of(code) == "denied" else "error"


def _successful(answer: Folded) -> Folded:
    return {k: v for k, v in answer.items() if k != "unsuccessful"}


def _unsuccessful(answer: Folded) -> dict[str, str]:
    """Return what a call that took several ids could not do, by id: the code of its error."""
    found = {}
    for row in listed(member(answer, "unsuccessful")):
        resource, error = member(row, "resourceid"), member(row, "error")
        if isinstance(resource, str):
            found[resource] = clean(member(error, "code"), 100) or "Unsuccessful"
    return found


def _others(request: Folded, failed: Mapping[str, str]) -> bool:
    """Whether a call that took several ids of the kind that failed could do some of them."""
    kinds = {name.rpartition("-")[0] for name in failed}
    return any(
        found not in failed and found.rpartition("-")[0] in kinds for _, found in named(request)
    )


def _moment(text: object) -> float | None:
    if not isinstance(text, str):
        return None
    try:
        found = datetime.fromisoformat(text)
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None
