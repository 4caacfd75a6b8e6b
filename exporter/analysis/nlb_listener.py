"""Does a load balancer listen where the consumers come to?

https://docs.aws.amazon.com/elasticloadbalancing/latest/network/load-balancer-listeners.html
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from exporter.analysis.balancer_state import BROKEN, wrong_state
from exporter.analysis.case import EndpointCase, ServiceCase
from exporter.analysis.clients import clients, unseen
from exporter.analysis.commands import at_provider, aws
from exporter.analysis.consumers import Used, connected, hidden, serves, used
from exporter.analysis.judged import Judged, Unseen, failed, passed, warned
from exporter.analysis.phrases import some
from exporter.analysis.rules import protocol_name
from exporter.model import Listener, LoadBalancer

# So many ports, seen at one endpoint and without a listener, are a scan.
_SCAN = 3
_SURE = (True, None, False)

Found = Mapping[LoadBalancer, Sequence[Listener]]


@dataclass(frozen=True, slots=True)
class _Miss:
    """Ports that a consumer comes to and no listener has; (None, port) where one is configured.

    `sure` is whether the clients mean them; None where it is not known whose these are.
    """

    consumer: EndpointCase
    ports: tuple[tuple[int | None, int], ...]
    configured: bool
    sure: bool | None = True


def judge(case: ServiceCase) -> Judged:
    """Judge the listeners against the ports that are configured, else those seen to be used.

    A configured port has to have a listener. One that was seen is no fault as long as another one
    that was seen has a listener; it fails where the clients surely mean it, else it warns:

    - one of the organisation's own clients was let in by the endpoint, and nothing went back to it;
    - fewer than three ports were seen: more are a scan;
    - one of them is 80, 443 or from 1024 on, where services listen, and not remote desktop's 3389.
      Below there is what scans try, SSH for one. A service there has to be configured.

    What only warns is told without a command: nobody adds a listener for a scan.
    """
    service = case.service
    balancers = case.around.behind.balancers(service)
    if not balancers:
        return failed(
            f"The service {service.id} has no load balancer behind it.",
            [service.id],
            ["DescribeVpcEndpointServiceConfigurations: NetworkLoadBalancerArns is empty"],
            at_provider(
                case,
                before=f"VPC console > Endpoint services > {service.id} > Actions > Associate or "
                "disassociate load balancers: choose the Network Load Balancer.",
            ),
        )
    state = wrong_state(case, balancers)
    works = [one for one in balancers if one.state not in BROKEN]
    if state is not None and not works:
        return state
    found = {one: case.around.behind.listeners(one) for one in works}
    if not any(one.target_group_arns for listeners in found.values() for one in listeners):
        names = some(b.name for b in works)
        what = "forwards to no target group" if any(found.values()) else "has no listener"
        return failed(
            f"The load balancer {names} {what}: nothing answers.",
            [works[0].id, service.id],
            _evidence(found),
            _add(case, found, ()),
        )
    consumers, others = connected(case)
    misses = [miss for consumer in consumers if (miss := _miss(consumer, found))]
    if misses:
        return _missed(case, found, misses, consumers)
    return state or _heard(case, found, consumers, others)


def _miss(consumer: EndpointCase, found: Found) -> _Miss | None:
    """Return what a consumer misses; None where nothing or where no port is known."""
    known = used(consumer)
    missing = tuple((None, p) for p in known.configured if not _served(found, p, None))
    if missing:
        return _Miss(consumer, missing, True)
    if known.seen and not any(_served(found, p, protocol) for protocol, p in known.seen):
        likely = {port for port in known.seen if _likely(port[1])}
        sure = _waiting(consumer) if likely and len(known.seen) < _SCAN else False
        return _Miss(consumer, tuple(sorted(known.seen)), False, sure)
    return None


def _likely(port: int) -> bool:
    return port in (80, 443) or (port >= 1024 and port != 3389)


def _waiting(consumer: EndpointCase) -> bool | None:
    """Whether an own client was let in, and nothing that was accepted went back to it.

    None where that may be: whose the clients are could not be seen. Raises Unseen.
    """
    waiting = {
        client.ours
        for client in clients(consumer)
        if client.accepted and client.accepted.inbound and client.accepted.outbound is None
    }
    return True if True in waiting else None if None in waiting else False


def _served(found: Found, port: int, protocol: int | None) -> bool:
    return any(
        serves(one, port, protocol) and one.target_group_arns
        for listeners in found.values()
        for one in listeners
    )


def _missed(
    case: ServiceCase,
    found: Found,
    misses: Sequence[_Miss],
    consumers: Sequence[EndpointCase],
) -> Judged:
    first = min(misses, key=lambda miss: (not miss.configured, _SURE.index(miss.sure)))
    where = some(map(_port, first.ports))
    listens = _listens(found)
    first_id = first.consumer.endpoint.id
    summary = (
        f"{first_id} is to serve {where}"
        if first.configured
        else f"The clients of {first_id} come to {where}"
        if first.sure
        else f"Somebody came to {where} of {first_id}, which may have been a scan"
    ) + f", and the load balancer {listens}."
    ids = [next(iter(found)).id, case.service.id, *(m.consumer.endpoint.id for m in misses)]
    evidence = [*_evidence(found)]
    for miss in misses:
        source = "configured" if miss.configured else "flow logs: accepted at its interfaces"
        evidence.append(f"{miss.consumer.endpoint.id}: {some(map(_port, miss.ports))} ({source})")
    # Where others are served it is one consumer that goes astray, and its endpoint says so.
    others = sum(used(c) != Used() for c in consumers) - len(misses)
    if first.sure is None and not others:
        raise Unseen(
            f"whether who comes to {where} of {first_id} is one of the organisation's own: not "
            "all subnets could be listed"
        )
    if not first.sure or (others and not first.configured):
        return warned(summary, ids, evidence, _add(case, found, misses))
    return failed(summary, ids, evidence, _add(case, found, misses))


def _heard(
    case: ServiceCase, found: Found, consumers: Sequence[EndpointCase], others: int
) -> Judged:
    deaf = [one for one, listeners in found.items() if not listeners]
    ids = [one.id for one in found]
    if deaf:
        return warned(
            f"The load balancer {some(b.name for b in deaf)} has no listener; another one of the "
            "service has.",
            [deaf[0].id, case.service.id],
            _evidence(found),
            _add(case, dict.fromkeys(deaf, ()), ()),
        )
    idle = {b: [x for x in ls if not x.target_group_arns] for b, ls in found.items()}
    idle = {b: ls for b, ls in idle.items() if ls}
    if idle:
        balancer, (one, *_) = next(iter(idle.items()))
        return warned(
            f"The listener {one.protocol} {one.port} of load balancer {balancer.name} forwards to "
            "no target group: who comes there gets no answer.",
            [balancer.id, case.service.id],
            _evidence(found),
            at_provider(case, before=_forward(balancer, one)),
        )
    silent = [c for c in consumers if not used(c).configured and not used(c).seen]
    why = hidden(case) or next((said for c in silent if (said := unseen(c))), None)
    if why:
        raise Unseen(f"to which ports the clients come: {why}")
    unknown = len(silent) + others
    summary = f"The load balancer {_listens(found)}"
    if case.consumer is not None:
        summary += "; to which ports the clients come is not known" if silent else ""
    elif unknown:
        summary += f"; to which ports the clients of {unknown} endpoints come is not known"
    return passed(f"{summary}.", ids, _evidence(found))


def _listens(found: Found) -> str:
    """Return where the load balancers listen, as the end of a sentence about one."""
    useful = [one for listeners in found.values() for one in listeners if one.target_group_arns]
    if not useful:
        return "forwards to no target group"
    return f"listens on {some(dict.fromkeys(f'{o.protocol} {o.port}' for o in useful))}"


def _forward(balancer: LoadBalancer, listener: Listener) -> str:
    """Return where to let a listener that is there forward to targets."""
    return (
        f"EC2 console > Load balancers > {balancer.name} > Listeners > {listener.protocol} "
        f"{listener.port} > Edit listener: forward to the service's target group."
    )


def _evidence(found: Found) -> list[str]:
    lines = []
    for balancer, listeners in found.items():
        if not listeners:
            lines.append(f"DescribeListeners: none of {balancer.name}")
        for one in listeners:
            to = "" if one.target_group_arns else ", which forwards to no target group"
            lines.append(f"DescribeListeners: {balancer.name} has {one.protocol} {one.port}{to}")
    return lines


def _port(port: tuple[int | None, int]) -> str:
    protocol, number = port
    return f"port {number}" if protocol is None else f"{protocol_name(protocol)} {number}"


def _add(case: ServiceCase, found: Found, misses: Iterable[_Miss]) -> str | None:
    """Return how to add the listener: a command where port and target group leave no choice."""
    wanted = {
        port
        for miss in misses
        for port in miss.ports
        if miss.configured or (miss.sure and _likely(port[1]))
    }
    if misses and not wanted:
        return at_provider(
            case,
            before="Nothing, if nobody means to come there. A service at such a port is judged by "
            "what is configured under endpoints: ports.",
        )
    taken = {one.port for listeners in found.values() for one in listeners}
    groups = {
        arn for listeners in found.values() for one in listeners for arn in one.target_group_arns
    }
    balancer = next(iter(found))
    free = [port for port in wanted if port[1] not in taken]
    if len(wanted) == len(free) == len(groups) == len(found) == 1:
        ((protocol, port),) = free
        kind = "TCP" if protocol is None else protocol_name(protocol).upper()
        return at_provider(
            case,
            aws(
                case.scope,
                "elbv2 create-listener",
                "--load-balancer-arn",
                balancer.id,
                "--protocol",
                kind,
                "--port",
                str(port),
                "--default-actions",
                f"Type=forward,TargetGroupArn={next(iter(groups))}",
            ),
            after=f"Or have the clients come to where it {_listens(found)}.",
        )
    dead = [
        (b, one)
        for b, listeners in found.items()
        for one in listeners
        if not one.target_group_arns
        and (not wanted or any(serves(one, port, protocol) for protocol, port in wanted))
    ]
    if dead:
        return at_provider(case, before=_forward(*dead[0]))
    at = some(map(_port, sorted(wanted, key=str))) if wanted else "TCP at the service's port"
    way = f"EC2 console > Load balancers > {balancer.name} > Listeners > Add listener: {at}, "
    other = " Or have the clients come to where it listens." if wanted else ""
    return at_provider(case, before=f"{way}forward to the service's target group.{other}")
