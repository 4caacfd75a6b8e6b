"""Do the network ACLs let packets and the replies to them pass?

They are stateless: the reply to a client goes to an ephemeral port, which has to be open too.
https://docs.aws.amazon.com/vpc/latest/userguide/vpc-network-acls.html
"""

from __future__ import annotations

from collections.abc import Iterator

from exporter.analysis import fixes, gateway, words
from exporter.analysis.case import EndpointCase
from exporter.analysis.clients import ports, sighted
from exporter.analysis.judged import Judged, failed, passed, unknown, warned
from exporter.analysis.reach import Hop, Met, meets, network_acls
from exporter.analysis.rules import (
    ALL_PORTS,
    EPHEMERAL,
    EVERYONE,
    TCP,
    Decision,
    Peer,
    acl_passes,
    host,
    port_text,
)
from exporter.model import NetworkAcl, NetworkAclEntry, last_known

_REPLIES = ("endpoint_network_acl_out", "client_network_acl_in")
# The entry that AWS adds, which denies the rest.
_LAST = 32767
_WHERE = {
    "client_network_acl_out": "out of the client's subnet",
    "endpoint_network_acl_in": "into the endpoint's subnet",
    "endpoint_network_acl_out": "out of the endpoint's subnet, back to the client",
    "client_network_acl_in": "back into the client's subnet",
}


def judge(case: EndpointCase) -> Judged:
    """Judge the ACLs of the endpoint's subnets for each client, and of its own where seen."""
    if case.type == "Gateway":
        return gateway.network_acl(case)
    return sighted(case, _judge(case))


def _judge(case: EndpointCase) -> Judged:
    acls = {i.subnet_id: case.around.acl(i.subnet_id) for i in case.interfaces}
    names = sorted({acl.id for acl in acls.values()})
    found = meets(case, network_acls)
    blocked = [one for one in found if one.allowed is False and one.demand.client.ours]
    if blocked:
        return _failed(case, blocked)
    if not found:
        shut = _nobody(case, acls)
        if shut is not None:
            return shut
    unclear = next((one for one in found if one.allowed is not True), None)
    if unclear is not None and unclear.hop is not None:
        who = words.client(unclear.demand.client)
        return unknown(f"Whether {who} passes cannot be told: {unclear.hop.by}.", names)
    some = _holes(case, found)
    if some is not None:
        return some
    if found:
        return passed(f"{' and '.join(names)} let the clients' packets and replies pass.", names)
    return passed(f"{' and '.join(names)} let somebody's packets and replies pass.", names)


def _failed(case: EndpointCase, blocked: list[Met]) -> Judged:
    blocked.sort(key=lambda one: not one.demand.client.told)
    first = blocked[0]
    hop = first.hop
    assert hop is not None
    who, more = words.client(first.demand.client), words.others(len(blocked) - 1)
    what = (
        "answers" if hop.at in ("endpoint_network_acl_out", "client_network_acl_in") else "packets"
    )
    at = f" at {words.port(first.port)}" if what == "packets" else ""
    verb = "to" if what == "answers" else "from"
    seen = [t for one in blocked for t in words.records(one.demand.client, case.now, 1)]
    return failed(
        f"{hop.resources[0]} drops {what} {verb} {who}{more}{at}, {_WHERE[hop.at]}.",
        dict.fromkeys(r for one in blocked[:5] if one.hop for r in one.hop.resources),
        [
            *words.several([one.hop.by for one in blocked if one.hop], 3),
            *words.several(seen, 3),
        ],
        fixes.lines(_openings(case, blocked)),
    )


def _openings(case: EndpointCase, blocked: list[Met]) -> Iterator[str | None]:
    """Yield the commands that add entries which let the clients' packets or the answers pass."""
    numbers: dict[str, set[int]] = {}
    done = set()
    for one, hop in [(met, hop) for met in blocked for hop in met.denied]:
        client = one.demand.client
        if hop.decision is None or one.address is None:
            continue
        theirs = hop.at.startswith("client") and client.around is not None
        around = client.around if theirs and client.around is not None else case.around
        peer = host(one.address) if theirs else client.network
        if not theirs and client.subnet is not None:
            # An ACL has few entries: one for the subnet, not one for each client.
            peer = next((c for c in client.subnet.cidrs if c.version == peer.version), peer)
        acl = (last_known(around.inventory.network_acls) or {}).get(hop.resources[0])
        entry = hop.at, hop.resources[0], peer, one.port
        if acl is None or entry in done:
            continue
        done.add(entry)
        number = _free(acl, hop.decision, numbers.setdefault(acl.id, set()))
        ports = EPHEMERAL if hop.at in _REPLIES else (one.port.number, one.port.number)
        egress = hop.at.endswith("_out")
        region = around.inventory.scope.region
        if number is not None:
            yield fixes.open_acl(region, acl.id, number, peer, one.port.protocol, ports, egress)


