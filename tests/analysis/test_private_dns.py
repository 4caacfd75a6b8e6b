"""Where the service's own name leads clients: private DNS on, off, and off on purpose."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_network
from typing import Any

import pytest

from exporter.model import (
    DnsName,
    Endpoint,
    Expected,
    Known,
    PrivateDnsName,
    Route,
    Scope,
    Unavailable,
    Vpc,
)
from tests.analysis.lab import DENIED, PROVIDER, Lab, finding

SQS = "sqs.eu-west-1.amazonaws.com"
PRIVATE, SERVICE = DnsName(SQS, "private"), DnsName(SQS, "service")
OWN, PUBLIC, ELSEWHERE = "10.0.1.10", "203.0.113.9", "10.250.0.10"
HUB = Scope("111122223333", "eu-west-1")
INTERNET = Route(ip_network("0.0.0.0/0"), "nat-0123456789abcdef0")
# What a case changes of an estate in which all is well.
Change = Callable[[Lab, Vpc, Endpoint], object]


def estate(on: bool, *changes: Change, **more: Any) -> tuple[Lab, Vpc, Endpoint]:
    lab = Lab()
    vpc = lab.add_vpc("10.0.0.0/16")
    subnet = lab.add_subnet(vpc, "10.0.1.0/24")
    endpoint = lab.add_endpoint(
        vpc, {OWN: subnet}, private_name=SQS, private_dns_enabled=on, **more
    )
    for change in changes:
        change(lab, vpc, endpoint)
    return lab, vpc, endpoint


def answers(name: DnsName, *addresses: str, **more: str) -> Change:
    return lambda lab, _, endpoint: lab.answer(endpoint, name, *addresses, **more)


def attributes(support: bool, hostnames: bool) -> Change:
    def change(lab: Lab, vpc: Vpc, _: Endpoint) -> None:
        other = lab.add_vpc("10.9.0.0/16", support=support, hostnames=hostnames)
        lab.details["vpc_attributes"][vpc.id] = lab.details["vpc_attributes"][other.id]

    return change


def no_attributes(lab: Lab, vpc: Vpc, _: Endpoint) -> None:
    lab.details["vpc_attributes"][vpc.id] = DENIED


def unheld(lab: Lab, _: Vpc, endpoint: Endpoint) -> None:
    name = PRIVATE if endpoint.private_dns_enabled else SERVICE
    lab.answer(endpoint, name, OWN, expected=None, matches=None, problem=None)


ON: dict[str, tuple[str, str, tuple[Change, ...]]] = {
    "on, the VPC allows it, and nobody inside was asked: the attributes alone": (
        "pass",
        "No resolver that answers for the VPC",
        (),
    ),
    "on, and the VPC's resolver answers with the endpoint": (
        "pass",
        "leads to the endpoint",
        (answers(PRIVATE, OWN),),
    ),
    "on, and DNS hostnames are off": ("fail", "DNS hostnames", (attributes(True, False),)),
    "on, and DNS support is off": ("fail", "DNS support", (attributes(False, True),)),
    "on, hostnames off, and the name is answered with public addresses": (
        "fail",
        "DNS hostnames",
        (attributes(True, False), answers(PRIVATE, PUBLIC)),
    ),
    "on, hostnames off, and a server of one's own answers rightly: it does work": (
        "warn",
        "all the same",
        (attributes(True, False), answers(PRIVATE, OWN)),
    ),
    "on, and the resolver gives public addresses": (
        "fail",
        PUBLIC,
        (answers(PRIVATE, PUBLIC),),
    ),
    "on, and the resolver gives somebody's private address": (
        "fail",
        ELSEWHERE,
        (answers(PRIVATE, ELSEWHERE),),
    ),
    "on, and one of the addresses is not the endpoint's": (
        "fail",
        PUBLIC,
        (answers(PRIVATE, OWN, PUBLIC),),
    ),
    "on, and there is no such name": (
        "fail",
        "not known",
        (answers(PRIVATE, rcode="NXDOMAIN"),),
    ),
    "on, and the name has no address": ("fail", "not known", (answers(PRIVATE),)),
    "on, and the resolver says nothing: we have not looked": (
        "unknown",
        "10.0.0.2:53",
        (answers(PRIVATE, rcode="TIMEOUT"),),
    ),
    "on, and the resolver refuses us": (
        "unknown",
        "did not answer",
        (answers(PRIVATE, rcode="REFUSED"),),
    ),
    "on, and the resolver breaks": (
        "unknown",
        "did not answer",
        (answers(PRIVATE, rcode="SERVFAIL"),),
    ),
    "on, one resolver is silent and the other one is wrong": (
        "fail",
        "10.0.0.3:53",
        (
            answers(PRIVATE, rcode="TIMEOUT"),
            answers(PRIVATE, PUBLIC, resolver="10.0.0.3:53"),
        ),
    ),
    "on, one resolver is silent and the other one is right": (
        "unknown",
        "10.0.0.2:53",
        (answers(PRIVATE, rcode="TIMEOUT"), answers(PRIVATE, OWN, resolver="10.0.0.3:53")),
    ),
    "on, and the endpoint's addresses are not known": ("unknown", "addresses", (unheld,)),
    "on, answered with IPv4 only where both are promised": (
        "warn",
        "families",
        (answers(PRIVATE, OWN, problem="no_answer"),),
    ),
    "on, and the VPC's attributes may not be read": ("unknown", "AccessDenied", (no_attributes,)),
    "on, attributes denied, and the answer is right: still not all seen": (
        "unknown",
        "AccessDenied",
        (no_attributes, answers(PRIVATE, OWN)),
    ),
    "on, attributes denied, and the answer is wrong: a fault whatever they are": (
        "fail",
        PUBLIC,
        (no_attributes, answers(PRIVATE, PUBLIC)),
    ),
    "on, and DNS could not be asked at all": (
        "unknown",
        "no route",
        (lambda lab, _, e: lab.blind.update(dns="no route from here"),),
    ),
}


@pytest.mark.parametrize("case", ON)
def test_private_dns_that_is_on(case: str) -> None:
    """It fails where the VPC forbids it or its resolver leads elsewhere, not where we are blind."""
    status, words, changes = ON[case]
    lab, _, endpoint = estate(True, *changes)
    found = finding("private_dns", endpoint, lab)
    assert (found.status, words in found.summary) == (status, True), found


def way_out(lab: Lab, vpc: Vpc, _: Endpoint) -> None:
    lab.add_table(vpc, [INTERNET])


def way(target: str, destination: str = "0.0.0.0/0", state: str = "active") -> Change:
    to = destination if destination.startswith("pl-") else ip_network(destination)
    return lambda lab, vpc, _: lab.add_table(vpc, [Route(to, target, state)])


def gateway(*, routed: bool, everywhere: bool = True) -> Change:
    """A gateway endpoint of the same service, with a route in all subnets' tables or in one."""

    def change(lab: Lab, vpc: Vpc, endpoint: Endpoint) -> None:
        found = lab.add_endpoint(
            vpc, {}, service=endpoint.service_name, type="Gateway", private_dns_enabled=False
        )
        listed = prefix_list(lab)
        for table in list(lab.listings["route_tables"].values()):
            if routed and table.vpc_id == vpc.id:
                routes = (*table.routes, Route(listed, found.id))
                lab.change("route_tables", table, routes=routes)
        if not everywhere:
            lab.add_table(vpc, [], [lab.add_subnet(vpc, "10.0.2.0/24", zone=2)])

    return change


