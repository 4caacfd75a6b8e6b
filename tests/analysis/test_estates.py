"""Estates that fool naive tools: each is right as it is, and has a twin with one thing wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from ipaddress import ip_address, ip_network
from typing import Any

import pytest

from exporter.model import (
    Accepted,
    DnsName,
    Endpoint,
    Expected,
    FlowLog,
    NetworkAclEntry,
    Route,
    SecurityGroup,
    Subnet,
    Traffic,
    Vpc,
)
from tests.analysis.lab import ALLOW_ALL, CONSUMER, NOW, PROVIDER, Lab, diagnosis, rule
from tests.analysis.net import reject

TGW = "tgw-0123456789abcdef0"
KMS = "kms.eu-west-1.amazonaws.com"


@dataclass
class Estate:
    """An endpoint and the accounts around it."""

    lab: Lab
    endpoint: Endpoint
    others: list[Lab] = field(default_factory=list)

    def judged(self) -> tuple[str, str]:
        """The verdict, and the check that is the root cause of a failure."""
        found = diagnosis(self.endpoint, self.lab, *self.others)
        return found.verdict, found.root_cause.check if found.root_cause else ""


def saw(
    lab: Lab, endpoint: Endpoint, *clients: str, rejected: Iterable[str] = (), port: int = 443
) -> None:
    """Flow logs on the whole VPC that saw these clients accepted both ways, or rejected."""
    flow_log = FlowLog("fl-0123456789abcdef0", endpoint.vpc_id, "ALL", "s3", "arn:aws:s3:::b", "")
    lab.add("flow_logs", flow_log)
    lab.traffic[endpoint.id] = Traffic(
        {"ACCEPT": 1.0, "REJECT": 1.0},
        (flow_log,),
        accepted_ports=frozenset({(6, port)} if clients else ()),
        clients=tuple(Accepted(ip_address(c), NOW - 60, NOW - 60) for c in clients),
        rejected=tuple(reject(c, port) for c in rejected),
        read_to=NOW,
    )


def resolved(lab: Lab, endpoint: Endpoint, **private: Iterable[str]) -> None:
    """Every name is answered with the endpoint's own addresses; private ones as told, if told."""
    interfaces = lab.listings["interfaces"]
    own = [interfaces[i] for i in endpoint.interface_ids]
    for name in endpoint.dns_names:
        found = [str(a) for i in own for a in i.addresses if name.zone in (None, i.zone)]
        told = private.get("private") if name.kind == "private" else None
        lab.answer(endpoint, name, *(told or found))


def parts(lab: Lab, cidr: str = "10.0.0.0/16") -> tuple[Vpc, Subnet, Subnet, SecurityGroup]:
    """A VPC, a subnet of clients, one of endpoints, and a group that lets the VPC in."""
    vpc = lab.add_vpc(cidr)
    base = cidr.split(".0.0/")[0]
    app, inner = lab.add_subnet(vpc, f"{base}.1.0/24"), lab.add_subnet(vpc, f"{base}.2.0/24")
    return vpc, app, inner, lab.add_group(vpc, ("10.0.0.0/8",))


def plain(**more: Any) -> Estate:
    """An interface endpoint with a client in its VPC."""
    lab = Lab()
    vpc, app, inner, group = parts(lab)
    lab.add_interface(app, "10.0.1.10", groups=[lab.add_group(vpc)])
    endpoint = lab.add_endpoint(
        vpc, {"10.0.2.5": inner}, [group], **{"private_name": "sqs.eu-west-1.amazonaws.com", **more}
    )
    resolved(lab, endpoint)
    saw(lab, endpoint, "10.0.1.10")
    return Estate(lab, endpoint)


