"""Whether the load balancers' security groups let the consumers' clients in."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address, ip_network
from typing import Any

import pytest

from exporter.analysis.rules import protocol_name
from exporter.model import Expected, Rejected, Route, Traffic
from tests.analysis.lab import DENIED, NOW, PROVIDER, Lab, rule
from tests.analysis.pair import CLIENT, Pair, pair
from tests.analysis.test_nlb_listener import blind

CHECK = "nlb_security_group"


def guarded(*rules: tuple[Any, ...], enforces: str = "on", **more: Any) -> Pair:
    """A pair whose load balancer has a security group with these inbound rules."""
    provider = Lab(PROVIDER)
    theirs = provider.add_vpc("10.200.0.0/16")
    group = provider.add_group(theirs, *rules)
    return pair(nlb=group, enforces=enforces, provider=provider, theirs=theirs, **more)


@pytest.mark.parametrize(
    ("rules", "seen", "status"),
    [
        ([("0.0.0.0/0", 443)], [], "pass"),
        ([], [], "fail"),
        ([("0.0.0.0/0", 8443)], [], "fail"),
        ([("10.250.0.0/16", 443)], [], "unknown"),
        ([("10.250.0.0/16", 443)], [CLIENT], "fail"),
        ([("10.250.0.0/16", 8443)], [CLIENT], "fail"),
        ([("10.1.0.0/16", 443)], [CLIENT], "pass"),
        ([("10.1.9.7/32", 443)], [CLIENT, "10.1.9.8"], "fail"),
        ([("10.1.0.0/16", 443)], [CLIENT, "203.0.113.9"], "pass"),
        ([("10.250.0.0/16", 443)], ["203.0.113.9"], "fail"),
        ([("203.0.113.0/24", 443)], [CLIENT, "203.0.113.9"], "fail"),
    ],
    ids=[
        "open to all",
        "no rule",
        "another port",
        "clients not known",
        "client outside of the rule",
        "a rule, of another port",
        "client inside of the rule",
        "one of two clients",
        "a stranger beside a client",
        "a stranger alone",
        "the client is out, the stranger in",
    ],
)
def test_the_rules_are_asked_about_the_clients_own_address(
    rules: list[tuple[Any, ...]], seen: list[str], status: str
) -> None:
    """Not about the endpoint's; without a known client only what no packet could pass fails."""
    estate = guarded(*rules)
    estate.seen(*seen)
    assert estate.of_service(CHECK).status == status
    assert estate.status_on_endpoint(CHECK) == ("not shown" if status == "pass" else status)


@pytest.mark.parametrize(
    ("enforces", "rules", "status"),
    [
        ("off", [], "pass"),
        ("", [], "unknown"),
        ("", [("10.250.0.0/16", 443)], "unknown"),
        ("", [("0.0.0.0/0", 443)], "pass"),
        ("on", [("10.250.0.0/16", 443)], "fail"),
    ],
)
def test_whether_the_rules_are_enforced(
    enforces: str, rules: list[tuple[Any, ...]], status: str
) -> None:
    """Off, PrivateLink traffic passes them; where AWS does not say, it matters unless all may."""
    estate = guarded(*rules, enforces=enforces)
    estate.seen(CLIENT)
    assert estate.of_service(CHECK).status == status


def test_a_load_balancer_without_a_group() -> None:
    """One that was made without never has one."""
    assert pair().of_service(CHECK).status == "not_applicable"


def test_the_fix_opens_for_the_clients_alone() -> None:
    """Least privilege: the address of each client that is the organisation's own, one port."""
    estate = guarded(("10.250.0.0/16", 443))
    estate.seen(CLIENT, "10.1.9.8")
    found = estate.of_service(CHECK)
    group_id = estate.balancer.security_group_ids[0]
    assert found.resources[0] == group_id
    assert f"no rule of {group_id} lets tcp 443 in from {CLIENT}" in found.evidence
    assert (found.fix or "").count("aws ec2 authorize-security-group-ingress") == 2
    assert "10.1.9.8/32" in (found.fix or "")
    assert f"--group-id {group_id}" in (found.fix or "")


