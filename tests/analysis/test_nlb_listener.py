"""Whether a load balancer listens where the consumers come to."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from exporter.model import Expected, Known, Listener, LoadBalancer, Traffic
from tests.analysis.lab import DENIED, NOW
from tests.analysis.pair import CLIENT, Pair, pair

TCP443, TCP22, UDP443 = (6, 443), (6, 22), (17, 443)
SCAN = tuple((6, port) for port in (22, 23, 80, 443, 3389))


@pytest.mark.parametrize(
    ("listeners", "seen", "configured", "status"),
    [
        ([("TCP", 443)], [], (), "pass"),
        ([("TCP", 8443)], [], (), "pass"),
        ([("TCP", 8443)], [TCP443], (), "fail"),
        ([("TCP", 443)], [TCP443], (), "pass"),
        ([("TCP", 443)], [TCP443, TCP22], (), "pass"),
        ([("TCP", 443)], SCAN, (), "pass"),
        ([("TLS", 443)], [TCP443], (), "pass"),
        ([("TCP_UDP", 443)], [TCP443], (), "pass"),
        ([("TCP_UDP", 443)], [UDP443], (), "pass"),
        ([("UDP", 443)], [TCP443], (), "fail"),
        ([("UDP", 443)], [UDP443], (), "pass"),
        ([("SCTP", 443)], [TCP443], (), "pass"),
        ([("TCP", 443), ("TCP", 8443)], [(6, 8443)], (), "pass"),
        ([("TCP", 443)], [(1, 0)], (), "pass"),
        ([("TCP", 443)], [TCP443], (443, 8443), "fail"),
        ([("TCP", 443), ("TCP", 8443)], [], (443, 8443), "pass"),
        ([("TCP", 443)], [TCP22], (443,), "pass"),
        ([], [], (), "fail"),
        ([], [TCP443], (443,), "fail"),
    ],
    ids=[
        "nothing known",
        "nothing known of another port",
        "clients come elsewhere",
        "clients come here",
        "a stray client too",
        "a scan too",
        "TLS takes TCP",
        "TCP_UDP takes TCP",
        "TCP_UDP takes UDP",
        "UDP takes no TCP",
        "UDP takes UDP",
        "a protocol that is not known here",
        "one of two",
        "ping alone",
        "a configured port is missing",
        "both configured ports",
        "configured counts, not seen",
        "no listener",
        "no listener, ports known",
    ],
)
def test_the_ports_that_clients_come_to(
    listeners: list[tuple[str, int]],
    seen: list[tuple[int, int]],
    configured: tuple[int, ...],
    status: str,
) -> None:
    """It fails when a configured port has no listener, or none of those seen to be used has."""
    estate = pair()
    estate.listen(*listeners)
    estate.seen(CLIENT, ports=tuple(seen))
    if configured:
        estate.consumer.expected[estate.endpoint.id] = Expected(ports=configured)
    shown = "not shown" if status == "pass" else status
    assert estate.of_service("nlb_listener").status == status
    assert estate.status_on_endpoint("nlb_listener") == shown


def test_the_fix_adds_the_listener_that_is_missing() -> None:
    """With one port and one target group there is no choice left: a command to paste."""
    estate = pair()
    estate.listen(("TCP", 8443))
    estate.seen(CLIENT)
    found = estate.of_service("nlb_listener")
    assert "come to tcp 443" in found.summary
    assert "listens on TCP 8443" in found.summary
    assert found.resources[0] == estate.balancer.id
    assert (
        f"aws elbv2 create-listener --load-balancer-arn {estate.balancer.id} --protocol TCP "
        f"--port 443 --default-actions Type=forward,TargetGroupArn={estate.group.id} "
        "--region eu-west-1"
    ) in (found.fix or "")
    on_endpoint = estate.on_endpoint("nlb_listener")
    assert on_endpoint is not None
    assert (on_endpoint.fix or "").startswith("In the provider's account 444455556666:")


def test_no_command_where_the_port_is_taken() -> None:
    """A port has one listener: one of another protocol has to be changed by hand."""
    estate = pair()
    estate.listen(("UDP", 443))
    estate.seen(CLIENT)
    assert "aws " not in (estate.of_service("nlb_listener").fix or "")


def test_one_consumer_goes_astray() -> None:
    """Its own endpoint is red, the other's is not, and the service itself serves."""
    estate = pair()
    estate.seen(CLIENT)
    astray = estate.another()
    estate.seen(CLIENT, ports=((6, 8080),), endpoint=astray)
    assert estate.of_service("nlb_listener").status == "warn"
    assert estate.status_on_endpoint("nlb_listener") == "not shown"
    assert estate.status_on_endpoint("nlb_listener", astray) == "fail"


