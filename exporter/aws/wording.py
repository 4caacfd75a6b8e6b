"""What a change changed, in one line of words; an event that says little is told by what it names.

Members are as exporter.aws.events folds them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from exporter.aws.events import Folded, clean, listed, member, named
from exporter.aws.packets import entry, permission, rule_now

LONGEST = 240
# Of a list so many are told; the rest are counted.
_SHOWN = 3

Words = Callable[[Folded, Folded], list[str]]


def what(event: str, request: Folded, answer: Folded) -> str:
    """Return what changed, or was to change, in words."""
    words = _WORDS.get(event)
    told = [text for text in words(request, answer) if text] if words else []
    return clean(_joined(told or _anything(request, answer), "; "), LONGEST)


def short(name: str) -> str:
    """Return an id or ARN as people say it: of an ARN what follows the account."""
    return name.split(":", 5)[5] if name.startswith("arn:") and name.count(":") >= 5 else name


def _joined(texts: list[str], between: str = ", ") -> str:
    more = len(texts) - _SHOWN
    return between.join(texts[:_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _anything(request: Folded, answer: Folded) -> list[str]:
    found = dict.fromkeys(name for _, name in (*named(request), *named(answer)))
    return [short(name) for name in found]


def _several(value: Folded) -> list[str]:
    return [short(clean(inner)) for inner in listed(value) if clean(inner)]


def _all(verb: str, value: Folded) -> str:
    names = _several(value)
    return f"{verb} {_joined(names)}" if names else ""


def _value(value: Folded) -> str:
    """Return a value, also where it stands in a member `value`."""
    inner = member(value, "value") if isinstance(value, dict) else value
    return str(inner).lower() if isinstance(inner, bool) else clean(inner)


def _settings(request: Folded, names: Mapping[str, str]) -> list[str]:
    """Return those of the settings that a request has, with their values."""
    return [
        f"{shown} {_value(request[name])}"
        for name, shown in names.items()
        if name in request and _value(request[name])
    ]


def _rules(verb: str, direction: str, request: Folded, answer: Folded) -> list[str]:
    permissions = listed(member(request, "ippermissions"))
    if not permissions and member(request, "ipprotocol", "cidrip") is not None:
        permissions = [request]
    if not permissions:  # by the ids of rules, or of an older kind: the answer has them whole
        rules = member(answer, "revokedsecuritygroupruleset", "securitygroupruleset")
        permissions = listed(rules)
    told = [text for p in permissions for text in permission(p, direction)]
    if not told:
        told = _several(member(request, "securitygroupruleids"))
        told = told or [
            clean(member(i, "securitygroupruleid"))
            for i in listed(member(request, "securitygroupruleids"))
        ]
    return [f"{verb} {_joined(told)}"] if told else []


def _modified_rules(request: Folded, _: Folded) -> list[str]:
    told = []
    for row in listed(member(request, "securitygrouprule", "securitygrouprules")):
        rule = clean(member(row, "securitygroupruleid"))
        now = rule_now(member(row, "securitygrouprule"))
        told.append(f"{rule} now {now}" if rule and now else rule)
    return told


def _acl_entry(verb: str, request: Folded, _: Folded) -> list[str]:
    return [" ".join(filter(None, [verb, entry(request)]))]


def _deleted_entry(request: Folded, _: Folded) -> list[str]:
    number = clean(member(request, "rulenumber"))
    side = "outbound" if _value(member(request, "egress")) == "true" else "inbound"
    return [f"deleted entry {number} {side}"] if number else []


def _acl_association(request: Folded, answer: Folded) -> list[str]:
    acl, old = clean(member(request, "networkaclid")), clean(member(request, "associationid"))
    return [f"{acl} instead of what {old} was"] if acl and old else _anything(request, answer)


_ROUTE_TO = ("destinationcidrblock", "destinationipv6cidrblock", "destinationprefixlistid")
_ROUTE_BY = (
    *("gatewayid", "natgatewayid", "transitgatewayid", "vpcpeeringconnectionid"),
    *("networkinterfaceid", "instanceid", "vpcendpointid", "egressonlyinternetgatewayid"),
    *("localgatewayid", "carriergatewayid", "corenetworkarn"),
)


def _route(verb: str, request: Folded, _: Folded) -> list[str]:
    to, by = clean(member(request, *_ROUTE_TO)), clean(member(request, *_ROUTE_BY))
    return [f"{verb}route to {to}" + (f" by {short(by)}" if by else "")] if to else []


def _table(request: Folded, _: Folded) -> list[str]:
    table = clean(member(request, "routetableid"))
    of = clean(member(request, "subnetid", "gatewayid", "associationid"))
    return [f"{table} for {of}" if table else f"no longer {of}"] if of else []


def _groups_of_interface(request: Folded, _: Folded) -> list[str]:
    groups = [
        clean(member(row, "groupid") if isinstance(row, dict) else row)
        for row in listed(member(request, "groupset", "securitygroupid", "groups"))
    ]
    return [f"groups now {_joined(groups)}"] if groups else []


def _prefixes(request: Folded, _: Folded) -> list[str]:
    def cidrs(*names: str) -> list[str]:
        return [clean(member(row, "cidr")) for row in listed(member(request, *names))]

    return [
        _all("added", cidrs("addentry", "addentries")),
        _all("removed", cidrs("removeentry", "removeentries")),
    ]


def _endpoint(request: Folded, answer: Folded) -> list[str]:
    kind = clean(member(request, "vpcendpointtype")) or "Gateway"
    to, vpc = clean(member(request, "servicename")), clean(member(request, "vpcid"))
    made = clean(member(member(answer, "vpcendpoint"), "vpcendpointid"))
    return [
        f"made {made or 'an endpoint'}: {kind} to {to} in {vpc}",
        *_settings(request, {"privatednsenabled": "PrivateDnsEnabled"}),
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
    told = _settings(request, {"privatednsenabled": "PrivateDnsEnabled"})
    if _value(member(request, "resetpolicy")) == "true":
        told.append("policy reset: everything allowed")
    elif member(request, "policydocument") is not None:
        told.append("new policy")
    told += [
        _all(verb, member(request, name, f"{name}s")) for name, verb in _ENDPOINT_LISTS.items()
    ]
    told += _settings(request, {"ipaddresstype": "IpAddressType"})
    dns = member(request, "dnsoptions")
    return told + (
        _settings(
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
    told = _settings(
        request, {"acceptancerequired": "AcceptanceRequired", "privatednsname": "PrivateDnsName"}
    )
    if _value(member(request, "removeprivatednsname")) == "true":
        told.append("removed the private DNS name")
    told += [_all(verb, member(request, name, f"{name}s")) for name, verb in _SERVICE_LISTS.items()]
    return [
        *told,
        _all("behind", member(request, "networkloadbalancerarn", "networkloadbalancerarns")),
        _all("behind", member(request, "gatewayloadbalancerarn", "gatewayloadbalancerarns")),
    ]


def _permissions(request: Folded, _: Folded) -> list[str]:
    return [
        _all("allowed", member(request, "addallowedprincipals")),
        _all("no longer allowed", member(request, "removeallowedprincipals")),
    ]


def _ids(verb: str, names: tuple[str, ...], request: Folded, _: Folded) -> list[str]:
    return [_all(verb, member(request, *names))]


def _flow_log(request: Folded, _: Folded) -> list[str]:
    of = _joined(_several(member(request, "resourceid", "resourceids")))
    traffic = clean(member(request, "traffictype")) or "traffic"
    to = clean(member(request, "logdestination", "loggroupname"))
    return [f"{traffic} of {of}" + (f" to {short(to)}" if to else "")] if of else []


def _nlb_groups(request: Folded, _: Folded) -> list[str]:
    shown = "EnforceSecurityGroupInboundRulesOnPrivateLinkTraffic"
    return [
        _all("groups now", member(request, "securitygroups")),
        *_settings(request, {shown.lower(): shown}),
    ]


def _subnets(request: Folded, _: Folded) -> list[str]:
    mapped = [
        clean(member(row, "subnetid"))
        for row in listed(member(request, "subnetmappings"))
        if isinstance(row, dict)
    ]
    return [_all("subnets now", member(request, "subnets") or mapped)]


def _attributes(request: Folded, _: Folded) -> list[str]:
    return [
        f"{clean(member(row, 'key'))} {_value(member(row, 'value'))}"
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
    return [*told, _all("forwards to", forwards)]


def _targets(verb: str, request: Folded, _: Folded) -> list[str]:
    targets = []
    for row in listed(member(request, "targets")):
        port = clean(member(row, "port"))
        targets.append(clean(member(row, "id")) + (f":{port}" if port else ""))
    return [_all(verb, targets)]


def _records(request: Folded, _: Folded) -> list[str]:
    told = []
    for row in listed(member(member(request, "changebatch"), "changes")):
        record = member(row, "resourcerecordset")
        parts = (member(row, "action"), member(record, "type"), member(record, "name"))
        told.append(" ".join(filter(None, map(clean, parts))))
    return told


def _zone_vpc(verb: str, request: Folded, _: Folded) -> list[str]:
    vpc = clean(member(member(request, "vpc"), "vpcid"))
    zone = clean(member(request, "hostedzoneid"))
    return [f"{vpc} {verb} hosted zone {zone}"] if vpc and zone else []


def _vpc_attribute(request: Folded, _: Folded) -> list[str]:
    names = {
        name.lower(): name
        for name in (
            "enableDnsHostnames",
            "enableDnsSupport",
            "enableNetworkAddressUsageMetrics",
        )
    }
    return _settings(request, names)


def _dhcp(request: Folded, _: Folded) -> list[str]:
    options = clean(member(request, "dhcpoptionsid"))
    return [f"{options} for {clean(member(request, 'vpcid'))}"] if options else []


_WORDS: Mapping[str, Words] = {
    "AuthorizeSecurityGroupIngress": partial(_rules, "allowed", "from"),
    "AuthorizeSecurityGroupEgress": partial(_rules, "allowed", "to"),
    "RevokeSecurityGroupIngress": partial(_rules, "revoked", "from"),
    "RevokeSecurityGroupEgress": partial(_rules, "revoked", "to"),
    "ModifySecurityGroupRules": _modified_rules,
    "CreateNetworkAclEntry": partial(_acl_entry, ""),
    "ReplaceNetworkAclEntry": partial(_acl_entry, "now"),
    "DeleteNetworkAclEntry": _deleted_entry,
    "ReplaceNetworkAclAssociation": _acl_association,
    "CreateRoute": partial(_route, "new "),
    "ReplaceRoute": partial(_route, "now "),
    "DeleteRoute": partial(_route, "deleted "),
    "AssociateRouteTable": _table,
    "DisassociateRouteTable": _table,
    "ReplaceRouteTableAssociation": _table,
    "ModifyVpcAttribute": _vpc_attribute,
    "AssociateDhcpOptions": _dhcp,
    "ModifyNetworkInterfaceAttribute": _groups_of_interface,
    "ModifyManagedPrefixList": _prefixes,
    "CreateVpcEndpoint": _endpoint,
    "ModifyVpcEndpoint": _modified_endpoint,
    "DeleteVpcEndpoints": partial(_ids, "deleted", ("vpcendpointid", "vpcendpointids")),
    "AcceptVpcEndpointConnections": partial(_ids, "accepted", ("vpcendpointid", "vpcendpointids")),
    "RejectVpcEndpointConnections": partial(_ids, "rejected", ("vpcendpointid", "vpcendpointids")),
    "CreateVpcEndpointServiceConfiguration": _service,
    "ModifyVpcEndpointServiceConfiguration": _service,
    "DeleteVpcEndpointServiceConfigurations": partial(_ids, "deleted", ("serviceid", "serviceids")),
    "ModifyVpcEndpointServicePermissions": _permissions,
    "CreateFlowLogs": _flow_log,
    "DeleteFlowLogs": partial(_ids, "deleted", ("flowlogid", "flowlogids")),
    "SetSecurityGroups": _nlb_groups,
    "SetSubnets": _subnets,
    "ModifyLoadBalancerAttributes": _attributes,
    "ModifyTargetGroupAttributes": _attributes,
    "CreateListener": _listener,
    "ModifyListener": _listener,
    "DeleteListener": partial(_ids, "deleted", ("listenerarn",)),
    "RegisterTargets": partial(_targets, "registered"),
    "DeregisterTargets": partial(_targets, "deregistered"),
    "DeleteLoadBalancer": partial(_ids, "deleted", ("loadbalancerarn", "loadbalancername")),
    "ChangeResourceRecordSets": _records,
    "AssociateVPCWithHostedZone": partial(_zone_vpc, "with"),
    "DisassociateVPCFromHostedZone": partial(_zone_vpc, "no longer with"),
}
