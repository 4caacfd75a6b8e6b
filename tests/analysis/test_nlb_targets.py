"""Whether targets answer, in the zones that connections come in by."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_network

import pytest

from exporter.model import Expected, Known, Target, TargetGroup
from tests.analysis.lab import DENIED, NOW
from tests.analysis.pair import CLIENT, Pair, pair
from tests.analysis.test_nlb_listener import blind


@pytest.mark.parametrize("cross_zone", ["false", "true"])
@pytest.mark.parametrize(
    ("states", "off", "on"),
    [
        (("healthy", "healthy"), "pass", "pass"),
        (("unhealthy", "healthy"), "warn", "pass"),
        (("healthy", "draining"), "warn", "pass"),
        (("healthy", "unused"), "warn", "pass"),
        (("healthy", "unhealthy.draining"), "warn", "pass"),
        (("healthy",), "warn", "pass"),
        (("healthy", "initial"), "warn", "pass"),
        (("initial", "initial"), "warn", "warn"),
        (("initial", "unhealthy"), "warn", "warn"),
        (("unhealthy", "unhealthy"), "fail", "fail"),
        (("unused", "draining"), "fail", "fail"),
        ((), "fail", "fail"),
        (("unavailable", "unavailable"), "unknown", "unknown"),
        (("healthy", "unavailable"), "unknown", "pass"),
        (("healthy", "resting"), "unknown", "pass"),
        (("unhealthy", "unavailable"), "unknown", "unknown"),
    ],
    ids=lambda value: "+".join(value) if isinstance(value, tuple) else value,
)
def test_two_zones(states: tuple[str, ...], off: str, on: str, cross_zone: str) -> None:
    """One zone that answers is left of two: warn; none: fail; cross-zone stands in for a zone."""
    estate = pair()
    estate.health(*states)
    estate.attribute("balancer", cross_zone=cross_zone)
    assert estate.of_service("nlb_targets").status == (on if cross_zone == "true" else off)


@pytest.mark.parametrize(
    ("balancer", "group", "status"),
    [
        ("false", "true", "pass"),
        ("true", "false", "warn"),
        ("true", "use_load_balancer_configuration", "pass"),
        ("false", "use_load_balancer_configuration", "warn"),
    ],
)
def test_the_target_group_has_the_last_word_on_cross_zone(
    balancer: str, group: str, status: str
) -> None:
    """Its attribute overrides the load balancer's, unless it points to it."""
    estate = pair()
    estate.health("healthy", "unhealthy")
    estate.attribute("balancer", cross_zone=balancer)
    estate.attribute("group", cross_zone=group)
    found = estate.of_service("nlb_targets")
    assert found.status == status
    if status == "warn":
        overridden = group == "false"
        operation = "target-group" if overridden else "load-balancer"
        assert f"aws elbv2 modify-{operation}-attributes" in (found.fix or "")


@pytest.mark.parametrize(
    ("zones", "states", "cross_zone", "status"),
    [
        ((1,), ("healthy", "unhealthy"), "false", "not shown"),
        ((2,), ("healthy", "unhealthy"), "false", "fail"),
        ((2,), ("healthy", "unhealthy"), "true", "not shown"),
        ((1, 2), ("healthy", "unhealthy"), "false", "warn"),
        ((1, 2), ("unhealthy", "unhealthy"), "false", "fail"),
        ((2,), ("healthy", "initial"), "false", "warn"),
        ((3,), ("healthy", "unhealthy"), "false", "not shown"),
    ],
    ids=["the good zone", "the bad zone", "cross-zone", "both", "none", "checked", "elsewhere"],
)
def test_a_consumer_sees_its_own_zones(
    zones: tuple[int, ...], states: tuple[str, str], cross_zone: str, status: str
) -> None:
    """Only the zones of its interfaces concern it: a healthy one of another zone is no help."""
    estate = pair(zones)
    estate.health(*states)
    estate.attribute("balancer", cross_zone=cross_zone)
    assert estate.status_on_endpoint("nlb_targets") == status


