"""Routes: to interface endpoints and back, to Gateway Load Balancer and gateway endpoints."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from ipaddress import ip_network

import pytest

from exporter.model import (
    Endpoint,
    Expected,
    Finding,
    Interface,
    NetworkAclEntry,
    PrefixList,
    Route,
    Vpc,
)
from tests.analysis.lab import ALLOW_ALL, CONSUMER, DENIED, PROVIDER, Lab, finding, rule
from tests.analysis.net import Net, net, reject

TGW, PCX = "tgw-0123456789abcdef0", "pcx-0123456789abcdef0"
SPOKE = "10.1.0.0/16"


def spoke(
    there: str | None = TGW,
    back: str | None = TGW,
    *,
    state: str = "active",
    elsewhere: bool = False,
    accepted: bool = False,
) -> Net:
    """A client in a spoke, with a route to the hub and one back; `elsewhere` another account's."""
    hub = net(("10.0.0.0/8",))
    lab = Lab(PROVIDER) if elsewhere else hub.lab
    vpc = lab.add_vpc(SPOKE)
    subnet = lab.add_subnet(vpc, "10.1.1.0/24")
    lab.add_interface(subnet, "10.1.1.10", groups=[lab.add_group(vpc)])
    lab.add_table(vpc, [Route(ip_network("10.0.0.0/16"), there)] if there else [], [subnet])
    routes = [Route(ip_network(SPOKE), back, state)] if back else []
    hub.lab.add_table(hub.vpc, routes, [hub.inner])
    if accepted:
        hub.saw(accepted=["10.1.1.10"], ports=[443])
    else:
        hub.told("10.1.1.10/32")
    hub.others = (lab,) if elsewhere else ()
    return hub


def judged(estate: Net) -> Finding:
    return finding("route", estate.endpoint, estate.lab, *estate.others)


def seen() -> Net:
    estate = net()
    estate.saw(reject())
    return estate


def more_specific() -> Net:
    """The endpoint's table sends the client's subnet through an appliance."""
    estate = seen()
    appliance = Route(ip_network("10.0.1.0/24"), "eni-0123456789abcdef0")
    estate.lab.add_table(estate.vpc, [appliance], [estate.inner])
    return estate


def unseen_client() -> Net:
    """A client in a network that nobody lists, told; a transit gateway leads to it."""
    estate = net(("10.0.0.0/8",))
    estate.lab.add_table(estate.vpc, [Route(ip_network("10.0.0.0/8"), TGW)], [estate.inner])
    estate.told("10.200.0.0/16")
    return estate


def six() -> Net:
    estate = net()
    estate.told("2001:db8::/64")
    return estate


def denied(part: str) -> Net:
    estate = seen()
    estate.lab.instead[part] = DENIED
    return estate


def twin(*, accepted: bool = False, tell: bool = False) -> Net:
    """A network beyond a gateway, and a VPC of the same addresses that nothing joins with it."""
    estate = net(("10.0.0.0/8",))
    estate.lab.add_table(estate.vpc, [Route(ip_network("10.0.0.0/8"), TGW)], [estate.inner])
    alone = estate.lab.add_vpc("10.50.0.0/16")
    estate.lab.add_interface(estate.lab.add_subnet(alone, "10.50.1.0/24"), "10.50.1.9")
    if accepted:
        estate.saw(accepted=["10.50.1.9"], ports=[443])
    if tell:
        estate.told("10.50.1.0/24")
    return estate


CASES: dict[str, tuple[Callable[[], Net], str]] = {
    "an address that a lone VPC has too, accepted": (lambda: twin(accepted=True), "pass"),
    "a network that a lone VPC has too": (lambda: twin(tell=True), "unknown"),
    "within the VPC": (net, "pass"),
    "a client that was seen": (seen, "pass"),
    "a spoke by a transit gateway": (spoke, "unknown"),
    "a spoke whose traffic is accepted": (lambda: spoke(accepted=True), "pass"),
    "no route back": (lambda: spoke(back=None), "fail"),
    "no route there": (lambda: spoke(there=None), "fail"),
    "the route back is a blackhole": (lambda: spoke(state="blackhole"), "fail"),
    "a peering connection both ways": (lambda: spoke(PCX, PCX), "pass"),
    "a peering connection there alone": (lambda: spoke(PCX, None), "fail"),
    "a spoke in another account": (lambda: spoke(PCX, PCX, elsewhere=True), "pass"),
    "another account's spoke without route": (lambda: spoke(None, PCX, elsewhere=True), "fail"),
    "a network that nobody lists": (unseen_client, "unknown"),
    "through an appliance": (more_specific, "unknown"),
    "a told client of a family that it lacks": (six, "fail"),
    "tables denied": (lambda: denied("route_tables"), "unknown"),
    "subnets denied": (lambda: denied("subnets"), "unknown"),
}


