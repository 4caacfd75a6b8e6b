"""What connections from this host say of an endpoint, and when they say nothing."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address
from typing import Any, TypeAlias

import pytest

from exporter.model import NO_ANSWER, Accepted, Dial, Endpoint, Expected, Finding, Traffic
from tests.analysis.lab import DENIED, NOW, PROVIDER, Lab, diagnosis, finding

NAME = "sqs.eu-west-1.amazonaws.com"
DAY = 86400.0
Some: TypeAlias = dict[str, Any]
ONE, TWO, SIX = "10.0.0.10", "10.0.1.10", "fd00::10"
GOOD: Some = {"name": NAME, "names": (NAME,), "not_after": NOW + 90 * DAY}


def dial(address: str, port: int = 443, **more: Any) -> Dial:
    return Dial("", ip_address(address), port, NOW - 5, 0.002, **more)


def estate(*dials: Dial, **more: Any) -> tuple[Lab, Endpoint]:
    """A lab whose host is in the endpoint's VPC, and the endpoint, with these dials."""
    lab = Lab()
    vpc = lab.add_vpc("10.0.0.0/16")
    subnets = [lab.add_subnet(vpc, f"10.0.{i}.0/24", zone=i + 1) for i in range(2)]
    more = {"private_name": NAME, **more}
    endpoint = lab.add_endpoint(vpc, {ONE: subnets[0], TWO: subnets[1]}, **more)
    lab.reachable = {vpc.id}
    if dials:
        lab.dials[endpoint.id] = tuple(replace(d, endpoint_id=endpoint.id) for d in dials)
    return lab, endpoint


def found(*dials: Dial, **more: Any) -> Finding:
    lab, endpoint = estate(*dials, **more)
    return finding("connectivity", endpoint, lab)


TIMED_OUT: Some = {"problem": NO_ANSWER}
REFUSED: Some = {"problem": "connection refused"}
NO_FILES: Some = {"problem": "too many open files", "local": True}
NO_ROUTE: Some = {"problem": "network is unreachable", "local": True}
EXPIRED: Some = {**GOOD, "not_after": NOW - DAY, "tls_problem": "the certificate expired"}
WRONG: Some = {**GOOD, "names": ("other.example.com",), "tls_problem": "the certificate is not for"}
SOON: Some = {**GOOD, "not_after": NOW + 13 * DAY}
LATER: Some = {**GOOD, "not_after": NOW + 15 * DAY}
UNTRUSTED: Some = {**GOOD, "tls_problem": "not trusted by this host: self-signed certificate"}
MUTE: Some = {"name": NAME, "tls_problem": "no TLS: wrong version number"}


