"""Would AWS let a client's packet and the reply to it pass? Hop by hop, with who decides at each.

The way of a packet: the client's route, its security groups, the network ACL of its subnet, that
of the endpoint's, the endpoint's security groups; then the reply's route and the two network ACLs
the other way round. Security groups are stateful, so the reply passes them; network ACLs are not
asked within one subnet. The client's half is judged where the client can be seen.
https://docs.aws.amazon.com/vpc/latest/userguide/infrastructure-security.html
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from exporter.analysis.around import Around
from exporter.analysis.case import EndpointCase, Target
from exporter.analysis.clients import Client, Demand, Port, alike
from exporter.analysis.judged import Unseen
from exporter.analysis.routes import LOCAL, Leg, legs
from exporter.analysis.rules import EPHEMERAL, Decision, Peer, acl_passes, groups_admit, networks
from exporter.model import Address, Route, RouteTable


@dataclass(slots=True)
class Hop:
    """What one place says to a packet: whether it passes, by what, and the ids that decide.

    `allowed` is None where that cannot be told. `decision` has the rules' own answer where rules
    decide, `route` the route that is taken. `partly` is True where some ports for the reply are
    closed, and others are not.
    """

    at: str
    allowed: bool | None
    decision: Decision | None = None
    route: Route | None = None
    text: str = ""
    ids: tuple[str, ...] = ()
    partly: bool = False

    @property
    def by(self) -> str:
        """What decides, in words."""
        return self.decision.by if self.decision else self.text

    @property
    def resources(self) -> tuple[str, ...]:
        """The ids of what decides."""
        return self.decision.resources if self.decision else self.ids


# What decides over packets of a client's to one address of an endpoint at a port, and the replies.
# Raises Unseen.
Hops: TypeAlias = Callable[[EndpointCase, Client, Target, Port], Sequence[Hop]]


def security_groups(
    case: EndpointCase, client: Client, target: Target, port: Port
) -> Sequence[Hop]:
    """Return what the endpoint's groups say and the client's, where these are seen."""
    groups = target.interface.security_group_ids or case.endpoint.security_group_ids
    if not groups:
        raise Unseen(f"security groups of {target.interface.id}: AWS names none")
    ours = _groups("endpoint_security_group", case.around, groups, False, client.peer, port)
    if client.interface is None or client.around is None:
        return _half("client_security_group", client, (ours,))
    own = client.interface.security_group_ids
    if not own:
        # A NAT gateway, a load balancer without groups: nothing filters what it sends.
        return (ours,)
    return _groups("client_security_group", client.around, own, True, target.peer, port), ours


def _groups(
    at: str, around: Around, ids: tuple[str, ...], egress: bool, peer: Peer, port: Port
) -> Hop:
    key = at, ids, peer, port
    found: Hop | None = around.memo.get(key)
    if found is None:
        decision = groups_admit(
            around, ids, egress=egress, peer=peer, protocol=port.protocol, port=port.number
        )
        found = around.memo[key] = Hop(at, decision.allowed, decision)
    return found


def network_acls(case: EndpointCase, client: Client, target: Target, port: Port) -> Sequence[Hop]:
    """Return what the network ACLs of both subnets say to packet and reply."""
    subnet_id, theirs = target.interface.subnet_id, client.subnet
    if theirs is not None and theirs.id == subnet_id:
        return ()  # not evaluated within one subnet
    ours = _acl(case.around, subnet_id, client.peer, port, _IN_AND_BACK)
    if theirs is None or client.around is None:
        return _half("client_network_acl_out", client, ours)
    try:
        return *ours, *_acl(client.around, theirs.id, target.peer, port, _OUT_AND_BACK)
    except Unseen:
        if theirs.vpc_id == case.endpoint.vpc_id:
            raise
        return ours  # the other VPC cannot be seen


# Where a packet and its reply meet an ACL, and whether they are on their way out of the subnet.
_IN_AND_BACK = (("endpoint_network_acl_in", False), ("endpoint_network_acl_out", True))
_OUT_AND_BACK = (("client_network_acl_out", True), ("client_network_acl_in", False))


def _acl(
    around: Around,
    subnet_id: str,
    peer: Peer,
    port: Port,
    where: tuple[tuple[str, bool], tuple[str, bool]],
) -> Sequence[Hop]:
    key = where, subnet_id, peer, port
    found: Sequence[Hop] | None = around.memo.get(key)
    if found is None:
        acl, protocol = around.acl(subnet_id), port.protocol
        (there, out), (back, home) = where
        at = (port.number, port.number)
        goes = acl_passes(around, acl, egress=out, peer=peer, protocol=protocol, ports=at)
        returns = acl_passes(
            around, acl, egress=home, peer=peer, protocol=protocol, ports=EPHEMERAL
        )
        found = around.memo[key] = Hop(there, goes.allowed, goes), _reply(back, returns)
    return found


def routes(case: EndpointCase, client: Client, target: Target, port: Port) -> Sequence[Hop]:
    """Return whether the client's table leads to the endpoint, and the endpoint's back to it."""
    back = _route("endpoint_route", case.around, target.interface.subnet_id, client.peer)
    if client.around is None or client.subnet is None:
        return _half("client_route", client, (back,))
    try:
        there = _route("client_route", client.around, client.subnet.id, target.peer)
    except Unseen:
        if client.subnet.vpc_id == case.endpoint.vpc_id:
            raise
        return (back,)  # the other VPC cannot be seen
    if there.allowed is None and back.allowed is None and _peered(there.route, back.route):
        return ()  # one peering connection both ways: it has no tables of its own
    return there, back


def _reply(at: str, decision: Decision) -> Hop:
    """A reply passes where some port for it is open: which one a client takes is not known."""
    if decision.allowed is not False:
        return Hop(at, decision.allowed, decision)
    by_address: dict[int, set[bool | None]] = {}
    for piece in decision.pieces:
        by_address.setdefault(piece.first, set()).add(piece.allowed)
    closed = next((first for first, found in by_address.items() if found == {False}), None)
    if closed is None:
        return Hop(at, True, decision, partly=True)
    there = [piece for piece in decision.pieces if piece.first == closed]
    return Hop(at, False, replace(decision, pieces=there))


def _route(at: str, around: Around, subnet_id: str, peer: Peer) -> Hop:
    """Return whether a subnet's table leads to every address of a peer; beyond is unknown."""
    key = at, subnet_id, peer
    found = around.memo.get(key)
    if found is None:
        table = around.table(subnet_id)
        taken = [_leg(at, table, leg, peer.version) for leg in legs(around, table, peer)]
        order = (False, None, True)
        found = around.memo[key] = min(taken, key=lambda hop: order.index(hop.allowed))
    assert isinstance(found, Hop)
    return found