def _free(acl: NetworkAcl, decision: Decision, given: set[int]) -> int | None:
    """Return a free number before the entry that decides; after all others where none does.

    None where there is none. It is added to those that were given.
    """
    by = decision.deciding.by
    limit = by.number if isinstance(by, NetworkAclEntry) else _LAST
    taken = {entry.number for entry in acl.entries} | given
    if limit >= _LAST:
        highest = max((number for number in taken if number < _LAST), default=0)
        found = next((n for n in range(highest // 100 * 100 + 100, _LAST, 100)), None)
    else:
        found = next((n for n in range(limit - 1, 0, -1) if n not in taken), None)
    if found is not None:
        given.add(found)
    return found


def _nobody(case: EndpointCase, acls: dict[str, NetworkAcl]) -> Judged | None:
    """Fail where no packet from anywhere, or no answer to anybody, could pass."""
    served = ports(case)
    spans = [(p.protocol, (p.number, p.number)) for p in served.ports] or [(TCP, ALL_PORTS)]
    for interface in case.interfaces:
        acl = acls[interface.subnet_id]
        for version in sorted({a.version for a in interface.addresses}):
            everyone = Peer.of(EVERYONE[version])
            inward = [
                acl_passes(
                    case.around, acl, egress=False, peer=everyone, protocol=protocol, ports=span
                )
                for protocol, span in spans
            ]
            outward = acl_passes(
                case.around,
                acl,
                egress=True,
                peer=everyone,
                protocol=spans[0][0],
                ports=EPHEMERAL,
            )
            shut = inward[0] if all(d.none for d in inward) else outward if outward.none else None
            if shut is None:
                continue
            what = "answers out" if shut is outward else "packets in"
            beside = gateway.clients(case).get(interface.subnet_id)
            if beside:
                return warned(
                    f"{acl.id} lets no {what}: only clients in the endpoint's own subnet "
                    f"{interface.subnet_id} can connect to {interface.id}.",
                    [acl.id, interface.subnet_id],
                    [shut.by, f"within one subnet it is not asked: {beside[0].id} is there"],
                )
            return failed(
                f"{acl.id} lets no {what}: nobody can connect to {interface.id}.",
                [acl.id, interface.subnet_id],
                [shut.by],
                "No client is known, so no source can be named: allow those that are meant to "
                "connect, in the console under VPC, Network ACLs, "
                f"{acl.id}, Edit {'outbound' if shut is outward else 'inbound'} rules.",
            )
    return None


def _holes(case: EndpointCase, met_: list[Met]) -> Judged | None:
    """Warn where some of the ports that answers may come back to are closed."""
    found = [(words.client(one.demand.client), hop) for one in met_ for hop in one.holes]
    if not met_:
        found = list(_common_holes(case))
    if not found:
        return None
    who, hop = found[0]
    assert hop.decision is not None
    closed = " ".join(port_text(*span) for span in hop.decision.closed()[:3])
    return warned(
        f"{hop.resources[0]} drops answers to {who} at ports {closed}: connections from these "
        "ports fail.",
        hop.resources,
        [hop.by],
    )


def _common_holes(case: EndpointCase) -> Iterator[tuple[str, Hop]]:
    """Yield the ACLs that let nobody's answers out at some of the ports."""
    for interface in case.interfaces:
        acl = case.around.acl(interface.subnet_id)
        for version in sorted({a.version for a in interface.addresses}):
            everyone = Peer.of(EVERYONE[version])
            decision = acl_passes(case.around, acl, egress=True, peer=everyone, ports=EPHEMERAL)
            whole: dict[tuple[int, int], set[bool | None]] = {}
            for piece in decision.pieces:
                whole.setdefault((piece.first, piece.last), set()).add(piece.allowed)
            if whole and all(False in allowed for allowed in whole.values()):
                yield "anybody", Hop(_REPLIES[0], True, decision)