def hub(zone: bool = True) -> Estate:
    """Private DNS is off; a shared zone answers in the hub and in the spoke."""
    lab = Lab()
    vpc, _, inner, group = parts(lab)
    lab.add_table(vpc, [Route(ip_network("10.1.0.0/16"), TGW)], [inner])
    service = "com.amazonaws.eu-west-1.kms"
    endpoint = lab.add_endpoint(vpc, {"10.0.2.5": inner}, [group], service=service)
    detail = next(d for d in lab.listings["service_details"].values() if d.service_name == service)
    lab.change("service_details", detail, private_dns_names=(KMS,))
    resolved(lab, endpoint)
    answer = "10.0.2.5" if zone else "203.0.113.10"
    lab.answer(endpoint, DnsName(KMS, "service"), answer)
    spoke = lab.add_vpc("10.1.0.0/16")
    subnet = lab.add_subnet(spoke, "10.1.1.0/24")
    lab.add_table(spoke, [Route(ip_network("10.0.0.0/16"), TGW)], [subnet])
    lab.add_interface(subnet, "10.1.1.10", groups=[lab.add_group(spoke)])
    saw(lab, endpoint, "10.1.1.10")
    return Estate(lab, endpoint)


def sealed_hub() -> Estate:
    """The same without the zone, in a VPC that has no way to the public addresses."""
    estate = hub(zone=False)
    for table in list(estate.lab.listings["route_tables"].values()):
        local = tuple(r for r in table.routes if r.target == "local")
        estate.lab.change("route_tables", table, routes=local)
    estate.lab.traffic.clear()
    saw(estate.lab, estate.endpoint)
    return estate


def s3_both(routed: bool = True) -> tuple[Estate, Estate]:
    """S3 by a gateway endpoint for the VPC, and by an interface endpoint for inbound resolvers."""
    lab = Lab()
    vpc, app, inner, group = parts(lab)
    service = "com.amazonaws.eu-west-1.s3"
    entries = lab.add_prefix_list("203.0.113.0/24", name=service, owner="AWS")
    lab.add_interface(app, "10.0.1.10", groups=[lab.add_group(vpc)])
    gateway = lab.add_endpoint(vpc, {}, service=service, type="Gateway", dns_names=())
    routes = [Route(entries.id, gateway.id)] if routed else []
    lab.add_table(vpc, routes, [app])
    by_interface = lab.add_endpoint(
        vpc,
        {"10.0.2.5": inner},
        [group],
        service=service,
        private_name="s3.eu-west-1.amazonaws.com",
        private_dns_inbound_only=True,
    )
    interfaces = lab.listings["interfaces"]
    own = str(interfaces[by_interface.interface_ids[0]].addresses[0])
    for name in by_interface.dns_names:
        if name.kind != "private":
            lab.answer(by_interface, name, own)
    saw(lab, by_interface)
    return Estate(lab, gateway), Estate(lab, by_interface)


def cross_region(open_: bool = True) -> Estate:
    """A service of another Region, whose zones are not this one's."""
    estate = plain(
        service="com.amazonaws.vpce.us-east-1.vpce-svc-00000000000000abc",
        service_region="us-east-1",
        private_name="orders.example.com",
    )
    (detail,) = estate.lab.listings["service_details"].values()
    estate.lab.change(
        "service_details", detail, region="us-east-1", zone_ids=("use1-az1",), types=("Interface",)
    )
    if not open_:
        closed(estate)
    return estate


def closed(estate: Estate) -> Estate:
    """The endpoint's group loses its rules, and the client is rejected."""
    (group_id,) = estate.endpoint.security_group_ids
    group = estate.lab.listings["security_groups"][group_id]
    estate.lab.drop_rules(group, egress=False)
    saw(estate.lab, estate.endpoint, rejected=["10.0.1.10"])
    return estate


def firewall(routed: bool = True) -> Estate:
    """A Gateway Load Balancer endpoint: no names, no groups, a route to it."""
    lab = Lab()
    vpc, app, inner, _ = parts(lab)
    endpoint = lab.add_endpoint(
        vpc,
        {"10.0.2.5": inner},
        service="com.amazonaws.vpce.eu-west-1.vpce-svc-00000000000000def",
        type="GatewayLoadBalancer",
        dns_names=(),
    )
    lab.add_table(vpc, [Route(ip_network("0.0.0.0/0"), endpoint.id)] if routed else [], [app])
    saw(lab, endpoint)
    return Estate(lab, endpoint)


