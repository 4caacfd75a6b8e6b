"""What changed at either end, in words: endpoints, services, load balancers, flow logs."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from exporter.aws.events import Folded, clean, listed, member
from exporter.aws.words import (
    Words,
    ids,
    joined,
    settings,
    several,
    short,
    together,
    value,
)


def _endpoint(request: Folded, answer: Folded) -> list[str]:
    kind = clean(member(request, "vpcendpointtype")) or "Gateway"
    to, vpc = clean(member(request, "servicename")), clean(member(request, "vpcid"))
    made = clean(member(member(answer, "vpcendpoint"), "vpcendpointid"))
    return [
        f"made {made or 'an endpoint'}: {kind} to {to} in {vpc}",
        *settings(request, {"privatednsenabled": "PrivateDnsEnabled"}),
    ]


_ENDPOINT_LISTS = {
    "addsecuritygroupid": "added",
    "removesecuritygroupid": "removed",
    "addsubnetid": "added",
    "removesubnetid": "removed",
    "addroutetableid": "added",
    "removeroutetableid": "removed",
}


def _modified_endpoint(request: Folded, _: Folded) -> list[str]:
    told = settings(request, {"privatednsenabled": "PrivateDnsEnabled"})
    if value(member(request, "resetpolicy")) == "true":
        told.append("policy reset: everything allowed")
    elif member(request, "policydocument") is not None:
        told.append("new policy")
    told += [
        together(verb, member(request, name, f"{name}s")) for name, verb in _ENDPOINT_LISTS.items()
    ]
    told += settings(request, {"ipaddresstype": "IpAddressType"})
    dns = member(request, "dnsoptions")
    return told + (
        settings(
            dns,
            {
                "dnsrecordiptype": "DnsRecordIpType",
                "privatednsonlyforinboundresolverendpoint": (
                    "PrivateDnsOnlyForInboundResolverEndpoint"
                ),
            },
        )
        if isinstance(dns, dict)
        else []
    )


_SERVICE_LISTS = {
    "addnetworkloadbalancerarn": "added",
    "removenetworkloadbalancerarn": "removed",
    "addgatewayloadbalancerarn": "added",
    "removegatewayloadbalancerarn": "removed",
    "addsupportedipaddresstype": "added",
    "removesupportedipaddresstype": "removed",
    "addsupportedregion": "added",
    "removesupportedregion": "removed",
}


def _service(request: Folded, _: Folded) -> list[str]:
    told = settings(
        request, {"acceptancerequired": "AcceptanceRequired", "privatednsname": "PrivateDnsName"}
    )
    if value(member(request, "removeprivatednsname")) == "true":
        told.append("removed the private DNS name")
    told += [
        together(verb, member(request, name, f"{name}s")) for name, verb in _SERVICE_LISTS.items()
    ]
    return [
        *told,
        together("behind", member(request, "networkloadbalancerarn", "networkloadbalancerarns")),
        together("behind", member(request, "gatewayloadbalancerarn", "gatewayloadbalancerarns")),
    ]


def _permissions(request: Folded, _: Folded) -> list[str]:
    return [
        together("allowed", member(request, "addallowedprincipals")),
        together("no longer allowed", member(request, "removeallowedprincipals")),
    ]


def _flow_log(request: Folded, _: Folded) -> list[str]:
    of = joined(several(member(request, "resourceid", "resourceids")))
    traffic = clean(member(request, "traffictype")) or "traffic"
    to = clean(member(request, "logdestination", "loggroupname"))
    return [f"{traffic} of {of}" + (f" to {short(to)}" if to else "")] if of else []


def _nlb_groups(request: Folded, _: Folded) -> list[str]:
    shown = "EnforceSecurityGroupInboundRulesOnPrivateLinkTraffic"
    return [
        together("groups now", member(request, "securitygroups")),
        *settings(request, {shown.lower(): shown}),
    ]


def _subnets(request: Folded, _: Folded) -> list[str]:
    mapped = [
        clean(member(row, "subnetid"))
        for row in listed(member(request, "subnetmappings"))
        if isinstance(row, dict)
    ]
    return [together("subnets now", member(request, "subnets") or mapped)]


def _attributes(request: Folded, _: Folded) -> list[str]:
    return [
        f"{clean(member(row, 'key'))} {value(member(row, 'value'))}"
        for row in listed(member(request, "attributes"))
        if isinstance(row, dict)
    ]


def _listener(request: Folded, _: Folded) -> list[str]:
    port, protocol = clean(member(request, "port")), clean(member(request, "protocol"))
    told = [f"{protocol} {port}".strip()]
    forwards = [
        clean(member(action, "targetgrouparn"))
        for action in listed(member(request, "defaultactions"))
    ]
    return [*told, together("forwards to", forwards)]


def _targets(verb: str, request: Folded, _: Folded) -> list[str]:
    targets = []
    for row in listed(member(request, "targets")):
        port = clean(member(row, "port"))
        targets.append(clean(member(row, "id")) + (f":{port}" if port else ""))
    return [together(verb, targets)]


WORDS: Mapping[str, Words] = {
    "CreateVpcEndpoint": _endpoint,
    "ModifyVpcEndpoint": _modified_endpoint,
    "DeleteVpcEndpoints": partial(ids, "deleted", ("vpcendpointid", "vpcendpointids")),
    "AcceptVpcEndpointConnections": partial(ids, "accepted", ("vpcendpointid", "vpcendpointids")),
    "RejectVpcEndpointConnections": partial(ids, "rejected", ("vpcendpointid", "vpcendpointids")),
    "CreateVpcEndpointServiceConfiguration": _service,
    "ModifyVpcEndpointServiceConfiguration": _service,
    "DeleteVpcEndpointServiceConfigurations": partial(ids, "deleted", ("serviceid", "serviceids")),
    "ModifyVpcEndpointServicePermissions": _permissions,
    "CreateFlowLogs": _flow_log,
    "DeleteFlowLogs": partial(ids, "deleted", ("flowlogid", "flowlogids")),
    "SetSecurityGroups": _nlb_groups,
    "SetSubnets": _subnets,
    "ModifyLoadBalancerAttributes": _attributes,
    "ModifyTargetGroupAttributes": _attributes,
    "CreateListener": _listener,
    "ModifyListener": _listener,
    "DeleteListener": partial(ids, "deleted", ("listenerarn",)),
    "RegisterTargets": partial(_targets, "registered"),
    "DeregisterTargets": partial(_targets, "deregistered"),
    "DeleteLoadBalancer": partial(ids, "deleted", ("loadbalancerarn", "loadbalancername")),
}