@pytest.mark.parametrize("name", CASES)
def test_the_way_there_and_back(name: str) -> None:
    """Each way has its status; a failure names the table."""
    build, status = CASES[name]
    found = judged(build())
    assert found.status == status, found
    if status == "fail":
        assert found.resources[0].startswith(("rtb-", "vpce-"))
        assert found.fix


@dataclass
class Gateway:
    """A gateway endpoint with a client 10.0.1.10 in a subnet of its own."""

    lab: Lab
    vpc: Vpc
    entries: PrefixList
    endpoint: Endpoint
    client: Interface

    def judged(self, check: str) -> Finding:
        return finding(check, self.endpoint, self.lab)


def gateway(
    *,
    routed: bool = True,
    state: str = "active",
    more: tuple[Route, ...] = (),
    beside: bool = False,
    clients: bool = True,
    tell: bool = False,
) -> Gateway:
    """`beside`: another subnet with a client has the route, whether the first has it or not."""
    lab = Lab()
    vpc = lab.add_vpc("10.0.0.0/16")
    service = "com.amazonaws.eu-west-1.s3"
    entries = lab.add_prefix_list("203.0.113.0/25", "203.0.113.128/25", name=service, owner="AWS")
    endpoint = lab.add_endpoint(vpc, {}, service=service, type="Gateway", dns_names=())
    app, other = lab.add_subnet(vpc, "10.0.1.0/24"), lab.add_subnet(vpc, "10.0.2.0/24")
    route = Route(entries.id, endpoint.id, state)
    lab.add_table(vpc, [*([route] if routed else []), *more], [app])
    lab.add_table(vpc, [route] if beside or not routed else [], [other])
    group = lab.add_group(vpc)
    client = lab.add_interface(app, "10.0.1.10", groups=[group])
    if not clients:
        del lab.listings["interfaces"][client.id]
    if beside:
        lab.add_interface(other, "10.0.2.10", groups=[group])
    estate = Gateway(lab, vpc, entries, endpoint, client)
    if tell:
        lab.expected[endpoint.id] = Expected(clients=(ip_network("10.0.1.0/24"),))
    return estate


def nat(cidr: str) -> Route:
    return Route(ip_network(cidr), "nat-0123456789abcdef0")


def database_beside() -> Gateway:
    """The routed subnet is empty; an interface of RDS's is in one that has no route."""
    estate = gateway(routed=False)
    lab = estate.lab
    lab.change("interfaces", estate.client, description="RDSNetworkInterface")
    return estate


GATEWAYS: dict[str, tuple[Callable[[], Gateway], str]] = {
    "the clients' table leads to it": (gateway, "pass"),
    "only another subnet's table does": (lambda: gateway(routed=False), "fail"),
    "another subnet with clients has the route": (
        lambda: gateway(routed=False, beside=True),
        "pass",
    ),
    "a told client's subnet lacks the route": (
        lambda: gateway(routed=False, beside=True, tell=True),
        "fail",
    ),
    "the route is a blackhole": (lambda: gateway(state="blackhole"), "fail"),
    "a default route beside it": (lambda: gateway(more=(nat("0.0.0.0/0"),)), "pass"),
    "a more specific route goes by NAT": (lambda: gateway(more=(nat("203.0.113.0/26"),)), "pass"),
    "a told client's goes by NAT": (
        lambda: gateway(more=(nat("203.0.113.0/26"),), tell=True),
        "fail",
    ),
    "a more specific route is a blackhole": (
        lambda: gateway(more=(replace(nat("203.0.113.0/26"), target="x-1", state="blackhole"),)),
        "fail",
    ),
    "other subnets' clients go by NAT": (
        lambda: gateway(routed=False, more=(nat("0.0.0.0/0"),)),
        "pass",
    ),
    "a database beside it is no client": (database_beside, "pass"),
    "no client is seen": (lambda: gateway(clients=False), "pass"),
}