def prefix_list(lab: Lab) -> str:
    return lab.add_prefix_list("203.0.113.0/24", owner="AWS").id


def expected_off(lab: Lab, _: Vpc, endpoint: Endpoint) -> None:
    lab.expected[endpoint.id] = Expected(private_dns=False)


def sibling(lab: Lab, vpc: Vpc, endpoint: Endpoint) -> None:
    """Another endpoint of the same service in the VPC, which has the name."""
    subnet = lab.add_subnet(vpc, "10.0.3.0/24", zone=3)
    lab.add_endpoint(vpc, {"10.0.3.10": subnet}, service=endpoint.service_name, private_name=SQS)


def deny(listing: str) -> Change:
    return lambda lab, *_: lab.instead.update({listing: DENIED})


def unproven(lab: Lab, *_: object) -> None:
    for detail in list(lab.listings["service_details"].values()):
        lab.change("service_details", detail, private_dns_state="pendingVerification")


def nameless(lab: Lab, *_: object) -> None:
    for detail in list(lab.listings["service_details"].values()):
        lab.change("service_details", detail, private_dns_names=())


def unlisted(lab: Lab, *_: object) -> None:
    lab.listings["service_details"].clear()


OFF: dict[str, tuple[str, str, tuple[Change, ...]]] = {
    "off, nobody inside was asked, and there is no internet either": (
        "warn",
        "No resolver that answers",
        (),
    ),
    "off, the name is public, and there is a way to it: clients go past the endpoint": (
        "warn",
        PUBLIC,
        (way_out, answers(SERVICE, PUBLIC)),
    ),
    "off, the name is public, and nothing leaves the VPC": (
        "fail",
        "no way to the internet",
        (answers(SERVICE, PUBLIC),),
    ),
    "off on purpose, the configuration says": (
        "pass",
        "configuration",
        (expected_off, answers(SERVICE, PUBLIC)),
    ),
    "off, and a shared zone leads the name here": (
        "pass",
        "all the same",
        (answers(SERVICE, OWN),),
    ),
    "off, and the name is not known inside: the endpoint's own names are used": (
        "warn",
        "not known",
        (answers(SERVICE, rcode="NXDOMAIN"),),
    ),
    "off, and the name leads to a private address of nobody who is watched: a hub elsewhere": (
        "warn",
        ELSEWHERE,
        (answers(SERVICE, ELSEWHERE),),
    ),
    "off, and the resolver says nothing": (
        "unknown",
        "10.0.0.2:53",
        (way_out, answers(SERVICE, rcode="TIMEOUT")),
    ),
    "off, one resolver is silent and the other one gives what cannot be reached": (
        "fail",
        "no way to the internet",
        (
            answers(SERVICE, rcode="TIMEOUT"),
            answers(SERVICE, PUBLIC, resolver="10.0.0.3:53"),
        ),
    ),
    "off, one resolver leads here and one to the public: that is no fault, but a way past": (
        "warn",
        "10.0.0.3:53",
        (answers(SERVICE, OWN), answers(SERVICE, PUBLIC, resolver="10.0.0.3:53")),
    ),
    "off, two names, of which the hub's zone has one": (
        "warn",
        "api.aws",
        (
            answers(SERVICE, OWN),
            answers(DnsName("sqs.eu-west-1.api.aws", "service"), PUBLIC),
        ),
    ),
    "off, and the endpoint's addresses are not known": ("unknown", "addresses", (way_out, unheld)),
    "off, public, and the only ways are blackholes": (
        "fail",
        "no way",
        (way("nat-0123456789abcdef0", state="blackhole"), answers(SERVICE, PUBLIC)),
    ),
    **{
        f"off, public, and a route to {target}: there may be a way": (
            "warn",
            PUBLIC,
            (way(target), answers(SERVICE, PUBLIC)),
        )
        for target in (
            "igw-0123456789abcdef0",
            "tgw-0123456789abcdef0",
            "vgw-0123456789abcdef0",
            "pcx-0123456789abcdef0",
            "eni-0123456789abcdef0",
            "vpce-0123456789abcdef0",
            "eigw-0123456789abcdef0",
            "cagw-0123456789abcdef0",
            "lgw-0123456789abcdef0",
            "arn:aws:networkmanager::222233334444:core-network/core-network-0123456789abcdef0",
            "",
        )
    },
    "off, public, and a route of a prefix list to a firewall's endpoint that is not listed": (
        "warn",
        PUBLIC,
        (way("vpce-0123456789abcdef0", "pl-0123456789abcdef0"), answers(SERVICE, PUBLIC)),
    ),
    "off, public, beside a gateway endpoint of the same service that all subnets use": (
        "pass",
        "gateway endpoint",
        (gateway(routed=True), answers(SERVICE, PUBLIC)),
    ),
    "off, nobody asked, beside such a gateway endpoint": (
        "pass",
        "gateway endpoint",
        (gateway(routed=True),),
    ),
    "off, public, beside a gateway endpoint that some subnets use": (
        "warn",
        PUBLIC,
        (gateway(routed=True, everywhere=False), answers(SERVICE, PUBLIC)),
    ),
    "off, public, beside a gateway endpoint without a route": (
        "fail",
        "no way",
        (gateway(routed=False), answers(SERVICE, PUBLIC)),
    ),
    "off, nobody asked, and another endpoint in the VPC has the name": (
        "pass",
        "same service",
        (sibling,),
    ),
    "off, and the name leads to another endpoint of the VPC": (
        "pass",
        "vpce-",
        (sibling, answers(SERVICE, "10.0.3.10")),
    ),
    "off, and the provider's domain is not proven: its own check judges that": (
        "not_applicable",
        "not proven",
        (unproven,),
    ),
    "off, and the service has no name of its own": ("not_applicable", "no name", (nameless,)),
    "off, and AWS lists no such service for this account": (
        "not_applicable",
        "not judged",
        (unlisted,),
    ),
    "off, and services may not be listed": ("unknown", "AccessDenied", (deny("service_details"),)),
    "off, public, and route tables may not be listed": (
        "unknown",
        "AccessDenied",
        (deny("route_tables"), answers(SERVICE, PUBLIC)),
    ),
    "off, leading here, and route tables may not be listed: they are not needed": (
        "pass",
        "all the same",
        (deny("route_tables"), answers(SERVICE, OWN)),
    ),
    "off, public, and the main route table is not listed, as in a shared VPC": (
        "unknown",
        "main one",
        (lambda lab, *_: lab.listings["route_tables"].clear(), answers(SERVICE, PUBLIC)),
    ),
    "off, and DNS could not be asked at all": (
        "unknown",
        "no route",
        (lambda lab, *_: lab.blind.update(dns="no route from here"),),
    ),
}


