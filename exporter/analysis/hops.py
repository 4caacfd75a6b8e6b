"""From a load balancer to its targets: where its packets come from, and which groups let them pass.

What comes by PrivateLink reaches a target from the load balancer's addresses, never the client's,
and so do health checks.
https://docs.aws.amazon.com/elasticloadbalancing/latest/network/target-group-register-targets.html
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Literal, TypeAlias

from exporter.analysis.around import Around
from exporter.analysis.consumers import protocols
from exporter.analysis.judged import Unseen
from exporter.analysis.rules import TCP, Decision, Peer, groups_admit, host, protocol_name
from exporter.model import Address, Interface, LoadBalancer, Network, Target, TargetGroup

# What of a load balancer's addresses passes: each of them, some, none; or it cannot be told.
Passing: TypeAlias = Literal["all", "some", "none", "unknown"]


@dataclass(frozen=True, slots=True)
class Source:
    """Where a load balancer's packets come from in a zone: its address, or its subnet there."""

    network: Network
    zone_id: str
    exact: bool = True


@dataclass(frozen=True, slots=True)
class Door:
    """A port of a target, and what comes there: the traffic, or the health check."""

    what: Literal["traffic", "health check"]
    protocols: tuple[int, ...]
    port: int

    def __str__(self) -> str:
        names = "/".join(protocol_name(p) for p in self.protocols)
        return f"{self.what} port {names} {self.port}"


@dataclass(frozen=True, slots=True)
class Passage:
    """What the groups of both sides say at one door, for one address of the target's.

    `decision` is the answer that keeps packets out; of the load balancer's groups where `egress`.
    """

    door: Door
    passing: Passing
    decision: Decision | None = None
    sources: tuple[Source, ...] = ()
    egress: bool = False


def sources(around: Around, balancer: LoadBalancer, version: int) -> tuple[Source, ...]:
    """Return where a load balancer's packets of a family come from; raises Unseen.

    Where its interfaces are not listed, it is somewhere in its subnets.
    """
    interfaces = around.behind.interfaces(balancer)
    found = tuple(
        Source(host(address), interface.zone_id)
        for interface in interfaces
        for address in interface.addresses
        if address.version == version
    )
    if found or interfaces:
        return found
    subnets = [around.subnet(zone.subnet_id) for zone in balancer.zones]
    return tuple(
        Source(cidr, subnet.zone_id, exact=False)
        for subnet in subnets
        for cidr in subnet.cidrs
        if cidr.version == version
    )


def interfaces(around: Around, group: TargetGroup, target: Target) -> tuple[Interface, ...] | None:
    """Return the interfaces of a target; empty where none was listed, None outside of the VPC.

    Raises Unseen.
    """
    if group.target_type == "instance":
        return around.behind.instance(group.vpc_id, target.id)
    address = address_of(target)
    if address is None:
        return None
    found = around.interface_at(group.vpc_id, address)
    if found is not None:
        return (found,)
    inside = any(address in cidr for cidr in around.vpc(group.vpc_id).cidrs)
    return () if inside else None


def address_of(target: Target) -> Address | None:
    """Return the address that a target was registered by; None where it was by another id."""
    try:
        return ip_address(target.id)
    except ValueError:
        return None


def doors(group: TargetGroup, target: Target) -> Iterator[Door]:
    """Yield the port of the traffic and that of the health check."""
    port = target.port if target.port is not None else group.port
    if port is not None:
        yield Door("traffic", protocols(group.protocol), port)
    if group.health_check_enabled:
        # Health checks are TCP, HTTP or HTTPS.
        if group.health_check_port.isdecimal():
            yield Door("health check", (TCP,), int(group.health_check_port))
        elif port is not None:
            yield Door("health check", (TCP,), port)


def passage(
    around: Around,
    balancer: LoadBalancer,
    of: Sequence[Source],
    interface: Interface,
    address: Address,
    door: Door,
) -> Passage:
    """Return what both sides' groups say to packets from these sources; raises Unseen.

    Of several protocols one that passes is enough: which of them is used is not known.
    """
    found = [_passage(around, balancer, of, interface, address, door, p) for p in door.protocols]
    order: tuple[Passing, ...] = ("all", "some", "unknown", "none")
    return min(found, key=lambda one: order.index(one.passing))


def _passage(
    around: Around,
    balancer: LoadBalancer,
    of: Sequence[Source],
    interface: Interface,
    address: Address,
    door: Door,
    protocol: int,
) -> Passage:
    guards = interface.security_group_ids
    if balancer.security_group_ids:
        out = groups_admit(
            around,
            balancer.security_group_ids,
            egress=True,
            peer=Peer.of(address, frozenset(guards)),
            protocol=protocol,
            port=door.port,
        )
        if out.allowed is not True:
            passing: Passing = "unknown" if out.allowed is None else "none"
            return Passage(door, passing, out, egress=True)
    if not guards:
        return Passage(door, "all")  # an interface without groups filters nothing
    if not of:
        raise Unseen(f"addresses of load balancer {balancer.name}: none was listed")
    theirs = frozenset(balancer.security_group_ids)
    asked = [
        (
            source,
            groups_admit(
                around,
                guards,
                peer=Peer.of(source.network, theirs),
                protocol=protocol,
                port=door.port,
            ),
        )
        for source in of
    ]
    kept = tuple(source for source, decision in asked if decision.none)
    worst = max(asked, key=lambda one: (True, None, False).index(one[1].allowed))[1]
    if all(decision.allowed for _, decision in asked):
        return Passage(door, "all")
    if len(kept) == len(asked):
        return Passage(door, "none", worst, kept)
    if all(d.allowed is not None for _, d in asked) and all(s.exact for s, _ in asked):
        return Passage(door, "some", worst, kept)
    return Passage(door, "unknown", worst, kept)