@pytest.mark.parametrize(
    ("dials", "status", "words"),
    [
        ([dial(ONE, **GOOD), dial(TWO, **GOOD)], "pass", "Every address accepts"),
        ([dial(ONE), dial(TWO)], "pass", "port 443"),
        ([dial(ONE, **TIMED_OUT), dial(TWO, **TIMED_OUT)], "fail", NO_ANSWER),
        ([dial(ONE, **REFUSED), dial(TWO, **TIMED_OUT)], "fail", "connection refused"),
        ([dial(ONE, **GOOD), dial(TWO, **TIMED_OUT)], "warn", "1 of 2 addresses"),
        ([dial(ONE, **MUTE), dial(TWO, **MUTE)], "fail", "no TLS"),
        ([dial(ONE, **MUTE), dial(TWO, **GOOD)], "warn", "no TLS"),
        ([dial(ONE, **NO_FILES), dial(TWO, **NO_FILES)], "unknown", "too many open files"),
        ([dial(ONE, **GOOD), dial(TWO, **NO_FILES)], "unknown", "1 of 2 addresses"),
        ([dial(ONE, **TIMED_OUT), dial(TWO, **NO_FILES)], "unknown", "too many open files"),
        ([dial(ONE, **GOOD), dial(SIX, **NO_ROUTE)], "pass", "IPv6 is not judged"),
        ([dial(ONE, **REFUSED), dial(SIX, **NO_ROUTE)], "fail", "connection refused"),
        ([dial(SIX, **NO_ROUTE)], "unknown", "network is unreachable"),
        ([dial(ONE, **GOOD), dial(TWO, **EXPIRED)], "fail", "expired at 2025-10-08"),
        ([dial(ONE, **EXPIRED), dial(TWO, **NO_FILES)], "fail", "expired"),
        ([dial(ONE, **WRONG), dial(TWO, **WRONG)], "fail", f"not for the private name {NAME}"),
        ([dial(ONE, **SOON), dial(TWO, **GOOD)], "warn", "expires at 2025-10-22"),
        ([dial(ONE, **LATER), dial(TWO, **GOOD)], "pass", "Every address"),
        ([dial(ONE, **UNTRUSTED), dial(TWO, **GOOD)], "warn", "not trusted by this host"),
        ([dial(ONE), dial(ONE, 5432, **REFUSED)], "fail", "port 5432"),
        ([dial(ONE, **SOON), dial(ONE, 5432, **REFUSED)], "fail", "port 5432"),
    ],
    ids=[
        "well",
        "well, plain TCP",
        "nothing answers",
        "all fail, in several ways",
        "a path remains",
        "AWS speaks no TLS",
        "AWS speaks no TLS at one address",
        "no descriptors",
        "no descriptor for one",
        "one fails, one could not be tried",
        "no IPv6 here",
        "no IPv6 here, and IPv4 fails",
        "no IPv6 here, and nothing else there",
        "expired at one address",
        "expired, and one could not be tried",
        "wrong name",
        "expires within 14 days",
        "expires later",
        "an authority that nobody knows",
        "one port of two",
        "the worst port",
    ],
)
def test_what_connections_say(dials: list[Dial], status: str, words: str) -> None:
    """Each outcome has its status, the worst port's; the summary says why in one sentence."""
    judged = found(*dials)
    assert judged.status == status
    assert words in judged.summary
    assert bool(judged.fix) == (status == "fail" or "expires" in judged.summary)
    assert len(judged.evidence) >= len(dials)


def test_the_evidence() -> None:
    """Address, port, error, duration; the certificate's names and end."""
    many = {**GOOD, "names": (NAME, "a.example", "b.example", "c.example", "d.example")}
    judged = found(dial(ONE, **many), dial(TWO, **TIMED_OUT))
    assert judged.evidence == (
        "TCP to 10.0.0.10 port 443 at 08:53:15 UTC: accepted after 2 ms",
        f"Certificate at 10.0.0.10 port 443: for {NAME}, a.example, b.example, c.example and 1 "
        "more, until 2026-01-07 08:53:20 UTC",
        f"TCP to 10.0.1.10 port 443 at 08:53:15 UTC: problem: {NO_ANSWER} after 2 ms",
    )


def test_switched_off() -> None:
    """Without the collector nothing is judged, and the summary says so."""
    lab, endpoint = estate()
    judged = finding("connectivity", endpoint, lab, off={"connectivity"})
    assert judged.status == "not_applicable"
    assert "switched off" in judged.summary


def test_a_host_elsewhere() -> None:
    """From a VPC without a way to it nothing is proven, whatever came of it."""
    lab, endpoint = estate(dial(ONE, **TIMED_OUT), dial(TWO, **TIMED_OUT))
    lab.reachable = {"vpc-0123456789abcdef0"}
    judged = finding("connectivity", endpoint, lab)
    assert judged.status == "not_applicable"
    assert endpoint.vpc_id in judged.summary


@pytest.mark.parametrize("state", ["pending", "rejected", "failed", "pending_acceptance"])
def test_an_endpoint_that_is_not_in_use(state: str) -> None:
    """What has not come about yet, or is over, is told by its state alone."""
    assert found(state=state).status == "not_applicable"


@pytest.mark.parametrize("kind", ["GatewayLoadBalancer", "Gateway"])
def test_types_that_accept_nothing(kind: str) -> None:
    """Types without addresses to connect to are none of its business."""
    assert found(dial(ONE), type=kind).status == "not_applicable"


