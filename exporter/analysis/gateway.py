"""Gateway endpoints: no interfaces, but a route for a prefix list in the clients' route tables.

Packets keep the service's public addresses: the clients' own groups and network ACLs judge them.
https://docs.aws.amazon.com/vpc/latest/privatelink/gateway-endpoints.html
"""

from __future__ import annotations

from collections.abc import Mapping

from exporter.analysis import fixes, words
from exporter.analysis.case import EndpointCase
from exporter.analysis.clients import HTTPS, Port
from exporter.analysis.judged import Judged, Unseen, failed, need, not_applicable, passed, unknown
from exporter.analysis.routes import legs
from exporter.analysis.rules import EPHEMERAL, TCP, Decision, Peer, acl_passes, groups_admit
from exporter.model import Interface, Network, RouteTable, Subnet

# Interfaces of these types send nothing of their own; nor do those that AWS keeps for a service of
# its own, by their descriptions. EC2 spells the type of a NAT gateway's in two ways.
# https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/requester-managed-eni.html
_NO_CLIENTS = frozenset(
    [
        "vpc_endpoint",
        "gateway_load_balancer_endpoint",
        "gateway_load_balancer",
        "network_load_balancer",
        "nat_gateway",
        "natgateway",
        "transit_gateway",
    ]
)
_OF_SERVICES = (
    "ELB ",
    "RDSNetworkInterface",
    "EFS mount target",
    "ElastiCache ",
    "Interface for NAT Gateway",
    "Network Interface for Transit Gateway",
    "Route 53 Resolver",
    "DAX ",
)
# Routes to these lead to the service's public addresses too.
_OTHER_WAYS = ("igw-", "nat-", "tgw-", "vgw-", "pcx-", "eni-", "i-", "eigw-", "lgw-", "cagw-")
_AT = Port(TCP, HTTPS)


def prefix_list(case: EndpointCase) -> tuple[str, tuple[Network, ...]]:
    """Return the id of the service's prefix list and the entries of it; raises Unseen.

    A service with IPv6 has a second one, whose entries are among them.
    """
    endpoint = case.endpoint
    routed = {
        route.destination
        for table in case.around.tables(endpoint.vpc_id)
        for route in table.routes
        if route.target == endpoint.id and isinstance(route.destination, str)
    }
    named = need(case.site.inventory.prefix_lists, "prefix lists").values()
    found = sorted(routed) or sorted(p.id for p in named if p.name == endpoint.service_name)
    if not found:
        raise Unseen(f"prefix list of {endpoint.service_name}: it was not listed")
    entries = tuple(entry for i in found for entry in case.around.prefix_list(i))
    return found[0], entries


def clients(case: EndpointCase) -> Mapping[str, list[Interface]]:
    """Return the interfaces that may be clients, by subnet; raises Unseen.

    Where the configuration names clients, those in the endpoint's VPC alone.
    """
    told = case.expected.clients
    key = "gateway clients", case.endpoint.vpc_id, told
    known: Mapping[str, list[Interface]] | None = case.around.memo.get(key)
    if known is None:
        known = case.around.memo[key] = _clients(case, told)
    return known


def _clients(case: EndpointCase, told: tuple[Network, ...]) -> Mapping[str, list[Interface]]:
    found: dict[str, list[Interface]] = {}
    for interface in case.around.interfaces(case.endpoint.vpc_id):
        meant = not told or any(
            a in network
            for a in interface.addresses
            for network in told
            if a.version == network.version
        )
        own = interface.type.lower() not in _NO_CLIENTS
        if own and meant and not interface.description.startswith(_OF_SERVICES):
            found.setdefault(interface.subnet_id, []).append(interface)
    return found


def told(case: EndpointCase) -> Mapping[str, Subnet]:
    """Return the subnets of the endpoint's VPC that have a configured client; raises Unseen."""
    return {
        subnet.id: subnet
        for subnet in case.around.subnets(case.endpoint.vpc_id)
        for network in case.expected.clients
        for cidr in subnet.cidrs
        if cidr.version == network.version and cidr.overlaps(network)
    }


def leads(case: EndpointCase, table: RouteTable, networks: tuple[Network, ...]) -> bool:
    """Whether a table takes every address of the service's to the endpoint; raises Unseen."""
    return all(
        leg.route is not None
        and leg.route.target == case.endpoint.id
        and leg.route.state.lower() != "blackhole"
        for network in networks
        for leg in legs(case.around, table, Peer.of(network))
    )


