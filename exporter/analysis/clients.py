"""Which clients should reach an endpoint, and at which ports: what was told, and what was seen.

Without a client only what no packet could pass is a fault. Whoever was rejected is a client only
where the configuration names it or it is in the organisation's own subnets: the rest are strangers,
to whom nothing is to be opened.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv6Address
from typing import NamedTuple

from exporter.analysis.around import Around
from exporter.analysis.case import EndpointCase
from exporter.analysis.judged import Judged, Unseen
from exporter.analysis.rules import TCP, UDP, Peer, host
from exporter.model import (
    Accepted,
    Address,
    Interface,
    Network,
    Rejected,
    Subnet,
    Unavailable,
    last_known,
    ports_of,
)

# What opens a connection or answers that; where the format has no flags it may have.
OPENING = frozenset({"syn", "syn-ack", ""})
HTTPS = 443
# Who was accepted so many seconds ago should still be; flow logs are late by up to half of it.
STILL = 1800.0
# How old, in seconds, what flow logs told may be while they cannot be read.
LATE = 900.0
# Protocols of a load balancer's listeners:
# https://docs.aws.amazon.com/elasticloadbalancing/latest/network/load-balancer-listeners.html
_LISTENERS = {"TCP": (TCP,), "TLS": (TCP,), "UDP": (UDP,), "TCP_UDP": (TCP, UDP)}


class Port(NamedTuple):
    """A port on the endpoint's side."""

    protocol: int
    number: int


@dataclass(frozen=True, slots=True)
class Ports:
    """The ports that an endpoint serves; `told` where the configuration says so.

    `by` says how they are known; empty when they are not. `sure` are those at which somebody who
    is rejected should be let in: a port that once accepted may have been closed on purpose.
    """

    ports: tuple[Port, ...] = ()
    told: bool = False
    by: str = ""
    sure: frozenset[Port] = frozenset()


@dataclass(frozen=True, slots=True)
class Client:
    """Who should reach an endpoint, as far as it can be seen.

    `told` when the configuration names it. `ours` is whether it is in the organisation's own
    subnets; None while not all of them could be listed. `interface` and `subnet` are where it is,
    in the inventory that `around` has; `hidden` says why that could not be seen.
    """

    peer: Peer
    told: bool = False
    ours: bool | None = True
    accepted: Accepted | None = None
    rejected: tuple[Rejected, ...] = ()
    around: Around | None = None
    subnet: Subnet | None = None
    interface: Interface | None = None
    hidden: str = ""

    @property
    def network(self) -> Network:
        """Its addresses."""
        return self.peer.network

    @property
    def proven(self) -> bool:
        """Whether its packets and the answers to them were accepted lately."""
        seen = self.accepted
        return seen is not None and None not in (seen.inbound, seen.outbound)


@dataclass(frozen=True, slots=True)
class Demand:
    """What has to pass: a client at every one of the ports, or at one of them at least."""

    client: Client
    ports: tuple[Port, ...]
    every: bool


def ports(case: EndpointCase) -> Ports:
    """Return the ports of an endpoint: told, listened at or once accepted, or AWS's usual ones."""
    key = "ports", case.endpoint.id
    known: Ports | None = case.around.memo.get(key)
    if known is None:
        known = case.around.memo[key] = _ports(case)
    return known


def _ports(case: EndpointCase) -> Ports:
    if case.expected.ports:
        return _told(case)
    accepted = {Port(*port) for port in case.traffic.accepted_ports if port[0] in (TCP, UDP)}
    listened = listeners(case)
    if listened:
        both = tuple(sorted(listened | accepted))
        return Ports(both, False, "the provider's listeners", listened)
    usual = {Port(TCP, number) for number in ports_of(case.endpoint.service_name)}
    if usual:
        return Ports(tuple(sorted(accepted | usual)), False, "an AWS service", frozenset(usual))
    by = "ports that accepted" if accepted else ""
    return Ports(tuple(sorted(accepted)), False, by, frozenset(accepted))


def _told(case: EndpointCase) -> Ports:
    """The configured ports: of TCP, unless the provider or traffic shows that they are of UDP."""
    shown = listeners(case) | {Port(*port) for port in case.traffic.accepted_ports}
    found = []
    for number in case.expected.ports:
        known = [Port(p, number) for p in (TCP, UDP) if Port(p, number) in shown]
        found += known or [Port(TCP, number)]
    return Ports(tuple(found), True, "configured", frozenset(found))


