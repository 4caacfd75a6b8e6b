"""An estate to be judged, built in a few lines: all is well but for what a test changes."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from ipaddress import ip_address, ip_network
from typing import Any, TypeVar

from exporter import analysis
from exporter.model import (
    Address,
    Connection,
    Diagnosis,
    DnsName,
    Endpoint,
    EndpointService,
    Expected,
    Facts,
    Finding,
    Interface,
    Inventory,
    Known,
    Listener,
    LoadBalancer,
    LoadBalancerZone,
    Lookup,
    Network,
    NetworkAcl,
    NetworkAclEntry,
    Part,
    PrefixList,
    Route,
    RouteTable,
    Scope,
    SecurityGroup,
    SecurityGroupRule,
    ServiceDetail,
    Site,
    Subnet,
    Target,
    TargetGroup,
    Traffic,
    Unavailable,
    Vpc,
    VpcAttributes,
    classify_name,
    is_public,
)

N = TypeVar("N")
NOW = 1_760_000_000.0
CONSUMER = Scope("222233334444", "eu-west-1")
PROVIDER = Scope("444455556666", "eu-west-1")
EVERYWHERE = ip_network("0.0.0.0/0")
DENIED: Unavailable[Any] = Unavailable("AccessDenied: not authorized", "denied")
ALLOW_ALL = (
    NetworkAclEntry(100, False, True, "-1", ip_network("0.0.0.0/0")),
    NetworkAclEntry(100, True, True, "-1", ip_network("0.0.0.0/0")),
)
_LISTINGS = (
    "endpoints",
    "endpoint_associations",
    "service_details",
    "vpcs",
    "subnets",
    "interfaces",
    "security_groups",
    "security_group_rules",
    "network_acls",
    "route_tables",
    "prefix_lists",
    "flow_logs",
    "services",
    "connections",
    "load_balancers",
    "target_groups",
)
_numbers = itertools.count(1)


def new_id(prefix: str) -> str:
    return f"{prefix}-{next(_numbers):017x}"


class Everything(frozenset[str]):
    """Stands for a listing that was kept to nothing: it has what belongs to any id."""

    def issuperset(self, other: Iterable[object], /) -> bool:
        return True


def rule(
    group_id: str,
    source: str = "0.0.0.0/0",
    port: int | None = 443,
    *,
    egress: bool = False,
    protocol: str = "tcp",
    to_port: int | None = None,
    **more: Any,
) -> SecurityGroupRule:
    """A rule for a network, a prefix list (pl-) or a group (sg-); without a port for all."""
    who: dict[str, Any]
    if source.startswith("sg-"):
        who = {"referenced_group_id": source}
    elif source.startswith("pl-"):
        who = {"prefix_list_id": source}
    else:
        who = {"cidr": ip_network(source)}
    return SecurityGroupRule(
        new_id("sgr"), group_id, egress, protocol, port, to_port or port, **who, **more
    )


@dataclass
class Lab:
    """An account and Region under construction; every add_* returns the noun that it added."""

    scope: Scope = CONSUMER
    listings: dict[str, dict[str, Any]] = field(
        default_factory=lambda: {name: {} for name in _LISTINGS}
    )
    details: dict[str, dict[str, Part[Any]]] = field(
        default_factory=lambda: {
            "vpc_attributes": {},
            "prefix_list_entries": {},
            "service_permissions": {},
            "listeners": {},
            "load_balancer_attributes": {},
            "target_group_attributes": {},
            "target_health": {},
        }
    )
    # By listing, what it is instead of what was added: a part that could not be seen.
    instead: dict[str, Part[Any]] = field(default_factory=dict)
    lookups: dict[str, tuple[Lookup, ...]] = field(default_factory=dict)
    traffic: dict[str, Traffic] = field(default_factory=dict)
    dials: dict[str, Any] = field(default_factory=dict)
    changes: tuple[Any, ...] = ()
    expected: dict[str, Expected] = field(default_factory=dict)
    blind: dict[str, str] = field(default_factory=dict)
    # The VPCs that this host is in or can reach.
    reachable: set[str] = field(default_factory=set)

    def add(self, listing: str, noun: N) -> N:
        self.listings[listing][noun.id] = noun  # type: ignore[attr-defined]  # all nouns have one
        return noun

    def change(self, listing: str, noun: N, **changes: Any) -> N:
        """Put another noun in the place of one, which differs in some fields."""
        return self.add(listing, replace(noun, **changes))  # type: ignore[type-var]  # a dataclass

    def add_vpc(self, *cidrs: str, support: bool = True, hostnames: bool = True) -> Vpc:
        """A VPC with a default ACL that allows all and a main table with the local routes."""
        vpc = Vpc(new_id("vpc"), self.scope.account, tuple(map(ip_network, cidrs)))
        self.add("vpcs", vpc)
        self.details["vpc_attributes"][vpc.id] = Known(VpcAttributes(support, hostnames), NOW)
        self.add_acl(vpc, ALLOW_ALL, default=True)
        self.add_table(vpc, main=True)
        return vpc

    def add_acl(
        self,
        vpc: Vpc,
        entries: Iterable[NetworkAclEntry],
        subnets: Iterable[Subnet] = (),
        default: bool = False,
    ) -> NetworkAcl:
        ids = tuple(s.id for s in subnets)
        return self.add(
            "network_acls", NetworkAcl(new_id("acl"), vpc.id, default, ids, tuple(entries))
        )

    def add_table(
        self,
        vpc: Vpc,
        routes: Iterable[Route] = (),
        subnets: Iterable[Subnet] = (),
        main: bool = False,
    ) -> RouteTable:
        """A route table; the VPC's own routes are added."""
        local = tuple(Route(cidr, "local") for cidr in vpc.cidrs)
        ids = tuple(s.id for s in subnets)
        return self.add(
            "route_tables", RouteTable(new_id("rtb"), vpc.id, main, ids, (*local, *routes))
        )

    def add_subnet(self, vpc: Vpc, *cidrs: str, zone: int = 1) -> Subnet:
        name, letter = f"euw1-az{zone}", "abcdef"[zone - 1]
        nets = tuple(map(ip_network, cidrs))
        subnet = Subnet(new_id("subnet"), vpc.id, f"{self.scope.region}{letter}", name, nets)
        return self.add("subnets", subnet)

    def add_group(self, vpc: Vpc, *rules: tuple[Any, ...] | SecurityGroupRule) -> SecurityGroup:
        """A group that lets everything out, and in what the rules (source, port, …) say."""
        group = SecurityGroup(new_id("sg"), vpc.id, "", self.scope.account)
        self.add("security_groups", group)
        self.add_rule(rule(group.id, "0.0.0.0/0", None, egress=True, protocol="-1"))
        for one in rules:
            self.add_rule(
                replace(one, group_id=group.id)
                if isinstance(one, SecurityGroupRule)
                else rule(group.id, *one)
            )
        return group

    def add_rule(self, one: SecurityGroupRule) -> SecurityGroupRule:
        return self.add("security_group_rules", one)

    def drop_rules(self, group: SecurityGroup, egress: bool) -> None:
        """Remove a group's rules of one direction."""
        rules = self.listings["security_group_rules"]
        for one in [r for r in rules.values() if (r.group_id, r.egress) == (group.id, egress)]:
            del rules[one.id]

    def add_interface(
        self, subnet: Subnet, *addresses: str, groups: Iterable[SecurityGroup] = (), **more: Any
    ) -> Interface:
        found: tuple[Address, ...] = tuple(map(ip_address, addresses))
        ids = tuple(g.id for g in groups)
        return self.add(
            "interfaces",
            Interface(
                new_id("eni"),
                subnet.vpc_id,
                subnet.id,
                subnet.zone,
                subnet.zone_id,
                found,
                ids,
                **{"type": "interface", **more},
            ),
        )

    def add_prefix_list(self, *entries: str, **more: Any) -> PrefixList:
        found = self.add("prefix_lists", PrefixList(new_id("pl"), **more))
        networks: tuple[Network, ...] = tuple(map(ip_network, entries))
        self.details["prefix_list_entries"][found.id] = Known(networks, NOW)
        return found

    def add_endpoint(
        self,
        vpc: Vpc,
        addresses: Mapping[str, Subnet],
        groups: Iterable[SecurityGroup] = (),
        *,
        service: str = "com.amazonaws.eu-west-1.sqs",
        private_name: str | None = None,
        **more: Any,
    ) -> Endpoint:
        """An available interface endpoint with an interface at each address, and its names.

        The service has `private_name`; the endpoint too, unless `private_dns_enabled` is False.
        """
        endpoint_id = new_id("vpce")
        groups = tuple(groups)
        interfaces = tuple(
            self.add_interface(subnet, address, groups=groups, type="vpc_endpoint")
            for address, subnet in addresses.items()
        )
        base = f"{endpoint_id}-0123abcd"
        domain = f"{service.rsplit('.', 1)[-1]}.{self.scope.region}.vpce.amazonaws.com"
        names: list[DnsName] = [classify_name(f"{base}.{domain}", endpoint_id)]
        names += [classify_name(f"{base}-{i.zone}.{domain}", endpoint_id) for i in interfaces]
        if private_name and more.get("private_dns_enabled", True):
            names.append(DnsName(private_name, "private"))
        found = Endpoint(
            endpoint_id,
            self.scope,
            **{
                "type": "Interface",
                "state": "available",
                "aws_state": "available",
                "service_name": service,
                "vpc_id": vpc.id,
                "service_region": self.scope.region,
                "owner": self.scope.account,
                "subnet_ids": tuple(i.subnet_id for i in interfaces),
                "interface_ids": tuple(i.id for i in interfaces),
                "security_group_ids": tuple(g.id for g in groups),
                "ip_address_type": "ipv4",
                "dns_record_ip_type": "ipv4",
                "private_dns_enabled": private_name is not None,
                "dns_names": tuple(names),
                "created": NOW - 86400,
                **more,
            },
        )
        zones = ("euw1-az1", "euw1-az2", "euw1-az3")
        self.add(
            "service_details",
            ServiceDetail(
                new_id("vpce-svc"),
                service,
                (found.type,),
                "amazon",
                self.scope.region,
                zone_ids=zones,
                private_dns_names=(private_name,) if private_name else (),
                policy_supported=True,
            ),
        )
        return self.add("endpoints", found)

    def add_service(
        self,
        vpc: Vpc,
        subnets: Iterable[Subnet],
        *,
        port: int = 443,
        groups: Iterable[SecurityGroup] = (),
        enforces: str = "off",
        targets: Mapping[str, str] | None = None,
        target_groups: Iterable[SecurityGroup] = (),
        **more: Any,
    ) -> EndpointService:
        """An available service with a Network Load Balancer and healthy targets in each subnet.

        `targets` are states by address instead; `target_groups` guard the targets' interfaces.
        """
        subnets = tuple(subnets)
        service_id = new_id("vpce-svc")
        arn = (
            f"arn:aws:elasticloadbalancing:{self.scope.region}:{self.scope.account}:"
            f"loadbalancer/net/{service_id}/0123456789abcdef"
        )
        group_arn = arn.replace("loadbalancer/net", "targetgroup")
        zones = tuple(LoadBalancerZone(s.zone, s.id) for s in subnets)
        ids = tuple(g.id for g in groups)
        self.add(
            "load_balancers",
            LoadBalancer(
                arn, service_id, "network", "active", vpc.id, zones, ids, enforces, "ipv4"
            ),
        )
        self.details["load_balancer_attributes"][arn] = Known(
            {"load_balancing.cross_zone.enabled": "false"}, NOW
        )
        listener = Listener(
            arn.replace("loadbalancer", "listener") + "/1", "TCP", port, (group_arn,)
        )
        self.details["listeners"][arn] = Known((listener,), NOW)
        self.add(
            "target_groups",
            TargetGroup(
                group_arn, service_id, "TCP", port, vpc.id, "ip", (arn,), "TCP", "traffic-port"
            ),
        )
        self.details["target_group_attributes"][group_arn] = Known({}, NOW)
        first = {str(s.cidrs[0][20]): "healthy" for s in subnets}
        found = []
        guards = tuple(target_groups)
        for address, state in (first if targets is None else targets).items():
            subnet = next(s for s in subnets if ip_address(address) in s.cidrs[0])
            self.add_interface(subnet, address, groups=guards)
            found.append(Target(address, port, "", state))
        self.details["target_health"][group_arn] = Known(tuple(found), NOW)
        for subnet in subnets:
            self.add_interface(
                subnet,
                str(subnet.cidrs[0][10]),
                groups=groups,
                description=f"ELB net/{service_id}/0123456789abcdef",
                type="network_load_balancer",
            )
        return self.add(
            "services",
            EndpointService(
                service_id,
                self.scope,
                **{
                    "service_name": f"com.amazonaws.vpce.{self.scope.region}.{service_id}",
                    "state": "available",
                    "aws_state": "Available",
                    "types": ("Interface",),
                    "zones": tuple(s.zone for s in subnets),
                    "zone_ids": tuple(s.zone_id for s in subnets),
                    "load_balancer_arns": (arn,),
                    **more,
                },
            ),
        )

    def connect(
        self, service: EndpointService, endpoint: Endpoint, state: str = "available"
    ) -> None:
        """Add the connection of an endpoint, as the provider lists it."""
        self.add(
            "connections",
            Connection(
                new_id("vpce-con"),
                service.id,
                endpoint.id,
                endpoint.scope.account,
                state,
                created=NOW - 3600,
                load_balancer_arns=service.load_balancer_arns,
            ),
        )

    def answer(
        self,
        endpoint: Endpoint,
        name: DnsName,
        *answers: str,
        resolver: str = "10.0.0.2:53",
        rcode: str = "NOERROR",
        problem: str | None = None,
        **more: Any,
    ) -> Lookup:
        """Add what a resolver of the VPC answers for a name of the endpoint."""
        found = tuple(map(ip_address, answers))
        interfaces = self.listings["interfaces"]
        own = tuple(a for i in endpoint.interface_ids for a in interfaces[i].addresses)
        foreign = set(found) - set(own)
        if rcode != "NOERROR":
            problem = {"NXDOMAIN": "nxdomain", "SERVFAIL": "servfail"}.get(rcode, rcode.lower())
        elif not found:
            problem = "no_answer"
        elif foreign:
            problem = "public_address" if any(map(is_public, foreign)) else "foreign_address"
        fields: dict[str, Any] = {
            "expected": own,
            "problem": problem,
            "matches": bool(found) and not foreign,
            **more,
        }
        lookup = Lookup(
            endpoint.id,
            name,
            resolver,
            rcode,
            found,
            cnames=(),
            ttl=60,
            duration=0.01,
            as_of=NOW,
            **fields,
        )
        self.lookups[endpoint.id] = (*self.lookups.get(endpoint.id, ()), lookup)
        return lookup

    def inventory(self) -> Inventory:
        parts: dict[str, Any] = {n: Known(found, NOW) for n, found in self.listings.items()}
        kept = {name: Everything() for name in self.listings}
        return Inventory(self.scope, kept, **{**parts, **self.details, **self.instead})

    def site(self) -> Site:
        return Site(
            self.scope,
            self.inventory(),
            self.lookups,
            self.traffic,
            self.dials,
            self.changes,
            self.expected,
            self.blind,
        )


def facts(*labs: Lab, off: Iterable[str] = ()) -> Facts:
    reachable = frozenset(vpc_id for lab in labs for vpc_id in lab.reachable)
    return Facts(NOW, tuple(lab.site() for lab in labs), frozenset(off), reachable)


def diagnosis(noun: Endpoint | EndpointService, *labs: Lab, off: Iterable[str] = ()) -> Diagnosis:
    """What is judged of an endpoint or service, in the estate of these labs."""
    found = {d.id: d for d in analysis.diagnose(facts(*labs, off=off))}
    return found[noun.id]


def finding(
    check: str, noun: Endpoint | EndpointService, *labs: Lab, off: Iterable[str] = ()
) -> Finding:
    """What one check finds of an endpoint or service."""
    (found,) = [f for f in diagnosis(noun, *labs, off=off).checks if f.check == check]
    return found
