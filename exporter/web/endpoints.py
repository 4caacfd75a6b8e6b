"""Endpoints as JSON: at a glance, and one with everything that was seen around it as evidence."""

from __future__ import annotations

from collections.abc import Mapping

from exporter.flowlogs import attribute
from exporter.model import (
    DnsName,
    Endpoint,
    Known,
    Lookup,
    Rejected,
    last_known,
)
from exporter.publisher import Snapshot
from exporter.web import changes
from exporter.web.diagnosis import brief, by_id, judged
from exporter.web.evidence import evidence
from exporter.web.plain import Json, part, plain, rfc3339, where
from exporter.world import Estate, World


def endpoints(snapshot: Snapshot) -> list[Json]:
    """Return every endpoint with its verdict, state, names, interfaces and flow-log counts."""
    diagnoses = by_id(snapshot.diagnoses)
    return [
        {**_glance(estate, found, around), **brief(diagnoses.get((estate.scope, found.id)))}
        for estate in snapshot.world.estates
        for around in [_Around(estate)]
        for found in estate.endpoints()
    ]


def endpoint(snapshot: Snapshot, endpoint_id: str) -> Json | None:
    """Return one endpoint, judged, with the evidence around it; None when no listing has it."""
    for estate in snapshot.world.estates:
        known = last_known(estate.inventory.endpoints) or {}
        if endpoint_id in known:
            found = known[endpoint_id]
            diagnosis = by_id(snapshot.diagnoses).get((estate.scope, endpoint_id))
            return {
                **_glance(estate, found, _Around(estate)),
                **brief(diagnosis),
                "diagnosis": diagnosis and judged(diagnosis),
                **evidence(estate.inventory, found),
                "provider": _provider(snapshot.world, found),
                "rejected": _rejected(snapshot, estate, endpoint_id),
                "changes": changes.of_one(estate, found.id),
                "dials": _dials(estate, found),
            }
    return None


class _Around:
    """What is asked for each endpoint of an estate, gathered once for all of them."""

    def __init__(self, estate: Estate) -> None:
        self.lookups: dict[str, list[Lookup]] = {}
        for lookup in estate.lookups:
            self.lookups.setdefault(lookup.endpoint_id, []).append(lookup)
        self.flows = _flows(estate)
        self.covering = attribute.covering(estate.inventory)


def _glance(estate: Estate, endpoint: Endpoint, around: _Around) -> dict[str, Json]:
    lookups = around.lookups.get(endpoint.id, [])
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
        "aws_state": endpoint.aws_state,
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
                "reason": _not_judged(endpoint, name),
            }
            for name in endpoint.dns_names
            if endpoint.has_dns and name not in asked
        ],
        "flow_logs": around.flows.get(endpoint.id),
        "covering_flow_logs": part(
            estate.inventory.flow_logs,
            lambda _: [
                {
                    "id": f.id,
                    "traffic_type": f.traffic_type,
                    "destination": f.destination,
                    "delivers": f.delivers,
                    "delivery_error": f.delivery_error or None,
                    "readable": estate.reads(f),
                }
                for f in around.covering.get(endpoint.id, ())
            ],
        ),
        "flow_coverage": (
            dict(attribute.coverage(endpoint, estate.index, estate.reads))
            if estate.index and estate.report.number
            else None
        ),
    }


def _rejected(snapshot: Snapshot, estate: Estate, endpoint_id: str) -> Json:
    """Who was rejected most in the last hour; None where no flow log tells.

    A count may be too low by its `error` at most: 0 unless a great many were rejected.
    """
    (site,) = (site for site in snapshot.facts.sites if site.scope == estate.scope)
    found = site.traffic[endpoint_id].rejected
    return None if found is None else [_who(rejected) for rejected in found]


def _who(rejected: Rejected) -> Json:
    return {
        "source": plain(rejected.address),
        "port": rejected.port,
        "protocol": rejected.protocol,
        "side": rejected.side,
        "direction": rejected.direction or None,
        "packets": rejected.packets or None,
        "count": rejected.count,
        "error": rejected.error,
        "first_seen": rfc3339(rejected.first),
        "last_seen": rfc3339(rejected.last),
    }


def _dials(estate: Estate, endpoint: Endpoint) -> Json:
    """What came of connecting from here; None where that was not tried."""
    found = [
        {
            "address": str(dial.address),
            "port": dial.port,
            "tried_at": rfc3339(dial.at),
            "duration_seconds": round(dial.duration, 6),
            "problem": dial.problem,
            "local": dial.local,
            "sni": dial.name or None,
            "tls_problem": dial.tls_problem,
            "certificate": None
            if dial.not_after is None
            else {"names": list(dial.names), "not_after": rfc3339(dial.not_after)},
        }
        for dial in estate.dials
        if dial.endpoint_id == endpoint.id
    ]
    return found or None


def _not_judged(endpoint: Endpoint, name: DnsName) -> str:
    if name.kind == "private" and endpoint.private_dns_inbound_only:
        return "answered for inbound resolver endpoints alone; its VPC uses the gateway endpoint"
    return f"no resolver that answers for {endpoint.vpc_id} has been asked"


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


def _flows(estate: Estate) -> Mapping[str, Json]:
    """The committed counts, by endpoint; none where no flow log tells anything."""
    found: dict[str, dict[str, Json]] = {}
    for key, count in estate.report.counters.items():
        counts, name = found.setdefault(key.subject, {}), key.name.replace("flow_", "")
        if not key.label:
            counts[name] = count
        else:
            counts.setdefault(name, {})[key.label] = count
    return found