@pytest.mark.parametrize("case", OFF)
def test_private_dns_that_is_off(case: str) -> None:
    """It warns; passes where the name leads here all the same; fails where it can lead nowhere."""
    status, words, changes = OFF[case]
    lab, _, endpoint = estate(False, *changes)
    found = finding("private_dns", endpoint, lab)
    assert (found.status, words in found.summary) == (status, True), found


HUB_WAYS: dict[str, tuple[Route | None, bool]] = {
    "a transit gateway": (Route(ip_network("10.0.0.0/8"), "tgw-0123456789abcdef0"), True),
    "a peering": (Route(ip_network("10.100.0.0/16"), "pcx-0123456789abcdef0"), True),
    "a blackhole": (
        Route(ip_network("10.0.0.0/8"), "tgw-0123456789abcdef0", "blackhole"),
        False,
    ),
    "the internet alone": (INTERNET, False),
    "another network": (Route(ip_network("10.99.0.0/16"), "pcx-0123456789abcdef0"), False),
    "a list that is not known": (Route("pl-0123456789abcdef0", "tgw-0123456789abcdef0"), True),
    "nothing": (None, False),
}


@pytest.mark.parametrize("by", HUB_WAYS)
def test_hub_and_spoke(by: str) -> None:
    """A spoke's name that leads to the hub's endpoint is as it should be where a route does too."""
    route, leads = HUB_WAYS[by]
    hub = Lab(HUB)
    vpc = hub.add_vpc("10.100.0.0/16")
    central = hub.add_endpoint(
        vpc,
        {"10.100.1.10": hub.add_subnet(vpc, "10.100.1.0/24")},
        private_name=SQS,
        private_dns_enabled=False,
    )
    hub.answer(central, SERVICE, "10.100.1.10")
    assert finding("private_dns", central, hub).status == "pass"

    def joined(lab: Lab, vpc: Vpc, _: Endpoint) -> None:
        if route:
            lab.add_table(vpc, [route], lab.listings["subnets"].values())

    lab, _, spoke = estate(False, joined, answers(SERVICE, "10.100.1.10"))
    found = finding("private_dns", spoke, lab, hub)
    status = "pass" if leads else "unknown"
    assert (found.status, found.resources) == (status, (spoke.id, central.id))
    # With private DNS on in the spoke, a resolver rule may do the same: it works, past it.
    lab, _, spoke = estate(True, joined, answers(PRIVATE, "10.100.1.10"))
    found = finding("private_dns", spoke, lab, hub)
    status = "warn" if leads else "unknown"
    assert (found.status, central.id in found.summary) == (status, True)
    lab.instead["route_tables"] = DENIED
    assert finding("private_dns", spoke, lab, hub).status == "unknown"


