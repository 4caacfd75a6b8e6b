"""Do flow logs tell of the endpoint's traffic, what is accepted and what is rejected?

https://docs.aws.amazon.com/vpc/latest/userguide/flow-logs.html
"""

from __future__ import annotations

from collections.abc import Iterable

from exporter.analysis.case import EndpointCase
from exporter.analysis.fixes import ec2
from exporter.analysis.judged import Judged, need, not_applicable, passed, unknown, warned
from exporter.model import ACTIONS, Action, FlowLog, Interface, partition_of

# Everything that is counted by, and what people look for.
FORMAT = " ".join(
    f"${{{name}}}"
    for name in (
        *("version", "account-id", "interface-id", "srcaddr", "dstaddr", "srcport", "dstport"),
        *("protocol", "packets", "bytes", "start", "end", "action", "log-status", "tcp-flags"),
        *("pkt-srcaddr", "pkt-dstaddr", "vpc-id", "subnet-id", "flow-direction", "reject-reason"),
    )
)
_READ_FROM = ("cloud-watch-logs", "s3")


def judge(case: EndpointCase) -> Judged:
    """Judge whether each interface's ACCEPT and REJECT is logged, delivered and read."""
    need(case.site.inventory.endpoints, "endpoints")
    need(case.site.inventory.flow_logs, "flow logs")
    endpoint, coverage = case.endpoint, case.traffic.coverage
    if not endpoint.interface_ids:
        return not_applicable("The endpoint has no interfaces.")
    if not coverage:
        why = case.site.blind.get("flow_logs", "no pass has ended yet")
        return unknown(f"Which flow logs are read is not known: {why}.", [endpoint.id])
    evidence = [
        *(f"{action}: {coverage.get(action, 0.0):.0%} of its interfaces" for action in ACTIONS),
        *(_told(case, flow_log) for flow_log in case.traffic.covering),
    ]
    ids = [flow_log.id for flow_log in case.traffic.covering]
    if all(coverage.get(action, 0.0) >= 1 for action in ACTIONS):
        return passed(
            f"What is accepted and rejected at every interface is logged and read, by "
            f"{', '.join(ids)}.",
            [endpoint.id, *ids],
            evidence,
        )
    return _partly(case, ids, evidence)


def _partly(case: EndpointCase, ids: list[str], evidence: list[str]) -> Judged:
    endpoint, covering = case.endpoint, case.traffic.covering
    lacking = [i for i in case.interfaces if not all(_tells(case, i, action) for action in ACTIONS)]
    bare = [i for i in lacking if not any(f.covers(i) for f in covering)]
    failing = [f for f in covering if not f.delivers]
    unread = [f for f in covering if f.delivers and f.id in case.traffic.unread]
    half = [f for f in covering if f.delivers and not all(f.logs(a) for a in ACTIONS)]
    fix = _create(case, lacking) if lacking else None
    if not covering:
        summary = "No flow log covers the endpoint: nothing tells what is rejected there."
    elif bare:
        some = f"{len(bare)} of its {len(case.interfaces)} interfaces"
        summary = f"No flow log covers {some}: {', '.join(i.id for i in bare)}."
    elif failing:
        why = failing[0].delivery_error or failing[0].status
        summary = f"The flow log {failing[0].id} cannot deliver: {why}."
        fix = _mend(case, failing[0], fix)
    elif unread:
        summary = f"The flow log {unread[0].id} is not read: {case.traffic.unread[unread[0].id]}."
        fix = fix if unread[0].destination_type not in _READ_FROM else _read(unread[0])
    elif half:
        only = half[0].traffic_type.upper()
        without = " and ".join(a for a in ACTIONS if not half[0].logs(a))
        summary = f"The flow log {half[0].id} has {only} alone: of {without} nothing is known."
    else:
        share = ", ".join(evidence[: len(ACTIONS)])
        summary = f"Not all of the endpoint's traffic is logged and read ({share})."
    return warned(summary, [*ids, endpoint.id], evidence, fix)


def _tells(case: EndpointCase, interface: Interface, action: Action) -> bool:
    return any(
        f.covers(interface) and f.delivers and f.logs(action) and f.id not in case.traffic.unread
        for f in case.traffic.covering
    )


def _told(case: EndpointCase, flow_log: FlowLog) -> str:
    where = f"to {flow_log.destination_type} {flow_log.destination}".rstrip()
    found = f"{flow_log.id} on {flow_log.resource_id}: {flow_log.traffic_type}, {where}"
    if not flow_log.delivers:
        return f"{found}: {flow_log.delivery_error or flow_log.delivery_status or flow_log.status}"
    why = case.traffic.unread.get(flow_log.id)
    return f"{found}: not read, {why}" if why else found


def _create(case: EndpointCase, interfaces: Iterable[Interface]) -> str | None:
    """Return the command that has these interfaces logged, to a log group of their own."""
    account, region = case.scope.account, case.scope.region
    ids = [interface.id for interface in interfaces]
    command = ec2(
        region,
        "create-flow-logs",
        *("--resource-type", "NetworkInterface"),
        *("--resource-ids", *ids),
        *("--traffic-type", "ALL", "--max-aggregation-interval", "60"),
        *("--log-destination-type", "cloud-watch-logs"),
        *("--log-group-name", f"flow-logs/{case.endpoint.id}"),
        *(
            "--deliver-logs-permission-arn",
            f"arn:{partition_of(region)}:iam::{account}:role/flow-logs",
        ),
        *("--log-format", FORMAT),
        ids=[case.endpoint.id, *ids],
    )
    return command and (
        f"{command}\n"
        "The role flow-logs is one that vpc-flow-logs.amazonaws.com may assume to write to the log "
        "group: docs/flow-logs.md. One flow log on the VPC covers later interfaces too."
    )


def _mend(case: EndpointCase, flow_log: FlowLog, create: str | None) -> str | None:
    """Return what to do about a delivery that fails; AWS tries again by itself."""
    if flow_log.delivery_error.lower() == "rate limited":
        return f"Let {flow_log.id} deliver to S3, which takes more."
    if flow_log.delivery_error.lower() != "access error":
        return create
    to = flow_log.destination or "its destination"
    what = (
        "the bucket's policy has to let delivery.logs.amazonaws.com write there"
        if flow_log.destination_type == "s3"
        else "its role has to be one that vpc-flow-logs.amazonaws.com may assume, with "
        "logs:CreateLogStream, logs:PutLogEvents, logs:DescribeLogGroups, logs:DescribeLogStreams"
    )
    mended = f"For {flow_log.id} to deliver to {to}, {what}."
    return f"{mended} Or log anew:\n{create}" if create else mended


def _read(flow_log: FlowLog) -> str:
    return (
        f"Let the exporter read {flow_log.destination}, by its role and its configuration: "
        "docs/flow-logs.md, What to do when."
    )
