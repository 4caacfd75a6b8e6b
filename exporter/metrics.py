"""Every metric, once: name, type, labels, help.

A metric is an object. Calling it builds a sample and demands exactly its labels, so a name or a
label that does not exist fails where it is written. No other module spells a metric name.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, NamedTuple


class Sample(NamedTuple):
    """One series' value; `labels` are the label values in the order of `metric.labels`."""

    metric: Metric
    labels: tuple[str, ...]
    value: float


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric's definition; call it with a value and its labels for a sample."""

    name: str
    type: Literal["gauge", "counter"]
    labels: tuple[str, ...]
    help: str

    def __call__(self, value: float, **labels: str) -> Sample:
        """Return a sample; raises TypeError unless exactly the metric's labels are given."""
        if len(labels) != len(self.labels) or any(name not in labels for name in self.labels):
            raise TypeError(f"{self.name} takes the labels {self.labels}, not {tuple(labels)}")
        return Sample(self, tuple(labels[name] for name in self.labels), value)

    def extended(self, labels: tuple[str, ...]) -> Metric:
        """Return the metric with further labels, as the configuration asks for."""
        return replace(self, labels=(*self.labels, *labels)) if labels else self


_SCOPE = ("account", "region")
_ENDPOINT = (*_SCOPE, "endpoint_id")
_SERVICE = (*_SCOPE, "service_id")
_FLOW_LOG = (*_SCOPE, "flow_log_id")
_NAMES = (*_ENDPOINT, "name_kind", "resolver")
_PROBLEM = ("check", "status")

ENDPOINT_INFO = Metric(
    "privatelink_endpoint_info",
    "gauge",
    (*_ENDPOINT, "name", "vpc_id", "service_name", "service_region", "type"),
    "A VPC endpoint, its name, VPC, service and type, and the tags that are configured as tag_*; "
    "always 1.",
)
ENDPOINT_STATE = Metric(
    "privatelink_endpoint_state",
    "gauge",
    (*_ENDPOINT, "state"),
    "1 for the state that the endpoint is in, 0 for the others; unknown when it could not be seen.",
)
ENDPOINT_HEALTHY = Metric(
    "privatelink_endpoint_healthy",
    "gauge",
    _ENDPOINT,
    "1 when no check of the endpoint fails, 0 when one does; absent while none fails and one "
    "cannot be judged, and while the endpoint is being deleted.",
)
ENDPOINT_CHECKS = Metric(
    "privatelink_endpoint_checks",
    "gauge",
    (*_ENDPOINT, "status"),
    "How many checks of the endpoint have a status: pass, warn, fail, unknown.",
)
ENDPOINT_CHECK_PROBLEM = Metric(
    "privatelink_endpoint_check_problem",
    "gauge",
    (*_ENDPOINT, *_PROBLEM),
    "1 while a check of the endpoint, or of its provider's service, has the status warn, fail or "
    "unknown.",
)

DNS_LOOKUP_SUCCESS = Metric(
    "privatelink_dns_lookup_success",
    "gauge",
    _NAMES,
    "1 when every name of this kind was answered with addresses, else 0.",
)
DNS_ANSWERS_MATCH = Metric(
    "privatelink_dns_answers_match",
    "gauge",
    _NAMES,
    "1 when every name of this kind has answers and all of them are the endpoint's own addresses, "
    "else 0; absent while the endpoint's addresses are unknown.",
)
DNS_LOOKUP_DURATION = Metric(
    "privatelink_dns_lookup_duration_seconds",
    "gauge",
    _NAMES,
    "How long the slowest name of this kind took to be answered.",
)
DNS_NAME_PROBLEM = Metric(
    "privatelink_dns_name_problem",
    "gauge",
    (*_ENDPOINT, "name", "name_kind", "resolver", "problem"),
    "1 while a name does not resolve to the endpoint: nxdomain, servfail, refused, timeout, "
    "no_answer, public_address or foreign_address.",
)

CONNECT_SUCCESS = Metric(
    "privatelink_connect_success",
    "gauge",
    (*_ENDPOINT, "port"),
    "1 when every address of the endpoint accepts TCP connections from this host at the port, "
    "else 0; absent where this host is in no position to judge or could not try.",
)
CERTIFICATE_NOT_AFTER = Metric(
    "privatelink_certificate_not_after_timestamp_seconds",
    "gauge",
    (*_ENDPOINT, "port"),
    "When the certificate that the endpoint shows at the port expires, the earliest of its "
    "addresses.",
)