def test_inbound_resolvers_only() -> None:
    """S3's name that is for inbound resolvers alone leads clients to the gateway on purpose."""
    lab, vpc, endpoint = estate(True, private_dns_inbound_only=True)
    found = finding("private_dns", endpoint, lab)
    assert (found.status, "gateway endpoint" in found.summary) == ("pass", True)
    no_attributes(lab, vpc, endpoint)
    assert finding("private_dns", endpoint, lab).status == "unknown"
    attributes(support=True, hostnames=False)(lab, vpc, endpoint)
    assert finding("private_dns", endpoint, lab).status == "fail"


def test_a_name_that_the_provider_has_not_proven() -> None:
    """That it is not known is the provider's fault, which the service's own check tells."""
    other = Lab(PROVIDER)
    vpc = other.add_vpc("10.200.0.0/16")
    service = other.add_service(
        vpc,
        [other.add_subnet(vpc, "10.200.0.0/24")],
        private_dns=PrivateDnsName(SQS, "pendingVerification"),
    )
    lab, _, endpoint = estate(
        True, answers(PRIVATE, rcode="NXDOMAIN"), service=service.service_name
    )
    assert finding("private_dns", endpoint, lab, other).status == "not_applicable"
    assert finding("private_dns", endpoint, lab).status == "fail"
    unproven(lab)
    assert finding("private_dns", endpoint, lab).status == "not_applicable"


