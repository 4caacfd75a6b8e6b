"""Is there a way from an endpoint's VPC to the other endpoint that the service's name leads to?

In a hub and its spokes there is one; in a VPC that nothing joins to the other's there is none.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from exporter.analysis.case import EndpointCase
from exporter.analysis.routes import LOCAL, legs
from exporter.analysis.rules import Peer
from exporter.model import Address, Lookup

# What these lead to is the internet; where one leads on, another table of the VPC has that route.
_OUT = ("igw-", "eigw-", "nat-")


def out_of_reach(
    case: EndpointCase, found: Iterable[Lookup], others: Mapping[Address, str]
) -> list[str]:
    """Return the endpoints that are answered, in other VPCs to which no route of this one leads.

    `others` says whose each address is. Raises Unseen.
    """
    lost: dict[str, None] = {}
    for address in dict.fromkeys(a for x in found for a in x.answers if a in others):
        theirs = case.world.endpoint(others[address])
        if theirs is None or theirs.endpoint.vpc_id == case.endpoint.vpc_id:
            continue
        if not _near(case, address) and not _way(case, address):
            lost[theirs.endpoint.id] = None
    return list(lost)


def _near(case: EndpointCase, address: Address) -> bool:
    """Whether an endpoint of the service in this VPC has the address too: networks may overlap."""
    here = case.endpoint
    at = case.around.interface_at(here.vpc_id, address)
    return at is not None and any(
        at.id in e.interface_ids for e in case.around.serving(here.vpc_id, here.service_name)
    )


def _way(case: EndpointCase, address: Address) -> bool:
    return any(
        leg.unsure
        or (
            leg.route is not None
            and leg.route.target != LOCAL
            and leg.route.state.lower() != "blackhole"
            and not leg.route.target.startswith(_OUT)
        )
        for table in case.around.tables(case.endpoint.vpc_id)
        for leg in legs(case.around, table, Peer.of(address))
    )


def no_way(case: EndpointCase, lost: Iterable[str]) -> str:
    """Return in words that nothing is known to lead there."""
    return (
        f"{', '.join(lost)} is in another VPC, and no route of {case.endpoint.vpc_id} leads there: "
        "whether clients reach it cannot be told"
    )
