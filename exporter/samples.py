"""World → samples. What is unknown has no sample: nothing here turns it into 0."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby

from exporter import metrics as m
from exporter.config import EndpointSettings, tag_label
from exporter.facts import Configured
from exporter.flowlogs import attribute, tally
from exporter.metrics import Metric, Sample
from exporter.model import (
    ENDPOINT_STATES,
    SERVICE_STATES,
    Diagnosis,
    EndpointService,
    Inventory,
    Known,
    Listener,
    Lookup,
    Status,
    Unavailable,
    Zones,
    by_port,
    judged,
    last_known,
    target_groups_of,
)
from exporter.world import CollectorStatus, Estate, World

_FLOW_COUNTERS = {
    tally.RECORDS: m.FLOW_RECORDS,
    tally.BYTES: m.FLOW_BYTES,
    tally.PACKETS: m.FLOW_PACKETS,
    tally.REJECTED_CONNECTIONS: m.FLOW_REJECTED_CONNECTIONS,
    tally.CLIENT_RECORDS: m.CLIENT_FLOW_RECORDS,
    tally.CLIENT_REJECTED: m.CLIENT_FLOW_REJECTED_CONNECTIONS,
}
_OF_KIND = {
    "endpoint": (m.ENDPOINT_HEALTHY, m.ENDPOINT_CHECKS, m.ENDPOINT_CHECK_PROBLEM),
    "service": (m.SERVICE_HEALTHY, m.SERVICE_CHECKS, m.SERVICE_CHECK_PROBLEM),
}
_PROBLEMS: tuple[Status, ...] = ("warn", "fail", "unknown")
# Which rejected records are recent, in seconds.
_RECENT = 900.0
# https://www.iana.org/assignments/protocol-numbers/
_OTHER = ("other", "other")
_UNSEEN: Unavailable[tuple[Listener, ...]] = Unavailable("not listed")
_PROTOCOLS = {1: "icmp", 6: "tcp", 17: "udp", 58: "icmpv6"}


def samples(world: World, diagnoses: Iterable[Diagnosis] = ()) -> Iterator[Sample]:
    """Yield every sample of the world and of what is judged of it, each series once."""
    tags = {tag_label(key): key for key in world.tag_labels}
    listeners = _listeners(world)
    for estate in world.estates:
        yield from _endpoints(estate, tags)
        yield from _dns(estate)
        yield from _connections(estate)
        yield from _flows(estate)
        yield from _rejects(estate, listeners, world.configured, world.as_of)
        yield from _flow_logs(estate, world.as_of)
        yield from _services(estate, tags)
        yield from _changes(estate)
    for diagnosis in diagnoses:
        yield from _judged(diagnosis)
    yield from _collectors(world.collectors)
    for key, count in sorted(world.requests.items()):
        yield m.AWS_REQUESTS(
            count,
            account=key.account,
            region=key.region,
            aws_service=key.service,
            operation=key.operation,
            outcome=key.outcome,
        )
    for (service, operation), dollars in sorted(world.costs.items()):
        yield m.AWS_COST(dollars, aws_service=service, operation=operation)
    yield m.STORE_OK(float(world.store_ok))
    yield m.CONFIG_LAST_RELOAD_SUCCESSFUL(float(world.reload_ok))
    yield m.BUILD_INFO(1, version=world.version, python_version=world.python_version)


def _endpoints(estate: Estate, tags: Mapping[str, str]) -> Iterator[Sample]:
    account, region = estate.scope.account, estate.scope.region
    seen_now = isinstance(estate.inventory.endpoints, Known)
    info = m.ENDPOINT_INFO.extended(tuple(tags))
    for endpoint in estate.endpoints():
        yield info(
            1,
            account=account,
            region=region,
            endpoint_id=endpoint.id,
            name=endpoint.name,
            vpc_id=endpoint.vpc_id,
            service_name=endpoint.service_name,
            service_region=endpoint.service_region or region,
            type=endpoint.type,
            **{label: endpoint.tags.get(key, "") for label, key in tags.items()},
        )
        current = endpoint.state if seen_now else "unknown"
        for state in ENDPOINT_STATES:
            yield m.ENDPOINT_STATE(
                float(state == current),
                account=account,
                region=region,
                endpoint_id=endpoint.id,
                state=state,
            )


def _judged(diagnosis: Diagnosis) -> Iterator[Sample]:
    """Yield what is judged of an endpoint or service; its health only where that is known."""
    healthy, checks, problem = _OF_KIND[diagnosis.kind]
    of = {
        "account": diagnosis.scope.account,
        "region": diagnosis.scope.region,
        f"{diagnosis.kind}_id": diagnosis.id,
    }
    if diagnosis.judged and diagnosis.verdict != "unknown":
        yield healthy(float(diagnosis.verdict == "pass"), **of)
    counts = Counter(finding.status for finding in diagnosis.checks)
    for status in ("pass", *_PROBLEMS):
        yield checks(counts[status], **of, status=status)
    # The provider's checks may have the names of the endpoint's own.
    found = {(f.check, f.status): None for f in diagnosis.checks if f.status in _PROBLEMS}
    for check, status in found:
        yield problem(1, **of, check=check, status=status)


def _dns(estate: Estate) -> Iterator[Sample]:
    account, region = estate.scope.account, estate.scope.region
    present = {endpoint.id for endpoint in estate.endpoints()}

    def kind(lookup: Lookup) -> tuple[str, str, str]:
        return lookup.endpoint_id, lookup.name.kind, lookup.resolver

    # Names of the services are no names of endpoints: they are there to be judged by.
    shown = (x for x in estate.lookups if x.name.kind != "service" and x.endpoint_id in present)
    current = sorted(shown, key=kind)
    for (endpoint_id, name_kind, resolver), found in groupby(current, kind):
        of_kind = list(found)

        def worst(
            metric: Metric,
            value: float,
            e: str = endpoint_id,
            k: str = name_kind,
            r: str = resolver,
        ) -> Sample:
            return metric(
                value, account=account, region=region, endpoint_id=e, name_kind=k, resolver=r
            )

        yield worst(m.DNS_LOOKUP_SUCCESS, float(all(x.success for x in of_kind)))
        yield worst(m.DNS_LOOKUP_DURATION, max(x.duration for x in of_kind))
        matches = {x.matches for x in of_kind}
        if False in matches or None not in matches:
            yield worst(m.DNS_ANSWERS_MATCH, float(False not in matches))
        for lookup in of_kind:
            if lookup.problem:
                yield m.DNS_NAME_PROBLEM(
                    1,
                    account=account,
                    region=region,
                    endpoint_id=endpoint_id,
                    name=lookup.name.name,
                    name_kind=name_kind,
                    resolver=resolver,
                    problem=lookup.problem,
                )


def _connections(estate: Estate) -> Iterator[Sample]:
    present = {endpoint.id for endpoint in estate.endpoints()}
    for dials in by_port(d for d in estate.dials if d.endpoint_id in present):
        of = {
            "account": estate.scope.account,
            "region": estate.scope.region,
            "endpoint_id": dials[0].endpoint_id,
            "port": str(dials[0].port),
        }
        told, blind = judged(dials)
        accepted = all(d.problem is None for d in told)
        if told and not (accepted and blind):
            yield m.CONNECT_SUCCESS(float(accepted), **of)
        ends = [d.not_after for d in dials if d.not_after is not None]
        if ends:
            yield m.CERTIFICATE_NOT_AFTER(min(ends), **of)


def _flows(estate: Estate) -> Iterator[Sample]:
    scope = {"account": estate.scope.account, "region": estate.scope.region}
    endpoints = {endpoint.id: endpoint for endpoint in estate.endpoints()}
    flow_logs = estate.flow_logs()
    for key, count in sorted(estate.report.counters.items()):
        if key.name == tally.LINES:
            if key.subject in flow_logs:
                yield m.FLOW_LOG_LINES(count, **scope, flow_log_id=key.subject, result=key.label)
        elif key.subject in endpoints:
            action = {"action": key.label} if key.label else {}
            yield _FLOW_COUNTERS[key.name](count, **scope, endpoint_id=key.subject, **action)
    if estate.index and estate.report.number:
        for endpoint in endpoints.values():
            for action_, share in attribute.coverage(endpoint, estate.index, estate.reads).items():
                yield m.FLOW_COVERAGE_RATIO(share, **scope, endpoint_id=endpoint.id, action=action_)


def _listeners(world: World) -> Mapping[str, frozenset[int]]:
    """The ports of each service's listeners, by the service's name, where they can be seen."""
    found: dict[str, frozenset[int]] = {}
    for estate in world.estates:
        for service in estate.services():
            ports = {
                listener.port
                for arn in service.load_balancer_arns
                for listener in last_known(estate.inventory.listeners.get(arn, _UNSEEN)) or ()
                if listener.port is not None
            }
            found[service.service_name] = frozenset(ports)
    return found


def _rejects(
    estate: Estate,
    listeners: Mapping[str, frozenset[int]],
    configured: Sequence[EndpointSettings],
    now: float,
) -> Iterator[Sample]:
    """Yield the recent rejects; a port that nobody is known to be served at is other."""
    scope = {"account": estate.scope.account, "region": estate.scope.region}
    endpoints = {endpoint.id: endpoint for endpoint in estate.endpoints()}
    noted = estate.report.noted
    accepted = {(p.endpoint_id, p.protocol, p.port) for p in noted.accepted}
    recent: Counter[tuple[str, str, str]] = Counter()
    by_id = Configured(configured)
    told = {i: by_id.expected(endpoint).ports for i, endpoint in endpoints.items()}
    for (endpoint_id, minute, protocol, port), count in noted.recent.items():
        if endpoint_id not in endpoints:
            continue
        service = endpoints[endpoint_id].service_name
        known = port in told[endpoint_id] or port in listeners.get(service, ())
        known = known or (endpoint_id, protocol, port) in accepted
        # AWS's own services are asked by HTTPS.
        known = known or (port == 443 and service.startswith(("com.amazonaws.", "aws.")))
        where = (str(port), _PROTOCOLS.get(protocol, str(protocol))) if known else _OTHER
        recent[endpoint_id, *where] += count if minute + 60 > now - _RECENT else 0
    for (endpoint_id, port_, protocol_), count in sorted(recent.items()):
        yield m.FLOW_REJECTS_RECENT(
            count, **scope, endpoint_id=endpoint_id, port=port_, protocol=protocol_
        )


def _flow_logs(estate: Estate, now: float) -> Iterator[Sample]:
    scope = {"account": estate.scope.account, "region": estate.scope.region}
    flow_logs = estate.flow_logs()
    judged = isinstance(estate.inventory.flow_logs, Known)
    for flow_log in flow_logs.values():
        yield m.FLOW_LOG_INFO(
            1,
            **scope,
            flow_log_id=flow_log.id,
            resource_id=flow_log.resource_id,
            traffic_type=flow_log.traffic_type,
            destination_type=flow_log.destination_type,
        )
        if judged:
            delivers = float(flow_log.delivers)
            yield m.FLOW_LOG_DELIVERY_OK(delivers, **scope, flow_log_id=flow_log.id)
        newest = estate.report.newest_records.get(flow_log.id)
        if newest is not None:
            yield m.FLOW_LOG_NEWEST_RECORD(newest, **scope, flow_log_id=flow_log.id)
    # Of two sources, while one takes over from the other, the one that is further behind tells.
    read_to: dict[str, float] = {}
    for source in estate.report.sources.values():
        for flow_log_id in source.flow_log_ids:
            if source.read_to is not None and flow_log_id in flow_logs:
                before = read_to.get(flow_log_id, source.read_to)
                read_to[flow_log_id] = min(before, source.read_to)
    for flow_log_id, moment in read_to.items():
        yield m.FLOW_LOG_BACKLOG(max(0.0, now - moment), **scope, flow_log_id=flow_log_id)


def _services(estate: Estate, tags: Mapping[str, str]) -> Iterator[Sample]:
    seen_now = isinstance(estate.inventory.services, Known)
    info = m.SERVICE_INFO.extended(tuple(tags))
    zones = Zones(estate.inventory)
    for service in estate.services():
        of = {
            "account": estate.scope.account,
            "region": estate.scope.region,
            "service_id": service.id,
        }
        yield info(
            1,
            **of,
            name=service.name,
            service_name=service.service_name,
            type=",".join(service.types),
            **{label: service.tags.get(key, "") for label, key in tags.items()},
        )
        current = service.state if seen_now else "unknown"
        for state in SERVICE_STATES:
            yield m.SERVICE_STATE(float(state == current), **of, state=state)
        listed = estate.inventory.covers("connections", {service.id})
        if listed and isinstance(estate.inventory.connections, Known):
            connections = [
                c for c in estate.inventory.connections.value.values() if c.service_id == service.id
            ]
            counts = Counter(c.state for c in connections)
            for state in ENDPOINT_STATES:
                yield m.SERVICE_CONNECTIONS(counts[state], **of, state=state)
            waiting = [
                c.created for c in connections if c.state == "pending_acceptance" and c.created
            ]
            if waiting:
                yield m.SERVICE_OLDEST_PENDING(min(waiting), **of)
        for (zone_id, state), count in sorted(_targets(service, estate.inventory, zones).items()):
            yield m.SERVICE_TARGETS(count, **of, availability_zone_id=zone_id, state=state)
        if seen_now and service.private_dns:
            yield m.SERVICE_PRIVATE_DNS_VERIFIED(float(service.private_dns.verified), **of)


def _targets(
    service: EndpointService, inventory: Inventory, zones: Zones
) -> Mapping[tuple[str, str], int]:
    """How many targets there are by zone and state; nothing unless all of them could be seen."""
    load_balancers, groups = inventory.load_balancers, inventory.target_groups
    if not isinstance(load_balancers, Known) or not isinstance(groups, Known):
        return {}
    arns = service.load_balancer_arns
    if not (inventory.covers("load_balancers", arns) and inventory.covers("target_groups", arns)):
        return {}
    found: Counter[tuple[str, str]] = Counter()
    for arn in service.load_balancer_arns:
        if arn in load_balancers.value:
            for zone_id in zones.of_load_balancer(load_balancers.value[arn]):
                found.update({(zone_id, "healthy"): 0, (zone_id, "unhealthy"): 0})
    for group in target_groups_of(service, inventory):
        health = inventory.target_health.get(group.id)
        if not isinstance(health, Known):
            return {}
        found.update((zones.of_target(t, group), t.state) for t in health.value)
    return found


def _changes(estate: Estate) -> Iterator[Sample]:
    scope = {"account": estate.scope.account, "region": estate.scope.region}
    for (event, outcome), count in sorted(estate.recorded.counts.items()):
        yield m.CHANGES(count, **scope, event=event, outcome=outcome)

    def last(subject: str) -> float | None:
        made = (change.at for change in estate.touched.get(subject, ()) if change.outcome == "ok")
        return next(made, None)

    for endpoint in estate.endpoints():
        if (at := last(endpoint.id)) is not None:
            yield m.LAST_CHANGE(at, **scope, endpoint_id=endpoint.id, service_id="")
    for service in estate.services():
        if (at := last(service.id)) is not None:
            yield m.LAST_CHANGE(at, **scope, endpoint_id="", service_id=service.id)


def _collectors(statuses: Iterable[CollectorStatus]) -> Iterator[Sample]:
    def which(status: CollectorStatus) -> tuple[str, str, str]:
        return status.collector, status.scope.account, status.scope.region

    for (collector, account, region), found in groupby(sorted(statuses, key=which), which):
        parts = list(found)

        def sample(
            metric: Metric, value: float, c: str = collector, a: str = account, r: str = region
        ) -> Sample:
            return metric(value, collector=c, account=a, region=r)

        yield sample(m.COLLECTOR_UP, float(all(part.up for part in parts)))
        yield sample(m.COLLECTOR_DURATION, max(part.duration for part in parts))
        successes = [part.last_success for part in parts]
        known = [success for success in successes if success is not None]
        if len(known) == len(parts):
            yield sample(m.COLLECTOR_LAST_SUCCESS, min(known))