@pytest.mark.parametrize(
    ("state", "answer", "status"),
    [
        ("available", answers(PRIVATE, ELSEWHERE), "fail"),
        ("available", answers(PRIVATE, PUBLIC), "fail"),
        ("available", answers(PRIVATE, OWN), "pass"),
        ("available", answers(PRIVATE, rcode="NXDOMAIN"), "not_applicable"),
        ("available", answers(PRIVATE), "not_applicable"),
        ("pending", answers(PRIVATE, PUBLIC), "not_applicable"),
    ],
)
def test_an_answer_counts_whatever_is_proven(state: str, answer: Change, status: str) -> None:
    """A name that leads astray is a fault where the provider's proof has lapsed, too."""
    lab, _, endpoint = estate(True, unproven, answer, state=state)
    found = finding("private_dns", endpoint, lab)
    assert found.status == status, found
    if status == "fail":
        assert "not proven" in found.summary
        assert "list-hosted-zones-by-vpc" in (found.fix or "")


@pytest.mark.parametrize(
    ("more", "status"),
    [
        ({"type": "GatewayLoadBalancer"}, "not_applicable"),
        ({"type": "Gateway"}, "not_applicable"),
        ({"type": "Resource"}, "not_applicable"),
        ({"type": "ServiceNetwork"}, "not_applicable"),
        ({"state": "pending_acceptance"}, "not_applicable"),
        ({"state": "rejected"}, "not_applicable"),
        ({"state": "failed"}, "not_applicable"),
        ({"state": "expired"}, "not_applicable"),
        ({"state": "deleting"}, "not_applicable"),
        ({"state": "pending"}, "warn"),
        ({"service_region": "us-east-1"}, "warn"),
        ({"ip_address_type": "ipv6"}, "warn"),
    ],
    ids=str,
)
def test_whom_it_concerns(more: dict[str, str], status: str) -> None:
    """Types and states without names are not judged; the endpoint's own state explains them."""
    lab, _, endpoint = estate(False, **more)
    assert finding("private_dns", endpoint, lab).status == status


def test_wildcards_are_names_like_others() -> None:
    """A wildcard's answers are judged; the finding calls it as AWS does."""
    name = DnsName("*.execute-api.eu-west-1.amazonaws.com", "private")
    lab = Lab()
    vpc = lab.add_vpc("10.0.0.0/16")
    endpoint = lab.add_endpoint(
        vpc, {OWN: lab.add_subnet(vpc, "10.0.1.0/24")}, private_name=name.name
    )
    lab.answer(endpoint, name, OWN)
    assert finding("private_dns", endpoint, lab).status == "pass"
    lab.answer(endpoint, name, PUBLIC, resolver="10.0.0.3:53")
    found = finding("private_dns", endpoint, lab)
    assert (found.status, name.name in found.summary) == ("fail", True)


