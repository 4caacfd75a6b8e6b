"""Whose is a record: who owns which interface and address, and which flow log speaks for it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from exporter.flowlogs.formats import Format, UnusableFormat, from_log_format
from exporter.model import (
    ACTIONS,
    Action,
    Endpoint,
    FlowLog,
    Interface,
    Inventory,
    Known,
    last_known,
)

CLOUDWATCH, S3, INSIGHTS, ATHENA, AUTO = "cloudwatch", "s3", "insights", "athena", "auto"
# Which sources can read what a flow log delivers to a destination.
SOURCES = {"cloud-watch-logs": (CLOUDWATCH, INSIGHTS), "s3": (S3, ATHENA)}


@dataclass(frozen=True, slots=True)
class Allowed:
    """By which source the configuration lets flow logs be read: one, or auto for any.

    `named` says otherwise for a flow log by its id, a log group by its name, a bucket by its ARN
    as AWS has it, with a prefix where there is one.
    """

    source: str = AUTO
    named: Mapping[str, str] = field(default_factory=dict)

    def of(self, flow_log: FlowLog) -> str:
        """Return the source of a flow log; auto where it is left open."""
        for name in (flow_log.id, flow_log.destination, flow_log.destination.rstrip("/")):
            if name in self.named:
                return self.named[name]
        return self.source


ANY = Allowed()


class Place(NamedTuple):
    """Where an interface is: what decides which flow logs log it."""

    vpc_id: str
    subnet_id: str


class Lifetime(NamedTuple):
    """From when until when (seconds) an address was an endpoint's."""

    born: float
    until: float
    endpoint_id: str


class Own(NamedTuple):
    """An interface of an endpoint; `created` is when the endpoint was, 0 when that is not known."""

    endpoint_id: str
    place: Place
    addresses: tuple[str, ...]
    created: float = 0.0


# A flow log speaks for a resource (an interface, a subnet, a VPC) and an action.
Resource = tuple[str, Action]


@dataclass(frozen=True, slots=True)
class Index:
    """Who owns which interface and address, and which flow log speaks; one for a whole batch.

    `as_of` is when the oldest of what it was made from was listed: a record that ended later has
    to wait for a later index. `own` has the endpoints' interfaces, `places` every interface.
    `chosen` has the flow log that speaks for each VPC and subnet, and for each interface that has
    a flow log of its own. `addresses` are by VPC: CIDRs may overlap.
    """

    as_of: float
    own: Mapping[str, Own] = field(default_factory=dict)
    places: Mapping[str, Place] = field(default_factory=dict)
    chosen: Mapping[Resource, FlowLog] = field(default_factory=dict)
    flow_logs: Mapping[str, FlowLog] = field(default_factory=dict)
    vpc_of: Mapping[str, str] = field(default_factory=dict)
    addresses: Mapping[str, Mapping[str, tuple[Lifetime, ...]]] = field(default_factory=dict)

    def speaker(self, interface_id: str, action: Action) -> FlowLog | None:
        """Return the flow log that speaks for an interface and action now; None without any."""
        place = self.places.get(interface_id, Place("", ""))
        resources = (interface_id, place.subnet_id, place.vpc_id)
        found = (self.chosen.get((resource, action)) for resource in resources)
        return next((flow_log for flow_log in found if flow_log), None)


def layout(flow_log: FlowLog) -> Format | None:
    """Return the layout of a flow log's lines; None when they cannot be counted."""
    try:
        return from_log_format(flow_log.format)
    except UnusableFormat:
        return None


def unreadable(flow_log: FlowLog, allowed: Allowed = ANY) -> str | None:
    """Return why nothing can be counted of a flow log, in words; None when it can be read."""
    sources = SOURCES.get(flow_log.destination_type)
    if sources is None:
        return f"nothing reads what is delivered to {flow_log.destination_type or 'nowhere'}"
    source = allowed.of(flow_log)
    if source != AUTO and source not in sources:
        return f"the configuration allows {source} alone, which does not read {sources[0]}"
    if not flow_log.destination:
        return "AWS names no destination"
    try:
        from_log_format(flow_log.format)
    except UnusableFormat as error:
        return str(error)
    return None


def readable(flow_log: FlowLog, allowed: Allowed = ANY) -> bool:
    """Whether there is a source for the flow log's destination and a use for its lines."""
    return unreadable(flow_log, allowed) is None


def choose(action: Action, flow_logs: Iterable[FlowLog], allowed: Allowed = ANY) -> FlowLog | None:
    """Return the one of an interface's flow logs that counts for an action; None without any.

    Overlapping flow logs (on the VPC, the subnet, the interface) each deliver every record. One
    that can be read and delivers goes before one that does not, then ALL before a single action,
    then the richest format, then the shortest aggregation; the id settles the rest, so that the
    choice does not change between passes.
    """

    def rank(flow_log: FlowLog) -> tuple[object, ...]:
        fields = layout(flow_log)
        return (
            not readable(flow_log, allowed),
            not flow_log.delivers,
            flow_log.traffic_type.upper() != "ALL",
            -len(fields.fields) if fields else 0,
            flow_log.aggregation,
            flow_log.id,
        )

    return min((f for f in flow_logs if f.logs(action)), key=rank, default=None)


