"""DNS probes, against real servers on loopback."""

from __future__ import annotations

import asyncio
import errno
import socket
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from ipaddress import ip_address, ip_network
from typing import Any

import dns.flags
import dns.message
import dns.rcode
import dns.resolver
import dns.rrset
import pytest

from exporter.aws.imds import Host
from exporter.config import Resolver
from exporter.dns import (
    DEAD_AFTER,
    WILDCARD_LABEL,
    Line,
    Pace,
    Prober,
    Server,
    Unreachable,
    names_of,
    record_types,
    servers,
)
from exporter.model import (
    DnsName,
    Endpoint,
    Interface,
    Inventory,
    Known,
    Lookup,
    NameKind,
    Part,
    Scope,
    ServiceDetail,
    Unavailable,
)

SCOPE = Scope("111122223333", "eu-west-1")
OWN = ("10.1.0.10", "10.1.1.10", "fd00::10")
Answer = Callable[[dns.message.Message], dns.message.Message | None]


class NameServer(asyncio.DatagramProtocol):
    """A name server on loopback that answers as a function says; None means not at all."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.asked: list[str] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        query = dns.message.from_wire(data)
        self.asked.append(query.question[0].name.to_text(omit_final_dot=True))
        response = self.answer(query)
        if response is not None:
            self.transport.sendto(response.to_wire(), addr)  # type: ignore[attr-defined]


def zone(query: dns.message.Message) -> dns.message.Message:
    """Answer as the estate below should be answered, and with each mistake by its name."""
    response = dns.message.make_response(query)
    question = query.question[0]
    name, kind = question.name.to_text(omit_final_dot=True), question.rdtype.name
    answers = {
        ("good.example.com", "A"): [OWN[0], OWN[1]],
        ("good.example.com", "AAAA"): [OWN[2]],
        ("public.example.com", "A"): ["203.0.113.10", OWN[0]],
        ("foreign.example.com", "A"): ["10.9.9.9"],
        (f"{WILDCARD_LABEL}.wild.example.com", "A"): [OWN[0]],
        ("target.example.com", "A"): [OWN[1]],
    }
    if name.startswith("nx."):
        response.set_rcode(dns.rcode.NXDOMAIN)
    elif name.startswith("servfail."):
        response.set_rcode(dns.rcode.SERVFAIL)
    elif name.startswith("refused."):
        response.set_rcode(dns.rcode.REFUSED)
    elif name == "alias.example.com":
        response.answer.append(
            dns.rrset.from_text(question.name, 300, "IN", "CNAME", "target.example.com.")
        )
        response.answer.append(dns.rrset.from_text("target.example.com.", 20, "IN", "A", OWN[1]))
    elif (name, kind) in answers:
        response.answer.append(
            dns.rrset.from_text(question.name, 60, "IN", kind, *answers[name, kind])
        )
    return response


def estate(*names: DnsName, addresses: str = "ipv4", vpc: str = "vpc-1") -> Inventory:
    endpoint = Endpoint(
        "vpce-1",
        SCOPE,
        "Interface",
        "available",
        "s",
        vpc,
        interface_ids=("eni-1", "eni-2"),
        dns_names=names,
        ip_address_type=addresses,
    )
    interfaces: Part[Mapping[str, Interface]] = Known(
        {
            "eni-1": Interface(
                "eni-1", vpc, "s1", "eu-west-1a", "z1", (ip_address(OWN[0]), ip_address(OWN[2]))
            ),
            "eni-2": Interface("eni-2", vpc, "s2", "eu-west-1b", "z2", (ip_address(OWN[1]),)),
        },
        0,
    )
    return Inventory(
        SCOPE,
        endpoints=Known({"vpce-1": endpoint}, 0),
        interfaces=interfaces,
    )


def probe(
    inventory: Inventory,
    answer: Answer = zone,
    passes: int = 1,
    vpcs: frozenset[str] | None = None,
    line: Line | None = None,
    pace: Pace | None = None,
) -> tuple[tuple[Lookup, ...], NameServer]:
    async def main() -> tuple[tuple[Lookup, ...], NameServer]:
        loop = asyncio.get_running_loop()
        transport, server = await loop.create_datagram_endpoint(
            lambda: NameServer(answer), local_addr=("127.0.0.1", 0)
        )
        port = transport.get_extra_info("sockname")[1]
        server_ = Server("test", (("127.0.0.1", port),), vpcs, vpcs)
        prober = Prober(server_, pace or Pace(), time.time, line or Line())
        try:
            for _ in range(passes):
                found = await prober.run(inventory)
            return found, server
        finally:
            transport.close()

    return asyncio.run(main())


def private(name: str) -> DnsName:
    return DnsName(name, "private")


@pytest.mark.parametrize(
    ("name", "problem", "success", "matches"),
    [
        ("good.example.com", None, True, True),
        ("alias.example.com", None, True, True),
        ("*.wild.example.com", None, True, True),
        ("public.example.com", "public_address", True, False),
        ("foreign.example.com", "foreign_address", True, False),
        ("nx.example.com", "nxdomain", False, False),
        ("servfail.example.com", "servfail", False, False),
        ("refused.example.com", "refused", False, False),
        ("empty.example.com", "no_answer", False, False),
        ("a" * 70 + ".example.com", "servfail", False, False),
    ],
)
def test_what_an_answer_means(name: str, problem: str | None, success: bool, matches: bool) -> None:
    """Each way in which a name can be wrong has its own word."""
    (lookup,), _ = probe(estate(private(name)))
    assert (lookup.problem, lookup.success, lookup.matches) == (problem, success, matches)


def test_the_chain_and_the_least_ttl_are_kept() -> None:
    """CNAMEs are followed in the answer; the TTL is the least of it."""
    (lookup,), _ = probe(estate(private("alias.example.com")))
    assert lookup.cnames == ("target.example.com",)
    assert lookup.ttl == 20
    assert 0 < lookup.duration < 2


def test_a_dual_stack_endpoint_needs_both_families() -> None:
    """With dualstack a name lacks an answer when one family does."""
    (good,), _ = probe(estate(private("good.example.com"), addresses="dualstack"))
    assert (good.problem, len(good.answers)) == (None, 3)
    (half,), _ = probe(estate(private("foreign.example.com"), addresses="dualstack"))
    assert half.problem == "no_answer"


def test_a_zonal_name_has_its_zones_address_only() -> None:
    """A zonal name that gives another zone's address does not match."""
    right = DnsName("target.example.com", "zonal", "eu-west-1b")
    wrong = DnsName("alias.example.com", "zonal", "eu-west-1a")
    lookups, _ = probe(estate(right, wrong))
    assert [x.matches for x in lookups] == [True, False]


