"""Were connections rejected lately?

A REJECT without SYN is of a packet that came after its connection was closed: no fault on a path
that is open. Nothing is opened to who is neither configured nor in the organisation's subnets.
https://docs.aws.amazon.com/vpc/latest/userguide/flow-logs-records-examples.html
"""

from __future__ import annotations

from collections.abc import Sequence

from exporter.analysis import words
from exporter.analysis.case import EndpointCase
from exporter.analysis.clients import OPENING, Client, Demand, Port, clients, ports, unseen
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
from exporter.analysis.reach import met, network_acls, routes, security_groups
from exporter.model import Address, Rejected

# Which records are recent, in seconds.
RECENT = 900.0


def judge(case: EndpointCase) -> Judged:
    """Judge the rejected records of the last quarter of an hour."""
    for name in ("endpoints", "interfaces", "flow_logs"):
        need(getattr(case.site.inventory, name), name.replace("_", " "))
    rejected, why = case.traffic.rejected, unseen(case)
    if rejected is None:
        if why:
            raise Unseen(why)
        _ = case.interfaces  # which flow logs are on one that was not listed is not known
        return not_applicable("No flow log tells who is rejected at it: rejects were not judged.")
    recent = [row for row in rejected if case.now - row.last <= RECENT]
    refused, notes, lost = _apart(case, recent)
    if not refused:
        if why:
            raise Unseen(why)
        if lost:
            return unknown(
                f"Whether {lost[0]}, which was rejected in the last 15 minutes, is in one of the "
                "organisation's subnets is not known: not all of them could be listed.",
                [case.endpoint.id],
                notes,
            )
        what = "No connection was" if not recent else "No connection of a known client was"
        return passed(f"{what} rejected in the last 15 minutes.", (), notes)
    stands = [(client, row) for client, row in refused if not _open_now(case, client, row)]
    told = [words.rejected(row, case.now) for _, row in stands or refused]
    who = stands or refused
    number = sum(row.count for _, row in who)
    first, row = who[0]
    at = f" at {words.port(Port(row.protocol, row.port))}" if row.protocol and row.port else ""
    more = words.others(len({client.network for client, _ in who}) - 1)
    text = f"{number} record{'s' * (number > 1)} of {words.client(first)}{more}{at}"
    if not stands:
        return warned(
            f"{text} were rejected in the last 15 minutes; as the rules are now they would pass.",
            [i.id for i in case.interfaces],
            [*words.several(told, 3), *notes],
        )
    return failed(
        f"{text} were rejected in the last 15 minutes.",
        [i.id for i in case.interfaces],
        [*words.several(told, 3), *notes],
        "Mend what security_group, network_acl or route names above; where none of them fails, "
        "what decides could not be seen.",
    )


def _apart(
    case: EndpointCase, recent: Sequence[Rejected]
) -> tuple[list[tuple[Client, Rejected]], list[str], list[Address]]:
    """Return who was refused at a served port, what else there is to note, and who is nobody's.

    The last are addresses of which it is not known whether they are the organisation's own.
    """
    served = ports(case).sure
    refused: list[tuple[Client, Rejected]] = []
    notes: list[str] = []
    lost: list[Address] = []
    by_address = {c.network.network_address: c for c in clients(case) if c.rejected}
    for row in recent:
        client = by_address.get(row.address)
        if row.packets not in OPENING or client is None:
            continue
        here = (row.protocol, row.port) in served
        if not client.ours:
            doubt = "unknown source: do not open" if client.ours is False else "source not known"
            notes.append(f"{words.rejected(row, case.now)}; {doubt}")
            if client.ours is None and here:
                lost.append(row.address)
        elif not here:
            notes.append(f"{words.rejected(row, case.now)}; not a port that it serves")
        else:
            refused.append((client, row))
    late = sum(row.count for row in recent if row.packets not in OPENING)
    if late:
        notes.append(f"{late} records of packets without SYN: late packets of closed connections")
    return refused, words.several(notes), lost


def _open_now(case: EndpointCase, client: Client, row: Rejected) -> bool:
    """Whether the rules as they are now let the client pass."""
    if row.protocol is None or row.port is None:
        return False
    demand = Demand(client, (Port(row.protocol, row.port),), True)
    try:
        return all(
            met(case, demand, hops).allowed is True
            for hops in (security_groups, network_acls, routes)
        )
    except Unseen:
        return False