def _leg(at: str, table: RouteTable, leg: Leg, version: int) -> Hop:
    route = leg.route
    if route is not None and route.target == LOCAL and not leg.unsure:
        return Hop(at, True, route=route, ids=(table.id,))
    to = " ".join(networks(leg.first, leg.last, version))
    if leg.unsure:
        return Hop(at, None, None, route, leg.unsure, (table.id,))
    if route is None:
        return Hop(at, False, None, None, f"{table.id} has no route to {to}", (table.id,))
    text = f"the route {destination(route)} -> {route.target} of {table.id}"
    if route.state.lower() == "blackhole":
        return Hop(at, False, None, route, f"{text} is a blackhole", (table.id, route.target))
    text += f" leads to {to}; what is beyond cannot be seen"
    return Hop(at, None, None, route, text, (table.id,))


def _half(at: str, client: Client, ours: Sequence[Hop]) -> Sequence[Hop]:
    """Return the endpoint's half alone, and the doubt that a hidden client leaves."""
    return (*ours, Hop(at, None, text=client.hidden)) if client.hidden else ours


def _peered(one: Route | None, other: Route | None) -> bool:
    """Whether both sides go by the same peering connection."""
    if one is None or other is None:
        return False
    return one.target == other.target and one.target.startswith("pcx-")


def destination(route: Route) -> str:
    """Return what a route is for, in words."""
    return route.destination if isinstance(route.destination, str) else str(route.destination)


@dataclass(slots=True)
class Met:
    """Whether one demand is met; `hop` decides, at `port` on the way to `address`.

    `allowed` is None where that cannot be told, and nothing was accepted that proves it. `holes`
    are hops at which some ports for the reply are closed, `denied` all that do not let it pass.
    """

    demand: Demand
    allowed: bool | None
    port: Port
    hop: Hop | None = None
    address: Address | None = None
    holes: tuple[Hop, ...] = ()
    denied: tuple[Hop, ...] = ()


def meets(case: EndpointCase, hops: Hops) -> list[Met]:
    """Return of every demand whether it is met. Raises Unseen."""
    found: list[Met] = []
    for whole, each in alike(case):
        if whole is not None:
            one = met(case, whole, hops)
            if one.allowed is True and not one.holes:
                found += [Met(demand, True, one.port) for demand in each]
                continue
        found += [met(case, demand, hops) for demand in each]
    return found


def met(case: EndpointCase, demand: Demand, hops: Hops) -> Met:
    """Return whether a client is let through by these hops, at the ports it has to reach.

    Every one of the endpoint's addresses counts: DNS hands out all of them. Raises Unseen.
    """
    found = [_at(case, demand, port, hops) for port in demand.ports]
    if len(found) == 1:
        return found[0]
    order: tuple[bool | None, ...] = (False, None, True) if demand.every else (True, None, False)
    return min(found, key=lambda one: order.index(one.allowed))


def _at(case: EndpointCase, demand: Demand, port: Port, hops: Hops) -> Met:
    unsure: Met | None = None
    holes: tuple[Hop, ...] = ()
    client = demand.client
    version = client.peer.version
    for target in case.targets:
        if target.peer.version != version:
            continue
        way = hops(case, client, target, port)
        for hop in way:
            if hop.allowed is False:
                denied = tuple(hop for hop in way if hop.allowed is False)
                return Met(demand, False, port, hop, target.address, denied=denied)
            if hop.allowed is None and unsure is None:
                unsure = Met(demand, None, port, hop, target.address)
            if hop.partly:
                holes = (*holes, hop)
    if unsure is not None and not client.proven:
        return unsure
    return Met(demand, True, port, holes=holes)