def test_zonal_names_are_asked_less_often() -> None:
    """Zonal names are asked for at every tenth pass; their last answer stands meanwhile."""
    zonal = DnsName("target.example.com", "zonal", "eu-west-1b")
    lookups, server = probe(estate(zonal, private("good.example.com")), passes=10)
    assert (server.asked.count("target.example.com"), server.asked.count("good.example.com")) == (
        1,
        10,
    )
    assert [x.matches for x in lookups] == [True, True]


def test_a_zonal_name_that_is_wrong_is_asked_again() -> None:
    """What was wrong must be seen to be mended at the next pass, not at the tenth."""
    zonal = DnsName("nx.example.com", "zonal", "eu-west-1b")
    _, server = probe(estate(zonal), passes=3)
    assert len(server.asked) == 3


def test_unknown_addresses_make_the_match_unknown() -> None:
    """Without the endpoint's addresses an answer neither matches nor fails to."""
    blind = replace(estate(private("good.example.com")), interfaces=Unavailable("denied"))
    (lookup,), _ = probe(blind)
    assert (lookup.success, lookup.matches, lookup.problem) == (True, None, None)


def test_private_names_are_asked_where_the_answer_means_something() -> None:
    """A resolver of another VPC is asked for nothing, the VPC's own one for everything."""
    names = (private("good.example.com"), DnsName("target.example.com", "regional"))
    assert probe(estate(*names), vpcs=frozenset({"vpc-2"}))[0] == ()
    lookups, _ = probe(estate(*names), vpcs=frozenset({"vpc-1"}))
    assert [x.name.kind for x in lookups] == ["private", "regional"]


def test_a_dead_resolver_is_given_up_on() -> None:
    """One that never answers costs a pass seconds, not hours; what was not asked is not told."""
    names = tuple(private(f"n{i}.example.com") for i in range(10 * DEAD_AFTER))
    line = Line()
    began = time.monotonic()
    lookups, server = probe(estate(*names), lambda _: None, line=line)
    assert time.monotonic() - began < 10
    assert {x.problem for x in lookups} == {"timeout"}
    assert 0 < len(lookups) < len(names)
    assert len(server.asked) < 4 * DEAD_AFTER
    assert line.dead
    # The next pass asks for one name; when that is answered, for all.
    again, server = probe(estate(*names), lambda _: None, line=line)
    assert (len(again), len(set(server.asked))) == (1, 1)
    back, _ = probe(estate(private("good.example.com"), private("cname.example.com")), line=line)
    assert len(back) == 2
    assert not line.dead


