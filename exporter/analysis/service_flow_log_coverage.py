"""Do flow logs tell of the packets between the load balancers and the targets?

https://docs.aws.amazon.com/vpc/latest/userguide/flow-logs-limitations.html
"""

from __future__ import annotations

from exporter.analysis.case import ServiceCase
from exporter.analysis.judged import Judged, need, not_applicable, passed, unknown, warned
from exporter.analysis.phrases import some
from exporter.model import ACTIONS, Action, FlowLog, Interface


def judge(case: ServiceCase) -> Judged:
    """Judge which of the load balancers' interfaces have a flow log that delivers.

    What passes between an endpoint and a load balancer is never logged by AWS.
    """
    if case.consumer is not None:
        return not_applicable("The flow logs of the endpoint's own interfaces are judged.")
    behind = case.around.behind
    balancers = behind.balancers(case.service)
    interfaces = [i for balancer in balancers for i in behind.interfaces(balancer)]
    if not balancers:
        return not_applicable("The service has no load balancer.")
    if not interfaces:
        return unknown(
            f"No interface of the load balancer {some(b.name for b in balancers)} was listed.",
            [b.id for b in balancers],
        )
    ids = {x for i in interfaces for x in (i.id, i.subnet_id, i.vpc_id)}
    every = need(case.site.inventory.flow_logs, "flow logs").values()
    logs = [log for log in every if log.resource_id in ids]
    dark: dict[Interface, list[Action]] = {}
    for interface in interfaces:
        told = [log for log in logs if log.covers(interface) and log.delivers]
        missing = [a for a in ACTIONS if not any(log.logs(a) for log in told)]
        if missing:
            dark[interface] = missing
    evidence = [f"DescribeFlowLogs: {_describe(log)}" for log in logs[:5]]
    evidence += [f"{i.id} ({i.description}): no {' or '.join(m)}" for i, m in dark.items()][:5]
    if not dark:
        return passed(
            f"All {len(interfaces)} interfaces of the load balancers have a working flow log.",
            [log.id for log in logs],
            evidence,
        )
    actions = [a for a in ACTIONS if any(a in missing for missing in dark.values())]
    return warned(
        f"No working flow log tells of {' or '.join(actions)} at {len(dark)} of "
        f"{len(interfaces)} interfaces of the load balancers.",
        [*(i.id for i in dark), *(log.id for log in logs)],
        evidence,
        "VPC console > Network interfaces > "
        f"{some(i.id for i in dark)} > Flow logs > Create flow log: filter All.",
    )


def _describe(log: FlowLog) -> str:
    delivery = log.delivery_status or "no attempt yet"
    error = f", {log.delivery_error}" if log.delivery_error else ""
    return f"{log.id} on {log.resource_id} records {log.traffic_type}, delivery {delivery}{error}"
