"""Do the security groups let the clients in, and out?

https://docs.aws.amazon.com/vpc/latest/privatelink/create-interface-endpoint.html
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from exporter.analysis import fixes, gateway, words
from exporter.analysis.around import Around
from exporter.analysis.case import EndpointCase
from exporter.analysis.clients import Port, ports, sighted
from exporter.analysis.judged import Judged, Unseen, failed, passed, unknown
from exporter.analysis.reach import Met, meets, security_groups
from exporter.analysis.rules import EVERYONE, Decision, Peer, describe, groups_admit, host
from exporter.model import last_known


def judge(case: EndpointCase) -> Judged:
    """Judge the endpoint's groups for each client, and the client's own where they are seen."""
    if case.type == "Gateway":
        return gateway.security_group(case)
    return sighted(case, _judge(case))


def _judge(case: EndpointCase) -> Judged:
    groups = _groups(case)
    served = ports(case)
    if not served.ports:
        return _whatever_port(case, groups)
    found = meets(case, security_groups)
    blocked = [one for one in found if one.allowed is False and one.demand.client.ours]
    if blocked:
        return _failed(case, blocked)
    unmet = _nobody(case, groups) if not found or served.told else None
    if unmet is not None:
        return unmet
    unclear = next((one for one in found if one.allowed is not True), None)
    if unclear is not None and unclear.hop is not None:
        return unknown(
            f"Whether {words.client(unclear.demand.client)} may connect at "
            f"{words.port(unclear.port)} cannot be told: {unclear.hop.by}.",
            unclear.hop.resources,
        )
    at = ", ".join(map(words.port, served.ports))
    if found:
        many = f"{len(found)} client{'s' if len(found) > 1 else ''} that should"
        return passed(f"{' and '.join(groups)} let{'s' * (len(groups) == 1)} in {many}.", groups)
    verb = "lets" if len(groups) == 1 else "let"
    return passed(f"{' and '.join(groups)} {verb} somebody in at {at}; no client is known.", groups)


def _groups(case: EndpointCase) -> tuple[str, ...]:
    """The groups of the endpoint's interfaces; raises Unseen where AWS names none."""
    found = {g for i in case.interfaces for g in i.security_group_ids}
    found |= set(case.endpoint.security_group_ids)
    if not found:
        raise Unseen(f"security groups of {case.endpoint.id}: AWS names none")
    return tuple(sorted(found))


def _families(case: EndpointCase) -> Iterator[int]:
    yield from sorted({a.version for i in case.interfaces for a in i.addresses})


def _nobody(case: EndpointCase, groups: tuple[str, ...]) -> Judged | None:
    """Fail where no packet from anywhere could pass: at any of the ports, or at one that is told.

    None where somebody could.
    """
    served = ports(case)
    closed: list[tuple[Port, Decision]] = []
    unsure: Decision | None = None
    for port in served.ports:
        asked = [
            groups_admit(
                case.around,
                groups,
                peer=Peer.of(EVERYONE[version], anyone=True),
                protocol=port.protocol,
                port=port.number,
            )
            for version in _families(case)
        ]
        if asked and all(decision.none for decision in asked):
            closed.append((port, asked[0]))
        elif all(p.allowed is not True for decision in asked for p in decision.pieces):
            unsure = next(iter(asked), None)
    wanted = 1 if served.told else len(served.ports)
    if len(closed) < wanted:
        return unknown(f"Cannot be told: {unsure.by}.", unsure.of) if unsure else None
    at = ", ".join(words.port(port) for port, _ in closed)
    return failed(
        f"{' and '.join(groups)} let{'s' * (len(groups) == 1)} nobody in at {at}.",
        groups,
        [closed[0][1].by, f"the port is known by: {served.by}"],
        "No client is known, so no source can be named: let in those that are meant to connect, "
        "by their group or subnet, in the console under VPC, Security groups, "
        f"{groups[0]}, Edit inbound rules.",
    )


