"""Which route is taken to each address, against a second evaluator."""

from __future__ import annotations

from ipaddress import IPv4Network, ip_address, ip_network

from hypothesis import given
from hypothesis import strategies as st

from exporter.analysis.around import Around
from exporter.analysis.routes import legs
from exporter.analysis.rules import Peer
from exporter.model import Known, Route, RouteTable
from tests.analysis import naive
from tests.analysis.lab import NOW, Lab
from tests.analysis.test_rules import blocks


@given(
    networks=st.lists(blocks(), unique=True, max_size=6),
    entries=st.lists(blocks(), unique=True, max_size=4),
    peer=blocks(),
)
def test_the_most_specific_route_wins(
    networks: list[IPv4Network], entries: list[IPv4Network], peer: IPv4Network
) -> None:
    """For each address the one that a plain search finds; a network of the table before a list."""
    lab = Lab()
    routes = [Route(network, f"nat-{i}") for i, network in enumerate(networks)]
    listed = tuple(entry for entry in entries if entry not in networks)
    lab.details["prefix_list_entries"]["pl-1"] = Known(listed, NOW)
    table = RouteTable("rtb-1", "vpc-1", True, (), (*routes, Route("pl-1", "vpce-1")))
    found = legs(Around(lab.inventory()), table, Peer.of(peer))
    taken = {number: leg.route for leg in found for number in range(leg.first, leg.last + 1)}
    assert taken == {
        int(address): naive.next_hop(table, ip_address(address), {"pl-1": listed})
        for address in peer
    }
    assert ip_network(peer).num_addresses == len(taken)