def index(inventory: Inventory, allowed: Allowed = ANY) -> Index | None:
    """Return the index of a settled inventory; None while a part that it needs is unknown."""
    endpoints, interfaces, flow_logs = (
        inventory.endpoints,
        inventory.interfaces,
        inventory.flow_logs,
    )
    if not (
        isinstance(endpoints, Known)
        and isinstance(interfaces, Known)
        and isinstance(flow_logs, Known)
    ):
        return None
    listed = interfaces.value
    own = {
        i: Own(e.id, _place(listed[i]), _addresses(listed[i]), e.created or 0.0)
        for e in endpoints.value.values()
        for i in e.interface_ids
        if i in listed
    }
    vpcs = {e.vpc_id for e in endpoints.value.values()}
    places = {i: _place(x) for i, x in listed.items() if x.vpc_id in vpcs}
    by_resource = _by_resource(flow_logs.value.values())
    vpc_of = _vpcs(inventory, vpcs)
    made = Index(
        min(endpoints.as_of, interfaces.as_of, flow_logs.as_of),
        own,
        places,
        dict(_chosen(places, vpcs, by_resource, allowed)),
        {f.id: f for f in flow_logs.value.values() if f.resource_id in vpc_of},
        {f.id: vpc_of[f.resource_id] for f in flow_logs.value.values() if f.resource_id in vpc_of},
    )
    return with_addresses(made, own, {})


def with_addresses(index: Index, own: Mapping[str, Own], lives: Mapping[str, Lifetime]) -> Index:
    """Return the index with these interfaces, and their addresses by VPC.

    `lives` has from when until when an interface was there; for ever where it is not in it.
    """
    found: dict[str, dict[str, tuple[Lifetime, ...]]] = {}
    for interface_id, interface in own.items():
        life = lives.get(interface_id, Lifetime(0.0, float("inf"), interface.endpoint_id))
        in_vpc = found.setdefault(interface.place.vpc_id, {})
        for address in interface.addresses:
            in_vpc[address] = (*in_vpc.get(address, ()), life)
    return Index(
        index.as_of,
        own,
        {**{i: x.place for i, x in own.items()}, **index.places},
        index.chosen,
        index.flow_logs,
        index.vpc_of,
        found,
    )


def _chosen(
    places: Mapping[str, Place],
    vpcs: Iterable[str],
    by_resource: Mapping[str, list[FlowLog]],
    allowed: Allowed,
) -> Iterator[tuple[Resource, FlowLog]]:
    chains: set[tuple[str, ...]] = {(vpc,) for vpc in vpcs}
    chains |= {(place.subnet_id, place.vpc_id) for place in places.values()}
    chains |= {(i, p.subnet_id, p.vpc_id) for i, p in places.items() if i in by_resource}
    for chain in chains:
        covering = [f for resource in chain for f in by_resource.get(resource, ())]
        for action in ACTIONS:
            flow_log = choose(action, covering, allowed)
            if flow_log:
                yield (chain[0], action), flow_log


def _vpcs(inventory: Inventory, vpcs: Iterable[str]) -> Mapping[str, str]:
    """Return the VPC of each resource that a flow log may be on, in the endpoints' VPCs."""
    wanted = set(vpcs)
    found = {vpc: vpc for vpc in wanted}
    for subnet in (last_known(inventory.subnets) or {}).values():
        found[subnet.id] = subnet.vpc_id
    for interface in (last_known(inventory.interfaces) or {}).values():
        found[interface.id] = found[interface.subnet_id] = interface.vpc_id
    return {resource: vpc for resource, vpc in found.items() if vpc in wanted}


def relevant(inventory: Inventory) -> Mapping[str, FlowLog]:
    """Return the flow logs, last known, on an endpoint's VPC, or on a subnet or interface in it.

    Those that do not log the endpoint itself log its clients.
    """
    endpoints = (last_known(inventory.endpoints) or {}).values()
    vpc_of = _vpcs(inventory, {e.vpc_id for e in endpoints})
    known = (last_known(inventory.flow_logs) or {}).values()
    return {f.id: f for f in known if f.resource_id in vpc_of}


def covering(inventory: Inventory) -> Mapping[str, tuple[FlowLog, ...]]:
    """Return the flow logs, last known, on an interface of each endpoint, by its id."""
    interfaces = last_known(inventory.interfaces) or {}
    by_resource = _by_resource((last_known(inventory.flow_logs) or {}).values())
    found: dict[str, tuple[FlowLog, ...]] = {}
    for endpoint in (last_known(inventory.endpoints) or {}).values():
        own = {
            flow_log.id: flow_log
            for i in endpoint.interface_ids
            if i in interfaces
            for resource in (i, *reversed(_place(interfaces[i])))
            for flow_log in by_resource.get(resource, ())
        }
        found[endpoint.id] = tuple(own[i] for i in sorted(own))
    return found


def _by_resource(flow_logs: Iterable[FlowLog]) -> Mapping[str, list[FlowLog]]:
    found: dict[str, list[FlowLog]] = {}
    for flow_log in flow_logs:
        found.setdefault(flow_log.resource_id, []).append(flow_log)
    return found


def _place(interface: Interface) -> Place:
    return Place(interface.vpc_id, interface.subnet_id)


def _addresses(interface: Interface) -> tuple[str, ...]:
    return tuple(str(address) for address in interface.addresses)


def coverage(
    endpoint: Endpoint, index: Index, read: Callable[[FlowLog], bool] = readable
) -> Mapping[Action, float]:
    """Return the share of the endpoint's interfaces whose action is logged, delivered and read.

    `read` says whether a flow log is.
    Nothing for an endpoint without interfaces, or with one that was not listed yet.
    """
    if not endpoint.interface_ids or any(i not in index.own for i in endpoint.interface_ids):
        return {}

    def share(action: Action) -> float:
        chosen = (index.speaker(i, action) for i in endpoint.interface_ids)
        good = sum(1 for f in chosen if f and f.delivers and read(f))
        return good / len(endpoint.interface_ids)

    return {action: share(action) for action in ACTIONS}