def _whatever_port(case: EndpointCase, groups: tuple[str, ...]) -> Judged:
    """Judge an endpoint whose ports nobody knows: only a group without any rule is a fault."""
    inbound = [rule for rule in case.around.rules(groups) if not rule.egress]
    if not inbound:
        return failed(
            f"{' and '.join(groups)} let{'s' * (len(groups) == 1)} nobody in: there is no inbound "
            "rule at all.",
            groups,
            [f"no inbound rule of {' or '.join(groups)}"],
            "Let in the clients that are meant to connect, by their group or subnet, in the "
            f"console under VPC, Security groups, {groups[0]}, Edit inbound rules.",
        )
    return passed(
        "There are inbound rules; at which ports the service is reached is not known, so they "
        "were not judged (endpoints: ports in the configuration tells).",
        groups,
    )


def _failed(case: EndpointCase, blocked: list[Met]) -> Judged:
    blocked.sort(
        key=lambda one: (
            not one.demand.client.told,
            -sum(row.count for row in one.demand.client.rejected),
        )
    )
    first = blocked[0]
    hop = first.hop
    assert hop is not None
    who, at = words.client(first.demand.client), words.port(first.port)
    more = words.others(len(blocked) - 1)
    names = " and ".join(hop.decision.of) if hop.decision else hop.resources[0]
    if hop.at == "client_security_group":
        summary = f"{names} of the client does not let {who}{more} out to the endpoint at {at}."
    else:
        summary = f"{names} does not let {who}{more} in at {at}."
    evidence = [one.hop.by for one in blocked if one.hop]
    seen = [t for one in blocked for t in words.records(one.demand.client, case.now, 1)]
    return failed(
        summary,
        dict.fromkeys(r for one in blocked[:5] if one.hop for r in one.hop.resources),
        [*words.several(evidence, 3), *_rules(case, first), *words.several(seen, 3)],
        fixes.lines(_opening(case, one) for one in blocked),
    )


def _rules(case: EndpointCase, one: Met) -> list[str]:
    """What the groups that decide do let pass, for who looks for the rule that is nearly right."""
    hop, theirs = one.hop, one.demand.client.around
    if hop is None or hop.decision is None:
        return []
    egress = hop.decision.egress
    around = theirs if hop.at == "client_security_group" and theirs is not None else case.around
    rules = [rule for rule in around.rules(hop.decision.of) if rule.egress == egress]
    way = "outbound" if egress else "inbound"
    if not rules:
        return [f"{' and '.join(hop.decision.of)}: no {way} rule at all"]
    return words.several([f"{way} rule {describe(rule, ())}" for rule in rules], 4)


def _opening(case: EndpointCase, one: Met) -> str | None:
    """The command that lets a client pass: by its group where that is seen, else its address."""
    hop, client, port = one.hop, one.demand.client, one.port
    if hop is None or hop.decision is None or one.address is None:
        return None
    own, source = client.interface, client.network
    here = client.subnet is not None and client.subnet.vpc_id == case.endpoint.vpc_id
    if hop.at == "client_security_group" and client.around is not None:
        return fixes.open_group(
            client.around.inventory.scope.region,
            _narrowest(client.around, hop.decision.of),
            _narrowest(case.around, _groups(case)) if here else host(one.address),
            port,
            egress=True,
        )
    group = None
    if own and here and own.security_group_ids:
        group = _narrowest(client.around or case.around, own.security_group_ids)
    to = _narrowest(case.around, hop.decision.of)
    return fixes.open_group(case.scope.region, to, group or source, port)


def _narrowest(around: Around, group_ids: Iterable[str]) -> str:
    """Return the group that the fewest interfaces have, and not a VPC's default one."""
    used: Counter[str] | None = around.memo.get("used")
    if used is None:
        interfaces = (last_known(around.inventory.interfaces) or {}).values()
        used = Counter(group_id for i in interfaces for group_id in i.security_group_ids)
        around.memo["used"] = used

    def rank(group_id: str) -> tuple[bool, int, str]:
        group = around.group(group_id)
        return group is not None and group.name == "default", used[group_id], group_id

    return min(group_ids, key=rank)