def listeners(case: EndpointCase) -> frozenset[Port]:
    """Return what the load balancers of an endpoint's service listen at, where that is seen."""
    provider = case.provider
    if provider is None:
        return frozenset()
    found = provider.site.inventory.listeners
    return frozenset(
        Port(protocol, listener.port)
        for arn in provider.service.load_balancer_arns
        if arn in found
        for listener in last_known(found[arn]) or ()
        if listener.port is not None
        for protocol in _LISTENERS.get(listener.protocol, ())
    )


def clients(case: EndpointCase) -> tuple[Client, ...]:
    """Return the clients of an endpoint: those that were told, then those that were seen.

    Strangers are among them, with `ours` False. Raises Unseen.
    """
    known = case.around.memo.get(case.endpoint.id)
    if known is None:
        known = case.around.memo[case.endpoint.id] = tuple(_clients(case))
    return known


def _clients(case: EndpointCase) -> Iterator[Client]:
    told = case.expected.clients
    yield from (replace(_found(case, network), told=True, ours=True) for network in told)
    accepted = {client.address: client for client in case.traffic.clients}
    rejected: dict[Address, list[Rejected]] = {}
    for row in case.traffic.rejected or ():
        if row.packets in OPENING:
            rejected.setdefault(row.address, []).append(row)
    for address in sorted(accepted.keys() | rejected.keys(), key=lambda a: (a.version, int(a))):
        known = _found(case, address)
        seen = accepted.get(address)
        elsewhere = known.subnet is not None and known.subnet.vpc_id != case.endpoint.vpc_id
        if elsewhere and seen is not None and None not in (seen.inbound, seen.outbound):
            # It gets through: whoever has the same address in a VPC that is watched is another.
            known = Client(Peer.of(address), ours=known.ours)
        meant = any(address in network for network in told)
        yield Client(
            known.peer,
            meant,
            True if meant else known.ours,
            seen,
            tuple(rejected.get(address, ())),
            known.around,
            known.subnet,
            known.interface,
            known.hidden,
        )


def _found(case: EndpointCase, who: Address | Network) -> Client:
    """Return a client with where it is: in the endpoint's VPC, else in the one that has it."""
    key = case.endpoint.vpc_id, who.version, who
    known = case.around.memo.get(key)
    if known is None:
        network = host(who) if isinstance(who, IPv4Address | IPv6Address) else who
        known = case.around.memo[key] = _placed(case, network)
    return known


def _placed(case: EndpointCase, network: Network) -> Client:
    where = case.world.subnets
    found = where.containing(network)
    ours: bool | None = True if found else None if where.incomplete else False
    here = [place for place in found if place[1].vpc_id == case.endpoint.vpc_id]
    # Address blocks may overlap between VPCs: then nothing tells in which of them it is.
    vpcs = {subnet.vpc_id for _, subnet in here or found}
    single = network.num_addresses == 1
    if len(vpcs) != 1:
        lost = single and not found and where.incomplete
        hidden = "it may be in a subnet that could not be listed" if lost else ""
        return Client(Peer.of(network), ours=ours, hidden=hidden)
    # A shared subnet is listed by several accounts: the endpoint's own sees most.
    scope, subnet = min(here or found, key=lambda place: place[0] != case.scope)
    if not here:
        try:
            joined = _joined(case, case.world.around[scope], subnet, network)
        except Unseen as why:
            return Client(Peer.of(network), ours=ours, hidden=str(why))
        if not joined:
            return Client(Peer.of(network), ours=ours)
    around = case.world.around[scope]
    interface, listed = None, around.inventory.interfaces
    hidden = f"interfaces: {listed.reason}" if single and isinstance(listed, Unavailable) else ""
    if single:
        with suppress(Unseen):
            interface = around.interface_at(subnet.vpc_id, network.network_address)
    groups = None if interface is None else frozenset(interface.security_group_ids)
    return Client(
        Peer.of(network, groups),
        ours=ours,
        around=around,
        subnet=subnet,
        interface=interface,
        hidden=hidden,
    )