def ipv6_only(open_: bool = True) -> Estate:
    """Addresses, rules and answers of IPv6 alone."""
    lab = Lab()
    vpc = lab.add_vpc("10.0.0.0/16", "2001:db8:0:100::/56")
    app = lab.add_subnet(vpc, "2001:db8:0:101::/64")
    inner = lab.add_subnet(vpc, "2001:db8:0:102::/64")
    group = lab.add_group(vpc, ("2001:db8::/32" if open_ else "0.0.0.0/0",))
    client = lab.add_group(vpc)
    lab.add_rule(rule(client.id, "::/0", None, egress=True, protocol="-1"))
    lab.add_interface(app, "2001:db8:0:101::10", groups=[client])
    acl = next(a for a in lab.listings["network_acls"].values() if a.default)
    six = tuple(replace(e, number=101, cidr=ip_network("::/0")) for e in ALLOW_ALL)
    lab.change("network_acls", acl, entries=(*ALLOW_ALL, *six))
    endpoint = lab.add_endpoint(
        vpc,
        {"2001:db8:0:102::5": inner},
        [group],
        private_name="sqs.eu-west-1.amazonaws.com",
        ip_address_type="ipv6",
        dns_record_ip_type="ipv6",
    )
    resolved(lab, endpoint)
    if open_:
        saw(lab, endpoint, "2001:db8:0:101::10")
    else:
        saw(lab, endpoint, rejected=["2001:db8:0:101::10"])
    return Estate(lab, endpoint)


def shared(open_: bool = True) -> Estate:
    """The VPC's owner shares the subnets: a participant lists them, and has the client in it."""
    estate = plain()
    participant = Lab(PROVIDER)
    for subnet in estate.lab.listings["subnets"].values():
        participant.add("subnets", replace(subnet, zone=subnet.zone.replace("1a", "1c")))
    estate.others.append(participant)
    return estate if open_ else closed(estate)


def foreign_group(accepted: bool = True) -> Estate:
    """The group lets in a group of another account by peering; whose members nobody here sees."""
    lab = Lab()
    vpc, _, inner, _ = parts(lab)
    group = lab.add_group(
        vpc, rule("sg", "sg-0fedcba9876543210", referenced_account="444455556666")
    )
    lab.add_table(vpc, [Route(ip_network("10.9.0.0/16"), "pcx-0123456789abcdef0")], [inner])
    endpoint = lab.add_endpoint(
        vpc, {"10.0.2.5": inner}, [group], private_name="sqs.eu-west-1.amazonaws.com"
    )
    resolved(lab, endpoint)
    if accepted:
        saw(lab, endpoint, "10.9.1.1")
    else:
        saw(lab, endpoint)
        lab.expected[endpoint.id] = Expected(clients=(ip_network("10.9.1.1/32"),))
    return Estate(lab, endpoint)


def one_subnet(beside: bool = True) -> Estate:
    """The network ACL lets nothing in or out; the client is in the endpoint's own subnet."""
    lab = Lab()
    vpc, app, inner, group = parts(lab)
    lab.add_acl(vpc, [], [inner])
    address = "10.0.2.10" if beside else "10.0.1.10"
    lab.add_interface(inner if beside else app, address, groups=[lab.add_group(vpc)])
    endpoint = lab.add_endpoint(
        vpc, {"10.0.2.5": inner}, [group], private_name="sqs.eu-west-1.amazonaws.com"
    )
    resolved(lab, endpoint)
    if beside:
        saw(lab, endpoint, address)
    else:
        saw(lab, endpoint, rejected=[address])
    return Estate(lab, endpoint)


def explicit_acls(reply: int = 1024) -> Estate:
    """ACLs that allow just what is needed, on both subnets, each way."""
    estate = plain()
    lab, vpc = estate.lab, estate.lab.listings["vpcs"][estate.endpoint.vpc_id]
    app, inner = (s for s in lab.listings["subnets"].values())

    def entry(egress: bool, cidr: str, low: int, high: int) -> NetworkAclEntry:
        return NetworkAclEntry(100, egress, True, "6", ip_network(cidr), low, high)

    lab.add_acl(
        vpc, [entry(True, "10.0.2.0/24", 443, 443), entry(False, "10.0.2.0/24", 1024, 65535)], [app]
    )
    high = 65535 if reply == 1024 else reply
    lab.add_acl(
        vpc,
        [entry(False, "10.0.1.0/24", 443, 443), entry(True, "10.0.1.0/24", reply, high)],
        [inner],
    )
    return estate


