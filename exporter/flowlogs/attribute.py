"""Whose is a record: which endpoint's interface, and which flow log speaks for it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

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

CLOUDWATCH = "cloud-watch-logs"


@dataclass(frozen=True, slots=True)
class Index:
    """Who owns which interface, and which flow log speaks for it; one for a whole batch.

    `as_of` is when the oldest of what it was made from was listed: a record that ended later has
    to wait for a later index. `chosen` has the flow log that speaks for an interface and action.
    """

    as_of: float
    endpoint_of: Mapping[str, str]
    chosen: Mapping[tuple[str, Action], FlowLog]
    flow_logs: Mapping[str, FlowLog]
    interfaces: Mapping[str, Interface] = field(default_factory=dict)


def layout(flow_log: FlowLog) -> Format | None:
    """Return the layout of a flow log's lines; None when they cannot be counted."""
    try:
        return from_log_format(flow_log.format)
    except UnusableFormat:
        return None


def readable(flow_log: FlowLog) -> bool:
    """Whether there is a source for the flow log's destination and a use for its lines."""
    return (
        flow_log.destination_type == CLOUDWATCH
        and bool(flow_log.destination)
        and layout(flow_log) is not None
    )


def choose(action: Action, flow_logs: Iterable[FlowLog]) -> FlowLog | None:
    """Return the one of an interface's flow logs that counts for an action; None without any.

    Overlapping flow logs (on the VPC, the subnet, the interface) each deliver every record. One
    that can be read and delivers goes before one that does not, then ALL before a single action,
    then the richest format, then the shortest aggregation; the id settles the rest, so that the
    choice does not change between passes.
    """

    def rank(flow_log: FlowLog) -> tuple[object, ...]:
        fields = layout(flow_log)
        return (
            not readable(flow_log),
            not flow_log.delivers,
            flow_log.traffic_type.upper() != "ALL",
            -len(fields.fields) if fields else 0,
            flow_log.aggregation,
            flow_log.id,
        )

    return min((f for f in flow_logs if f.logs(action)), key=rank, default=None)


def index(inventory: Inventory) -> Index | None:
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
    endpoint_of = {i: e.id for e in endpoints.value.values() for i in e.interface_ids}
    own = {i: interfaces.value[i] for i in endpoint_of if i in interfaces.value}
    logging = _by_resource(flow_logs.value.values())
    chosen: dict[tuple[str, Action], FlowLog] = {}
    for interface in own.values():
        candidates = _covering(interface, logging)
        for action in ACTIONS:
            flow_log = choose(action, candidates)
            if flow_log:
                chosen[interface.id, action] = flow_log
    return Index(
        min(endpoints.as_of, interfaces.as_of, flow_logs.as_of),
        endpoint_of,
        chosen,
        relevant(inventory),
        own,
    )


def relevant(inventory: Inventory) -> Mapping[str, FlowLog]:
    """Return the flow logs, last known, on an endpoint's interface, subnet or VPC."""
    return {f.id: f for logs in covering(inventory).values() for f in logs}


def covering(inventory: Inventory) -> Mapping[str, tuple[FlowLog, ...]]:
    """Return the flow logs, last known, on an interface of each endpoint, by its id."""
    interfaces = last_known(inventory.interfaces) or {}
    logging = _by_resource((last_known(inventory.flow_logs) or {}).values())
    found: dict[str, tuple[FlowLog, ...]] = {}
    for endpoint in (last_known(inventory.endpoints) or {}).values():
        own = {
            flow_log.id: flow_log
            for i in endpoint.interface_ids
            if i in interfaces
            for flow_log in _covering(interfaces[i], logging)
        }
        found[endpoint.id] = tuple(own[i] for i in sorted(own))
    return found


def _by_resource(flow_logs: Iterable[FlowLog]) -> Mapping[str, list[FlowLog]]:
    found: dict[str, list[FlowLog]] = {}
    for flow_log in flow_logs:
        found.setdefault(flow_log.resource_id, []).append(flow_log)
    return found


def _covering(
    interface: Interface, by_resource: Mapping[str, list[FlowLog]]
) -> tuple[FlowLog, ...]:
    """Return the flow logs that log an interface: by its own id, its subnet's or its VPC's."""
    return tuple(
        flow_log
        for resource in (interface.id, interface.subnet_id, interface.vpc_id)
        for flow_log in by_resource.get(resource, ())
    )


def coverage(endpoint: Endpoint, index: Index) -> Mapping[Action, float]:
    """Return the share of the endpoint's interfaces whose action is logged, delivered, readable.

    Nothing for an endpoint without interfaces, or with one that was not listed yet.
    """
    if not endpoint.interface_ids or any(i not in index.interfaces for i in endpoint.interface_ids):
        return {}

    def share(action: Action) -> float:
        chosen = (index.chosen.get((i, action)) for i in endpoint.interface_ids)
        good = sum(1 for f in chosen if f and f.delivers and readable(f))
        return good / len(endpoint.interface_ids)

    return {action: share(action) for action in ACTIONS}
