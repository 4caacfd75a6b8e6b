"""Does a load balancer listen where the consumers come to?

https://docs.aws.amazon.com/elasticloadbalancing/latest/network/load-balancer-listeners.html
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from exporter.analysis.case import EndpointCase, ServiceCase
from exporter.analysis.commands import at_provider, aws
from exporter.analysis.consumers import Used, connected, serves, used
from exporter.analysis.judged import Judged, failed, passed, warned
from exporter.analysis.phrases import some
from exporter.analysis.rules import protocol_name
from exporter.model import Listener, LoadBalancer

Found = Mapping[LoadBalancer, Sequence[Listener]]


@dataclass(frozen=True, slots=True)
class _Miss:
    """Ports that a consumer comes to and no listener has; (None, port) where one is configured."""

    consumer: EndpointCase
    ports: tuple[tuple[int | None, int], ...]
    configured: bool


def judge(case: ServiceCase) -> Judged:
    """Judge the listeners against the ports that are configured, else those seen to be used.

    A port that somebody tried is no fault as long as one of those tried has a listener.
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
    found = {one: case.around.behind.listeners(one) for one in balancers}
    broken = [one for one in balancers if one.state in ("failed", "provisioning")]
    if len(broken) == len(balancers):
        return _state(case, broken)
    if not any(found.values()):
        return failed(
            f"The load balancer {some(b.name for b in balancers)} has no listener: nothing "
            "answers.",
            [balancers[0].id, service.id],
            [f"DescribeListeners: none of {b.name}" for b in balancers],
            _add(case, found, ()),
        )
    consumers, others = connected(case)
    misses = [miss for consumer in consumers if (miss := _miss(consumer, found))]
    if misses:
        return _missed(case, found, misses, consumers)
    return _heard(case, found, consumers, others)


def _state(case: ServiceCase, broken: Sequence[LoadBalancer]) -> Judged:
    names = some(one.name for one in broken)
    evidence = [
        f"DescribeLoadBalancers: State {one.state}"
        + (f", {one.state_reason}" if one.state_reason else "")
        for one in broken
    ]
    ids = [broken[0].id, case.service.id]
    if any(one.state == "provisioning" for one in broken):
        return warned(f"The load balancer {names} is being set up.", ids, evidence)
    return failed(
        f"AWS could not set up the load balancer {names}.",
        ids,
        evidence,
        at_provider(case, before=f"EC2 console > Load balancers: create {names} anew."),
    )


def _miss(consumer: EndpointCase, found: Found) -> _Miss | None:
    """Return what a consumer misses; None where nothing or where no port is known."""
    known = used(consumer)
    missing = tuple((None, p) for p in known.configured if not _served(found, p, None))
    if missing:
        return _Miss(consumer, missing, True)
    if known.seen and not any(_served(found, p, protocol) for protocol, p in known.seen):
        return _Miss(consumer, tuple(sorted(known.seen)), False)
    return None


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
    first = min(misses, key=lambda miss: not miss.configured)
    where = some(map(_port, first.ports))
    listens = _listens(found)
    first_id = first.consumer.endpoint.id
    summary = (
        f"{first_id} is to serve {where}"
        if first.configured
        else f"The clients of {first_id} come to {where}"
    ) + f", and the load balancer {listens}."
    ids = [next(iter(found)).id, case.service.id, *(m.consumer.endpoint.id for m in misses)]
    evidence = [*_evidence(found)]
    for miss in misses:
        source = "configured" if miss.configured else "flow logs: accepted at its interfaces"
        evidence.append(f"{miss.consumer.endpoint.id}: {some(map(_port, miss.ports))} ({source})")
    # Where others are served it is one consumer that goes astray, and its endpoint says so.
    others = sum(used(c) != Used() for c in consumers) - len(misses)
    if others and not first.configured:
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
    silent = [c for c in consumers if not used(c).configured and not used(c).seen]
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
    wanted = {port for miss in misses for port in miss.ports}
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
    at = some(map(_port, sorted(wanted, key=str))) if wanted else "TCP at the service's port"
    way = f"EC2 console > Load balancers > {balancer.name} > Listeners > Add listener: {at}, "
    other = " Or have the clients come to where it listens." if wanted else ""
    return at_provider(case, before=f"{way}forward to the service's target group.{other}")