FLOW_RECORDS = Metric(
    "privatelink_flow_records_total",
    "counter",
    (*_ENDPOINT, "action"),
    "Flow-log records at the endpoint's own interfaces, both directions; absent where no flow log "
    "tells.",
)
FLOW_BYTES = Metric(
    "privatelink_flow_bytes_total",
    "counter",
    (*_ENDPOINT, "action"),
    "Bytes in flow-log records at the endpoint's own interfaces, both directions.",
)
FLOW_PACKETS = Metric(
    "privatelink_flow_packets_total",
    "counter",
    (*_ENDPOINT, "action"),
    "Packets in flow-log records at the endpoint's own interfaces, both directions.",
)
FLOW_REJECTED_CONNECTIONS = Metric(
    "privatelink_flow_rejected_connections_total",
    "counter",
    _ENDPOINT,
    "Rejected records that carry a SYN without an ACK: connections that were refused, not packets "
    "that came late. Only where the flow log's format has tcp-flags.",
)
CLIENT_FLOW_RECORDS = Metric(
    "privatelink_client_flow_records_total",
    "counter",
    (*_ENDPOINT, "action"),
    "Flow-log records at other interfaces of the endpoint's VPC whose peer is the endpoint, both "
    "directions; absent unless a flow log covers the clients' side.",
)
CLIENT_FLOW_REJECTED_CONNECTIONS = Metric(
    "privatelink_client_flow_rejected_connections_total",
    "counter",
    _ENDPOINT,
    "Rejected records on the clients' side that carry a SYN without an ACK. Only where the flow "
    "log's format has tcp-flags.",
)
FLOW_REJECTS_RECENT = Metric(
    "privatelink_flow_rejects_recent",
    "gauge",
    (*_ENDPOINT, "port", "protocol"),
    "Rejected records at the endpoint's own interfaces that ended in the last 15 minutes, by the "
    "port on the endpoint's side where it is configured, a listener's or has accepted, else other; "
    "absent for a port that nobody was rejected at in the last hour.",
)
FLOW_COVERAGE_RATIO = Metric(
    "privatelink_flow_coverage_ratio",
    "gauge",
    (*_ENDPOINT, "action"),
    "Share (0 to 1) of the endpoint's interfaces whose ACCEPT or REJECT records are logged, "
    "delivered and readable by this exporter.",
)
FLOW_LOG_INFO = Metric(
    "privatelink_flow_log_info",
    "gauge",
    (*_FLOW_LOG, "resource_id", "traffic_type", "destination_type"),
    "A flow log on an endpoint's interface, subnet or VPC; always 1.",
)
FLOW_LOG_DELIVERY_OK = Metric(
    "privatelink_flow_log_delivery_ok",
    "gauge",
    _FLOW_LOG,
    "0 when AWS says that the flow log is not active or its delivery fails, else 1.",
)
FLOW_LOG_NEWEST_RECORD = Metric(
    "privatelink_flow_log_newest_record_timestamp_seconds",
    "gauge",
    _FLOW_LOG,
    "End of the newest record read from the flow log, NODATA records too.",
)
FLOW_LOG_BACKLOG = Metric(
    "privatelink_flow_log_backlog_seconds",
    "gauge",
    _FLOW_LOG,
    "How far reading is behind: age of the newest moment up to which every record that has been "
    "delivered is counted.",
)
FLOW_LOG_LINES = Metric(
    "privatelink_flow_log_lines_total",
    "counter",
    (*_FLOW_LOG, "result"),
    "Lines delivered by the flow log, by fate: counted, other (not PrivateLink), before_start, "
    "no_data, skip_data, malformed, duplicate (delivered twice), late (after the look-back).",
)

SERVICE_INFO = Metric(
    "privatelink_service_info",
    "gauge",
    (*_SERVICE, "name", "service_name", "type"),
    "An endpoint service of this account, its name and type, and the tags that are configured as "
    "tag_*; always 1.",
)
SERVICE_STATE = Metric(
    "privatelink_service_state",
    "gauge",
    (*_SERVICE, "state"),
    "1 for the state that the service is in, 0 for the others; unknown when it could not be seen.",
)
SERVICE_HEALTHY = Metric(
    "privatelink_service_healthy",
    "gauge",
    _SERVICE,
    "1 when no check of the service fails, 0 when one does; absent while none fails and one "
    "cannot be judged, and while the service is being deleted.",
)
SERVICE_CHECKS = Metric(
    "privatelink_service_checks",
    "gauge",
    (*_SERVICE, "status"),
    "How many checks of the service have a status: pass, warn, fail, unknown.",
)
SERVICE_CHECK_PROBLEM = Metric(
    "privatelink_service_check_problem",
    "gauge",
    (*_SERVICE, *_PROBLEM),
    "1 while a check of the service has the status warn, fail or unknown.",
)
SERVICE_CONNECTIONS = Metric(
    "privatelink_service_connections",
    "gauge",
    (*_SERVICE, "state"),
    "How many endpoints of consumers are connected to the service, by the connection's state; "
    "absent while that cannot be seen.",
)
SERVICE_OLDEST_PENDING = Metric(
    "privatelink_service_oldest_pending_connection_timestamp_seconds",
    "gauge",
    _SERVICE,
    "When the connection that has waited longest for acceptance was requested; absent when none "
    "waits.",
)
SERVICE_TARGETS = Metric(
    "privatelink_service_targets",
    "gauge",
    (*_SERVICE, "availability_zone_id", "state"),
    "How many targets behind the service's load balancers are in a state, by zone (unknown where "
    "AWS does not say); healthy and unhealthy are there for every zone of the load balancers, "
    "other states while a target is in them; absent while the health cannot be seen.",
)
SERVICE_PRIVATE_DNS_VERIFIED = Metric(
    "privatelink_service_private_dns_verified",
    "gauge",
    _SERVICE,
    "1 when the domain of the service's private name is verified, else 0; absent without such a "
    "name.",
)