def _joined(case: EndpointCase, around: Around, subnet: Subnet, network: Network) -> bool:
    """Whether a client of another VPC is likely to be the one that is seen.

    The address is of an interface there, or the VPC is joined with the endpoint's by one gateway
    or peering connection: a network beyond a gateway may have the same addresses. Raises Unseen.
    """
    if network.num_addresses == 1:
        return around.interface_at(subnet.vpc_id, network.network_address) is not None
    ours = {r.target for t in case.around.tables(case.endpoint.vpc_id) for r in t.routes}
    theirs = {r.target for t in around.tables(subnet.vpc_id) for r in t.routes}
    return any(target.startswith(("pcx-", "tgw-")) for target in ours & theirs)


def unseen(case: EndpointCase) -> str | None:
    """Return why flow logs may know clients and ports that were not seen; None where all were.

    An endpoint without a flow log has none that are hidden, nor has one whose flow logs are not to
    be read.
    """
    if "flow_logs" in case.world.facts.off:
        return None
    listed, traffic = case.site.inventory.flow_logs, case.traffic
    if isinstance(listed, Unavailable):
        return f"flow logs: {listed.reason}"
    why = case.site.blind.get("flow_logs")
    fresh = traffic.read_to is not None and case.now - traffic.read_to <= LATE
    return f"flow logs: {why}" if why and traffic.covering and not fresh else None


def sighted(case: EndpointCase, found: Judged) -> Judged:
    """Return a finding about the clients; raises Unseen for a pass where some may be hidden."""
    why = unseen(case) if found.status == "pass" else None
    if why:
        raise Unseen(f"who the clients are: {why}")
    return found


def demands(case: EndpointCase) -> Sequence[Demand]:
    """Return what has to pass, strangers aside. Raises Unseen."""
    key = "demands", case.endpoint.id
    known: Sequence[Demand] | None = case.around.memo.get(key)
    if known is None:
        known = case.around.memo[key] = tuple(_demands(case))
    return known


def _demands(case: EndpointCase) -> Iterator[Demand]:
    served = ports(case)
    if not served.ports:
        return
    for client in clients(case):
        if client.ours is False:
            continue
        asked = {
            Port(row.protocol, row.port)
            for row in client.rejected
            if row.protocol is not None and row.port is not None
        }
        asked &= served.sure
        if client.told:
            yield Demand(client, served.ports, served.told)
        if asked:
            yield Demand(client, tuple(sorted(asked)), True)
        elif client.accepted and not client.told and _lately(client.accepted, case.now):
            yield Demand(client, served.ports, False)


def _lately(seen: Accepted, now: float) -> bool:
    """Whether a client was accepted so lately that it still wants to be, and is who it was."""
    return max(seen.inbound or 0.0, seen.outbound or 0.0) >= now - STILL


class Alike(NamedTuple):
    """Demands that differ by the client's address alone, in one subnet and of the same groups.

    `whole` demands the same for the whole subnet: where that is met all of them are. It is None
    for a demand that is like no other.
    """

    whole: Demand | None
    each: Sequence[Demand]


def alike(case: EndpointCase) -> Sequence[Alike]:
    """Return the demands, those that are alike together. Raises Unseen."""
    key = "alike", case.endpoint.id
    known: Sequence[Alike] | None = case.around.memo.get(key)
    if known is None:
        known = case.around.memo[key] = tuple(_alike(case))
    return known


def _alike(case: EndpointCase) -> Iterator[Alike]:
    together: dict[object, list[Demand]] = {}
    for demand in demands(case):
        client = demand.client
        where: object = client.peer
        if client.subnet is not None and client.peer.first == client.peer.last:
            version, groups = client.peer.version, client.peer.group_ids
            where = client.subnet.id, version, groups, client.interface is None
        together.setdefault((where, demand.ports, demand.every), []).append(demand)
    for each in together.values():
        yield Alike(_whole(case, each[0]) if len(each) > 1 else None, each)


def _whole(case: EndpointCase, demand: Demand) -> Demand | None:
    """Return the demand for the whole subnet of a client."""
    client = demand.client
    if client.subnet is None:
        return None
    key = "subnet", client.subnet.id, client.peer.version, client.peer.group_ids
    peer: Peer | None = case.around.memo.get(key)
    if peer is None:
        cidrs = [c for c in client.subnet.cidrs if c.version == client.peer.version]
        if len(cidrs) != 1:
            return None
        peer = case.around.memo[key] = Peer.of(cidrs[0], client.peer.group_ids)
    return Demand(replace(client, peer=peer, accepted=None), demand.ports, demand.every)