def route(case: EndpointCase) -> Judged:
    """Judge whether the clients' tables lead to the endpoint."""
    endpoint = case.endpoint
    list_id, entries = prefix_list(case)
    tables = case.around.tables(endpoint.vpc_id)
    to_it = {t.id: t for t in tables for r in t.routes if r.target == endpoint.id}
    black = {
        t.id
        for t in to_it.values()
        for r in t.routes
        if r.target == endpoint.id and r.state.lower() == "blackhole"
    }
    wanted = told(case)
    used = set(wanted) or set(clients(case))
    of_clients = {case.around.table(subnet_id).id: subnet_id for subnet_id in sorted(used)}
    dead = sorted(black & of_clients.keys() or (black if not of_clients else set()))
    if dead:
        return failed(
            f"The route of {dead[0]} to {endpoint.id} is a blackhole: packets for {list_id} are "
            "dropped.",
            [*dead, endpoint.id],
            [f"{dead[0]}: {list_id} -> {endpoint.id}, state blackhole"],
            fixes.lines(
                _tables(case, f"--{verb}-route-table-ids", dead) for verb in ("remove", "add")
            ),
        )
    good = {t.id for t in tables if t.id in of_clients and leads(case, t, entries)}
    missing = sorted(of_clients.keys() - good)
    by_table = {table.id: table for table in tables}
    # Who reaches the service by another way may be meant to.
    stuck = [i for i in missing if i in black or not _ways_out(by_table[i])]
    if not to_it or (missing and (wanted or (stuck and not good))):
        lacking = missing if wanted else stuck or sorted(of_clients)
        around_it = [i for i in lacking if i in to_it]
        if around_it:
            return _overridden(case, by_table[around_it[0]], list_id, entries)
        where = (
            f"{lacking[0]}, the route table of the clients' subnet {of_clients[lacking[0]]}"
            if lacking
            else "any route table"
        )
        return failed(
            f"There is no route for {list_id} to {endpoint.id} in {where}: packets for the service "
            "do not take the endpoint.",
            [*lacking, endpoint.id],
            [_routes(case, t) for t in tables if t.id in lacking][:3],
            fixes.lines([_tables(case, "--add-route-table-ids", lacking)] if lacking else [])
            or f"In the console under VPC, Endpoints, {endpoint.id}, Route tables, Manage route "
            "tables: add those of the clients' subnets.",
        )
    notes = [_aside(by_table[table_id]) for table_id in missing]
    if not good:
        text = f"{', '.join(sorted(to_it))} lead{'s' * (len(to_it) == 1)} to it."
        return passed(text, sorted(to_it), notes)
    return passed(f"{', '.join(sorted(good))} of the clients lead to it.", sorted(good), notes)


def _overridden(
    case: EndpointCase, table: RouteTable, list_id: str, entries: tuple[Network, ...]
) -> Judged:
    """Return that a more specific route takes packets elsewhere."""
    other = next(
        leg.route
        for network in entries
        for leg in legs(case.around, table, Peer.of(network))
        if leg.route is not None and leg.route.target != case.endpoint.id
    )
    text = f"{other.destination} -> {other.target}"
    return failed(
        f"{table.id} leads to {case.endpoint.id} for {list_id}, but its more specific route {text} "
        "takes packets for the service elsewhere.",
        [table.id, other.target],
        [_routes(case, table)],
        f"If that is not meant, delete the route {other.destination} in the console under VPC, "
        f"Route tables, {table.id}, Edit routes.",
    )


def _ways_out(table: RouteTable) -> list[str]:
    """The other targets by which the service's public addresses may be reached."""
    return sorted({r.target for r in table.routes if r.target.startswith(_OTHER_WAYS)})


def _aside(table: RouteTable) -> str:
    out = _ways_out(table)
    way = f"the service is reached by {out[0]}" if out else "nothing leads to the service"
    return f"{table.id} does not lead to it: from its subnets {way}"


def _routes(case: EndpointCase, table: RouteTable) -> str:
    found = "; ".join(f"{r.destination} -> {r.target} {r.state}" for r in table.routes[:8])
    return f"{table.id}: {found}"


def _tables(case: EndpointCase, option: str, table_ids: list[str]) -> str | None:
    endpoint_id = case.endpoint.id
    return fixes.by_its_maker(case.endpoint) or fixes.ec2(
        case.scope.region,
        "modify-vpc-endpoint",
        "--vpc-endpoint-id",
        endpoint_id,
        option,
        *table_ids,
        ids=[endpoint_id, *table_ids],
    )