def test_two_consumers_of_which_one_is_fine() -> None:
    """The one that is only in the zone without targets fails, the other does not know of it."""
    estate = pair((1,))
    cut_off = estate.another(zone=2)
    estate.health("healthy", "unhealthy")
    assert estate.of_service("nlb_targets").status == "warn"
    assert estate.status_on_endpoint("nlb_targets") == "not shown"
    assert estate.status_on_endpoint("nlb_targets", cut_off) == "fail"


def test_a_consumer_of_another_region_comes_by_any_zone() -> None:
    """Its own zones say nothing of the service's: AWS chooses."""
    estate = pair((2,))
    estate.health("healthy", "unhealthy")
    scope = type(estate.consumer.scope)(estate.consumer.scope.account, "us-east-1")
    estate.consumer.scope = scope
    estate.endpoint = estate.consumer.change("endpoints", estate.endpoint, scope=scope)
    assert estate.status_on_endpoint("nlb_targets") == "warn"


def test_the_reason_is_evidence() -> None:
    """AWS's reason tells what to look at; all unhealthy is fail-open, and that is said."""
    estate = pair()
    estate.health("unhealthy", "unhealthy", reason="Target.FailedHealthChecks")
    found = estate.of_service("nlb_targets")
    assert "10.200.1.20:443" in found.evidence[0]
    assert "Target.FailedHealthChecks" in found.evidence[0]
    assert "fail-open" in found.summary
    assert found.resources[0] == estate.group.id


def second_group(estate: Pair, port: int, state: str) -> TargetGroup:
    """Add a listener with a target group of its own."""
    group = replace(estate.group, id=f"{estate.group.id}b", name="second", port=port)
    estate.provider.add("target_groups", group)
    estate.provider.details["target_group_attributes"][group.id] = Known({}, NOW)
    targets = tuple(Target(f"10.200.{z}.20", port, "", state) for z in (1, 2))
    estate.provider.details["target_health"][group.id] = Known(targets, NOW)
    estate.listen(("TCP", 443), ("TCP", port))
    listeners = estate.provider.details["listeners"]
    first, second = listeners[estate.balancer.id].value  # type: ignore[union-attr]
    second = replace(second, target_group_arns=(group.id,))
    listeners[estate.balancer.id] = Known((first, second), NOW)
    return group


@pytest.mark.parametrize(
    ("seen", "configured", "status"),
    [
        ((), (), "warn"),
        (((6, 443),), (), "not shown"),
        (((6, 8443),), (), "fail"),
        (((6, 443), (6, 8443)), (), "warn"),
        ((), (443,), "not shown"),
        ((), (443, 8443), "fail"),
    ],
    ids=["unknown", "the good one", "the bad one", "both seen", "good configured", "both told"],
)
def test_a_listener_that_nobody_comes_to_may_have_no_targets(
    seen: tuple[tuple[int, int], ...], configured: tuple[int, ...], status: str
) -> None:
    """What counts is the port that the consumer's clients come to."""
    estate = pair()
    second_group(estate, 8443, "unhealthy")
    estate.seen(CLIENT, ports=seen)
    if configured:
        estate.consumer.expected[estate.endpoint.id] = Expected(ports=configured)
    assert estate.status_on_endpoint("nlb_targets") == status


def test_a_listener_with_two_groups_of_which_one_is_empty() -> None:
    """A group that is kept for the next release breaks nothing."""
    estate = pair()
    group = second_group(estate, 443, "unhealthy")
    listeners = estate.provider.details["listeners"]
    first, *_ = listeners[estate.balancer.id].value  # type: ignore[union-attr]
    both = replace(first, target_group_arns=(estate.group.id, group.id))
    listeners[estate.balancer.id] = Known((both,), NOW)
    assert estate.of_service("nlb_targets").status == "warn"


def test_a_target_that_is_registered_for_all_zones() -> None:
    """A target outside of the VPC is asked from every zone."""
    estate = pair()
    targets = (Target("192.0.2.10", 443, "all", "healthy"),)
    estate.provider.details["target_health"][estate.group.id] = Known(targets, NOW)
    assert estate.of_service("nlb_targets").status == "pass"


