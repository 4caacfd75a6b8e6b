"""Do the load balancers' security groups let the consumers' clients in?

With EnforceSecurityGroupInboundRulesOnPrivateLinkTraffic on, the source is the client's own
private address, not the endpoint's.
https://docs.aws.amazon.com/elasticloadbalancing/latest/network/load-balancer-security-groups.html
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from exporter.analysis import let_in
from exporter.analysis.case import ServiceCase
from exporter.analysis.clients import Port, unseen
from exporter.analysis.commands import at_provider
from exporter.analysis.consumers import connected
from exporter.analysis.fixes import open_group
from exporter.analysis.judged import Judged, Unseen, failed, not_applicable, passed, unknown
from exporter.analysis.let_in import Answer, Way
from exporter.analysis.phrases import some
from exporter.analysis.rules import (
    EVERYONE,
    Decision,
    Peer,
    network_text,
)
from exporter.model import LoadBalancer

_MOST = 10
# The IP versions that an IpAddressType of AWS's means.
_FAMILIES = {"ipv4": (4,), "ipv6": (6,), "dualstack": (4, 6)}
_ENFORCED = "EnforceSecurityGroupInboundRulesOnPrivateLinkTraffic is on"


def judge(case: ServiceCase) -> Judged:
    """Judge the inbound rules for each client that is known; without one, for anybody."""
    balancers = case.around.behind.balancers(case.service)
    guarded = [b for b in balancers if b.security_group_ids and b.enforces_inbound.lower() != "off"]
    if not guarded:
        return _unguarded(balancers)
    ways = tuple(let_in.ways(case, guarded))
    if not ways:
        return not_applicable("The load balancer has no listener that anybody could come to.")
    open_to_all = [
        (way, let_in.ask(case, way, peer)) for way in ways for peer in _everyone(case, frozenset())
    ]
    if all(decision.allowed for _, decision in open_to_all):
        decision = open_to_all[0][1]
        where = some(dict.fromkeys(map(str, ways)))
        return passed(
            f"Security group {decision.resources[0]} lets everybody in to {where}.",
            decision.resources,
            _rules(open_to_all),
        )
    unsure = [b for b in guarded if b.enforces_inbound.lower() != "on"]
    if unsure:
        return unknown(
            f"AWS does not say whether the security groups of {unsure[0].name} judge what comes by "
            "PrivateLink.",
            [unsure[0].id, *unsure[0].security_group_ids],
        )
    if len(guarded) < len(balancers):
        # Which of them a client comes to is AWS's to choose: this one may not be asked at all.
        return unknown(
            f"Only {some(b.name for b in guarded)} judges the clients, the service's other load "
            "balancers let them all in: which of them a client comes to is not known."
        )
    anyone = [(way, let_in.ask(case, way, peer)) for way in ways for peer in _everyone(case, None)]
    if all(decision.none for _, decision in anyone):
        return _closed(case, anyone)
    return _known(case, ways)


def _unguarded(balancers: Sequence[LoadBalancer]) -> Judged:
    if any(b.security_group_ids for b in balancers):
        return passed(
            "The load balancer's security groups do not judge what comes by PrivateLink.",
            [b.id for b in balancers],
            ["EnforceSecurityGroupInboundRulesOnPrivateLinkTraffic is off"],
        )
    if balancers:
        return not_applicable("The load balancer was made without a security group.")
    return not_applicable("The service has no load balancer.")


def _everyone(case: ServiceCase, group_ids: frozenset[str] | None) -> Iterator[Peer]:
    """Yield whoever may come, by family: in any security group, or in these alone.

    Raises Unseen where AWS names the families in a word that is not known here.
    """
    own = case.consumer.endpoint.ip_address_type if case.consumer else ""
    words = (own,) if own else case.service.ip_address_types or ("ipv4",)
    strange = [word for word in words if word not in _FAMILIES]
    if strange:
        whose = case.consumer.endpoint.id if own and case.consumer else case.service.id
        raise Unseen(f"address families of {whose}: AWS says {strange[0]}, which is not known here")
    for version in sorted({version for word in words for version in _FAMILIES[word]}):
        yield Peer.of(EVERYONE[version], group_ids, anyone=group_ids is None)


def _rules(asked: Iterable[tuple[Way, Decision]]) -> list[str]:
    return list(dict.fromkeys(f"{way}: {decision.by}" for way, decision in asked))[:_MOST]


def _closed(case: ServiceCase, anyone: Sequence[tuple[Way, Decision]]) -> Judged:
    way, _ = anyone[0]
    ways = [one for one, _ in anyone]
    try:
        answers = [a for c in connected(case)[0] for a in let_in.answers(case, c, ways)]
    except Unseen:
        answers = []  # they matter for the fix alone
    return failed(
        f"Security group {some(way.balancer.security_group_ids)} of load balancer "
        f"{way.balancer.name} lets nobody in to {some(dict.fromkeys(map(str, ways)))}.",
        [*way.balancer.security_group_ids, way.balancer.id, case.service.id],
        [*_rules(anyone), _ENFORCED],
        _opening(case, answers),
    )


def _known(case: ServiceCase, ways: Sequence[Way]) -> Judged:
    """Judge by the clients that are known: some may come in and others may not."""
    consumers, others = connected(case)
    answers: list[Answer] = []
    silent = others
    for consumer in consumers:
        found = list(let_in.answers(case, consumer, ways))
        answers += found
        silent += not found
    groups = ways[0].balancer.security_group_ids
    at = some(dict.fromkeys(map(str, ways)))
    ids = [*groups, ways[0].balancer.id, case.service.id]
    blocked = [a for a in answers if a.allowed is False]
    if blocked:
        return _blocked(case, blocked)
    for a in answers:
        if a.allowed is None:
            return unknown(
                f"Whether {network_text(a.client.network)}, a client of {a.consumer.endpoint.id}, "
                f"may come in to {a.way} cannot be told: {a.doubt}.",
                [*ids, a.consumer.endpoint.id],
                [_ENFORCED],
            )
    if silent and "flow_logs" in case.world.facts.off:
        return not_applicable(
            f"Security group {some(groups)} lets some addresses in to {at} and others not; the "
            "collector flow_logs is switched off and no clients are configured: not judged."
        )
    if silent:
        who = "this endpoint" if case.consumer is not None else f"{silent} of its consumers"
        return unknown(
            f"Security group {some(groups)} lets some addresses in to {at} and others not; those "
            f"of the clients of {who} are not known.",
            ids,
            [_ENFORCED],
        )
    why = next((said for consumer in consumers if (said := unseen(consumer))), None)
    if why:
        raise Unseen(f"who the clients are: {why}")
    if not answers:
        return passed(
            f"Security group {some(groups)} lets some addresses in to {at}; nobody is connected.",
            ids,
            [_ENFORCED],
        )
    return passed(
        f"Security group {some(groups)} lets all clients in that are known: {len(answers)}.",
        ids,
        [_ENFORCED, *dict.fromkeys(f"{a.way}: {a.decision.by}" for a in answers)][:_MOST],
    )


def _blocked(case: ServiceCase, blocked: Sequence[Answer]) -> Judged:
    first = blocked[0]
    balancer = first.way.balancer
    who = network_text(first.client.network)
    theirs = sum(a.consumer is first.consumer for a in blocked) - 1
    who += f" and {theirs} more, clients" if theirs else ", a client"
    endpoints = dict.fromkeys(a.consumer.endpoint.id for a in blocked)
    return failed(
        f"Security group {some(balancer.security_group_ids)} of load balancer {balancer.name} does "
        f"not let in {who} of {first.consumer.endpoint.id}, to {first.way}.",
        [*balancer.security_group_ids, balancer.id, case.service.id, *endpoints],
        [
            *dict.fromkeys(a.decision.by for a in blocked[:_MOST]),
            *(_why(a) for a in blocked[:_MOST]),
            _ENFORCED,
        ],
        _opening(case, blocked),
    )


def _why(answer: Answer) -> str:
    client, endpoint_id = answer.client, answer.consumer.endpoint.id
    who = network_text(client.network)
    if client.accepted is not None:
        back = "and was answered" if client.accepted.outbound else "and nothing went back"
        return f"flow log: ACCEPT of {who} at {endpoint_id}, {back}"
    if client.told:
        return f"{who} is configured as a client of {endpoint_id}"
    return f"flow log: REJECT of {who} at {endpoint_id}"


def _opening(case: ServiceCase, blocked: Sequence[Answer]) -> str | None:
    """Return the commands that let clients in: the organisation's own or configured ones."""
    commands: list[str | None] = []
    for answer in blocked:
        client, way = answer.client, answer.way
        if client.ours and answer.allowed is False:
            commands.append(
                open_group(
                    case.scope.region,
                    way.balancer.security_group_ids[0],
                    client.network,
                    Port(way.protocol, way.port),
                )
            )
    found = list(dict.fromkeys(command for command in commands if command))[:_MOST]
    if not found:
        return at_provider(
            case,
            before="Unknown source: do not open. Ask the consumer which addresses its clients "
            "have, or configure them under endpoints: clients.",
        )
    return at_provider(case, *found)
