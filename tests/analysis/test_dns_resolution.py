"""Whether the endpoint's own names lead to its interfaces, resolver by resolver."""

from __future__ import annotations

from typing import Any

import pytest

from exporter.model import DnsName, Endpoint, EndpointAssociation, Known, Unavailable
from tests.analysis.lab import DENIED, NOW, Lab, finding

OWN = ("10.0.1.10", "10.0.2.10")
OTHER = "10.0.0.3:53"


def estate(**more: Any) -> tuple[Lab, Endpoint]:
    lab = Lab()
    vpc = lab.add_vpc("10.0.0.0/16")
    subnets = [lab.add_subnet(vpc, f"10.0.{zone}.0/24", zone=zone) for zone in (1, 2)]
    return lab, lab.add_endpoint(vpc, dict(zip(OWN, subnets, strict=True)), **more)


def regional(endpoint: Endpoint) -> DnsName:
    return endpoint.dns_names[0]


def all_well(lab: Lab, endpoint: Endpoint, **more: Any) -> None:
    first, *zonal = endpoint.dns_names
    lab.answer(endpoint, first, *OWN, **more)
    for name, address in zip(zonal, OWN, strict=True):
        lab.answer(endpoint, name, address, **more)


# What is answered for the regional name after all names were answered rightly.
BESIDE: dict[str, tuple[tuple[str, ...], dict[str, Any], str, str]] = {
    "nothing else": ((), {}, "pass", "All 3"),
    "the regional name gives some of the interfaces: the healthy ones": (
        OWN[:1],
        {},
        "pass",
        "10.0.0.2:53",
    ),
    "there is no such name": ((), {"rcode": "NXDOMAIN"}, "fail", "does not know"),
    "the name has no address": ((), {"rcode": "NOERROR"}, "fail", "does not know"),
    "a private address of somebody else": (("10.9.9.9",), {}, "fail", "10.9.9.9"),
    "a public address": (("203.0.113.9",), {}, "fail", "203.0.113.9"),
    "one right and one wrong": ((OWN[0], "10.9.9.9"), {}, "fail", "10.9.9.9"),
    "no answer in time": ((), {"rcode": "TIMEOUT"}, "unknown", OTHER),
    "refused": ((), {"rcode": "REFUSED"}, "unknown", OTHER),
    "broken": ((), {"rcode": "SERVFAIL"}, "unknown", OTHER),
    "held against nothing: the interfaces were not listed": (
        OWN,
        {"expected": None, "matches": None, "problem": None},
        "unknown",
        "addresses",
    ),
    "IPv4 alone where both are promised": (OWN, {"problem": "no_answer"}, "warn", "families"),
    "no such name, says a resolver that is not of the VPC": (
        (),
        {"rcode": "NXDOMAIN", "inside": False},
        "unknown",
        "not a resolver of",
    ),
}


@pytest.mark.parametrize("case", BESIDE)
def test_what_resolvers_answer(case: str) -> None:
    """A wrong answer in the VPC fails; what a resolver does not say is not known."""
    answers, more, status, words = BESIDE[case]
    lab, endpoint = estate()
    all_well(lab, endpoint)
    if answers or more:
        lab.answer(endpoint, regional(endpoint), *answers, resolver=OTHER, **more)
    found = finding("dns_resolution", endpoint, lab)
    assert (found.status, words in found.summary) == (status, True), found
    assert found.resources == (endpoint.id,)


def test_a_fault_at_one_resolver_and_silence_at_another() -> None:
    """What is seen to be wrong is wrong, whatever else was not seen."""
    lab, endpoint = estate()
    lab.answer(endpoint, regional(endpoint), rcode="TIMEOUT")
    lab.answer(endpoint, regional(endpoint), rcode="NXDOMAIN", resolver=OTHER)
    found = finding("dns_resolution", endpoint, lab)
    assert (found.status, OTHER in found.summary) == ("fail", True)
    assert found.fix is not None
    assert f"--vpc-id {endpoint.vpc_id}" in found.fix


def test_names_asked_from_outside() -> None:
    """They are public records: right answers prove them from anywhere, and the finding says so."""
    lab, endpoint = estate()
    all_well(lab, endpoint, inside=False)
    found = finding("dns_resolution", endpoint, lab)
    assert (found.status, "outside" in found.summary) == ("pass", True)