def test_nothing_is_opened_for_a_stranger() -> None:
    """An address in no subnet of the organisation's gets no command."""
    estate = guarded(("10.250.0.0/16", 443))
    estate.seen("203.0.113.9")
    found = estate.of_service(CHECK)
    assert found.status == "fail"
    assert "aws " not in (found.fix or "")
    assert "do not open" in (found.fix or "")


@pytest.mark.parametrize(
    ("clients", "seen", "status"),
    [
        (("10.1.9.0/24",), [], "pass"),
        (("10.2.0.0/16",), [], "fail"),
        (("10.1.0.0/16", "10.2.0.0/16"), [], "fail"),
        (("10.0.0.0/8",), [], "fail"),
        (("10.1.9.0/24",), ["203.0.113.9"], "pass"),
    ],
    ids=["inside", "outside", "one of two", "only a part", "a stranger too"],
)
def test_configured_clients(clients: tuple[str, ...], seen: list[str], status: str) -> None:
    """Who is configured should come in, all of it, whether it was seen or not."""
    estate = guarded(("10.1.0.0/16", 443))
    estate.seen(*seen)
    networks = tuple(map(ip_network, clients))
    estate.consumer.expected[estate.endpoint.id] = Expected(clients=networks)
    found = estate.of_service(CHECK)
    assert found.status == status
    assert status == "pass" or "authorize-security-group-ingress" in (found.fix or "")


@pytest.mark.parametrize(
    ("configured", "status"), [((), "pass"), ((443,), "pass"), ((443, 8443), "fail")]
)
def test_one_of_two_ports(configured: tuple[int, ...], status: str) -> None:
    """One port that lets a client in is enough, unless the configuration asks for both."""
    estate = guarded(("10.1.0.0/16", 443))
    estate.listen(("TCP", 443), ("TCP", 8443))
    estate.seen(CLIENT)
    if configured:
        estate.consumer.expected[estate.endpoint.id] = Expected(ports=configured)
    assert estate.of_service(CHECK).status == status


@pytest.mark.parametrize(
    ("address", "port", "packets", "status"),
    [
        (CLIENT, 443, "syn", "fail"),
        (CLIENT, 22, "syn", "unknown"),
        (CLIENT, 443, "other", "unknown"),
        ("203.0.113.9", 443, "syn", "unknown"),
    ],
    ids=["own client", "a scan", "a late packet", "a stranger"],
)
def test_clients_that_the_endpoint_rejects(
    address: str, port: int, packets: str, status: str
) -> None:
    """Of two causes at once both are told, but for who only scans, is late, or a stranger."""
    estate = guarded(("10.250.0.0/16", 443))
    row = Rejected(
        ip_address(address), port, 6, "endpoint", "to_endpoint", packets, 5, 0, NOW - 90, NOW - 60
    )
    estate.consumer.traffic[estate.endpoint.id] = Traffic(rejected=(row,))
    assert estate.of_service(CHECK).status == status


def test_who_is_rejected_at_the_endpoint_beside_others_may_be_meant_to_stay_out() -> None:
    """Both ends keep it out: that is no fault of the load balancer's."""
    estate = guarded(("10.1.9.7/32", 443))
    estate.seen(CLIENT)
    row = Rejected(
        ip_address("10.1.9.8"), 443, 6, "endpoint", "to_endpoint", "syn", 5, 0, NOW - 90, NOW - 60
    )
    seen = estate.consumer.traffic[estate.endpoint.id]
    estate.consumer.traffic[estate.endpoint.id] = replace(seen, rejected=(row,))
    assert estate.of_service(CHECK).status == "pass"


def test_two_consumers_of_which_one_is_fine() -> None:
    """The other's endpoint is not red, the service is."""
    estate = guarded(("10.1.9.7/32", 443))
    estate.seen(CLIENT)
    kept_out = estate.another()
    estate.seen("10.1.9.8", endpoint=kept_out)
    found = estate.of_service(CHECK)
    assert found.status == "fail"
    assert kept_out.id in found.summary
    assert estate.endpoint.id not in found.resources
    assert estate.status_on_endpoint(CHECK) == "not shown"
    assert estate.status_on_endpoint(CHECK, kept_out) == "fail"