@pytest.mark.parametrize(
    ("state", "status"), [("healthy", "pass"), ("unhealthy", "fail"), ("unavailable", "unknown")]
)
def test_an_application_load_balancer_as_target(state: str, status: str) -> None:
    """AWS names no zone of it: it is asked from every zone of the load balancer."""
    estate = pair()
    estate.provider.change("target_groups", estate.group, target_type="alb")
    arn = estate.balancer.id.replace("/net/", "/app/")
    targets = (Target(arn, 443, "", state),)
    estate.provider.details["target_health"][estate.group.id] = Known(targets, NOW)
    assert estate.of_service("nlb_targets").status == status


def test_a_target_in_no_known_zone() -> None:
    """It may be in the zone that has no other: that is not known."""
    estate = pair()
    targets = (Target("10.200.1.20", 443, "", "healthy"), Target("i-0a1", 443, "", "healthy"))
    estate.provider.details["target_health"][estate.group.id] = Known(targets, NOW)
    assert estate.of_service("nlb_targets").status == "unknown"


def test_targets_of_a_service_over_ipv6() -> None:
    """The zone of an IPv6 target is its subnet's."""
    estate = pair()
    one, two = estate.subnets
    for subnet, block in ((one, "2001:db8:0:1::/64"), (two, "2001:db8:0:2::/64")):
        cidrs = (*subnet.cidrs, ip_network(block))
        estate.provider.change("subnets", subnet, cidrs=cidrs)
    targets = (
        Target("2001:db8:0:1::20", 443, "", "healthy"),
        Target("2001:db8:0:2::20", 443, "", "unhealthy"),
    )
    estate.provider.details["target_health"][estate.group.id] = Known(targets, NOW)
    found = estate.of_service("nlb_targets")
    assert found.status == "warn"
    assert "euw1-az2" in found.summary


@pytest.mark.parametrize(
    ("states", "status"),
    [(("healthy", "healthy"), "pass"), (("healthy", "unhealthy"), "warn"), ((), "fail")],
)
def test_a_gateway_load_balancer_has_targets_too(states: tuple[str, ...], status: str) -> None:
    """Its listener has neither port nor protocol."""
    estate = pair(types=("GatewayLoadBalancer",))
    gateway(estate)
    estate.health(*states)
    assert estate.of_service("nlb_targets").status == status


def test_a_gateway_load_balancer_without_a_listener() -> None:
    """It forwards to nobody: no other check says so."""
    estate = pair(types=("GatewayLoadBalancer",))
    estate.listen()
    assert estate.of_service("nlb_targets").status == "fail"


def gateway(estate: Pair) -> None:
    """Give the listener no port, as that of a Gateway Load Balancer has none."""
    listeners = estate.provider.details["listeners"]
    (one,) = listeners[estate.balancer.id].value  # type: ignore[union-attr]
    listeners[estate.balancer.id] = Known((replace(one, protocol="", port=None),), NOW)


def test_without_a_listener_no_target_is_asked() -> None:
    """The missing listener is the cause; there is nothing to say of targets."""
    estate = pair()
    estate.listen()
    assert estate.of_service("nlb_targets").status == "not_applicable"


@pytest.mark.parametrize(
    ("part", "well", "partly"),
    [
        ("load_balancers", "unknown", "unknown"),
        ("listeners", "unknown", "unknown"),
        ("target_groups", "unknown", "unknown"),
        ("target_health", "unknown", "unknown"),
        ("subnets", "unknown", "unknown"),
        ("load_balancer_attributes", "pass", "unknown"),
        ("target_group_attributes", "pass", "unknown"),
        ("connections", "pass", "unknown"),
    ],
)
def test_what_cannot_be_seen(part: str, well: str, partly: str) -> None:
    """It is unknown where it matters: whether cross-zone is on does not where all is healthy."""
    for states, status in ((("healthy", "healthy"), well), (("healthy", "unhealthy"), partly)):
        estate = pair()
        estate.health(*states)
        blind(estate, part)
        assert estate.of_service("nlb_targets").status == status, states


def test_the_consumers_interfaces_cannot_be_seen() -> None:
    """Then its zones are not known, which matters where one of them is without targets."""
    estate = pair((1,))
    estate.health("healthy", "unhealthy")
    estate.consumer.instead["interfaces"] = DENIED
    assert estate.status_on_endpoint("nlb_targets") == "unknown"