@pytest.mark.parametrize(
    ("more", "answers", "status"),
    [
        ({"ip_address_type": "ipv6"}, OWN, "pass"),
        ({"service_region": "us-east-1"}, OWN, "pass"),
        ({"type": "Resource"}, OWN, "pass"),
        ({"type": "ServiceNetwork"}, OWN, "pass"),
        ({"type": "GatewayLoadBalancer"}, OWN, "not_applicable"),
        ({"type": "Gateway"}, OWN, "not_applicable"),
        ({"dns_names": ()}, OWN, "not_applicable"),
        ({"state": "pending"}, (), "warn"),
        ({"state": "pending"}, ("10.9.9.9",), "fail"),
        ({"state": "unknown"}, (), "unknown"),
        ({"state": "partial"}, OWN, "pass"),
        *(({"state": s}, (), "not_applicable") for s in ("rejected", "failed", "expired")),
        ({"state": "pending_acceptance"}, (), "not_applicable"),
        ({"state": "deleted"}, (), "not_applicable"),
    ],
    ids=str,
)
def test_whom_it_concerns(more: dict[str, Any], answers: tuple[str, ...], status: str) -> None:
    """Endpoints that have names; not those whose state explains that these do not resolve."""
    lab, endpoint = estate(**more)
    for name in endpoint.dns_names:
        lab.answer(endpoint, name, *answers)
    assert finding("dns_resolution", endpoint, lab).status == status


def test_names_of_associations_that_do_not_work() -> None:
    """What a partly available endpoint lacks is told by its state, not by its names."""
    lab, endpoint = estate(type="ServiceNetwork", state="partial")
    first, *others = endpoint.dns_names
    lab.answer(endpoint, first, rcode="NXDOMAIN")
    for name in others:
        lab.answer(endpoint, name, OWN[0])
    assert finding("dns_resolution", endpoint, lab).status == "fail"
    lab.add(
        "endpoint_associations",
        EndpointAssociation(
            "vpce-rsc-asc-1", endpoint.id, accessibility="Inaccessible", dns_names=(first.name,)
        ),
    )
    assert finding("dns_resolution", endpoint, lab).status == "pass"
    lab.instead["endpoint_associations"] = DENIED
    assert finding("dns_resolution", endpoint, lab).status == "unknown"


def test_names_that_were_not_asked_for_yet() -> None:
    """Those that were answered do not stand for the others."""
    lab, endpoint = estate()
    lab.answer(endpoint, regional(endpoint), *OWN)
    assert finding("dns_resolution", endpoint, lab).status == "unknown"


def test_nobody_has_asked() -> None:
    """Not yet is unknown; a VPC that no resolver answers for is not judged."""
    lab, endpoint = estate()
    assert finding("dns_resolution", endpoint, lab).status == "unknown"
    vpc = lab.add_vpc("10.7.0.0/16")
    asked = lab.add_endpoint(vpc, {"10.7.0.10": lab.add_subnet(vpc, "10.7.0.0/24")})
    lab.answer(asked, regional(asked), "10.7.0.10")
    found = finding("dns_resolution", endpoint, lab)
    assert (found.status, endpoint.vpc_id in found.summary) == ("not_applicable", True)
    # One that answers nobody may be this VPC's.
    lab.answer(asked, regional(asked), rcode="TIMEOUT", resolver=OTHER)
    assert finding("dns_resolution", endpoint, lab).status == "unknown"


def test_a_new_endpoint_has_not_been_asked_about() -> None:
    """Nor has one in a VPC that others were asked about."""
    for young in (True, False):
        lab, endpoint = estate(created=NOW - (60 if young else 86400))
        vpc = lab.add_vpc("10.7.0.0/16") if young else lab.listings["vpcs"][endpoint.vpc_id]
        subnet = lab.add_subnet(vpc, "10.7.0.0/24")
        asked = lab.add_endpoint(vpc, {"10.7.0.10": subnet})
        lab.answer(asked, regional(asked), "10.7.0.10")
        assert finding("dns_resolution", endpoint, lab).status == "unknown"


def test_blind_and_switched_off() -> None:
    """Queries that cannot be sent make it unknown, a collector that is off not applicable."""
    lab, endpoint = estate()
    lab.blind["dns"] = "Too many open files"
    found = finding("dns_resolution", endpoint, lab)
    assert (found.status, "Too many open files" in found.summary) == ("unknown", True)
    found = finding("dns_resolution", endpoint, lab, off=["dns"])
    assert (found.status, "switched off" in found.summary) == ("not_applicable", True)


def test_endpoints_that_could_not_be_listed() -> None:
    """Names that are not answered may be of an endpoint that has gone."""
    lab, endpoint = estate()
    all_well(lab, endpoint)
    lab.answer(endpoint, regional(endpoint), rcode="NXDOMAIN", resolver=OTHER)
    known = Known({endpoint.id: endpoint}, NOW)
    lab.instead["endpoints"] = Unavailable(DENIED.reason, "denied", known)
    assert finding("dns_resolution", endpoint, lab).status == "unknown"


def test_the_evidence_has_every_answer() -> None:
    """It names what was asked, by whom it was answered, and what the endpoint has instead."""
    lab, endpoint = estate()
    name = regional(endpoint)
    lab.answer(endpoint, name, "10.9.9.9")
    assert finding("dns_resolution", endpoint, lab).evidence == (
        f"{name.name} by 10.0.0.2:53: 10.9.9.9; the endpoint has {', '.join(OWN)}",
    )