def _concerned(
    case: EndpointCase,
) -> tuple[str, tuple[Network, ...], Mapping[str, list[Interface]]]:
    """The prefix list, its entries, and the clients in subnets with a route to the endpoint."""
    list_id, entries = prefix_list(case)
    found = {
        subnet_id: interfaces
        for subnet_id, interfaces in clients(case).items()
        if any(r.target == case.endpoint.id for r in case.around.table(subnet_id).routes)
    }
    return list_id, entries, found


def security_group(case: EndpointCase) -> Judged:
    """Judge whether the clients' groups let them out to the service's prefix list."""
    list_id, entries, found = _concerned(case)
    interfaces = [i for several in found.values() for i in several if i.security_group_ids]
    if not interfaces:
        return not_applicable("No client's interface is seen in a subnet that routes to it.")
    shut: list[tuple[Interface, Decision]] = []
    unsure: Decision | None = None
    for interface in interfaces:
        versions = {a.version for a in interface.addresses}
        asked = [
            groups_admit(
                case.around,
                interface.security_group_ids,
                egress=True,
                peer=Peer.of(network, frozenset()),
                protocol=_AT.protocol,
                port=_AT.number,
            )
            for network in entries
            if network.version in versions
        ]
        # A client that is told has to get to all of the service.
        quite = any if case.expected.clients else all
        if asked and quite(decision.none for decision in asked):
            shut.append((interface, next(decision for decision in asked if decision.none)))
        elif any(decision.allowed is None for decision in asked):
            unsure = next(decision for decision in asked if decision.allowed is None)
    if shut and (len(shut) == len(interfaces) or case.expected.clients):
        groups = sorted({g for i, _ in shut for g in i.security_group_ids})
        return failed(
            f"{' and '.join(groups)} of the clients let{'s' * (len(groups) == 1)} nothing out to "
            f"{list_id} at {words.port(_AT)}.",
            [*groups, list_id],
            words.several([decision.by for _, decision in shut], 3),
            fixes.by_account(
                case.scope.account,
                (
                    (whose, fixes.open_group(case.scope.region, g, list_id, _AT, egress=True))
                    for g, whose in sorted(
                        (i.security_group_ids[0], case.around.owner(i.security_group_ids[0], i))
                        for i, _ in shut
                    )
                ),
            ),
        )
    if unsure is not None and not shut:
        return unknown(f"Cannot be told: {unsure.by}.", unsure.of)
    notes = [f"{i.id} is not let out: {decision.by}" for i, decision in shut]
    return passed(
        f"The clients' groups let them out to {list_id} at {words.port(_AT)}.",
        [list_id],
        words.several(notes, 3),
    )


def network_acl(case: EndpointCase) -> Judged:
    """Judge whether the ACLs of the clients' subnets let packets to the service and back pass."""
    list_id, entries, found = _concerned(case)
    if not found:
        return not_applicable("No client's interface is seen in a subnet that routes to it.")
    shut: list[tuple[str, Decision]] = []
    for subnet_id in sorted(found):
        acl = case.around.acl(subnet_id)
        versions = {c.version for c in case.around.subnet(subnet_id).cidrs}
        asked = [Peer.of(n) for n in entries if n.version in versions]
        out = [
            acl_passes(case.around, acl, egress=True, peer=peer, ports=(HTTPS, HTTPS))
            for peer in asked
        ]
        back = [
            acl_passes(case.around, acl, egress=False, peer=peer, ports=EPHEMERAL) for peer in asked
        ]
        for several in (out, back):
            quite = any if case.expected.clients else all
            if several and quite(decision.none for decision in several):
                shut.append((subnet_id, next(d for d in several if d.none)))
                break
    if shut and (len({s for s, _ in shut}) == len(found) or case.expected.clients):
        subnet_id, decision = shut[0]
        return failed(
            f"{decision.of[0]} of the clients' subnet {subnet_id} drops packets to or from "
            f"{list_id}.",
            [decision.of[0], subnet_id],
            words.several([d.by for _, d in shut], 3),
            "A network ACL cannot name a prefix list: allow tcp 443 out and tcp 1024-65535 in, in "
            f"the console under VPC, Network ACLs, {decision.of[0]}.",
        )
    notes = [f"{subnet_id}: {decision.by}" for subnet_id, decision in shut]
    return passed("The network ACLs of the clients' subnets let packets pass.", [], notes)
