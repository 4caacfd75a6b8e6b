"""Does the endpoint accept connections from this host, and with a certificate that is good?

Only where this host is in a position to judge: in the endpoint's VPC, or in a network that the
configuration says can reach it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from exporter.analysis.case import EndpointCase
from exporter.analysis.judged import (
    Judged,
    Unseen,
    failed,
    need,
    not_applicable,
    passed,
    unknown,
    warned,
)
from exporter.analysis.words import clock
from exporter.model import (
    NO_ANSWER,
    Dial,
    by_port,
    covers,
    is_aws_service,
    judged,
    ports_of,
    tcp_ports,
)

# States in which an endpoint may accept connections.
_STATES = frozenset({"available", "partial", "unknown"})
# When a certificate that expires is worth a warning, in seconds.
SOON = 14 * 86400.0
# How old a record of accepted packets may be to show that others get through: flow logs are late.
LATELY = 900.0
# How many of a certificate's names are shown.
_SHOWN = 4


def judge(case: EndpointCase) -> Judged:
    """Judge what came of connecting from this host."""
    endpoint = case.endpoint
    if endpoint.vpc_id not in case.world.facts.reachable:
        return not_applicable(
            f"This host is not known to be in {endpoint.vpc_id}, nor is that VPC among "
            "collectors.connectivity.vpcs: connecting from here would prove nothing."
        )
    if endpoint.state not in _STATES:
        return not_applicable(
            f"The endpoint is {endpoint.state}: no connection is tried before it is available."
        )
    dials = case.site.dials.get(endpoint.id, ())
    if not dials:
        return _nothing_tried(case)
    found = [_port(case, of_port) for of_port in _meant(case, by_port(dials))]
    worst = min(found, key=lambda judged: _ORDER.index(judged.status))
    evidence = [line for dial in dials for line in _told(dial, case.now)]
    return Judged(worst.status, worst.summary, (endpoint.id,), tuple(evidence), worst.fix)


_ORDER = ("fail", "unknown", "warn", "pass")


def _meant(case: EndpointCase, ports: Sequence[Sequence[Dial]]) -> Sequence[Sequence[Dial]]:
    """Return the ports to judge: of those that an AWS service offers clients use one."""
    usual = ports_of(case.endpoint.service_name)
    if case.expected.ports or len(usual) < 2:
        return ports
    kept = [of for of in ports if of[0].port not in usual or not _shut(of)]
    return kept if any(of[0].port in usual for of in kept) else ports


def _shut(dials: Sequence[Dial]) -> bool:
    told, blind = judged(dials)
    return not blind and all(d.problem for d in told)


def _nothing_tried(case: EndpointCase) -> Judged:
    why = case.site.blind.get("connectivity")
    if why:
        raise Unseen(f"connections from this host: {why}")
    hidden = case.world.hidden_provider(case)
    if hidden and not case.expected.ports:
        raise Unseen(f"listeners of the service: {hidden}")
    listeners: list[int] = []
    if case.provider and not case.expected.ports:
        around = case.provider.around.inventory
        for arn in case.provider.service.load_balancer_arns:
            listeners += tcp_ports(need(around.listeners.get(arn), f"listeners of {arn}"))
    if not ports_of(case.endpoint.service_name, case.expected.ports, listeners):
        return not_applicable(
            "No port is known that this endpoint serves: no connection is tried. Name its ports "
            "in the configuration, or have the provider's account watched too."
        )
    return unknown("No connection has been tried yet.", [case.endpoint.id])


def _port(case: EndpointCase, dials: Sequence[Dial]) -> Judged:
    """Judge what came of connecting to all addresses at one port."""
    port = dials[0].port
    told, blind = judged(dials)
    if not told:
        return unknown(f"This host could not try port {port}: {blind[0].problem}.")
    refused = [d for d in told if d.problem or _mute(d)]
    if len(refused) == len(told) and not blind:
        return _closed(case, told)
    certificate = _certificate(case, told)
    if certificate and certificate.status == "fail":
        return certificate
    if blind:
        return unknown(
            f"This host could not try {len(blind)} of {len(told) + len(blind)} addresses at port "
            f"{port}: {blind[0].problem}."
        )
    if refused:
        return warned(
            f"{len(refused)} of {len(told)} addresses do not accept connections at port {port} "
            f"from this host: {_why(refused[0])}. The others do."
        )
    if certificate:
        return certificate
    left_out = {d.address.version for d in dials} - {d.address.version for d in told}
    return passed(
        f"Every address accepts connections at port {port} from this host."
        + "".join(f" IPv{v} is not judged: this host does not speak it." for v in left_out)
    )


def _mute(dial: Dial) -> bool:
    """Whether TLS should have been spoken and was not; of other services that is not known."""
    return dial.tls_problem is not None and dial.not_after is None


def _why(dial: Dial) -> str:
    return dial.problem or dial.tls_problem or ""


def _closed(case: EndpointCase, dials: Sequence[Dial]) -> Judged:
    """Judge a port at which no address accepts; others that get through make it our own affair.

    That is so where nothing answers at all: what is refused is accepted by every rule, both ways.
    """
    port, endpoint = dials[0].port, case.endpoint
    after = case.now - LATELY
    through = [
        c.address
        for c in case.traffic.clients
        if all(d.problem == NO_ANSWER for d in dials)
        and min(c.inbound or 0.0, c.outbound or 0.0) >= after
        and (6, port) in case.traffic.accepted_ports
    ]
    what = f"at port {port} from this host: {_why(dials[0])}"
    if through:
        return warned(
            f"No address accepts connections {what}. But the flow logs show that {through[0]} is "
            "let through: the rules may leave out this host alone."
        )
    if is_aws_service(endpoint.service_name):
        ask = "Where no check above names a cause, ask AWS Support."
    else:
        ask = (
            f"Where no check above names a cause, ask the owner of {endpoint.service_name} whether "
            f"something listens at port {port} behind the load balancer, in each zone."
        )
    one = dials[0].address
    return failed(
        f"No address of the endpoint accepts connections {what}.",
        fix=f"Try it from a client too: nc -vz -w 3 {one} {port}\n{ask}",
    )


def _certificate(case: EndpointCase, dials: Iterable[Dial]) -> Judged | None:
    """Judge the certificates that were seen at a port; None where nothing is wrong."""
    private = any(name.kind == "private" for name in case.endpoint.dns_names)
    seen = [(d, d.not_after) for d in dials if d.not_after is not None]
    owner = case.endpoint.service_name or "the service"
    for dial, until in seen:
        if until <= case.now:
            return failed(
                f"The certificate at port {dial.port} expired at {clock(until, case.now)}: "
                "clients refuse it.",
                fix=f"The owner of {owner} has to renew the certificate for {dial.name}.",
            )
        if private and dial.tls_problem and not covers(dial.names, dial.name):
            return failed(
                f"The certificate at port {dial.port} is not for the private name {dial.name}: "
                "clients that use that name refuse it.",
                fix=f"The owner of {owner} has to serve a certificate that names {dial.name}.",
            )
    for dial, until in seen:
        if dial.tls_problem:
            return warned(f"The certificate at port {dial.port}: {dial.tls_problem}.")
        if until - case.now <= SOON:
            return warned(
                f"The certificate at port {dial.port} expires at {clock(until, case.now)}.",
                fix=f"The owner of {owner} has to renew the certificate for {dial.name}.",
            )
    return None


def _told(dial: Dial, now: float) -> Iterable[str]:
    """What one connection showed, as evidence."""
    where = f"{dial.address} port {dial.port}"
    came = f"problem: {dial.problem}" if dial.problem else "accepted"
    yield f"TCP to {where} at {clock(dial.at, now)}: {came} after {dial.duration * 1000:.0f} ms"
    if dial.tls_problem:
        yield f"TLS to {where}, SNI {dial.name or 'none'}: {dial.tls_problem}"
    if dial.not_after is not None:
        more = len(dial.names) - _SHOWN
        names = ", ".join(dial.names[:_SHOWN]) or "no name"
        yield (
            f"Certificate at {where}: for {names}{f' and {more} more' if more > 0 else ''}, until "
            f"{clock(dial.not_after, now)}"
        )
