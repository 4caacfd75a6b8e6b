"""Endpoints as JSON: at a glance, and one with everything that was seen around it as evidence."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from exporter.flowlogs import attribute, ingest
from exporter.model import (
    Endpoint,
    Inventory,
    Known,
    Listing,
    Lookup,
    Unavailable,
    last_known,
    network_acl_of,
    route_table_of,
)
from exporter.web.plain import Json, part, plain, rfc3339, unavailable, where
from exporter.world import Estate, World


def endpoints(world: World) -> list[Json]:
    """Return every endpoint with its state, names, interfaces and flow-log counts."""
    return [
        _glance(estate, endpoint, lookups.get(endpoint.id, []))
        for estate in world.estates
        for lookups in [_lookups(estate)]
        for endpoint in estate.endpoints()
    ]


def endpoint(world: World, endpoint_id: str) -> Json | None:
    """Return one endpoint with the evidence around it; None when no listing has it."""
    for estate in world.estates:
        known = last_known(estate.inventory.endpoints) or {}
        if endpoint_id in known:
            found = known[endpoint_id]
            return {
                **_glance(estate, found, _lookups(estate).get(endpoint_id, [])),
                **_evidence(estate.inventory, found),
                "provider": _provider(world, found),
            }
    return None


def blind(world: World, name: str) -> list[Json]:
    """Return where a listing could not be seen: something may be there that is not shown."""
    return [
        {**where(estate.scope), **unavailable(listing)}
        for estate in world.estates
        for part_name, listing in estate.inventory.listings()
        if part_name == name and isinstance(listing, Unavailable)
    ]


def _glance(estate: Estate, endpoint: Endpoint, lookups: list[Lookup]) -> dict[str, Json]:
    listing = estate.inventory.endpoints
    listed = listing if isinstance(listing, Known) else listing.last
    interfaces = last_known(estate.inventory.interfaces) or {}
    attributes = part(estate.inventory.vpc_attributes.get(endpoint.vpc_id))
    asked = {lookup.name for lookup in lookups}
    return {
        **where(estate.scope),
        "id": endpoint.id,
        "name": endpoint.name,
        "type": endpoint.type,
        "state": endpoint.state if isinstance(listing, Known) else "unknown",
        "last_state": endpoint.state,
        "listed_at": rfc3339(listed.as_of) if listed else None,
        "created": None if endpoint.created is None else rfc3339(endpoint.created),
        "last_error": endpoint.last_error,
        "failure_reason": endpoint.failure_reason,
        "owner": endpoint.owner,
        "service_name": endpoint.service_name,
        "service_region": endpoint.service_region or estate.scope.region,
        "vpc_id": endpoint.vpc_id,
        "vpc_attributes": attributes,
        "private_dns_enabled": endpoint.private_dns_enabled,
        "security_group_ids": list(endpoint.security_group_ids),
        "tags": dict(endpoint.tags),
        "interfaces": [
            {
                "id": i,
                "zone": interfaces[i].zone if i in interfaces else None,
                "zone_id": interfaces[i].zone_id if i in interfaces else None,
                "addresses": plain(interfaces[i].addresses) if i in interfaces else None,
            }
            for i in endpoint.interface_ids
        ],
        "dns": [_lookup(x) for x in lookups],
        "dns_not_judged": [
            {
                "name": name.name,
                "kind": name.kind,
                "reason": f"no resolver that answers for {endpoint.vpc_id} has been asked",
            }
            for name in endpoint.dns_names
            if endpoint.has_dns and name not in asked
        ],
        "flow_logs": _flows(estate, endpoint.id),
        "flow_coverage": dict(attribute.coverage(endpoint, estate.index)) if estate.index else None,
    }


def _evidence(inventory: Inventory, endpoint: Endpoint) -> dict[str, Json]:
    """Everything that decides whether a packet reaches the endpoint, as far as it was seen."""
    interfaces = [
        found
        for i in endpoint.interface_ids
        if (found := (last_known(inventory.interfaces) or {}).get(i))
    ]
    subnet_ids = {*endpoint.subnet_ids, *(i.subnet_id for i in interfaces)}
    group_ids = {
        *endpoint.security_group_ids,
        *(g for i in interfaces for g in i.security_group_ids),
    }
    subnets = _chosen(inventory.subnets, subnet_ids)
    acls, tables = last_known(inventory.network_acls), last_known(inventory.route_tables)
    judging = [network_acl_of(s, acls) for s in subnets] if acls is not None else []
    routing = [route_table_of(s, tables) for s in subnets] if tables is not None else []
    acl_ids = {acl.id for acl in judging if acl}
    table_ids = {table.id for table in routing if table} | set(endpoint.route_table_ids)
    return {
        "policy": _policy(endpoint.policy),
        "ip_address_type": endpoint.ip_address_type,
        "dns_record_ip_type": endpoint.dns_record_ip_type,
        "private_dns_inbound_only": endpoint.private_dns_inbound_only,
        "requester_managed": endpoint.requester_managed,
        "vpc": part(inventory.vpcs, lambda vpcs: plain(vpcs.get(endpoint.vpc_id))),
        "subnets": _shown(inventory.subnets, subnet_ids),
        "interface_details": _shown(inventory.interfaces, endpoint.interface_ids),
        "security_groups": _shown(inventory.security_groups, group_ids),
        "security_group_rules": rules(inventory, group_ids),
        "network_acls": _shown(inventory.network_acls, acl_ids),
        "route_tables": _shown(inventory.route_tables, table_ids),
        "prefix_lists": prefix_lists(inventory, group_ids, table_ids),
        "associations": part(
            inventory.endpoint_associations,
            lambda found: [plain(a) for a in found.values() if a.endpoint_id == endpoint.id],
        ),
        "service": part(
            inventory.service_details, lambda found: plain(found.get(endpoint.service_name))
        ),
    }


def rules(inventory: Inventory, group_ids: Iterable[str]) -> Json:
    """Return the rules of these security groups, by id."""
    wanted = set(group_ids)
    return part(
        inventory.security_group_rules,
        lambda found: [plain(found[i]) for i in sorted(found) if found[i].group_id in wanted],
    )


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


def _provider(world: World, endpoint: Endpoint) -> Json:
    """The service in another account that is watched too; None where it is not."""
    for estate in world.estates:
        for service in estate.services():
            if service.service_name and service.service_name == endpoint.service_name:
                connections = (last_known(estate.inventory.connections) or {}).values()
                return {
                    **where(estate.scope),
                    "service_id": service.id,
                    "name": service.name,
                    "connection_state": next(
                        (c.state for c in connections if c.endpoint_id == endpoint.id), None
                    ),
                }
    return None


def _chosen(listing: Listing[Any], ids: Iterable[str]) -> list[Any]:
    known = last_known(listing) or {}
    return [known[i] for i in sorted(ids) if i in known]


def _shown(listing: Listing[Any], ids: Iterable[str]) -> Json:
    """The nouns with these ids, or why they could not be seen; one that was not listed is null."""
    return part(listing, lambda known: {i: plain(known.get(i)) for i in sorted(ids)})


def _policy(text: str | None) -> Json:
    try:
        return None if text is None else json.loads(text)
    except ValueError:
        return text


def _lookups(estate: Estate) -> Mapping[str, list[Lookup]]:
    found: dict[str, list[Lookup]] = {}
    for lookup in estate.lookups:
        found.setdefault(lookup.endpoint_id, []).append(lookup)
    return found


def _lookup(lookup: Lookup) -> Json:
    return {
        "name": lookup.name.name,
        "kind": lookup.name.kind,
        "resolver": lookup.resolver,
        "rcode": lookup.rcode,
        "answers": plain(lookup.answers),
        "expected": plain(lookup.expected),
        "cnames": list(lookup.cnames),
        "ttl_seconds": lookup.ttl,
        "duration_seconds": round(lookup.duration, 6),
        "asked_at": rfc3339(lookup.as_of),
        "problem": lookup.problem,
        "matches": lookup.matches,
    }


def _flows(estate: Estate, endpoint_id: str) -> Mapping[str, Json] | None:
    """The committed counts; None where no flow log tells anything."""
    counts: dict[str, Json] = {}
    for key, count in estate.report.counters.items():
        if key.subject == endpoint_id:
            name = key.name.removeprefix("flow_")
            if key.name == ingest.REJECTED_CONNECTIONS:
                counts[name] = count
            else:
                counts.setdefault(name, {})[key.label] = count
    return counts or None
