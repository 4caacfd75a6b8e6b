"""Security groups and network ACLs, against cases of AWS's rules and against a second evaluator."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from ipaddress import IPv4Network, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.analysis.around import Around
from exporter.analysis.judged import Unseen
from exporter.analysis.rules import EPHEMERAL, Decision, Peer, acl_passes, groups_admit, networks
from exporter.model import (
    Address,
    Known,
    Network,
    NetworkAcl,
    NetworkAclEntry,
    SecurityGroupRule,
)
from tests.analysis import naive
from tests.analysis.lab import ALLOW_ALL, DENIED, NOW, Lab, rule

OTHER_GROUP = "sg-00000000000000aaa"
THIRD_GROUP = "sg-00000000000000bbb"


def admitted(
    source: str,
    *rules: SecurityGroupRule | tuple[object, ...],
    groups: Iterable[str] | None = None,
    protocol: int = 6,
    port: int = 443,
    egress: bool = False,
    lab: Lab | None = None,
) -> Decision:
    lab = lab or Lab()
    group = lab.add_group(lab.add_vpc("10.0.0.0/16"), *rules)
    known = None if groups is None else frozenset(groups)
    around = Around(lab.inventory())
    peer = Peer.of(ip_network(source), known)
    return groups_admit(around, [group.id], egress=egress, peer=peer, protocol=protocol, port=port)


@pytest.mark.parametrize(
    ("source", "rules", "expected"),
    [
        ("10.1.2.3/32", [("10.1.0.0/16",)], True),
        ("10.2.2.3/32", [("10.1.0.0/16",)], False),
        ("10.1.2.3/32", [("10.1.2.3/32",)], True),
        ("10.1.2.4/32", [("10.1.2.3/32",)], False),
        ("10.1.0.0/16", [("10.1.0.0/17",)], False),
        ("10.1.0.0/16", [("10.1.0.0/17",), ("10.1.128.0/17",)], True),
        ("10.1.0.0/16", [("10.0.0.0/8",)], True),
        ("10.1.2.3/32", [("0.0.0.0/0",)], True),
        ("10.1.2.3/32", [("::/0",)], False),
        ("2001:db8::1/128", [("::/0",)], True),
        ("2001:db8::1/128", [("0.0.0.0/0",)], False),
        ("2001:db8::1/128", [("2001:db8::/64",)], True),
        ("10.1.2.3/32", [], False),
        ("10.1.2.3/32", [("10.1.0.0/16", 8443)], False),
        ("10.1.2.3/32", [("10.1.0.0/16", 8443), ("10.1.0.0/16", 443)], True),
    ],
)
def test_sources_of_rules(source: str, rules: list[tuple[object, ...]], expected: bool) -> None:
    """The union of the rules lets an address or all of a network in, of its own family only."""
    assert admitted(source, *rules).allowed is expected


@pytest.mark.parametrize(
    ("one", "protocol", "port", "expected"),
    [
        (rule("sg", port=443), 6, 443, True),
        (rule("sg", port=443), 17, 443, False),
        (rule("sg", port=None, protocol="-1"), 17, 9999, True),
        (rule("sg", port=None, protocol="-1"), 6, 1, True),
        (rule("sg", port=400, to_port=500), 6, 443, True),
        (rule("sg", port=400, to_port=500), 6, 400, True),
        (rule("sg", port=400, to_port=500), 6, 500, True),
        (rule("sg", port=400, to_port=500), 6, 501, False),
        (rule("sg", port=0, to_port=65535), 6, 443, True),
        (rule("sg", port=443, protocol="6"), 6, 443, True),
        (rule("sg", port=443, protocol="udp"), 6, 443, False),
        (rule("sg", port=-1, protocol="tcp"), 6, 443, True),
        (rule("sg", port=443, egress=True), 6, 443, False),
    ],
)
def test_protocols_and_ports_of_rules(
    one: SecurityGroupRule, protocol: int, port: int, expected: bool
) -> None:
    """A rule is about a protocol and a span of ports, both ends included; -1 is about all."""
    assert admitted("10.1.2.3/32", one, protocol=protocol, port=port).allowed is expected


@pytest.mark.parametrize(
    ("groups", "rules", "expected"),
    [
        ([OTHER_GROUP], [(OTHER_GROUP,)], True),
        ([THIRD_GROUP], [(OTHER_GROUP,)], False),
        ([THIRD_GROUP, OTHER_GROUP], [(OTHER_GROUP,)], True),
        ([], [(OTHER_GROUP,)], False),
        (None, [(OTHER_GROUP,)], None),
        (None, [(OTHER_GROUP,), ("10.0.0.0/8",)], True),
        (None, [(OTHER_GROUP, 8443)], False),
        (None, [rule("sg", OTHER_GROUP, peering_status="deleted")], False),
        ([OTHER_GROUP], [rule("sg", OTHER_GROUP, peering_status="deleted")], False),
        ([OTHER_GROUP], [rule("sg", OTHER_GROUP, peering_status="active")], True),
    ],
)
def test_a_reference_to_a_group_hangs_on_the_clients_groups(
    groups: list[str] | None, rules: list[tuple[object, ...]], expected: bool | None
) -> None:
    """Members are let in; who is no member is not; of whom that is not known it is unknown."""
    assert admitted("10.1.2.3/32", *rules, groups=groups).allowed is expected


def test_prefix_lists_are_read_or_leave_it_open() -> None:
    """An entry lets its addresses in; a list that could not be read leaves all others unknown."""
    lab = Lab()
    office = lab.add_prefix_list("192.0.2.0/24", "10.9.0.0/16")
    assert admitted("10.9.1.1/32", (office.id,), lab=lab).allowed is True
    assert admitted("10.8.1.1/32", (office.id,), lab=lab).allowed is False
    lab.details["prefix_list_entries"][office.id] = DENIED
    found = admitted("10.8.1.1/32", (office.id,), lab=lab)
    assert found.allowed is None
    assert "AccessDenied" in found.by
    assert admitted("10.8.1.1/32", (office.id,), ("10.0.0.0/8",), lab=lab).allowed is True


def test_the_deciding_rule_or_its_absence_is_named() -> None:
    """What lets a packet in, what does not, and which part of a network is left out."""
    found = admitted("10.1.2.3/32", ("10.1.0.0/16",))
    assert found.resources[1].startswith("sgr-")
    assert "tcp 443 from 10.1.0.0/16" in found.by
    found = admitted("10.1.2.3/32", ("10.1.0.0/16", 8443))
    assert found.by == f"no rule of {found.of[0]} lets tcp 443 in from 10.1.2.3"
    found = admitted("10.1.0.0/16", ("10.1.0.0/17",))
    assert found.by.endswith("lets tcp 443 in from 10.1.128.0/17")
    assert not found.none


def test_rules_that_were_not_seen_are_not_absent() -> None:
    """A denied call raises, it does not close the door; nor does a group that nobody listed."""
    lab = Lab()
    lab.instead["security_group_rules"] = DENIED
    with pytest.raises(Unseen, match="AccessDenied"):
        admitted("10.1.2.3/32", lab=lab)
    peer = Peer.of(ip_network("10.1.2.3/32"))
    with pytest.raises(Unseen, match="sg-1: it was not listed"):
        groups_admit(Around(Lab().inventory()), ["sg-1"], peer=peer, port=443)


def entry(
    number: int,
    allow: bool = True,
    cidr: str = "0.0.0.0/0",
    ports: tuple[int, int] | None = None,
    protocol: str = "6",
    egress: bool = False,
) -> NetworkAclEntry:
    low, high = ports or (None, None)
    return NetworkAclEntry(number, egress, allow, protocol, ip_network(cidr), low, high)


def passes(judged: NetworkAcl, *, egress: bool, peer: Network, ports: tuple[int, int]) -> Decision:
    around = Around(Lab().inventory())
    return acl_passes(around, judged, egress=egress, peer=Peer.of(peer), ports=ports)


def acl(*entries: NetworkAclEntry) -> NetworkAcl:
    return NetworkAcl("acl-1", "vpc-1", False, (), entries)


@pytest.mark.parametrize(
    ("entries", "source", "ports", "expected", "none"),
    [
        (ALLOW_ALL, "10.1.2.3/32", (443, 443), True, False),
        ([], "10.1.2.3/32", (443, 443), False, True),
        ([entry(100, ports=(443, 443))], "10.1.2.3/32", (443, 443), True, False),
        ([entry(100, ports=(443, 443))], "10.1.2.3/32", (444, 444), False, True),
        ([entry(90, False), entry(100)], "10.1.2.3/32", (443, 443), False, True),
        ([entry(100), entry(90, False)], "10.1.2.3/32", (443, 443), False, True),
        ([entry(110, False), entry(100)], "10.1.2.3/32", (443, 443), True, False),
        ([entry(90, False, "10.0.0.0/8"), entry(100)], "192.0.2.1/32", (443, 443), True, False),
        ([entry(90, False, "10.0.0.0/8"), entry(100)], "0.0.0.0/0", (443, 443), False, False),
        ([entry(100, protocol="17")], "10.1.2.3/32", (443, 443), False, True),
        ([entry(100, protocol="-1", ports=(1, 2))], "10.1.2.3/32", (443, 443), True, False),
        ([entry(100, cidr="::/0")], "10.1.2.3/32", (443, 443), False, True),
        ([entry(100, cidr="::/0")], "2001:db8::1/128", (443, 443), True, False),
        ([entry(100, ports=(32768, 61000))], "10.1.2.3/32", EPHEMERAL, False, False),
        ([entry(100, ports=(1024, 65535))], "10.1.2.3/32", EPHEMERAL, True, False),
        ([entry(100, ports=(443, 443))], "10.1.2.3/32", EPHEMERAL, False, True),
        (
            [entry(90, False, ports=(3389, 3389)), entry(100)],
            "10.1.2.3/32",
            EPHEMERAL,
            False,
            False,
        ),
        ([entry(100, egress=True)], "10.1.2.3/32", (443, 443), False, True),
    ],
)
def test_network_acls(
    entries: list[NetworkAclEntry],
    source: str,
    ports: tuple[int, int],
    expected: bool,
    none: bool,
) -> None:
    """The lowest number that matches decides, per packet; what none matches is denied."""
    found = passes(acl(*entries), egress=False, peer=ip_network(source), ports=ports)
    assert (found.allowed, found.none) == (expected, none)


def test_the_deciding_entry_and_the_closed_ports_are_named() -> None:
    """An entry by its number and what it says; the last one, which AWS adds, as *."""
    found = passes(
        acl(entry(90, False, "10.0.0.0/8", (443, 443)), entry(100)),
        egress=False,
        peer=ip_network("10.1.2.3/32"),
        ports=(443, 443),
    )
    assert found.by == "inbound rule 90 of acl-1 denies tcp 443 from 10.0.0.0/8"
    found = passes(
        acl(entry(100, ports=(32768, 61000)), entry(32767, False, protocol="-1")),
        egress=False,
        peer=ip_network("10.1.2.3/32"),
        ports=EPHEMERAL,
    )
    assert found.by == "inbound rule * of acl-1 denies all from 0.0.0.0/0"
    assert found.closed() == ((1024, 32767), (61001, 65535))


@pytest.mark.parametrize(
    ("span", "texts"),
    [
        (("10.0.0.1", "10.0.0.1"), ("10.0.0.1",)),
        (("10.0.0.0", "10.0.0.255"), ("10.0.0.0/24",)),
        (("10.0.0.1", "10.0.0.6"), ("10.0.0.1", "10.0.0.2/31", "…")),
    ],
)
def test_spans_of_addresses_in_words(span: tuple[str, str], texts: tuple[str, ...]) -> None:
    """A span is written as the networks that it is made of, the first two of many."""
    assert networks(int(ip_address(span[0])), int(ip_address(span[1])), 4) == texts


# Small numbers, so that rules meet: addresses of 10.0.0.0/27, ports 0 to 15.
def blocks() -> st.SearchStrategy[IPv4Network]:
    return st.integers(27, 32).flatmap(
        lambda length: st.integers(0, 2 ** (length - 27) - 1).map(
            lambda i: IPv4Network(((10 << 24) + (i << (32 - length)), length))
        )
    )


def spans() -> st.SearchStrategy[tuple[int, int]]:
    return st.tuples(st.integers(0, 15), st.integers(0, 15)).map(lambda s: (min(s), max(s)))


PROTOCOLS = st.sampled_from(["-1", "tcp", "udp", "6"])
LISTS = ("pl-1", "pl-2")


@st.composite
def group_rules(draw: st.DrawFn) -> SecurityGroupRule:
    low, high = draw(spans())
    source = draw(st.one_of(blocks().map(str), st.sampled_from([*LISTS, OTHER_GROUP, THIRD_GROUP])))
    ports = draw(st.booleans())
    return rule(
        "sg",
        source,
        low if ports else None,
        to_port=high if ports else None,
        protocol=draw(PROTOCOLS),
        egress=draw(st.booleans()),
    )


@given(
    rules=st.lists(group_rules(), max_size=6),
    lists=st.tuples(*[st.none() | st.lists(blocks(), max_size=3).map(tuple)] * 2),
    peer=blocks(),
    groups=st.none() | st.frozensets(st.sampled_from([OTHER_GROUP, THIRD_GROUP])),
    port=st.integers(0, 15),
    egress=st.booleans(),
    protocol=st.sampled_from([6, 17]),
)
def test_groups_decide_as_the_second_evaluator(
    rules: list[SecurityGroupRule],
    lists: tuple[tuple[Network, ...] | None, ...],
    peer: IPv4Network,
    groups: frozenset[str] | None,
    port: int,
    egress: bool,
    protocol: int,
) -> None:
    """For each address of a network, whatever the rules, the decision is that of a plain loop."""
    lab = Lab()
    group = lab.add_group(lab.add_vpc("10.0.0.0/16"))
    lab.drop_rules(group, egress=True)
    for one in rules:
        lab.add_rule(replace(one, group_id=group.id))
    entries = dict(zip(LISTS, lists, strict=True))
    for name, networks_ in entries.items():
        lab.details["prefix_list_entries"][name] = (
            DENIED if networks_ is None else Known(networks_, NOW)
        )
    found = groups_admit(
        Around(lab.inventory()),
        [group.id],
        egress=egress,
        peer=Peer.of(peer, groups),
        protocol=protocol,
        port=port,
    )
    for address, allowed in each(found):
        assert allowed is naive.group_lets(
            rules, egress, address, groups, protocol, port, entries
        ), address
    assert len(list(each(found))) == peer.num_addresses


def each(found: Decision) -> Iterator[tuple[Address, bool | None]]:
    for piece in found.pieces:
        for number in range(piece.first, piece.last + 1):
            yield ip_address(number), piece.allowed


@st.composite
def acl_entries(draw: st.DrawFn, number: int) -> NetworkAclEntry:
    ports = draw(st.none() | spans())
    low, high = ports or (None, None)
    protocol = draw(st.sampled_from(["-1", "6", "17"]))
    return NetworkAclEntry(
        number, draw(st.booleans()), draw(st.booleans()), protocol, draw(blocks()), low, high
    )


@given(
    data=st.data(),
    numbers=st.lists(st.integers(1, 99), unique=True, max_size=8),
    peer=blocks(),
    ports=spans(),
    egress=st.booleans(),
)
def test_acls_decide_as_the_second_evaluator(
    data: st.DataObject, numbers: list[int], peer: IPv4Network, ports: tuple[int, int], egress: bool
) -> None:
    """For each address and port, whatever the entries and their order, the first match decides."""
    judged = acl(*(data.draw(acl_entries(number)) for number in numbers))
    found = passes(judged, egress=egress, peer=peer, ports=ports)
    seen = {}
    for piece in found.pieces:
        for number in range(piece.first, piece.last + 1):
            for port in range(piece.low, piece.high + 1):
                assert (number, port) not in seen
                seen[number, port] = piece.allowed
    assert seen == {
        (int(address), port): naive.acl_lets(judged, egress, address, 6, port)
        for address in peer
        for port in range(ports[0], ports[1] + 1)
    }
