"""What the load balancers' security groups say to the clients of a consumer.

With EnforceSecurityGroupInboundRulesOnPrivateLinkTraffic on, the source is the client's own
private address, not the endpoint's.
https://docs.aws.amazon.com/elasticloadbalancing/latest/network/load-balancer-security-groups.html
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from exporter.analysis.case import EndpointCase, ServiceCase
from exporter.analysis.clients import Client, clients
from exporter.analysis.consumers import protocols, used
from exporter.analysis.rules import Decision, Peer, groups_admit, protocol_name
from exporter.model import LoadBalancer


@dataclass(frozen=True, slots=True)
class Way:
    """A protocol and port at which a guarded load balancer is asked."""

    balancer: LoadBalancer
    protocol: int
    port: int

    def __str__(self) -> str:
        return f"{protocol_name(self.protocol)} {self.port}"


@dataclass(frozen=True, slots=True)
class Answer:
    """What the groups say to one client of a consumer, and at which way that is decided."""

    consumer: EndpointCase
    client: Client
    allowed: bool | None
    way: Way
    decision: Decision

    @property
    def doubt(self) -> str:
        """Why it cannot be told."""
        if self.decision.allowed is False:
            return "whether it is one of the organisation's own is not known, and no rule lets it"
        return self.decision.by


def ways(case: ServiceCase, guarded: Iterable[LoadBalancer]) -> Iterator[Way]:
    """Yield where the listeners of load balancers can be asked; raises Unseen."""
    for balancer in guarded:
        for listener in case.around.behind.listeners(balancer):
            if listener.port is not None:
                for protocol in protocols(listener.protocol):
                    yield Way(balancer, protocol, listener.port)


def ask(case: ServiceCase, way: Way, peer: Peer) -> Decision:
    """Return what the groups say to a peer; raises Unseen."""
    return groups_admit(
        case.around,
        way.balancer.security_group_ids,
        peer=peer,
        protocol=way.protocol,
        port=way.port,
    )


def answers(case: ServiceCase, consumer: EndpointCase, ways: Sequence[Way]) -> Iterator[Answer]:
    """Yield what the groups say to each client of a consumer that should come in.

    Those that the endpoint itself rejects count where there are no others: they may be meant to
    stay out. So may strangers, unless nobody but strangers is known and none of them may come in.
    """
    listened = {way.port for way in ways}
    known = clients(consumer)
    come = [c for c in known if c.told or c.accepted is not None] or [
        c for c in known if c.ours and any(row.port in listened for row in c.rejected)
    ]
    answers = [_answer(case, consumer, c, ways) for c in come]
    strange = all(a.allowed is False and a.client.ours is False for a in answers)
    yield from (a for a in answers if strange or a.client.ours is not False or a.allowed)


def _answer(
    case: ServiceCase, consumer: EndpointCase, client: Client, ways: Sequence[Way]
) -> Answer:
    """Return what is said to a client: at every port that is configured, else at the best one."""
    peer = _peer(case, consumer, client)
    known = used(consumer)
    at = set(known.configured) or {port for _, port in known.seen}
    by_port: dict[int, list[tuple[Way, Decision]]] = {}
    for way in [w for w in ways if w.port in at] or ways:
        by_port.setdefault(way.port, []).append((way, ask(case, way, peer)))
    best = [min(found, key=lambda one: _RANK[one[1].allowed]) for found in by_port.values()]
    pick = max if known.configured else min
    way, decision = pick(best, key=lambda one: _RANK[one[1].allowed])
    # Packets that came and were answered show that a rule in doubt lets them pass.
    allowed = True if decision.allowed is None and client.proven else decision.allowed
    if allowed is False and client.ours is None:
        allowed = None  # a stranger may be meant to stay out
    return Answer(consumer, client, allowed, way, decision)


_RANK: Mapping[bool | None, int] = {True: 0, None: 1, False: 2}


def _peer(case: ServiceCase, consumer: EndpointCase, client: Client) -> Peer:
    """Return a client as the load balancer's groups see it.

    A group reference means nobody in another VPC, unless the two are peers.
    """
    vpc_id = case.around.behind.balancers(case.service)[0].vpc_id
    where = client.subnet.vpc_id if client.subnet else consumer.endpoint.vpc_id
    if where == vpc_id:
        own = client.interface
        return Peer.of(client.network, None if own is None else frozenset(own.security_group_ids))
    groups = {g for b in case.around.behind.balancers(case.service) for g in b.security_group_ids}
    refers = any(rule.referenced_group_id for rule in case.around.rules(sorted(groups)))
    peered = refers and any(
        route.target.startswith("pcx-")
        for table in case.around.tables(vpc_id)
        for route in table.routes
    )
    return Peer.of(client.network, None if peered else frozenset())
