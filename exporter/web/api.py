"""The World as JSON: what `/api/v1/` serves and the pages show."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from exporter.flowlogs import attribute, ingest
from exporter.model import Known, Lookup, Part, Unavailable, last_known
from exporter.publisher import Snapshot
from exporter.world import Estate, World

Json = Any


def rfc3339(seconds: float) -> str:
    """Return a moment as RFC 3339 has it, in UTC."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")


def endpoints(world: World) -> list[Json]:
    """Return every endpoint with its state, names, interfaces and flow-log counts."""
    return [found for estate in world.estates for found in _endpoints(estate)]


def _endpoints(estate: Estate) -> list[Json]:
    seen_now = isinstance(estate.inventory.endpoints, Known)
    interfaces = last_known(estate.inventory.interfaces) or {}
    vpcs = last_known(estate.inventory.vpcs) or {}
    lookups: dict[str, list[Lookup]] = {}
    for lookup in estate.lookups:
        lookups.setdefault(lookup.endpoint_id, []).append(lookup)
    found = []
    part = estate.inventory.endpoints
    listed = part if isinstance(part, Known) else part.last
    for endpoint in estate.endpoints():
        vpc = vpcs.get(endpoint.vpc_id)
        found.append(
            {
                "account": estate.scope.account,
                "region": estate.scope.region,
                "id": endpoint.id,
                "name": endpoint.name,
                "type": endpoint.type,
                "state": endpoint.state if seen_now else "unknown",
                "last_state": endpoint.state,
                "listed_at": rfc3339(listed.as_of) if listed else None,
                "last_error": endpoint.last_error,
                "failure_reason": endpoint.failure_reason,
                "service_name": endpoint.service_name,
                "service_region": endpoint.service_region or estate.scope.region,
                "vpc_id": endpoint.vpc_id,
                "vpc_dns_support": _attribute(vpc.dns_support) if vpc else None,
                "vpc_dns_hostnames": _attribute(vpc.dns_hostnames) if vpc else None,
                "private_dns_enabled": endpoint.private_dns_enabled,
                "security_group_ids": list(endpoint.security_group_ids),
                "tags": dict(endpoint.tags),
                "interfaces": [
                    {
                        "id": i,
                        "zone": interfaces[i].zone if i in interfaces else None,
                        "addresses": [str(a) for a in interfaces[i].addresses]
                        if i in interfaces
                        else None,
                    }
                    for i in endpoint.interface_ids
                ],
                "dns": [_lookup(x) for x in lookups.get(endpoint.id, ())],
                "flow_logs": _flows(estate, endpoint.id),
                "flow_coverage": dict(attribute.coverage(endpoint, estate.index))
                if estate.index
                else None,
            }
        )
    return found


def _attribute(part: Part[bool]) -> Json:
    return part.value if isinstance(part, Known) else {"unavailable": part.reason}


def _lookup(lookup: Lookup) -> Json:
    return {
        "name": lookup.name.name,
        "kind": lookup.name.kind,
        "resolver": lookup.resolver,
        "rcode": lookup.rcode,
        "answers": [str(a) for a in lookup.answers],
        "expected": None if lookup.expected is None else [str(a) for a in lookup.expected],
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


def status(snapshot: Snapshot) -> Json:
    """Return how the exporter itself does: collectors, flow-log sources, requests, build."""
    world = snapshot.world
    return {
        "generated_at": rfc3339(world.as_of),
        "version": world.version,
        "python_version": world.python_version,
        "ready": snapshot.ready,
        "waiting_for": list(snapshot.waiting_for),
        "store_ok": world.store_ok,
        "collectors": [
            {
                "collector": c.collector,
                "account": c.scope.account,
                "region": c.scope.region,
                "part": c.part,
                "up": c.up,
                "last_pass": rfc3339(c.ended),
                "duration_seconds": round(c.duration, 3),
                "last_success": None if c.last_success is None else rfc3339(c.last_success),
                "problems": dict(c.problems),
            }
            for c in world.collectors
        ],
        "flow_logs": [found for estate in world.estates for found in _flow_logs(estate)],
        "unavailable": [
            {
                "account": estate.scope.account,
                "region": estate.scope.region,
                "part": name,
                "reason": part.reason,
            }
            for estate in world.estates
            for name, part in estate.inventory.parts()
            if isinstance(part, Unavailable)
        ],
        "aws_requests": [
            {**key._asdict(), "count": count} for key, count in sorted(world.requests.items())
        ],
    }


def _flow_logs(estate: Estate) -> list[Json]:
    groups = {i: group for group in estate.report.groups.values() for i in group.flow_log_ids}
    found = []
    for flow_log in estate.flow_logs().values():
        group = groups.get(flow_log.id)
        newest = estate.report.newest_records.get(flow_log.id)
        found.append(
            {
                "account": estate.scope.account,
                "region": estate.scope.region,
                "id": flow_log.id,
                "resource_id": flow_log.resource_id,
                "traffic_type": flow_log.traffic_type,
                "destination_type": flow_log.destination_type,
                "destination": flow_log.destination,
                "readable": attribute.readable(flow_log),
                "delivers": flow_log.delivers,
                "delivery_error": flow_log.delivery_error or None,
                "newest_record": None if newest is None else rfc3339(newest),
                "read_to": rfc3339(group.read_to) if group and group.read_to else None,
                "problem": group.problem.reason if group and group.problem else None,
                "lines": {
                    key.label: count
                    for key, count in estate.report.counters.items()
                    if key.subject == flow_log.id and key.name == ingest.LINES
                },
            }
        )
    return found