@pytest.mark.parametrize("name", GATEWAYS)
def test_gateway_endpoints(name: str) -> None:
    """Packets take the endpoint only where the clients' own table leads to it."""
    build, status = GATEWAYS[name]
    found = build().judged("route")
    assert found.status == status, found


@pytest.mark.parametrize("part", ["route_tables", "prefix_list_entries", "interfaces"])
def test_what_was_not_seen_of_a_gateway_is_unknown(part: str) -> None:
    """A denied call is no missing route."""
    estate = gateway()
    if part in estate.lab.details:
        estate.lab.details[part] = {estate.entries.id: DENIED}
    else:
        estate.lab.instead[part] = DENIED
    assert estate.judged("route").status == "unknown"


def test_the_table_to_add_is_named() -> None:
    """The command adds the clients' route table to the endpoint."""
    estate = gateway(routed=False)
    found = estate.judged("route")
    assert f"--vpc-endpoint-id {estate.endpoint.id} --add-route-table-ids rtb-" in (found.fix or "")
    assert found.resources[0].startswith("rtb-")


@pytest.mark.parametrize(
    ("source", "status"),
    [("0.0.0.0/0", "pass"), ("list", "pass"), ("203.0.113.0/25", "pass"), ("10.0.0.0/8", "fail")],
)
def test_the_clients_groups_have_to_let_them_out_to_the_list(source: str, status: str) -> None:
    """By a network, or by the prefix list; where nothing does, the command adds the list."""
    estate = gateway()
    (group_id,) = estate.client.security_group_ids
    rules = estate.lab.listings["security_group_rules"]
    rules.clear()
    to = estate.entries.id if source == "list" else source
    estate.lab.add_rule(rule(group_id, to, egress=True))
    found = estate.judged("security_group")
    assert found.status == status
    if status == "fail":
        assert found.resources[0] == group_id
        assert f'"PrefixListId":"{estate.entries.id}"' in (found.fix or "")


def test_the_clients_network_acl_has_to_let_packets_out_and_answers_in() -> None:
    """An ACL cannot name the list; one that lets nothing back in breaks it."""
    estate = gateway()
    assert estate.judged("network_acl").status == "pass"
    app = next(
        s for s in estate.lab.listings["subnets"].values() if str(s.cidrs[0]) == "10.0.1.0/24"
    )
    https = NetworkAclEntry(100, False, True, "6", ip_network("0.0.0.0/0"), 443, 443)
    estate.lab.add_acl(estate.vpc, [https, ALLOW_ALL[1]], [app])
    found = estate.judged("network_acl")
    assert found.status == "fail"
    assert found.resources[0].startswith("acl-")


@pytest.mark.parametrize(
    ("state", "managed", "status"),
    [
        ("active", False, "pass"),
        ("blackhole", False, "fail"),
        (None, False, "fail"),
        ("active", True, "pass"),
        ("blackhole", True, "fail"),
        (None, True, "warn"),
    ],
)
def test_gateway_load_balancer_endpoints(state: str | None, managed: bool, status: str) -> None:
    """Packets come by an active route to it; a firewall that was just made may have none yet."""
    lab = Lab(CONSUMER)
    vpc = lab.add_vpc("10.0.0.0/16")
    subnet = lab.add_subnet(vpc, "10.0.1.0/24")
    endpoint = lab.add_endpoint(
        vpc, {"10.0.1.5": subnet}, type="GatewayLoadBalancer", requester_managed=managed
    )
    routes = [Route(ip_network("0.0.0.0/0"), endpoint.id, state)] if state else []
    table = lab.add_table(vpc, routes, [subnet])
    found = finding("route", endpoint, lab)
    assert found.status == status
    if state == "blackhole":
        assert f"replace-route --route-table-id {table.id} " in (found.fix or "")
        assert f"--vpc-endpoint-id {endpoint.id}" in (found.fix or "")
