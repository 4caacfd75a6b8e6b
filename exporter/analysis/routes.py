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
from exporter.analysis.rules import atoms, span
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


def legs(around: Around, table: RouteTable, network: Network) -> tuple[Leg, ...]:
    """Return the route that is taken to each address of a network, in order."""
    key = ("legs", table.id, network)
    known = around.decisions.get(key)
    if known is None:
        known = around.decisions[key] = tuple(_legs(around, table, network))
    assert isinstance(known, tuple)
    return known


def _legs(around: Around, table: RouteTable, network: Network) -> Iterator[Leg]:
    ways: list[_Way] = []
    unread: list[str] = []
    for route in table.routes:
        if route.state.lower() == "filtered":
            continue
        try:
            ways += _ways(around, route, network.version)
        except Unseen as why:
            unread.append(str(why))
    for first, last in atoms(span(network), [(way.first, way.last) for way in ways]):
        taken = max(
            (way for way in ways if way.first <= first and last <= way.last),
            key=lambda way: way.rank,
            default=None,
        )
        route_ = taken.route if taken else None
        sure = route_ is not None and route_.target == LOCAL
        yield Leg(first, last, route_, "" if sure or not unread else unread[0])


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
