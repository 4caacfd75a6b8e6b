"""Would AWS let a client's packet and the reply to it pass? Hop by hop, with who decides at each.

The way of a packet: the client's route, its security groups, the network ACL of its subnet, that
of the endpoint's, the endpoint's security groups; then the reply's route and the two network ACLs
the other way round. Security groups are stateful, so the reply passes them; network ACLs are not
asked within one subnet. The client's half is judged where the client can be seen.
https://docs.aws.amazon.com/vpc/latest/userguide/infrastructure-security.html
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TypeAlias, TypeVar

from exporter.analysis.around import Around
from exporter.analysis.case import EndpointCase
from exporter.analysis.clients import Client, Demand, Port
from exporter.analysis.judged import Unseen
from exporter.analysis.routes import LOCAL, Leg, legs
from exporter.analysis.rules import (
    EPHEMERAL,
    Decision,
    Peer,
    acl_passes,
    groups_admit,
    host,
    networks,
)
from exporter.model import Address, Interface, Network, Route, RouteTable

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Hop:
    """What one place says to a packet: whether it passes, by what, and the ids that decide.

    `allowed` is None where that cannot be told. `decision` has the rules' own answer, where rules
    decide; `partly` is True where some ports for the reply are closed, and others are not.
    """

    at: str
    allowed: bool | None
    by: str
    resources: tuple[str, ...] = ()
    decision: Decision | None = None
    route: Route | None = None
    partly: bool = False


@dataclass(frozen=True, slots=True)
class Way:
    """From a client to one address of an endpoint, at one port, and back."""

    case: EndpointCase
    client: Client
    interface: Interface
    address: Address
    port: Port


Hops: TypeAlias = Callable[[Way], Iterable[Hop]]


def ways(case: EndpointCase, client: Client, port: Port) -> Iterator[Way]:
    """Yield the ways to each of the endpoint's addresses of the client's family; raises Unseen."""
    for interface in case.interfaces:
        for address in interface.addresses:
            if address.version == client.network.version:
                yield Way(case, client, interface, address, port)


def security_groups(way: Way) -> Iterator[Hop]:
    """Yield what the client's groups and the endpoint's say; raises Unseen."""
    client, case = way.client, way.case
    own = client.interface
    if own is not None and client.around is not None:
        peer = Peer(host(way.address), frozenset(way.interface.security_group_ids))
        yield _by_rules(
            "client_security_group",
            groups_admit(
                client.around,
                own.security_group_ids,
                egress=True,
                peer=peer,
                protocol=way.port.protocol,
                port=way.port.number,
            ),
        )
    peer = Peer(client.network, None if own is None else frozenset(own.security_group_ids))
    groups = way.interface.security_group_ids or case.endpoint.security_group_ids
    if not groups:
        raise Unseen(f"security groups of {way.interface.id}: AWS names none")
    yield _by_rules(
        "endpoint_security_group",
        groups_admit(
            case.around, groups, peer=peer, protocol=way.port.protocol, port=way.port.number
        ),
    )


def network_acls(way: Way) -> Iterator[Hop]:
    """Yield what the network ACLs of both subnets say to packet and reply; raises Unseen."""
    client = way.client
    if client.subnet is not None and client.subnet.id == way.interface.subnet_id:
        return  # not evaluated within one subnet
    to, protocol = host(way.address), way.port.protocol
    port = (way.port.number, way.port.number)
    theirs = _of_client(way, Around.acl)
    ours = way.case.around.acl(way.interface.subnet_id)
    if theirs:
        yield _by_rules(
            "client_network_acl_out",
            acl_passes(theirs, egress=True, peer=to, protocol=protocol, ports=port),
        )
    yield _by_rules(
        "endpoint_network_acl_in",
        acl_passes(ours, egress=False, peer=client.network, protocol=protocol, ports=port),
    )
    yield _reply(
        "endpoint_network_acl_out",
        acl_passes(ours, egress=True, peer=client.network, protocol=protocol, ports=EPHEMERAL),
    )
    if theirs:
        yield _reply(
            "client_network_acl_in",
            acl_passes(theirs, egress=False, peer=to, protocol=protocol, ports=EPHEMERAL),
        )


def routes(way: Way) -> Iterator[Hop]:
    """Yield whether the client's table leads to the endpoint, and the endpoint's back to it.

    Raises Unseen.
    """
    client = way.client
    ours = way.case.around.table(way.interface.subnet_id)
    theirs = _of_client(way, Around.table)
    back = _route("endpoint_route", way.case.around, ours, client.network)
    if theirs is None or client.around is None:
        yield back
        return
    there = _route("client_route", client.around, theirs, host(way.address))
    if there.allowed is None and back.allowed is None and _peered(there.route, back.route):
        there, back = replace(there, allowed=True), replace(back, allowed=True)
    yield there
    yield back


def _of_client(way: Way, find: Callable[[Around, str], T]) -> T | None:
    """Return what is in force in the client's subnet; None where the client cannot be seen.

    Raises Unseen in the endpoint's own VPC.
    """
    client = way.client
    if client.subnet is None or client.around is None:
        return None
    try:
        return find(client.around, client.subnet.id)
    except Unseen:
        if client.subnet.vpc_id == way.case.endpoint.vpc_id:
            raise
        return None


def _by_rules(at: str, decision: Decision) -> Hop:
    return Hop(at, decision.allowed, decision.by, decision.resources, decision)


def _reply(at: str, decision: Decision) -> Hop:
    """A reply passes where some port for it is open: which one a client takes is not known."""
    if decision.allowed is not False:
        return _by_rules(at, decision)
    by_address: dict[tuple[int, int], set[bool | None]] = {}
    for piece in decision.pieces:
        by_address.setdefault((piece.first, piece.last), set()).add(piece.allowed)
    closed = next((where for where, f in by_address.items() if f == {False}), None)
    if closed is None:
        return Hop(at, True, decision.by, decision.resources, decision, partly=True)
    there = tuple(p for p in decision.pieces if (p.first, p.last) == closed)
    return _by_rules(at, replace(decision, pieces=there))


def _route(at: str, around: Around, table: RouteTable, network: Network) -> Hop:
    """Return whether a table leads to every address of a network; of what is beyond, unknown."""
    found = [_leg(at, around, table, leg, network.version) for leg in legs(around, table, network)]
    for allowed in (False, None):
        for hop in found:
            if hop.allowed is allowed:
                return hop
    return found[0]


def _leg(at: str, around: Around, table: RouteTable, leg: Leg, version: int) -> Hop:
    to = " ".join(networks(leg.first, leg.last, version))
    route = leg.route
    if leg.unsure:
        return Hop(at, None, leg.unsure, (table.id,), route=route)
    if route is None:
        return Hop(at, False, f"{table.id} has no route to {to}", (table.id,))
    text = f"the route {destination(route)} -> {route.target} of {table.id}"
    if route.state.lower() == "blackhole":
        return Hop(at, False, f"{text} is a blackhole", (table.id, route.target), route=route)
    if route.target == LOCAL:
        return Hop(at, True, text, (table.id,), route=route)
    return Hop(
        at, None, f"{text} leads to {to}; what is beyond cannot be seen", (table.id,), route=route
    )


def _peered(one: Route | None, other: Route | None) -> bool:
    """Whether both sides go by the same peering connection, which has no tables of its own."""
    if one is None or other is None:
        return False
    return one.target == other.target and one.target.startswith("pcx-")


def destination(route: Route) -> str:
    """Return what a route is for, in words."""
    return route.destination if isinstance(route.destination, str) else str(route.destination)


@dataclass(frozen=True, slots=True)
class Met:
    """Whether one demand is met; `hop` decides, at `port` on the way to `address`.

    `allowed` is None where that cannot be told, and nothing was accepted that proves it.
    """

    demand: Demand
    allowed: bool | None
    port: Port
    hop: Hop | None = None
    address: Address | None = None


def met(case: EndpointCase, demand: Demand, hops: Hops) -> Met:
    """Return whether a client is let through by these hops, at the ports it has to reach.

    Every one of the endpoint's addresses counts: DNS hands out all of them. Raises Unseen.
    """
    found = [_at(case, demand, port, hops) for port in demand.ports]
    order: tuple[bool | None, ...] = (False, None, True) if demand.every else (True, None, False)
    return min(found, key=lambda one: order.index(one.allowed))


def _at(case: EndpointCase, demand: Demand, port: Port, hops: Hops) -> Met:
    unsure: Met | None = None
    for way in ways(case, demand.client, port):
        for hop in hops(way):
            if hop.allowed is False:
                return Met(demand, False, port, hop, way.address)
            if hop.allowed is None and unsure is None:
                unsure = Met(demand, None, port, hop, way.address)
    if unsure is not None and not demand.client.proven:
        return unsure
    return Met(demand, True, port)


def holes(case: EndpointCase, demand: Demand) -> Iterator[Hop]:
    """Yield where some ports for the reply are closed and others open; raises Unseen."""
    for way in ways(case, demand.client, demand.ports[0]):
        for hop in network_acls(way):
            if hop.partly:
                yield hop