def test_a_consumer_that_is_not_connected_does_not_matter_to_the_service() -> None:
    """Whoever was rejected may have come to any port."""
    estate = pair()
    estate.listen(("TCP", 8443))
    estate.seen(CLIENT)
    connections = estate.provider.listings["connections"]
    for one in list(connections.values()):
        connections[one.id] = replace(one, state="rejected")
    assert estate.of_service("nlb_listener").status == "pass"


def test_a_listener_that_forwards_to_no_group_serves_nobody() -> None:
    """Its default action has no target group."""
    estate = pair()
    estate.seen(CLIENT)
    listeners = estate.provider.details["listeners"]
    (one,) = listeners[estate.balancer.id].value  # type: ignore[union-attr]
    listeners[estate.balancer.id] = Known((replace(one, target_group_arns=()),), NOW)
    found = estate.of_service("nlb_listener")
    assert found.status == "fail"
    assert "forwards to no target group" in found.summary


def test_a_service_without_a_load_balancer() -> None:
    """Nothing stands behind it."""
    estate = pair(load_balancer_arns=())
    assert estate.of_service("nlb_listener").status == "fail"
    assert estate.of_service("nlb_targets").status == "not_applicable"


@pytest.mark.parametrize(
    ("state", "status"),
    [("active", "pass"), ("active_impaired", "warn"), ("provisioning", "warn"), ("failed", "fail")],
)
def test_the_state_of_the_load_balancer(state: str, status: str) -> None:
    """One that AWS could not set up listens to nobody."""
    estate = pair()
    estate.provider.change("load_balancers", estate.balancer, state=state)
    assert estate.of_service("nlb_listener").status == status


@pytest.mark.parametrize(
    ("state", "status"),
    [("active", "pass"), ("active_impaired", "warn"), ("provisioning", "warn"), ("failed", "fail")],
)
def test_the_state_of_a_gateway_load_balancer(state: str, status: str) -> None:
    """No check of listeners concerns it: what is said of targets says it."""
    estate = pair(types=("GatewayLoadBalancer",))
    estate.provider.change("load_balancers", estate.balancer, state=state)
    assert estate.of_service("nlb_targets").status == status


def two_balancers(estate: Pair, *listeners: Listener, state: str = "active") -> LoadBalancer:
    """Put a second load balancer behind the service, with these listeners."""
    second = replace(estate.balancer, id=f"{estate.balancer.id}b", name="second", state=state)
    estate.provider.add("load_balancers", second)
    estate.provider.details["listeners"][second.id] = Known(listeners, NOW)
    arns = (estate.balancer.id, second.id)
    estate.service = estate.provider.change("services", estate.service, load_balancer_arns=arns)
    return second


@pytest.mark.parametrize(
    ("first", "second", "seen", "status"),
    [
        ("active", "failed", (TCP443,), "warn"),
        ("active", "provisioning", (TCP443,), "warn"),
        ("active", "active_impaired", (TCP443,), "warn"),
        ("failed", "active", (TCP443,), "fail"),
        ("failed", "active", ((6, 8443),), "warn"),
        ("failed", "provisioning", (), "warn"),
        ("failed", "failed", (), "fail"),
    ],
)
def test_one_of_two_load_balancers_that_is_not_well(
    first: str, second: str, seen: tuple[tuple[int, int], ...], status: str
) -> None:
    """The other one serves, as far as it listens where the clients come to."""
    estate = pair()
    (listener,) = estate.provider.details["listeners"][estate.balancer.id].value  # type: ignore[union-attr]
    # The second one listens elsewhere where the first is the one that is broken.
    other = listener if first == "active" else replace(listener, port=8443)
    two_balancers(estate, other, state=second)
    estate.provider.change("load_balancers", estate.balancer, state=first)
    estate.seen(CLIENT, ports=seen)
    assert estate.of_service("nlb_listener").status == status


