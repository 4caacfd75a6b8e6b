"""Where packets go: the route of a table that AWS takes for each address.

The most specific route wins, a static one before a propagated one; the VPC's own route wins but
against static routes that are more specific.
https://docs.aws.amazon.com/vpc/latest/userguide/route-tables-priority.html
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from exporter.analysis.around import Around
from exporter.analysis.judged import Unseen
from exporter.analysis.rules import Peer, Steps, span
from exporter.model import Network, Route, RouteTable

LOCAL = "local"
_PROPAGATED = "EnableVgwRoutePropagation"


class Leg(NamedTuple):
    """Addresses `first` to `last` and the route that is taken to them; None where there is none.

    `unsure` says why another one may be taken.
    """

    first: int
    last: int
    route: Route | None
    unsure: str = ""


class _Way(NamedTuple):
    """One network that a route is for, by how AWS ranks it."""

    first: int
    last: int
    rank: tuple[int, bool, bool]
    route: Route


def legs(around: Around, table: RouteTable, peer: Peer) -> list[Leg]:
    """Return the route that is taken to each address of a peer, in order."""
    key = table.id, peer.version
    steps = around.memo.get(key)
    if steps is None:
        steps = around.memo[key] = _steps(around, table, peer.version)
    return [Leg(first, last, *taken) for first, last, taken in steps.over(peer.first, peer.last)]


def _steps(around: Around, table: RouteTable, version: int) -> Steps[tuple[Route | None, str]]:
    ways: list[_Way] = []
    unread = ""
    for route in table.routes:
        if route.state.lower() == "filtered":
            continue
        try:
            ways += _ways(around, route, version)
        except Unseen as why:
            unread = unread or str(why)

    # Networks lie within each other or apart: those that have an address are a stack, the most
    # specific one on top.
    ways.sort(key=lambda way: (way.first, way.rank))
    reached, within = 0, list[_Way]()

    def taken(address: int) -> tuple[Route | None, str]:
        nonlocal reached
        while reached < len(ways) and ways[reached].first <= address:
            while within and within[-1].last < ways[reached].first:
                within.pop()
            within.append(ways[reached])
            reached += 1
        while within and within[-1].last < address:
            within.pop()
        best = within[-1] if within else None
        # A prefix list never takes the VPC's own addresses from it.
        sure = best is not None and best.route.target == LOCAL
        return best and best.route, "" if sure else unread

    return Steps(version, [(way.first, way.last) for way in ways], taken)


def _ways(around: Around, route: Route, version: int) -> Iterator[_Way]:
    """Yield the networks of a route; raises Unseen where it is for a list that was not read."""
    networks: Iterable[Network] = (
        around.prefix_list(route.destination)
        if isinstance(route.destination, str)
        else (route.destination,)
    )
    local = route.target == LOCAL
    static = route.origin != _PROPAGATED
    for network in networks:
        if network.version == version:
            yield _Way(*span(network), (network.prefixlen, local, static), route)