def wildcard(answered: bool = True) -> Estate:
    """The private name is a wildcard: it is asked for with a label in place of the star."""
    estate = plain(private_name="*.execute-api.eu-west-1.amazonaws.com")
    if not answered:
        estate.lab.lookups.clear()
        resolved(estate.lab, estate.endpoint, private=["203.0.113.9"])
    return estate


def policy(statement: str) -> Estate:
    return plain(policy=f'{{"Statement": [{statement}]}}')


ALLOWS_ONE = (
    '{"Effect": "Allow", "Principal": "*", "Action": "sqs:SendMessage", "Resource": "*", '
    '"Condition": {"StringEquals": {"aws:PrincipalOrgID": "o-exampleorgid"}}}'
)
DENIES_ALL = '{"Effect": "Deny", "Principal": "*", "Action": "*", "Resource": "*"}'

ESTATES: dict[str, tuple[Callable[[], Estate], tuple[str, str]]] = {
    "plain": (plain, ("pass", "")),
    "plain, closed": (lambda: closed(plain()), ("fail", "security_group")),
    "hub and spoke, private DNS off, a shared zone": (hub, ("pass", "")),
    "hub and spoke, no zone": (lambda: hub(zone=False), ("pass", "")),
    "hub, no zone, no way out": (sealed_hub, ("fail", "private_dns")),
    "S3 by gateway, beside an interface": (lambda: s3_both()[0], ("pass", "")),
    "S3 by interface, beside a gateway": (lambda: s3_both()[1], ("pass", "")),
    "S3 by gateway without a route": (lambda: s3_both(routed=False)[0], ("fail", "route")),
    "another Region's service": (cross_region, ("pass", "")),
    "another Region's service, closed": (
        lambda: cross_region(open_=False),
        ("fail", "security_group"),
    ),
    "a Gateway Load Balancer": (firewall, ("pass", "")),
    "a Gateway Load Balancer without route": (lambda: firewall(routed=False), ("fail", "route")),
    "IPv6 alone": (ipv6_only, ("pass", "")),
    "IPv6 alone, rules for IPv4": (lambda: ipv6_only(open_=False), ("fail", "security_group")),
    "shared subnets": (shared, ("pass", "")),
    "shared subnets, closed": (lambda: shared(open_=False), ("fail", "security_group")),
    "a group of another account, accepted": (foreign_group, ("pass", "")),
    "a group of another account, never seen": (
        lambda: foreign_group(accepted=False),
        ("unknown", ""),
    ),
    "one subnet": (one_subnet, ("pass", "")),
    "two subnets and the same ACL": (lambda: one_subnet(beside=False), ("fail", "network_acl")),
    "explicit ACLs": (explicit_acls, ("pass", "")),
    "explicit ACLs that forget the reply": (lambda: explicit_acls(443), ("fail", "network_acl")),
    "a wildcard name": (wildcard, ("pass", "")),
    "a wildcard name that leads elsewhere": (
        lambda: wildcard(answered=False),
        ("fail", "private_dns"),
    ),
    "a policy that restricts": (lambda: policy(ALLOWS_ONE), ("pass", "")),
    "a policy that denies everything": (lambda: policy(DENIES_ALL), ("fail", "endpoint_policy")),
}


@pytest.mark.parametrize("name", ESTATES)
def test_neither_false_red_nor_false_green(name: str) -> None:
    """What is right is not red, and what is wrong with its twin is named as the root cause."""
    build, expected = ESTATES[name]
    estate = build()
    found = diagnosis(estate.endpoint, estate.lab, *estate.others)
    troubles = [f for f in found.checks if f.status in ("fail", "unknown")]
    assert estate.judged() == expected, troubles


def test_two_causes_at_once() -> None:
    """The first in causal order is the root cause, and both are listed."""
    estate = closed(policy(DENIES_ALL))
    found = diagnosis(estate.endpoint, estate.lab)
    failing = [f.check for f in found.checks if f.status == "fail"]
    assert failing == ["security_group", "endpoint_policy", "flow_rejects"]
    assert found.root_cause is not None
    assert found.root_cause.check == "security_group"
    assert found.scope == CONSUMER