def test_a_consumer_of_which_nothing_is_known() -> None:
    """Whether its clients may come in is unknown, as long as not everybody may."""
    estate = guarded(("10.1.9.7/32", 443))
    estate.seen(CLIENT)
    estate.another()
    assert estate.of_service(CHECK).status == "unknown"
    assert estate.status_on_endpoint(CHECK) == "not shown"


def test_a_consumer_of_an_account_that_is_not_watched() -> None:
    """Its clients' addresses are not known."""
    estate = guarded(("10.1.0.0/16", 443))
    estate.seen(CLIENT)
    stranger = replace(estate.endpoint, id="vpce-0fffffffffffffff0")
    estate.provider.connect(estate.service, stranger)
    assert estate.of_service(CHECK).status == "unknown"


def test_nobody_is_connected() -> None:
    """Nobody is kept out."""
    estate = guarded(("10.1.0.0/16", 443))
    estate.provider.listings["connections"].clear()
    assert estate.of_service(CHECK).status == "pass"


@pytest.mark.parametrize(
    ("own_vpc", "peered", "answered", "status"),
    [
        (False, False, False, "fail"),
        (False, False, True, "fail"),
        (False, True, False, "unknown"),
        (False, True, True, "pass"),
        (True, False, False, "unknown"),
    ],
    ids=["another VPC", "answered before", "a peer", "a peer, answered", "the same VPC"],
)
def test_a_group_reference(own_vpc: bool, peered: bool, answered: bool, status: str) -> None:
    """A group means nobody in another VPC; in a peer, only traffic both ways shows that it does."""
    provider = Lab(PROVIDER)
    theirs = provider.add_vpc("10.200.0.0/16")
    other = provider.add_group(theirs)
    group = provider.add_group(theirs)
    provider.add_rule(rule(group.id, other.id))
    estate = pair(nlb=group, enforces="on", provider=provider, theirs=theirs)
    if peered:
        (table,) = provider.listings["route_tables"].values()
        route = Route(ip_network("10.1.0.0/16"), "pcx-0123456789abcdef0")
        provider.change("route_tables", table, routes=(*table.routes, route))
    estate.seen("10.200.1.77" if own_vpc else CLIENT, answered=answered)
    if own_vpc:
        estate.consumer.change("endpoints", estate.endpoint, vpc_id=theirs.id)
    assert estate.of_service(CHECK).status == status


@pytest.mark.parametrize(
    ("entries", "status"), [(["10.1.0.0/16"], "pass"), (["10.250.0.0/16"], "fail")]
)
def test_a_prefix_list(entries: list[str], status: str) -> None:
    """Its entries decide; unread, nothing does."""
    provider = Lab(PROVIDER)
    theirs = provider.add_vpc("10.200.0.0/16")
    listed = provider.add_prefix_list(*entries)
    group = provider.add_group(theirs, (listed.id, 443))
    estate = pair(nlb=group, enforces="on", provider=provider, theirs=theirs)
    estate.seen(CLIENT)
    assert estate.of_service(CHECK).status == status
    provider.details["prefix_list_entries"][listed.id] = DENIED
    assert estate.of_service(CHECK).status == "unknown"


@pytest.mark.parametrize(
    ("rules", "seen", "status"),
    [
        ([("::/0", 443)], [], "pass"),
        ([("0.0.0.0/0", 443)], [], "fail"),
        ([("2001:db8::/32", 443)], ["2001:db8::7"], "pass"),
        ([("2001:db8:1::/48", 443)], ["2001:db8::7"], "fail"),
    ],
)
def test_ipv6(rules: list[tuple[Any, ...]], seen: list[str], status: str) -> None:
    """IPv6 clients need IPv6 rules; the command names the address as IPv6."""
    estate = guarded(*rules, ip_address_types=("ipv6",), endpoint={"ip_address_type": "ipv6"})
    subnet = estate.consumer.add_subnet(estate.vpc, "2001:db8::/64")
    assert subnet.cidrs
    estate.seen(*seen)
    found = estate.of_service(CHECK)
    assert found.status == status
    assert status == "pass" or not seen or '"CidrIpv6":"2001:db8::7/128"' in (found.fix or "")


def test_a_dual_stack_service_that_is_open_to_ipv4_alone() -> None:
    """Who comes by IPv4 may; nobody can tell of a consumer that may come by IPv6."""
    estate = guarded(("0.0.0.0/0", 443), ip_address_types=("ipv4", "ipv6"))
    assert estate.status_on_endpoint(CHECK) == "not shown"
    assert estate.of_service(CHECK).status == "unknown"
    estate.seen(CLIENT)
    assert estate.of_service(CHECK).status == "pass"


