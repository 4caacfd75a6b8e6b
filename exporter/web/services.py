"""Endpoint services as JSON: at a glance, and one with its connections, load balancers, targets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from exporter.model import (
    EndpointService,
    Interface,
    Inventory,
    Known,
    LoadBalancer,
    Zones,
    last_known,
    target_groups_of,
)
from exporter.publisher import Snapshot
from exporter.web import changes
from exporter.web.diagnosis import brief, by_id, judged
from exporter.web.evidence import MOST_CLIENTS, prefix_lists, rules
from exporter.web.plain import Json, covered, part, plain, rfc3339, unavailable, where
from exporter.world import Estate, World


def services(snapshot: Snapshot) -> list[Json]:
    """Return every endpoint service with its verdict, state, how many consumers and targets."""
    diagnoses = by_id(snapshot.diagnoses)
    return [
        {**_glance(estate, found, zones), **brief(diagnoses.get((estate.scope, found.id)))}
        for estate in snapshot.world.estates
        for zones in [Zones(estate.inventory)]
        for found in estate.services()
    ]


def service(snapshot: Snapshot, service_id: str) -> Json | None:
    """Return one service, judged, with the evidence around it; None when no listing has it."""
    for estate in snapshot.world.estates:
        known = last_known(estate.inventory.services) or {}
        if service_id in known:
            zones = Zones(estate.inventory)
            diagnosis = by_id(snapshot.diagnoses).get((estate.scope, service_id))
            return {
                **_glance(estate, known[service_id], zones),
                **brief(diagnosis),
                "diagnosis": diagnosis and judged(diagnosis),
                **_evidence(snapshot.world, estate.inventory, known[service_id], zones),
                "changes": changes.of_one(estate, service_id),
            }
    return None


def _glance(estate: Estate, service: EndpointService, zones: Zones) -> dict[str, Json]:
    inventory = estate.inventory
    listing = inventory.services
    listed = listing if isinstance(listing, Known) else listing.last
    return {
        **where(estate.scope),
        "id": service.id,
        "name": service.name,
        "service_name": service.service_name,
        "types": list(service.types),
        "state": service.state if isinstance(listing, Known) else "unknown",
        "last_state": service.state,
        "aws_state": service.aws_state,
        "listed_at": rfc3339(listed.as_of) if listed else None,
        "acceptance_required": service.acceptance_required,
        "zone_ids": list(service.zone_ids),
        "private_dns": plain(service.private_dns),
        "connections": covered(
            inventory,
            "connections",
            {service.id},
            part(
                inventory.connections,
                lambda found: dict(
                    Counter(c.state for c in found.values() if c.service_id == service.id)
                ),
            ),
        ),
        "targets": covered(
            inventory,
            "target_groups",
            service.load_balancer_arns,
            _targets(inventory, service, zones),
        ),
        "tags": dict(service.tags),
    }


def _targets(inventory: Inventory, service: EndpointService, zones: Zones) -> Json:
    """How many targets there are in each zone, by state; why not, where one could not be seen."""
    if not isinstance(inventory.target_groups, Known):
        return unavailable(inventory.target_groups)
    counts: dict[str, Counter[str]] = {}
    for group in target_groups_of(service, inventory):
        health = inventory.target_health.get(group.id)
        if not isinstance(health, Known):
            return unavailable(health)
        for target in health.value:
            counts.setdefault(zones.of_target(target, group), Counter())[target.state] += 1
    return {zone_id: dict(states) for zone_id, states in sorted(counts.items())}


def _evidence(
    world: World, inventory: Inventory, service: EndpointService, zones: Zones
) -> dict[str, Json]:
    names = {e.id: e.name for estate in world.estates for e in estate.endpoints() if e.name}
    guards = {
        group_id
        for lb in (last_known(inventory.load_balancers) or {}).values()
        if lb.id in service.load_balancer_arns
        for group_id in lb.security_group_ids
    }
    return {
        "zones": list(service.zones),
        "manages_endpoints": service.manages_endpoints,
        "base_dns_names": list(service.base_dns_names),
        "ip_address_types": list(service.ip_address_types),
        "remote_access": service.remote_access,
        "supported_regions": list(service.supported_regions),
        "permissions": part(inventory.service_permissions.get(service.id)),
        "connection_details": part(
            inventory.connections,
            lambda found: [
                {**plain(c), "endpoint_name": names.get(c.endpoint_id)}
                for c in found.values()
                if c.service_id == service.id
            ],
        ),
        "load_balancers": part(
            inventory.load_balancers,
            lambda found: [
                _load_balancer(inventory, found[arn], zones) if arn in found else {"id": arn}
                for arn in service.load_balancer_arns
            ],
        ),
        "target_groups": part(
            inventory.target_groups,
            lambda _: [
                {
                    **plain(group),
                    "attributes": part(inventory.target_group_attributes.get(group.id)),
                    "targets": part(
                        inventory.target_health.get(group.id),
                        lambda targets, group=group: [  # type: ignore[misc]
                            {**plain(t), "zone_id": zones.of_target(t, group)} for t in targets
                        ],
                    ),
                }
                for group in target_groups_of(service, inventory)
            ],
        ),
        "security_group_rules": rules(inventory, guards),
        "prefix_lists": prefix_lists(inventory, guards),
        "target_interfaces": part(
            inventory.interfaces, lambda known: _targets_behind(inventory, service, known)
        ),
    }


def _targets_behind(
    inventory: Inventory, service: EndpointService, known: Mapping[str, Interface]
) -> Json:
    """The interfaces of the targets, the first of them if there are many, with their rules."""
    wanted = set()
    for group in target_groups_of(service, inventory):
        health = inventory.target_health.get(group.id)
        if health is not None:
            wanted |= {(group.vpc_id, target.id) for target in last_known(health) or ()}
    found = [
        i
        for i in known.values()
        if (i.vpc_id, i.instance_id) in wanted
        or any((i.vpc_id, str(a)) in wanted for a in i.addresses)
    ]
    shown = sorted(found, key=lambda i: i.id)[:MOST_CLIENTS]
    groups = {group_id for interface in shown for group_id in interface.security_group_ids}
    return {
        "total": len(found),
        "interfaces": plain(shown),
        "security_group_rules": rules(inventory, groups),
    }


def _load_balancer(inventory: Inventory, found: LoadBalancer, zones: Zones) -> Json:
    return {
        **plain(found),
        "zone_ids": list(zones.of_load_balancer(found)),
        "attributes": part(inventory.load_balancer_attributes.get(found.id)),
        "listeners": part(inventory.listeners.get(found.id)),
    }