COLLECTOR_UP = Metric(
    "privatelink_collector_up",
    "gauge",
    ("collector", *_SCOPE),
    "1 when the collector's last pass saw everything it should, else 0.",
)
COLLECTOR_DURATION = Metric(
    "privatelink_collector_duration_seconds",
    "gauge",
    ("collector", *_SCOPE),
    "How long the collector's last pass took.",
)
COLLECTOR_LAST_SUCCESS = Metric(
    "privatelink_collector_last_success_timestamp_seconds",
    "gauge",
    ("collector", *_SCOPE),
    "When the collector's last pass that saw everything ended; absent before the first.",
)
AWS_REQUESTS = Metric(
    "privatelink_aws_requests_total",
    "counter",
    (*_SCOPE, "aws_service", "operation", "outcome"),
    "Requests sent to AWS, each retry too, by outcome: ok, throttled, denied, error.",
)
AWS_COST = Metric(
    "privatelink_aws_cost_dollars_total",
    "counter",
    ("aws_service", "operation"),
    "What requests and queries that AWS bills have cost, in dollars; an estimate by list prices.",
)
STORE_OK = Metric(
    "privatelink_store_ok",
    "gauge",
    (),
    "0 when the last write to the store of counters failed, else 1.",
)
CONFIG_LAST_RELOAD_SUCCESSFUL = Metric(
    "privatelink_exporter_config_last_reload_successful",
    "gauge",
    (),
    "0 when the configuration or the web configuration was last read with errors, so that an older "
    "one is in force, else 1.",
)
BUILD_INFO = Metric(
    "privatelink_exporter_build_info",
    "gauge",
    ("version", "python_version"),
    "The exporter's version and Python's; always 1.",
)

CHANGES = Metric(
    "privatelink_changes_total",
    "counter",
    (*_SCOPE, "event", "outcome"),
    "Changes of what PrivateLink depends on, by CloudTrail's event and outcome (ok, denied, error) "
    "since the exporter began.",
)
LAST_CHANGE = Metric(
    "privatelink_last_change_timestamp_seconds",
    "gauge",
    (*_SCOPE, "endpoint_id", "service_id"),
    "When the last change was made that touches the endpoint or the service; absent without one in "
    "24 hours. The label of the other kind is empty.",
)

CATALOGUE: tuple[Metric, ...] = (
    ENDPOINT_INFO,
    ENDPOINT_STATE,
    ENDPOINT_HEALTHY,
    ENDPOINT_CHECKS,
    ENDPOINT_CHECK_PROBLEM,
    DNS_LOOKUP_SUCCESS,
    DNS_ANSWERS_MATCH,
    DNS_LOOKUP_DURATION,
    DNS_NAME_PROBLEM,
    CONNECT_SUCCESS,
    CERTIFICATE_NOT_AFTER,
    FLOW_RECORDS,
    FLOW_BYTES,
    FLOW_PACKETS,
    FLOW_REJECTED_CONNECTIONS,
    CLIENT_FLOW_RECORDS,
    CLIENT_FLOW_REJECTED_CONNECTIONS,
    FLOW_REJECTS_RECENT,
    FLOW_COVERAGE_RATIO,
    FLOW_LOG_INFO,
    FLOW_LOG_DELIVERY_OK,
    FLOW_LOG_NEWEST_RECORD,
    FLOW_LOG_BACKLOG,
    FLOW_LOG_LINES,
    SERVICE_INFO,
    SERVICE_STATE,
    SERVICE_HEALTHY,
    SERVICE_CHECKS,
    SERVICE_CHECK_PROBLEM,
    SERVICE_CONNECTIONS,
    SERVICE_OLDEST_PENDING,
    SERVICE_TARGETS,
    SERVICE_PRIVATE_DNS_VERIFIED,
    CHANGES,
    LAST_CHANGE,
    COLLECTOR_UP,
    COLLECTOR_DURATION,
    COLLECTOR_LAST_SUCCESS,
    AWS_REQUESTS,
    AWS_COST,
    STORE_OK,
    CONFIG_LAST_RELOAD_SUCCESSFUL,
    BUILD_INFO,
)


def markdown_table() -> str:
    """Return the catalogue as a Markdown table: metric, type, labels, meaning."""
    rows = ["| metric | type | labels | meaning |", "|---|---|---|---|"]
    for metric in CATALOGUE:
        labels = ", ".join(f"`{label}`" for label in metric.labels)
        rows.append(f"| `{metric.name}` | {metric.type} | {labels} | {metric.help} |")
    return "\n".join(rows) + "\n"