@pytest.mark.parametrize(
    ("state", "answer", "status"),
    [
        ("pending", answers(PRIVATE, rcode="NXDOMAIN"), "warn"),
        ("pending", answers(PRIVATE, PUBLIC), "warn"),
        ("pending", answers(PRIVATE, ELSEWHERE), "fail"),
        ("pending", answers(PRIVATE, OWN), "pass"),
        ("unknown", answers(PRIVATE, PUBLIC), "unknown"),
        ("partial", answers(PRIVATE, PUBLIC), "fail"),
    ],
)
def test_a_name_that_is_not_there_yet(state: str, answer: Change, status: str) -> None:
    """While the endpoint is pending, AWS may not have published it."""
    lab, _, endpoint = estate(True, answer, state=state)
    assert finding("private_dns", endpoint, lab).status == status


def test_listings_that_are_too_old() -> None:
    """Whether private DNS is on is not known from a listing that no longer stands."""
    lab, _, endpoint = estate(True)
    lab.instead["endpoints"] = Unavailable("throttled", last=Known({endpoint.id: endpoint}, 0))
    assert finding("private_dns", endpoint, lab).status == "unknown"


def test_the_attributes_are_switched_on_one_by_one() -> None:
    """AWS changes one attribute a call, and hostnames only where there is support."""
    lab, vpc, endpoint = estate(True, attributes(False, False))
    found = finding("private_dns", endpoint, lab)
    command = f"aws ec2 modify-vpc-attribute --vpc-id {vpc.id}"
    assert found.fix == (
        f"{command} --enable-dns-support '{{\"Value\":true}}' --region eu-west-1\n"
        f"{command} --enable-dns-hostnames '{{\"Value\":true}}' --region eu-west-1"
    )
    assert found.resources[0] == vpc.id


def test_the_attributes_of_a_shared_vpc() -> None:
    """They are its owner's to change, and the commands say in which account."""
    lab, vpc, endpoint = estate(True, attributes(False, True))
    lab.change("vpcs", vpc, owner="111122223333")
    first, *rest = (finding("private_dns", endpoint, lab).fix or "").splitlines()
    assert first == "In account 111122223333:"
    assert "modify-vpc-attribute" in rest[0]
    lab, vpc, endpoint = estate(False, attributes(False, True), answers(SERVICE, PUBLIC))
    lab.change("vpcs", vpc, owner="111122223333")
    said = (finding("private_dns", endpoint, lab).fix or "").splitlines()
    assert said[0] == "In account 111122223333:"
    assert said[2] == "Then in account 222233334444:"
    assert "modify-vpc-endpoint" in said[3]


def test_switching_it_on() -> None:
    """The command to switch it on comes after what the VPC lacks for it."""
    lab, vpc, endpoint = estate(False, attributes(True, False), answers(SERVICE, PUBLIC))
    found = finding("private_dns", endpoint, lab)
    assert found.status == "fail"
    assert found.fix is not None
    first, second = found.fix.splitlines()
    assert f"modify-vpc-attribute --vpc-id {vpc.id} " in first
    assert second == (
        f"aws ec2 modify-vpc-endpoint --vpc-endpoint-id {endpoint.id} --private-dns-enabled "
        "--region eu-west-1"
    )


def test_where_to_look_for_what_answers() -> None:
    """What shadows a name is found among the VPC's zones and rules: the commands list both."""
    lab, vpc, endpoint = estate(True, answers(PRIVATE, ELSEWHERE))
    fix = finding("private_dns", endpoint, lab).fix or ""
    assert f"aws route53 list-hosted-zones-by-vpc --vpc-id {vpc.id} --vpc-region eu-west-1" in fix
    assert f"Name=VPCId,Values={vpc.id}" in fix


def test_a_collector_that_is_switched_off() -> None:
    """Without answers the rest is judged, and the finding says so."""
    lab, _, endpoint = estate(True)
    found = finding("private_dns", endpoint, lab, off=["dns"])
    assert (found.status, "not judged" in found.summary) == ("pass", True)
