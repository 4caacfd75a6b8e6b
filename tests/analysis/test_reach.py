"""The whole way of a packet and its reply, against a second evaluator that is obviously right."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

from hypothesis import given
from hypothesis import strategies as st

from exporter.analysis.case import World
from exporter.analysis.clients import Client, Demand, Port
from exporter.analysis.reach import met, network_acls, routes, security_groups
from exporter.analysis.rules import Peer
from exporter.model import (
    Network,
    NetworkAcl,
    NetworkAclEntry,
    Route,
    RouteTable,
    SecurityGroupRule,
)
from tests.analysis import naive
from tests.analysis.lab import Lab, facts, rule

# The client is 10.0.0.2 in 10.0.0.0/29, the endpoint 10.0.0.10 in 10.0.0.8/29 or beside the client.
CLIENT, BLOCKS = ip_address("10.0.0.2"), ("10.0.0.0/29", "10.0.0.8/29")
NETS = st.sampled_from(
    ["0.0.0.0/0", "10.0.0.0/28", "10.0.0.0/29", "10.0.0.8/29", "10.0.0.2/32", "10.0.0.10/32"]
)
PORTS = st.sampled_from([(443, 443), (0, 65535), (1024, 65535), (32768, 61000), (440, 450)])


@st.composite
def sides(draw: st.DrawFn) -> list[NetworkAclEntry]:
    numbers = draw(st.lists(st.integers(1, 9), unique=True, max_size=4))
    return [
        NetworkAclEntry(
            number,
            draw(st.booleans()),
            draw(st.sampled_from([True, True, False])),
            draw(st.sampled_from(["6", "-1", "17"])),
            ip_network(draw(NETS)),
            *draw(PORTS),
        )
        for number in numbers
    ]


@st.composite
def group(draw: st.DrawFn) -> list[tuple[str, int | None, bool]]:
    """Rules by source (its own group is `self`), port and direction."""
    return draw(
        st.lists(
            st.tuples(
                st.one_of(NETS, st.just("theirs")),
                st.sampled_from([443, 8443, None]),
                st.booleans(),
            ),
            max_size=4,
        )
    )


HOPS = {"security_group": security_groups, "network_acl": network_acls, "route": routes}


@given(
    beside=st.booleans(),
    entries=st.tuples(sides(), sides()),
    rules=st.tuples(group(), group()),
    targets=st.tuples(*[st.sampled_from([None, "local", "blackhole"])] * 2),
)
def test_the_way_is_as_open_as_the_second_evaluator_says(
    beside: bool,
    entries: tuple[list[NetworkAclEntry], list[NetworkAclEntry]],
    rules: tuple[list[tuple[str, int | None, bool]], list[tuple[str, int | None, bool]]],
    targets: tuple[str | None, str | None],
) -> None:
    """Groups, network ACLs both ways for packet and reply, routes there and back: each agrees."""
    lab = Lab()
    vpc = lab.add_vpc("10.0.0.0/28")
    app, inner = (lab.add_subnet(vpc, block) for block in BLOCKS)
    acls = [lab.add_acl(vpc, e, [s]) for e, s in zip(entries, (app, inner), strict=True)]
    groups = [lab.add_group(vpc) for _ in rules]
    own: list[list[SecurityGroupRule]] = []
    for one, other, wanted in zip(groups, reversed(groups), rules, strict=True):
        lab.drop_rules(one, egress=True)
        own.append(
            [
                lab.add_rule(
                    rule(
                        one.id,
                        other.id if source == "theirs" else source,
                        port,
                        egress=egress,
                        protocol="-1" if port is None else "tcp",
                    )
                )
                for source, port, egress in wanted
            ]
        )
    tables = [
        lab.add_table(
            vpc,
            [Route(ip_network(block), "tgw-1", "blackhole")] if target == "blackhole" else [],
            [subnet],
        )
        for target, subnet, block in zip(targets, (app, inner), reversed(BLOCKS), strict=True)
    ]
    client = lab.add_interface(app, str(CLIENT), groups=[groups[0]])
    where = app if beside else inner
    address = ip_address("10.0.0.3" if beside else "10.0.0.10")
    endpoint = lab.add_endpoint(vpc, {str(address): where}, [groups[1]])
    case = World(facts(lab)).endpoint(endpoint.id)
    assert case is not None
    peer = Peer.of(ip_network(CLIENT), frozenset([groups[0].id]))
    seen = Client(peer, around=case.around, subnet=app, interface=client)
    demand = Demand(seen, (Port(6, 443),), True)
    found = {name: met(case, demand, hops).allowed for name, hops in HOPS.items()}

    client_acl, endpoint_acl = acls
    member = (frozenset([groups[0].id]), frozenset([groups[1].id]))
    no_lists: dict[str, tuple[Network, ...] | None] = {}

    def acl(one: NetworkAcl, egress: bool, peer: object, ports: list[int]) -> bool:
        return any(naive.acl_lets(one, egress, ip_address(str(peer)), 6, p) for p in ports)

    def hop(table: RouteTable, to: object) -> bool:
        taken = naive.next_hop(table, ip_address(str(to)), {})
        return taken is not None and taken.target == "local"

    # Ports at which anything changes stand for all that a client may take.
    ephemeral = [1024, 32767, 32768, 40000, 61000, 61001, 65535]
    here, there = tables[0], tables[0] if beside else tables[1]
    assert found == {
        "security_group": bool(
            naive.group_lets(own[0], True, address, member[1], 6, 443, no_lists)
            and naive.group_lets(own[1], False, CLIENT, member[0], 6, 443, no_lists)
        ),
        "network_acl": beside
        or (
            acl(client_acl, True, address, [443])
            and acl(endpoint_acl, False, CLIENT, [443])
            and acl(endpoint_acl, True, CLIENT, ephemeral)
            and acl(client_acl, False, address, ephemeral)
        ),
        "route": hop(here, address) and hop(there, CLIENT),
    }
