"""What surrounds an endpoint or a service, as JSON: what decides over packets, as it was seen."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from exporter.model import (
    Endpoint,
    Interface,
    Inventory,
    Listing,
    NetworkAcl,
    RouteTable,
    Subnet,
    last_known,
    network_acl_of,
    route_table_of,
)
from exporter.web.plain import Json, covered, part, plain

# So many of a VPC's other interfaces are shown with an endpoint; `total` says how many there are.
MOST_CLIENTS = 200


def evidence(inventory: Inventory, endpoint: Endpoint) -> dict[str, Json]:
    """Everything that decides whether a packet reaches the endpoint, as far as it was seen.

    Subnets, network ACLs, route tables are all of the endpoint's VPC: its clients' too.
    """
    vpc_id = endpoint.vpc_id
    own = {
        found.id: found
        for i in endpoint.interface_ids
        if (found := (last_known(inventory.interfaces) or {}).get(i))
    }
    group_ids = {
        *endpoint.security_group_ids,
        *(group_id for interface in own.values() for group_id in interface.security_group_ids),
    }
    table_ids = {
        t.id for t in (last_known(inventory.route_tables) or {}).values() if t.vpc_id == vpc_id
    }
    return {
        "policy": _policy(endpoint.policy),
        "ip_address_type": endpoint.ip_address_type,
        "dns_record_ip_type": endpoint.dns_record_ip_type,
        "private_dns_inbound_only": endpoint.private_dns_inbound_only,
        "requester_managed": endpoint.requester_managed,
        "subnet_ids": list(endpoint.subnet_ids),
        "route_table_ids": list(endpoint.route_table_ids),
        "vpc": part(inventory.vpcs, lambda vpcs: plain(vpcs.get(vpc_id))),
        "subnets": part(
            inventory.subnets,
            lambda known: [_subnet(inventory, s) for s in known.values() if s.vpc_id == vpc_id],
        ),
        "interface_details": _shown(inventory.interfaces, endpoint.interface_ids),
        "security_groups": _shown(inventory.security_groups, group_ids),
        "security_group_rules": rules(inventory, group_ids),
        "network_acls": covered(
            inventory,
            "network_acls",
            {vpc_id},
            part(inventory.network_acls, lambda known: _of_vpc(known, vpc_id)),
        ),
        "route_tables": covered(
            inventory,
            "route_tables",
            {vpc_id},
            part(inventory.route_tables, lambda known: _of_vpc(known, vpc_id)),
        ),
        "clients": covered(
            inventory,
            "interfaces",
            {vpc_id},
            part(inventory.interfaces, lambda known: _clients(inventory, known, vpc_id)),
        ),
        "prefix_lists": prefix_lists(inventory, group_ids, table_ids),
        "associations": part(
            inventory.endpoint_associations,
            lambda found: [plain(a) for a in found.values() if a.endpoint_id == endpoint.id],
        ),
        "service": part(
            inventory.service_details,
            lambda found: plain(
                next(
                    (
                        detail
                        for detail in found.values()
                        if detail.service_name == endpoint.service_name
                        and (endpoint.type in detail.types or not detail.types)
                    ),
                    None,
                )
            ),
        ),
    }


def _subnet(inventory: Inventory, subnet: Subnet) -> Json:
    """A subnet with the network ACL and the route table that are in force there."""
    return {
        **plain(subnet),
        "network_acl_id": part(
            inventory.network_acls, lambda known: _id(network_acl_of(subnet, known))
        ),
        "route_table_id": part(
            inventory.route_tables, lambda known: _id(route_table_of(subnet, known))
        ),
    }


def _clients(inventory: Inventory, known: Mapping[str, Interface], vpc_id: str) -> Json:
    """The VPC's other interfaces, the first of them if there are many, with their rules."""
    endpoints = (last_known(inventory.endpoints) or {}).values()
    theirs = {i for e in endpoints for i in e.interface_ids}
    clients = [i for i in known.values() if i.vpc_id == vpc_id and i.id not in theirs]
    shown = sorted(clients, key=lambda i: i.id)[:MOST_CLIENTS]
    groups = {group_id for interface in shown for group_id in interface.security_group_ids}
    return {
        "total": len(clients),
        "interfaces": plain(shown),
        "security_group_rules": rules(inventory, groups),
    }


def _of_vpc(known: Mapping[str, Any], vpc_id: str) -> list[Json]:
    return [plain(item) for item in known.values() if item.vpc_id == vpc_id]


def _id(found: NetworkAcl | RouteTable | None) -> str | None:
    return None if found is None else found.id


def rules(inventory: Inventory, group_ids: Iterable[str]) -> Json:
    """Return the rules of these security groups, by id."""
    wanted = set(group_ids)
    shown = part(
        inventory.security_group_rules,
        lambda found: [plain(found[i]) for i in sorted(found) if found[i].group_id in wanted],
    )
    return covered(inventory, "security_group_rules", wanted, shown)


def prefix_lists(
    inventory: Inventory, group_ids: Iterable[str], table_ids: Iterable[str] = ()
) -> list[Json]:
    """Return the prefix lists that these groups' rules and these tables' routes name."""
    groups = set(group_ids)
    all_rules = (last_known(inventory.security_group_rules) or {}).values()
    tables = last_known(inventory.route_tables) or {}
    ids = {r.prefix_list_id for r in all_rules if r.group_id in groups and r.prefix_list_id}
    ids |= {
        r.destination
        for t in table_ids
        if t in tables
        for r in tables[t].routes
        if isinstance(r.destination, str)
    }
    named = last_known(inventory.prefix_lists) or {}
    return [
        {
            "id": i,
            "name": named[i].name if i in named else None,
            "entries": part(inventory.prefix_list_entries.get(i)),
        }
        for i in sorted(ids)
    ]


def _shown(listing: Listing[Any], ids: Iterable[str]) -> Json:
    """The nouns with these ids, or why they could not be seen; one that was not listed is null."""
    return part(listing, lambda known: {i: plain(known.get(i)) for i in sorted(ids)})


def _policy(text: str | None) -> Json:
    try:
        return None if text is None else json.loads(text)
    except ValueError:
        return text
