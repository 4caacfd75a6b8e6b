"""Who changed what before something broke: evidence beside what a check found.

A change explains a fault when it touched what the check names, or else what belongs to the endpoint
or service, and is of a kind that can bring such a fault about.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Set
from dataclasses import replace
from datetime import UTC, datetime

from exporter.analysis.around import Around
from exporter.analysis.case import EndpointCase, ServiceCase, World
from exporter.model import Change, Endpoint, EndpointService, Finding

# Evidence names so many at most.
MOST = 3
# A record of a flow log begins some time before what it tells of, and clocks differ.
_SLACK = 120.0

_CREATED = frozenset(["CreateVpcEndpoint", "ModifyVpcEndpoint"])
_GROUPS = frozenset(
    [
        "RevokeSecurityGroupIngress",
        "RevokeSecurityGroupEgress",
        "ModifySecurityGroupRules",
        "ModifyNetworkInterfaceAttribute",
        "ModifyManagedPrefixList",
    ]
)
_ACLS = frozenset(
    [
        "CreateNetworkAclEntry",
        "ReplaceNetworkAclEntry",
        "DeleteNetworkAclEntry",
        "ReplaceNetworkAclAssociation",
    ]
)
_ROUTES = frozenset(
    [
        "CreateRoute",
        "ReplaceRoute",
        "DeleteRoute",
        "AssociateRouteTable",
        "DisassociateRouteTable",
        "ReplaceRouteTableAssociation",
        "ModifyManagedPrefixList",
        "ModifyVpcEndpoint",
    ]
)
_NAMES = frozenset(
    [
        "ModifyVpcAttribute",
        "AssociateDhcpOptions",
        "AssociateVPCWithHostedZone",
        "DisassociateVPCFromHostedZone",
        "ChangeResourceRecordSets",
    ]
)
_SERVICE = frozenset(
    [
        "CreateVpcEndpointServiceConfiguration",
        "ModifyVpcEndpointServiceConfiguration",
        "DeleteVpcEndpointServiceConfigurations",
    ]
)
_LISTENERS = frozenset(["ModifyListener", "DeleteListener", "DeleteLoadBalancer"])
_TARGETS = frozenset(["RegisterTargets", "DeregisterTargets", "ModifyTargetGroupAttributes"])
_BALANCER = frozenset(["SetSecurityGroups", "SetSubnets", "ModifyLoadBalancerAttributes"])

# By check, the events that can make it fail.
CAUSES: Mapping[str, Set[str]] = {
    "endpoint_state": _CREATED
    | _SERVICE
    | {
        "DeleteVpcEndpoints",
        "RejectVpcEndpointConnections",
        "ModifyVpcEndpointServicePermissions",
    },
    "private_dns": _CREATED | _NAMES | {"ModifyVpcEndpointServiceConfiguration"},
    "dns_resolution": _CREATED | _NAMES | {"ModifyVpcEndpointServiceConfiguration"},
    "security_group": _GROUPS | _CREATED,
    "network_acl": _ACLS,
    "route": _ROUTES,
    "availability_zones": _CREATED | _SERVICE | _TARGETS | _BALANCER,
    "endpoint_policy": _CREATED,
    "connectivity": _GROUPS | _ACLS | _ROUTES | _LISTENERS | _TARGETS | _BALANCER | _CREATED,
    "flow_rejects": _GROUPS | _ACLS | {"ModifyVpcEndpoint"},
    "flow_log_coverage": _CREATED | {"CreateFlowLogs", "DeleteFlowLogs"},
    "service_state": _SERVICE | {"DeleteLoadBalancer"},
    "service_private_dns": _SERVICE
    | {"ChangeResourceRecordSets", "StartVpcEndpointServicePrivateDnsVerification"},
    "acceptance": _SERVICE
    | {
        "CreateVpcEndpoint",
        "ModifyVpcEndpointServicePermissions",
        "RejectVpcEndpointConnections",
    },
    "nlb_listener": _LISTENERS | {"CreateListener", "ModifyVpcEndpointServiceConfiguration"},
    "nlb_targets": _TARGETS | _BALANCER | _GROUPS | _ACLS | {"ModifyListener"},
    "nlb_security_group": _GROUPS | {"SetSecurityGroups"},
    "target_security_group": _GROUPS | {"SetSecurityGroups", "ModifyTargetGroupAttributes"},
}
# What refused packets tell the beginning of.
_BEGUN_BY_REJECTS = frozenset(["security_group", "network_acl", "flow_rejects"])


def related(around: Around, endpoint: Endpoint) -> frozenset[str]:
    """Return the ids that concern an endpoint.

    Itself, its interfaces, subnets, VPC and groups, with the groups and prefix lists in their
    rules; the network ACLs and route tables of its subnets, its flow logs, service, private names.
    """
    return around.related.of_endpoint(endpoint)


def related_to_service(around: Around, service: EndpointService) -> frozenset[str]:
    """Return the ids that concern a service.

    Itself and its private name, its load balancers with listeners and groups, its target groups,
    the targets' interfaces, groups and subnets, and the endpoints of its consumers.
    """
    return around.related.of_service(service)


def explain(
    finding: Finding,
    changes: Iterable[Change],
    since: float | None,
    now: float,
    related: Set[str],
) -> tuple[str, ...]:
    """Return evidence of what may have brought a finding about, the newest first; at most three.

    `since` is when the fault began, None where that is not known: what came later did not cause
    it. `related` are the ids that concern the endpoint or service; what touches the finding's own
    resources goes before what touches these. An attempt that failed changed nothing.
    """
    causes, own = CAUSES.get(finding.check, frozenset()), frozenset(finding.resources)
    found = []
    for change in changes:
        if change.outcome != "ok" or change.event not in causes or change.at > now:
            continue
        if since is not None and change.at > since + _SLACK:
            continue
        direct = not own.isdisjoint(change.touches)
        if direct or not change.touches.isdisjoint(related):
            found.append((direct, change.at, change.id, change))
    best = sorted(found, key=lambda f: f[:3], reverse=True)[:MOST]
    best.sort(key=lambda f: f[1:3], reverse=True)
    return tuple(
        told(change, now, (*finding.resources, *sorted(related & change.touches)))
        for *_, change in best
    )


def told(change: Change, now: float, wanted: Iterable[str] = ()) -> str:
    """Return a change in one line: when, what, on what, by whom, from where.

    Of what it touches the first of `wanted` is named.
    """
    on = next((name for name in wanted if name in change.touches), None)
    on = on or next(iter(sorted(change.touches)), "")
    parts = [
        _moment(change.at, now),
        change.event,
        f"on {_short(on)}" if on else "",
        f"by {change.actor}",
        f"from {change.address}" if change.address else "",
    ]
    line = " ".join(filter(None, parts))
    return f"{line}: {change.what}" if change.what else line


def with_changes(
    checks: tuple[Finding, ...], case: EndpointCase | ServiceCase
) -> tuple[Finding, ...]:
    """Return the findings; those that fail or warn with the changes that may be the reason."""
    known = case.world.changes
    if not known or not any(f.status in ("fail", "warn") for f in checks):
        return checks
    if isinstance(case, EndpointCase):
        ids, of = related(case.around, case.endpoint), case.endpoint.id
    else:
        ids, of = related_to_service(case.around, case.service), case.service.id

    def explained(finding: Finding) -> Finding:
        if finding.status not in ("fail", "warn"):
            return finding
        since, check = _since(finding, case), finding.check
        until = case.now if since is None else min(case.now, since + _SLACK)
        # A service is judged anew for each of its consumers: what concerns it is found once.
        key = "newest", of, check, until
        around = case.around.memo.get(key)
        if around is None:
            around = case.around.memo[key] = _newest(case.world, ids, check, until)
        touching = (*around, *_newest(case.world, frozenset(finding.resources), check, until))
        changes = {change.id: change for change in touching}
        lines = explain(finding, changes.values(), since, case.now, ids)
        return replace(finding, evidence=(*finding.evidence, *lines)) if lines else finding

    return tuple(explained(finding) for finding in checks)


def _newest(world: World, ids: Set[str], check: str, until: float) -> tuple[Change, ...]:
    """Return, of each id, the newest changes until a moment that can make a check fail.

    Evidence names the newest of all, those that touch the finding's own first: of the changes of
    one id no more than that many can be among them.
    """
    found: dict[str, Change] = {}
    for name in world.changes.keys() & ids:
        causing = _causing(world, name, check)
        end = bisect_right(causing, until, key=lambda change: change.at)
        found |= {change.id: change for change in causing[max(0, end - MOST) : end]}
    return tuple(sorted(found.values(), key=lambda change: (change.at, change.id)))


def _causing(world: World, name: str, check: str) -> tuple[Change, ...]:
    """Return the changes of an id that can make a check fail, the oldest first, each once."""
    known = world.causing.get((name, check))
    if known is None:
        causes = CAUSES.get(check, frozenset())
        found = {
            change.id: change
            for change in world.changes[name]
            if change.outcome == "ok" and change.event in causes
        }
        ordered = sorted(found.values(), key=lambda change: (change.at, change.id))
        known = world.causing[name, check] = tuple(ordered)
    return known


def _since(finding: Finding, case: EndpointCase | ServiceCase) -> float | None:
    """Return when the fault began, as refused connections tell; None where they do not.

    Somebody may have been refused all along: a change may be the reason of whatever began after
    it, so the one that began last decides. For a client that was accepted in between it began
    anew. Late packets of closed connections tell nothing.
    """
    if isinstance(case, ServiceCase) or finding.check not in _BEGUN_BY_REJECTS:
        return None
    accepted = {client.address: client for client in case.traffic.clients}
    began = []
    for row in case.traffic.rejected or ():
        if row.packets in ("", "syn", "syn-ack"):
            client = accepted.get(row.address)
            back = row.direction == "from_endpoint"
            let = client and (client.outbound if back else client.inbound)
            began.append(max(row.first, min(let or 0.0, row.last)))
    return max(began, default=None)


def _moment(at: float, now: float) -> str:
    when, today = datetime.fromtimestamp(at, UTC), datetime.fromtimestamp(now, UTC).date()
    return when.strftime("%H:%M UTC" if when.date() == today else "%Y-%m-%d %H:%M UTC")


def _short(name: str) -> str:
    return name.split(":", 5)[5] if name.startswith("arn:") and name.count(":") >= 5 else name
