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


def choose(interface: Interface, action: Action, flow_logs: Iterable[FlowLog]) -> FlowLog | None:
    """Return the one flow log that counts for an interface and action; None without any.

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

    candidates = [f for f in flow_logs if f.covers(interface) and f.logs(action)]
    return min(candidates, key=rank, default=None)


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
    chosen = {
        (interface.id, action): flow_log
        for interface in interfaces.value.values()
        for action in ACTIONS
        if (flow_log := choose(interface, action, flow_logs.value.values()))
    }
    return Index(
        min(endpoints.as_of, interfaces.as_of, flow_logs.as_of),
        {i: e.id for e in endpoints.value.values() for i in e.interface_ids},
        chosen,
        relevant(inventory),
        interfaces.value,
    )


def relevant(inventory: Inventory) -> Mapping[str, FlowLog]:
    """Return the flow logs, last known, on an endpoint's interface, subnet or VPC."""
    interfaces = (last_known(inventory.interfaces) or {}).values()
    flow_logs = (last_known(inventory.flow_logs) or {}).values()
    return {f.id: f for f in flow_logs if any(f.covers(interface) for interface in interfaces)}


def coverage(endpoint: Endpoint, index: Index) -> Mapping[Action, float]:
    """Return the share of the endpoint's interfaces whose action is logged, delivered, readable.

    Nothing for an endpoint without interfaces.
    """
    if not endpoint.interface_ids:
        return {}

    def share(action: Action) -> float:
        chosen = (index.chosen.get((i, action)) for i in endpoint.interface_ids)
        good = sum(1 for f in chosen if f and f.delivers and readable(f))
        return good / len(endpoint.interface_ids)

    return {action: share(action) for action in ACTIONS}
