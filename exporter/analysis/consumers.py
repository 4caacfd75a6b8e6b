"""Who comes to a service: which endpoints, to which ports and in which zones."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from exporter.analysis.case import EndpointCase, ServiceCase
from exporter.analysis.rules import TCP, UDP
from exporter.model import Listener, Status

# What a listener takes, by its protocol. One that AWS has added since takes anything here: nobody
# is told that a port is closed which may be open.
# https://docs.aws.amazon.com/elasticloadbalancing/latest/network/load-balancer-listeners.html
_PROTOCOLS: Mapping[str, tuple[int, ...]] = {
    "TCP": (TCP,),
    "TLS": (TCP,),
    "UDP": (UDP,),
    "QUIC": (UDP,),
    "GENEVE": (UDP,),
    "TCP_UDP": (TCP, UDP),
    "TCP_QUIC": (TCP, UDP),
}


@dataclass(frozen=True, slots=True)
class Used:
    """The ports that a consumer comes to: those that are configured, else those seen.

    `seen` are (protocol, port) that the endpoint's interfaces have accepted: a scan may be among
    them.
    """

    configured: tuple[int, ...] = ()
    seen: frozenset[tuple[int, int]] = frozenset()


def used(consumer: EndpointCase) -> Used:
    """Return the ports that the clients of an endpoint come to; none where nothing tells."""
    configured = consumer.expected.ports
    if configured:
        return Used(configured)
    accepted = consumer.traffic.accepted_ports
    return Used(seen=frozenset(found for found in accepted if found[0] in (TCP, UDP)))


def connected(case: ServiceCase) -> tuple[tuple[EndpointCase, ...], int]:
    """Return the consumers that are connected and watched, and how many others there are.

    Judged for one consumer it is that one. Raises Unseen.
    """
    if case.consumer is not None:
        return (case.consumer,), 0
    watched = []
    others = 0
    for connection in case.around.behind.connections(case.service):
        if connection.state == "available":
            found = case.world.endpoint(connection.endpoint_id)
            if found is None:
                others += 1
            else:
                watched.append(found)
    return tuple(watched), others


def protocols(protocol: str) -> tuple[int, ...]:
    """Return which protocols, by number, a listener's or a target group's one means."""
    return _PROTOCOLS.get(protocol.upper(), (TCP, UDP))


def serves(listener: Listener, port: int, protocol: int | None = None) -> bool:
    """Whether a listener takes connections to a port; of any protocol where none is said."""
    return listener.port == port and (protocol is None or protocol in protocols(listener.protocol))


def asked(case: ServiceCase, listeners: Sequence[Listener]) -> dict[Listener, bool]:
    """Return the listeners that consumers come to, and of each whether it is configured so.

    All of them, where of some consumer no port is known. Raises Unseen.
    """
    consumers, others = connected(case)
    found: dict[Listener, bool] = {}
    told = not others and bool(consumers)
    for consumer in consumers:
        known = used(consumer)
        theirs = [one for one in listeners if any(serves(one, p) for p in known.configured)]
        found |= dict.fromkeys(theirs, True)
        for one in listeners:
            if any(serves(one, port, protocol) for protocol, port in known.seen):
                theirs.append(one)
                found.setdefault(one, False)
        told = told and bool(theirs)
    if not told:
        for one in listeners:
            found.setdefault(one, False)
    return found


def zone_ids(case: ServiceCase) -> frozenset[str] | None:
    """Return the ids of the zones that the one consumer comes from; None for all zones.

    Raises Unseen. Which zones are asked for a consumer of another Region is AWS's to choose.
    """
    consumer = case.consumer
    if consumer is None or consumer.scope.region != case.scope.region:
        return None
    return frozenset(i.zone_id for i in consumer.interfaces if i.zone_id) or None


def together(parts: Iterable[Status]) -> Status:
    """Return what is true of ways that stand in for each other: fail only where all of them do.

    Of some that fail while others do not redundancy is lost: warn.
    """
    found = set(parts)
    if found <= {"pass"}:
        return "pass"
    if found == {"fail"}:
        return "fail"
    if "unknown" in found and len(found - {"unknown"}) <= 1 and "warn" not in found:
        return "unknown"
    return "warn"
