"""Whether the targets let the load balancer in, at the traffic and at the health check's port."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address, ip_network
from typing import Any

import pytest

from exporter.model import Known, Target
from tests.analysis.lab import DENIED, NOW, PROVIDER, Lab, diagnosis, rule
from tests.analysis.pair import Pair, pair
from tests.analysis.test_nlb_listener import blind

CHECK = "target_security_group"
HEALTH = 8080
NLB_1, NLB_2 = "10.200.1.10/32", "10.200.2.10/32"


def targets(*rules: Any, health: str = "traffic-port", nlb: bool = False, **more: Any) -> Pair:
    """A pair whose targets have a security group with these rules; `nlb` gives the other one."""
    provider = Lab(PROVIDER)
    theirs = provider.add_vpc("10.200.0.0/16")
    group = provider.add_group(theirs, *rules)
    own = provider.add_group(theirs, ("0.0.0.0/0", 443)) if nlb else None
    estate = pair(
        provider=provider, theirs=theirs, target_groups=[group], nlb=own, enforces="on", **more
    )
    provider.change("target_groups", estate.group, health_check_port=health)
    return estate


@pytest.mark.parametrize(
    ("rules", "health", "status", "named"),
    [
        ([("10.200.0.0/16", 443)], "traffic-port", "pass", ""),
        ([(NLB_1, 443), (NLB_2, 443)], "traffic-port", "pass", ""),
        ([("10.200.0.0/16", 443), ("10.200.0.0/16", HEALTH)], str(HEALTH), "pass", ""),
        ([rule("", "10.200.0.0/16", None, protocol="-1")], str(HEALTH), "pass", ""),
        ([], "traffic-port", "fail", "traffic port tcp 443"),
        ([("10.200.0.0/16", HEALTH)], str(HEALTH), "fail", "traffic port tcp 443"),
        ([("10.200.0.0/16", 443)], str(HEALTH), "fail", "health check port tcp 8080"),
        ([("10.1.0.0/16", 443)], "traffic-port", "fail", "traffic port tcp 443"),
        ([(NLB_1, 443)], "traffic-port", "fail", "traffic port tcp 443"),
    ],
    ids=[
        "the VPC",
        "the load balancer's addresses",
        "both ports",
        "every protocol",
        "no rule",
        "health check only",
        "traffic only",
        "the clients' addresses",
        "one of the load balancer's addresses",
    ],
)
def test_which_addresses_pass_at_which_port(
    rules: list[Any], health: str, status: str, named: str
) -> None:
    """Targets see the load balancer's addresses, never the clients': both ports need them."""
    estate = targets(*rules, health=health)
    found = estate.of_service(CHECK)
    assert found.status == status
    assert named in found.summary
    assert estate.status_on_endpoint(CHECK) == ("not shown" if status == "pass" else status)


def test_the_fix_opens_for_the_load_balancers_addresses() -> None:
    """A command for each of them, on the port that is closed, and the deciding group first."""
    estate = targets(("10.200.0.0/16", HEALTH), health=str(HEALTH))
    found = estate.of_service(CHECK)
    (guard,) = {
        i.security_group_ids
        for i in estate.provider.listings["interfaces"].values()
        if i.security_group_ids
    }
    assert found.resources[0] == guard[0]
    assert (found.fix or "").count("authorize-security-group-ingress") == 2
    assert NLB_1 in (found.fix or "")
    assert NLB_2 in (found.fix or "")
    assert any("is healthy" in text for text in found.evidence)


def test_the_fix_opens_both_ports() -> None:
    """Where the traffic and the health check are kept out, one command would not do."""
    estate = targets(health=str(HEALTH))
    fix = estate.of_service(CHECK).fix or ""
    assert '"FromPort":443' in fix
    assert f'"FromPort":{HEALTH}' in fix


def test_the_load_balancers_group_may_be_referenced() -> None:
    """A reference to it lets all of its addresses in."""
    estate = targets(nlb=True)
    found = estate.of_service(CHECK)
    assert found.status == "fail"
    own = estate.balancer.security_group_ids[0]
    assert f'"GroupId":"{own}"' in (found.fix or "")
    guard = found.resources[0]
    estate.provider.add_rule(rule(guard, own, 443))
    assert estate.of_service(CHECK).status == "pass"


def test_the_load_balancers_own_group_has_to_let_it_out() -> None:
    """Its outbound rules are asked too."""
    estate = targets(("10.200.0.0/16", 443), nlb=True)
    own = estate.provider.listings["security_groups"][estate.balancer.security_group_ids[0]]
    estate.provider.drop_rules(own, egress=True)
    found = estate.of_service(CHECK)
    assert (found.status, found.resources[0]) == ("fail", own.id)
    assert "authorize-security-group-egress" in (found.fix or "")


@pytest.mark.parametrize(
    ("rules", "cross_zone", "states", "status"),
    [
        ([(NLB_1, 443)], "true", ("healthy", "healthy"), "warn"),
        ([(NLB_1, 443)], "false", ("healthy", "healthy"), "fail"),
        ([(NLB_1, 443)], "false", ("healthy", "unhealthy"), "warn"),
        ([(NLB_1, 443), (NLB_2, 443)], "false", ("healthy", "healthy"), "pass"),
    ],
    ids=["cross-zone", "a target swallows connections", "a target is out of use", "each its own"],
)
def test_which_of_the_addresses_a_target_is_asked_from(
    rules: list[tuple[Any, ...]], cross_zone: str, states: tuple[str, str], status: str
) -> None:
    """Without cross-zone a target is asked from its own zone alone."""
    estate = targets(*rules)
    estate.attribute("balancer", cross_zone=cross_zone)
    estate.health(*states)
    assert estate.of_service(CHECK).status == status


@pytest.mark.parametrize(("zones", "status"), [((1,), "not shown"), ((2,), "fail")])
def test_a_consumer_sees_the_targets_of_its_zones(zones: tuple[int, ...], status: str) -> None:
    """Without cross-zone those of another zone are none of its concern."""
    provider = Lab(PROVIDER)
    theirs = provider.add_vpc("10.200.0.0/16")
    group = provider.add_group(theirs, (NLB_1, 443))
    estate = pair(zones, provider=provider, theirs=theirs, target_groups=[group])
    assert estate.of_service(CHECK).status == "fail"
    assert estate.status_on_endpoint(CHECK) == status


def test_the_load_balancers_interfaces_are_not_visible() -> None:
    """Then it may have any address of its subnets: what lets all of them in passes."""
    for sources, status in (
        (["10.200.0.0/16"], "pass"),
        (["10.200.1.0/28", "10.200.2.0/28"], "unknown"),
        (["10.9.0.0/16"], "fail"),
    ):
        estate = targets(*((source, 443) for source in sources))
        found = estate.provider.listings["interfaces"]
        for one in [i for i in found.values() if i.description.startswith("ELB ")]:
            del found[one.id]
        assert estate.of_service(CHECK).status == status, sources


def test_a_target_in_another_vpc_is_not_judged() -> None:
    """What guards it is not to be seen from here, on premises or behind a peering connection."""
    estate = targets()
    away = (Target("192.0.2.10", 443, "all", "healthy"),)
    estate.provider.details["target_health"][estate.group.id] = Known(away, NOW)
    assert estate.of_service(CHECK).status == "not_applicable"


@pytest.mark.parametrize(
    ("health", "state", "status"),
    [
        ("traffic-port", "healthy", "pass"),
        ("443", "healthy", "pass"),
        ("8080", "healthy", "unknown"),
        ("traffic-port", "unhealthy", "unknown"),
    ],
)
def test_a_target_whose_interface_is_not_listed(health: str, state: str, status: str) -> None:
    """A health check that passes at the same port shows that packets do; else nobody can tell."""
    estate = targets(health=health)
    hidden = (Target("10.200.1.99", 443, "", state),)
    estate.provider.details["target_health"][estate.group.id] = Known(hidden, NOW)
    assert estate.of_service(CHECK).status == status


def test_targets_by_instance() -> None:
    """The interface is found by the instance; where it has several, all have to agree."""
    estate = targets(("10.200.0.0/16", 443))
    provider = estate.provider
    provider.change("target_groups", estate.group, target_type="instance")
    open_group = provider.add_group(estate.theirs, ("0.0.0.0/0", 443))
    shut = provider.add_group(estate.theirs)
    named = (Target("i-0123456789abcdef0", 443, "", "healthy"),)
    provider.details["target_health"][estate.group.id] = Known(named, NOW)
    more = {"instance_id": "i-0123456789abcdef0"}
    provider.add_interface(estate.subnets[0], "10.200.1.30", groups=[open_group], **more)
    assert estate.of_service(CHECK).status == "pass"
    provider.add_interface(estate.subnets[0], "10.200.1.31", groups=[shut], **more)
    assert estate.of_service(CHECK).status == "unknown"


@pytest.mark.parametrize("kind", ["alb", "lambda"])
def test_other_targets_are_not_judged(kind: str) -> None:
    """A load balancer or a function has no interface to judge here."""
    estate = targets()
    estate.provider.change("target_groups", estate.group, target_type=kind)
    assert estate.of_service(CHECK).status == "not_applicable"


@pytest.mark.parametrize("state", ["draining", "unused"])
def test_a_target_that_is_not_in_use_is_not_judged(state: str) -> None:
    """It is given no connections."""
    estate = targets()
    estate.health(state, state)
    assert estate.of_service(CHECK).status == "not_applicable"


def test_a_gateway_load_balancer_comes_by_geneve() -> None:
    """UDP 6081 from its own addresses, and the health check by TCP."""
    estate = targets(
        ("10.200.0.0/16", HEALTH), health=str(HEALTH), types=("GatewayLoadBalancer",), port=6081
    )
    estate.provider.change("target_groups", estate.group, protocol="GENEVE")
    found = estate.of_service(CHECK)
    assert found.status == "fail"
    assert "udp 6081" in found.summary
    estate.provider.add_rule(rule(found.resources[0], "10.200.0.0/16", 6081, protocol="udp"))
    assert estate.of_service(CHECK).status == "pass"


@pytest.mark.parametrize(("source", "status"), [("2001:db8::/32", "pass"), ("::1/128", "fail")])
def test_ipv6_targets(source: str, status: str) -> None:
    """They are reached from the load balancer's IPv6 addresses."""
    estate = targets((source, 443))
    provider = estate.provider
    provider.change("target_groups", estate.group, ip_address_type="ipv6")
    for number, one in enumerate(list(provider.listings["interfaces"].values())):
        six = ip_address(f"2001:db8::{number + 16:x}")
        provider.change("interfaces", one, addresses=(*one.addresses, six))
    found = [
        Target(str(i.addresses[1]), 443, "", "healthy")
        for i in provider.listings["interfaces"].values()
        if i.security_group_ids
    ]
    vpc = provider.listings["vpcs"][estate.theirs.id]
    provider.change("vpcs", vpc, cidrs=(*vpc.cidrs, ip_network("2001:db8::/56")))
    provider.details["target_health"][estate.group.id] = Known(tuple(found), NOW)
    assert estate.of_service(CHECK).status == status