def test_waiting_for_our_own_pace_is_not_the_resolver_s_time() -> None:
    """A lookup lasts from the query to its answer."""
    names = tuple(private("good.example.com") for _ in range(1))
    slow = Pace(per_second=5)
    for _ in range(3):
        lookups, _ = probe(estate(*names), pace=slow, passes=3)
    assert all(x.duration < 0.15 for x in lookups)


def test_a_query_that_cannot_be_sent_says_nothing_of_the_resolver(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Out of descriptors: no lookup is made up, and whoever runs the pass is told."""

    async def no_descriptor(*_: object, **__: object) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr("dns.asyncquery.udp_with_fallback", no_descriptor)
    prober = Prober(Server("test", (("127.0.0.1", 9),)), Pace(), time.time)
    with pytest.raises(ExceptionGroup) as caught:
        asyncio.run(prober.run(estate(private("good.example.com"))))
    assert caught.group_contains(Unreachable, match="Too many open files")


def test_a_closed_port_is_a_timeout() -> None:
    """Nobody listening is no answer, not a crash."""
    with ExitStack() as stack:
        s = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    server = Server("test", (("127.0.0.1", port),))
    prober = Prober(server, Pace(), time.time)
    (lookup,) = asyncio.run(prober.run(estate(private("good.example.com"))))
    assert (lookup.rcode, lookup.problem) == ("TIMEOUT", "timeout")


def off(endpoint: Endpoint, *details: ServiceDetail) -> Inventory:
    """The estate with this endpoint, and the services that AWS lists."""
    return replace(
        estate(),
        endpoints=Known({endpoint.id: endpoint}, 0),
        service_details=Known({str(i): d for i, d in enumerate(details)}, 0),
    )


def own_endpoint(**more: Any) -> Endpoint:
    inventory = estate(DnsName("target.example.com", "regional"))
    assert isinstance(inventory.endpoints, Known)
    return replace(inventory.endpoints.value["vpce-1"], **more)


def detail(*names: str, kind: str = "Interface", state: str = "verified") -> ServiceDetail:
    return ServiceDetail(
        f"svc-{kind}", "s", (kind,), private_dns_names=names, private_dns_state=state
    )


@pytest.mark.parametrize(
    ("more", "details", "asked"),
    [
        ({}, [detail("good.example.com")], ["good.example.com"]),
        ({}, [detail("Good.Example.Com.")], ["good.example.com"]),
        ({}, [detail("*.wild.example.com")], ["*.wild.example.com"]),
        ({}, [detail("a.example.com", "b.example.com")], ["a.example.com", "b.example.com"]),
        ({"private_dns_enabled": True}, [detail("good.example.com")], []),
        ({}, [detail("good.example.com", kind="Gateway")], []),
        ({}, [detail("good.example.com", state="pendingVerification")], []),
        ({}, [detail("good.example.com", state="")], ["good.example.com"]),
        ({}, [detail("target.example.com")], []),
        ({}, [detail()], []),
        ({"service_name": "another"}, [detail("good.example.com")], []),
        ({"type": "GatewayLoadBalancer"}, [detail(kind="GatewayLoadBalancer")], []),
    ],
    ids=str,
)
def test_the_service_s_own_names(
    more: dict[str, Any], details: list[ServiceDetail], asked: list[str]
) -> None:
    """They are asked for where private DNS is off, once, where the provider has proven them."""
    found = [
        n.name for _, n in names_of(off(own_endpoint(**more), *details)) if n.kind == "service"
    ]
    assert found == asked


def test_the_service_s_own_names_are_asked_of_the_vpc_s_resolver() -> None:
    """Their answers are held against the endpoint; from outside its VPC they prove nothing."""
    inventory = off(
        own_endpoint(), detail("good.example.com", "public.example.com", "*.wild.example.com")
    )
    lookups, server = probe(inventory, vpcs=frozenset({"vpc-1"}))
    assert [(x.name.kind, x.matches, x.problem) for x in lookups] == [
        ("regional", True, None),
        ("service", True, None),
        ("service", False, "public_address"),
        ("service", True, None),
    ]
    assert f"{WILDCARD_LABEL}.wild.example.com" in server.asked
    assert {x.inside for x in lookups} == {True}
    outside = Server("system", (("127.0.0.1", 9),), None, frozenset())
    endpoint = own_endpoint()
    assert not outside.answers_for(endpoint, DnsName("good.example.com", "service"))
    assert outside.answers_for(endpoint, DnsName("target.example.com", "regional"))
    assert not outside.inside(endpoint.vpc_id)


@pytest.mark.parametrize(
    ("kind", "name_kind", "types"),
    [
        ("ipv4", "private", (("A",), ())),
        ("ipv6", "regional", (("AAAA",), ())),
        ("dualstack", "private", (("A", "AAAA"), ())),
        ("service-defined", "private", (("A",), ())),
        ("service-defined", "service", (("A",), ())),
        ("service-defined", "zonal", (("A",), ("AAAA",))),
    ],
)
def test_record_types(kind: str, name_kind: str, types: object) -> None:
    """Which records must be there follows the endpoint's DNS record type."""
    endpoint = Endpoint("e", SCOPE, "Interface", "available", "s", "v", dns_record_ip_type=kind)
    assert record_types(endpoint, DnsName("x", name_kind)) == types  # type: ignore[arg-type]


def test_the_pace_is_kept() -> None:
    """Queries leave no faster than the pace, whoever sends them."""

    async def main() -> float:
        pace = Pace(per_second=200)
        began = time.monotonic()
        await asyncio.gather(*(pace.wait() for _ in range(60)))
        return time.monotonic() - began

    assert asyncio.run(main()) > 0.25


def asked(server: Server, vpc_id: str) -> set[str]:
    """Return the kinds of names of an endpoint in the VPC that the server is asked for."""
    endpoint = Endpoint("e", SCOPE, "Interface", "available", "s", vpc_id)
    kinds: tuple[NameKind, ...] = ("regional", "private")
    return {kind for kind in kinds if server.answers_for(endpoint, DnsName("x", kind))}


HERE = Host("vpc-1", (ip_network("10.1.0.0/16"),))


def system_is(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
    class System:
        nameservers, port = addresses, 53

    monkeypatch.setattr("dns.resolver.Resolver", System)


def test_the_system_s_resolver_of_an_unknown_vpc(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where this host's VPC is not known, the system's resolver is asked for public names alone."""
    system_is(monkeypatch, "192.0.2.53")
    (system,) = servers((), None)
    assert (system.label, system.addresses) == ("system", (("192.0.2.53", 53),))
    assert asked(system, "vpc-1") == {"regional"}


def test_the_system_s_resolver_of_this_host_s_vpc(monkeypatch: pytest.MonkeyPatch) -> None:
    """It answers for this VPC, and Amazon's own is asked beside it; of others nothing private."""
    system_is(monkeypatch, "192.0.2.53")
    system, amazon = servers((), HERE)
    assert asked(system, "vpc-1") == asked(amazon, "vpc-1") == {"regional", "private"}
    assert (asked(system, "vpc-2"), asked(amazon, "vpc-2")) == ({"regional"}, set())
    assert amazon.addresses == (("169.254.169.253", 53),)


@pytest.mark.parametrize("address", ["10.1.0.2", "169.254.169.253", "fd00:ec2::253"])
def test_amazon_s_resolver_is_asked_once(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    """Where the system's resolver is Amazon's, by whichever of its addresses, that is enough."""
    system_is(monkeypatch, address)
    assert [server.label for server in servers((), HERE)] == ["system"]


def test_configured_resolvers(monkeypatch: pytest.MonkeyPatch) -> None:
    """One for all VPCs is asked for everything; one for a VPC for that one, the system's beside."""
    system_is(monkeypatch, "192.0.2.53")
    (given,) = servers((Resolver(address="10.0.0.2"),), HERE)
    assert (given.label, given.addresses) == ("10.0.0.2:53", (("10.0.0.2", 53),))
    assert asked(given, "vpc-1") == {"regional", "private"}
    own, system = servers((Resolver(address="10.0.0.2", vpcs=("vpc-0b",)),), None)
    assert (asked(own, "vpc-0b"), asked(own, "vpc-1")) == ({"regional", "private"}, set())
    assert (asked(system, "vpc-0b"), asked(system, "vpc-1")) == (set(), {"regional"})


def test_a_system_without_resolvers(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is an error only where nothing is configured."""

    def none() -> None:
        raise dns.resolver.NoResolverConfiguration

    monkeypatch.setattr("dns.resolver.Resolver", none)
    assert len(servers((Resolver(address="10.0.0.2", vpcs=("vpc-0b",)),), None)) == 1
    with pytest.raises(dns.resolver.NoResolverConfiguration):
        servers((), None)