@pytest.mark.parametrize(
    ("seen", "configured", "status"),
    [
        ((), (), "warn"),
        ((TCP443,), (), "warn"),
        (((6, 8443),), (), "fail"),
        ((TCP443, (6, 8443)), (), "warn"),
        ((), (8443,), "fail"),
    ],
)
def test_one_of_two_listeners_that_forwards_to_nothing(
    seen: tuple[tuple[int, int], ...], configured: tuple[int, ...], status: str
) -> None:
    """It serves nobody: who comes there gets no answer, and the fix is to let it forward."""
    estate = pair()
    estate.listen(("TCP", 443), ("TCP", 8443))
    listeners = estate.provider.details["listeners"]
    one, other = listeners[estate.balancer.id].value  # type: ignore[union-attr]
    listeners[estate.balancer.id] = Known((one, replace(other, target_group_arns=())), NOW)
    estate.seen(CLIENT, ports=seen)
    if configured:
        estate.consumer.expected[estate.endpoint.id] = Expected(ports=configured)
    found = estate.of_service("nlb_listener")
    assert found.status == status
    assert "TCP 8443 > Edit listener" in (found.fix or "")


@pytest.mark.parametrize(
    ("seen", "client", "answered", "status", "command"),
    [
        ((TCP443,), CLIENT, False, "fail", True),
        (((6, 80),), CLIENT, False, "fail", True),
        (((6, 9200),), CLIENT, False, "fail", True),
        ((TCP443, TCP22), CLIENT, False, "fail", True),
        ((TCP22,), CLIENT, False, "warn", False),
        (((6, 3389),), CLIENT, False, "warn", False),
        (SCAN, CLIENT, False, "warn", False),
        ((TCP443,), "203.0.113.9", False, "warn", False),
        ((TCP443,), CLIENT, True, "warn", False),
    ],
    ids=[
        "https",
        "http",
        "a high port",
        "https and one probe",
        "a probe of SSH",
        "a probe of remote desktop",
        "a scan",
        "a stranger",
        "something answered",
    ],
)
def test_what_was_seen_may_have_been_a_scan(
    seen: tuple[tuple[int, int], ...], client: str, answered: bool, status: str, command: bool
) -> None:
    """Only what an own client surely means fails, and no listener is added for a probe."""
    estate = pair()
    estate.listen(("TCP", 8443))
    estate.seen(client, ports=seen, answered=answered)
    found = estate.of_service("nlb_listener")
    assert found.status == status
    assert ("create-listener" in (found.fix or "")) == command
    assert estate.status_on_endpoint("nlb_listener") == status


def test_a_probe_beside_a_configured_port() -> None:
    """A port below 1024 is added by a command where the configuration names it."""
    estate = pair()
    estate.seen(CLIENT, ports=(TCP22,))
    estate.consumer.expected[estate.endpoint.id] = Expected(ports=(22,))
    found = estate.of_service("nlb_listener")
    assert (found.status, "--port 22 " in (found.fix or "")) == ("fail", True)


def test_one_of_two_load_balancers_without_a_listener() -> None:
    """The other one answers: redundancy is lost."""
    estate = pair()
    second = two_balancers(estate)
    found = estate.of_service("nlb_listener")
    assert (found.status, found.resources[0]) == ("warn", second.id)


def test_a_gateway_load_balancer_has_no_ports() -> None:
    """It takes every packet: no listener of ports is judged."""
    estate = pair(types=("GatewayLoadBalancer",))
    assert estate.of_service("nlb_listener").status == "not_applicable"


@pytest.mark.parametrize("part", ["load_balancers", "connections", "listeners"])
def test_what_cannot_be_seen(part: str) -> None:
    """No list of listeners is not an empty one."""
    estate = pair()
    blind(estate, part)
    found = estate.of_service("nlb_listener")
    assert found.status == "unknown"
    assert "AccessDenied" in found.summary


def test_without_flow_logs_the_ports_are_not_known() -> None:
    """Then it is said, and what is configured is all that is judged."""
    estate = pair()
    estate.consumer.traffic[estate.endpoint.id] = Traffic()
    found = estate.of_service("nlb_listener")
    assert found.status == "pass"
    assert "is not known" in found.summary


def blind(estate: Pair, part: str) -> None:
    """Deny what lists a part of the provider's inventory."""
    details: Any = estate.provider.details.get(part)
    if details is None:
        estate.provider.instead[part] = DENIED
    else:
        details.update(dict.fromkeys(details, DENIED))


def test_whose_the_clients_are_is_not_known() -> None:
    """While some account's subnets could not be listed, a client may be one of them."""
    estate = pair()
    estate.listen(("TCP", 8443))
    estate.seen("10.77.0.9")
    estate.provider.instead["subnets"] = DENIED
    assert estate.of_service("nlb_listener").status == "unknown"
    estate.seen(CLIENT)
    assert estate.of_service("nlb_listener").status == "fail"