def test_a_load_balancer_without_listeners_asks_nobody() -> None:
    """The missing listener is the cause."""
    estate = targets()
    estate.listen()
    assert estate.of_service(CHECK).status == "not_applicable"


@pytest.mark.parametrize(
    "part",
    [
        "load_balancers",
        "listeners",
        "target_groups",
        "target_health",
        "interfaces",
        "security_group_rules",
    ],
)
def test_what_cannot_be_seen(part: str) -> None:
    """No rule listed is not no rule."""
    estate = targets(("10.200.0.0/16", 443))
    blind(estate, part)
    found = estate.of_service(CHECK)
    assert found.status == "unknown"
    assert DENIED.reason in found.summary


def test_cross_zone_matters_only_where_addresses_differ() -> None:
    """Its attributes denied, what passes from everywhere passes; what does not is unknown."""
    for rules, status in (([("10.200.0.0/16", 443)], "pass"), ([(NLB_1, 443)], "unknown")):
        estate = targets(*rules)
        blind(estate, "load_balancer_attributes")
        assert estate.of_service(CHECK).status == status


def test_a_port_of_the_target_group_stands_in_for_the_targets_own() -> None:
    """AWS leaves a target's port out where it was registered without."""
    estate = targets(("10.200.0.0/16", 443))
    health = estate.provider.details["target_health"]
    found = health[estate.group.id].value  # type: ignore[union-attr]
    health[estate.group.id] = Known(tuple(replace(t, port=None) for t in found), NOW)
    assert estate.of_service(CHECK).status == "pass"


