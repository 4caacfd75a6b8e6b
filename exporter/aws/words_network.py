"""What changed in the network, in words: groups, network ACLs, routes, names."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from exporter.aws.events import Folded, clean, listed, member
from exporter.aws.packets import entry, permission, rule_now
from exporter.aws.words import (
    Words,
    anything,
    joined,
    settings,
    several,
    short,
    together,
    value,
)


def _rules(verb: str, direction: str, request: Folded, answer: Folded) -> list[str]:
    permissions = listed(member(request, "ippermissions"))
    if not permissions and member(request, "ipprotocol", "cidrip") is not None:
        permissions = [request]
    if not permissions:  # by the ids of rules, or of an older kind: the answer has them whole
        rules = member(answer, "revokedsecuritygroupruleset", "securitygroupruleset")
        permissions = listed(rules)
    told = [text for p in permissions for text in permission(p, direction)]
    if not told:
        told = several(member(request, "securitygroupruleids"))
        told = told or [
            clean(member(i, "securitygroupruleid"))
            for i in listed(member(request, "securitygroupruleids"))
        ]
    return [f"{verb} {joined(told)}"] if told else []


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
    side = "outbound" if value(member(request, "egress")) == "true" else "inbound"
    return [f"deleted entry {number} {side}"] if number else []


def _acl_association(request: Folded, answer: Folded) -> list[str]:
    acl, old = clean(member(request, "networkaclid")), clean(member(request, "associationid"))
    return [f"{acl} instead of what {old} was"] if acl and old else anything(request, answer)


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
    return [f"groups now {joined(groups)}"] if groups else []


def _prefixes(request: Folded, _: Folded) -> list[str]:
    def cidrs(*names: str) -> list[str]:
        return [clean(member(row, "cidr")) for row in listed(member(request, *names))]

    return [
        together("added", cidrs("addentry", "addentries")),
        together("removed", cidrs("removeentry", "removeentries")),
    ]


def _vpc_attribute(request: Folded, _: Folded) -> list[str]:
    names = {
        name.lower(): name
        for name in (
            "enableDnsHostnames",
            "enableDnsSupport",
            "enableNetworkAddressUsageMetrics",
        )
    }
    return settings(request, names)


def _dhcp(request: Folded, _: Folded) -> list[str]:
    options = clean(member(request, "dhcpoptionsid"))
    return [f"{options} for {clean(member(request, 'vpcid'))}"] if options else []


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


WORDS: Mapping[str, Words] = {
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
    "ChangeResourceRecordSets": _records,
    "AssociateVPCWithHostedZone": partial(_zone_vpc, "with"),
    "DisassociateVPCFromHostedZone": partial(_zone_vpc, "no longer with"),
}