def test_the_same_group_for_tcp_and_udp() -> None:
    """Of a TCP_UDP listener one protocol that lets a client in is enough."""
    estate = guarded(("10.1.0.0/16", 443))
    estate.listen(("TCP_UDP", 443))
    estate.seen(CLIENT)
    assert estate.of_service(CHECK).status == "pass"


def test_gateway_load_balancers_have_no_groups() -> None:
    """There is nothing to judge."""
    estate = guarded(types=("GatewayLoadBalancer",))
    assert estate.of_service(CHECK).status == "not_applicable"


def test_without_a_listener_nobody_comes() -> None:
    """The missing listener is the cause."""
    estate = guarded()
    estate.listen()
    assert estate.of_service(CHECK).status == "not_applicable"


@pytest.mark.parametrize(
    ("part", "open_to_all", "partly"),
    [
        ("load_balancers", "unknown", "unknown"),
        ("listeners", "unknown", "unknown"),
        ("security_group_rules", "unknown", "unknown"),
        ("connections", "pass", "unknown"),
    ],
)
def test_what_cannot_be_seen(part: str, open_to_all: str, partly: str) -> None:
    """It is unknown where it matters: who is connected does not where everybody may come in."""
    for source, status in (("0.0.0.0/0", open_to_all), ("10.1.0.0/16", partly)):
        estate = guarded((source, 443))
        estate.seen(CLIENT)
        blind(estate, part)
        assert estate.of_service(CHECK).status == status, source


def test_route_tables_matter_only_to_group_references() -> None:
    """A rule for addresses means the same whether the VPCs are peers or not."""
    estate = guarded(("10.1.0.0/16", 443))
    estate.seen(CLIENT)
    estate.provider.instead["route_tables"] = DENIED
    assert estate.of_service(CHECK).status == "pass"


@pytest.mark.parametrize("denied", ["consumer", "provider"])
def test_who_is_a_stranger_is_not_known_without_all_subnets(denied: str) -> None:
    """An address that is kept out may be meant to be."""
    estate = guarded(("10.1.9.7/32", 443))
    estate.seen(CLIENT, "203.0.113.9")
    assert estate.of_service(CHECK).status == "pass"
    getattr(estate, denied).instead["subnets"] = DENIED
    assert estate.of_service(CHECK).status == "unknown"


def test_the_collector_of_flow_logs_is_switched_off() -> None:
    """Without it and without configured clients there is nothing to judge by."""
    estate = guarded(("10.1.0.0/16", 443))
    assert estate.of_service(CHECK, off=("flow_logs",)).status == "not_applicable"
    networks = (ip_network("10.1.9.0/24"),)
    estate.consumer.expected[estate.endpoint.id] = Expected(clients=networks)
    assert estate.of_service(CHECK, off=("flow_logs",)).status == "pass"


@pytest.mark.parametrize(
    ("service", "endpoint", "of_service", "on_endpoint"),
    [
        (("ipv4",), "ipv4", "fail", "fail"),
        (("dualstack",), "ipv4", "fail", "fail"),
        (("ipv4", "ipv6"), "dualstack", "fail", "fail"),
        (("ipv4",), "service-defined", "fail", "unknown"),
        (("ipv9",), "ipv4", "unknown", "fail"),
        (("ipv4", "ipv9"), "ipv9", "unknown", "unknown"),
        ((), "ipv4", "fail", "fail"),
        ((), "", "fail", "fail"),
    ],
)
def test_address_families(
    service: tuple[str, ...], endpoint: str, of_service: str, on_endpoint: str
) -> None:
    """Both are asked of dualstack; a word that is not known here leaves open who may come."""
    estate = guarded(ip_address_types=service, endpoint={"ip_address_type": endpoint})
    assert estate.of_service(CHECK).status == of_service
    assert estate.status_on_endpoint(CHECK) == on_endpoint


def test_a_protocol_that_is_no_number() -> None:
    """A rule's protocol is told as AWS says it, whatever it is."""
    assert protocol_name("²") == "²"