@pytest.mark.parametrize(("egress", "status"), [(True, "pass"), (False, "fail")])
def test_a_target_whose_interface_has_no_group(egress: bool, status: str) -> None:
    """It lets everything in; what the load balancer's own group holds back is opened there."""
    provider = Lab(PROVIDER)
    theirs = provider.add_vpc("10.200.0.0/16")
    own = provider.add_group(theirs, ("0.0.0.0/0", 443))
    if not egress:
        provider.drop_rules(own, egress=True)
    estate = pair(provider=provider, theirs=theirs, nlb=own, enforces="on", target_groups=[])
    found = estate.of_service(CHECK)
    assert found.status == status
    if not egress:
        assert found.resources[0] == own.id
        assert "authorize-security-group-egress" in (found.fix or "")
        assert '"CidrIp":"10.200.1.20/32"' in (found.fix or "")


@pytest.mark.parametrize("port", ["²", "٤٤٣", ""])
def test_a_health_check_port_that_is_no_number(port: str) -> None:
    """What is not a decimal number stands for the port of the traffic, as traffic-port does."""
    assert targets(("10.200.0.0/16", 443), health=port).of_service(CHECK).status == "pass"


def test_unhealthy_targets_that_let_nobody_in_are_explained_by_that() -> None:
    """Of the two the closed group is the root cause; targets that let all in are their own."""
    for rules, root in (([], CHECK), ([("10.200.0.0/16", 443)], "nlb_targets")):
        estate = targets(*rules)
        estate.health("unhealthy", "unhealthy")
        for noun in (estate.service, estate.endpoint):
            found = diagnosis(noun, estate.consumer, estate.provider)
            assert found.root_cause is not None
            assert found.root_cause.check == root