def test_nothing_tried_yet() -> None:
    """Before the first pass it is unknown; when the pass saw nothing, that is why."""
    assert found().status == "unknown"
    lab, endpoint = estate()
    lab.blind["connectivity"] = "no end within 180 s"
    judged = finding("connectivity", endpoint, lab)
    assert judged.status == "unknown"
    assert "no end within 180 s" in judged.summary


def test_no_port_is_known() -> None:
    """A service of somebody who is not watched may listen anywhere: no port is guessed."""
    name = "com.amazonaws.vpce.eu-west-1.vpce-svc-0123456789abcdef0"
    assert found(service=name).status == "not_applicable"
    lab, endpoint = estate(service=name)
    lab.expected[endpoint.id] = Expected(ports=(8443,))
    assert finding("connectivity", endpoint, lab).status == "unknown"


def test_the_listeners_of_a_provider_that_is_watched() -> None:
    """Its listeners tell the ports; unseen, it is not known whether there are any."""
    other = Lab(PROVIDER)
    vpc = other.add_vpc("10.200.0.0/16")
    service = other.add_service(vpc, [other.add_subnet(vpc, "10.200.0.0/24")], port=5432)
    lab, endpoint = estate(service=service.service_name)
    assert "yet" in finding("connectivity", endpoint, lab, other).summary
    other.details["listeners"][service.load_balancer_arns[0]] = DENIED
    judged = finding("connectivity", endpoint, lab, other)
    assert judged.status == "unknown"
    assert "AccessDenied" in judged.summary


@pytest.mark.parametrize(
    ("problem", "minutes", "both", "status"),
    [
        (TIMED_OUT, 10, True, "warn"),
        (TIMED_OUT, 20, True, "fail"),
        (TIMED_OUT, 10, False, "fail"),
        (REFUSED, 10, True, "fail"),
    ],
    ids=["others get through", "long ago", "no answers", "refused: both ways are accepted"],
)
def test_others_get_through(problem: Some, minutes: int, both: bool, status: str) -> None:
    """Where rules let others in and leave out this host alone, nothing is broken."""
    lab, endpoint = estate(dial(ONE, **problem), dial(TWO, **problem))
    when = NOW - 60 * minutes
    client = Accepted(ip_address("10.0.0.99"), when, when if both else None)
    lab.traffic[endpoint.id] = Traffic(clients=(client,), accepted_ports=frozenset({(6, 443)}))
    judged = finding("connectivity", endpoint, lab)
    assert judged.status == status
    assert ("10.0.0.99" in judged.summary) == (status == "warn")


def test_a_certificate_for_another_name_than_the_regional_one() -> None:
    """Without a private name the certificate may be for any alias of the provider's."""
    assert found(dial(ONE, **{**WRONG, "tls_problem": None}), private_name=None).status == "pass"


def test_it_comes_last() -> None:
    """Whatever explains a connection that fails comes before it."""
    lab, endpoint = estate(dial(ONE, **TIMED_OUT))
    judged = diagnosis(endpoint, lab)
    assert judged.root_cause is not None
    assert judged.root_cause.check == "connectivity"
    assert judged.verdict == "fail"


@pytest.mark.parametrize(
    ("dials", "ports", "status"),
    [
        ([dial(ONE, 25, **TIMED_OUT), dial(ONE, 587)], (), "pass"),
        ([dial(ONE, 25, **TIMED_OUT), dial(ONE, 587, **TIMED_OUT)], (), "fail"),
        ([dial(ONE, 25, **TIMED_OUT), dial(ONE, 587, **NO_FILES)], (), "unknown"),
        ([dial(ONE, 25, **TIMED_OUT), dial(ONE, 587)], (25, 587), "fail"),
    ],
)
def test_ports_of_which_clients_use_one(
    dials: list[Dial], ports: tuple[int, ...], status: str
) -> None:
    """One port of those that AWS offers suffices; all that are configured have to accept."""
    lab, endpoint = estate(*dials, service="com.amazonaws.eu-west-1.email-smtp")
    lab.expected[endpoint.id] = Expected(ports=ports)
    assert finding("connectivity", endpoint, lab).status == status
