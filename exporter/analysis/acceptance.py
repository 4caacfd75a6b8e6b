"""Does a consumer wait to be accepted?

https://docs.aws.amazon.com/vpc/latest/privatelink/configure-endpoint-service.html#accept-reject-connection-requests
"""

from __future__ import annotations

from exporter.analysis.case import ServiceCase
from exporter.analysis.commands import at_provider, aws
from exporter.analysis.judged import Judged, Unseen, not_applicable, passed, warned
from exporter.analysis.phrases import age
from exporter.model import Connection

# How many connections a finding names, and a command accepts.
_MOST = 20


def judge(case: ServiceCase) -> Judged:
    """Judge the connections that wait; a consumer's own is told of by the state of its endpoint."""
    service = case.service
    if case.consumer is not None:
        return not_applicable("Whether it is accepted is told by the state of the endpoint.")
    try:
        connections = case.around.behind.connections(service)
    except Unseen:
        if service.acceptance_required:
            raise
        # Only those from before that was so could wait.
        return passed("The service accepts every connection by itself.", [service.id])
    waiting = sorted(
        (c for c in connections if c.state == "pending_acceptance"),
        key=lambda c: (case.now if c.created is None else c.created, c.endpoint_id),
    )
    if not waiting:
        return passed(
            "No connection waits to be accepted."
            if service.acceptance_required
            else "The service accepts every connection by itself.",
            [service.id],
        )
    named = waiting[:_MOST]
    return warned(
        f"{_who(waiting, case.now)} to be accepted by {service.id}.",
        [service.id, *(c.endpoint_id for c in named)],
        [
            f"DescribeVpcEndpointConnections: {c.endpoint_id} of account {c.owner} is "
            f"pendingAcceptance{_since(c, case.now)}"
            for c in named
        ],
        at_provider(
            case,
            aws(
                case.scope,
                "ec2 accept-vpc-endpoint-connections",
                "--service-id",
                service.id,
                "--vpc-endpoint-ids",
                *(c.endpoint_id for c in named),
            ),
            before="Leave out those that are not meant to connect:",
        ),
    )


def _who(waiting: list[Connection], now: float) -> str:
    first = waiting[0]
    if len(waiting) == 1:
        return f"{first.endpoint_id} of account {first.owner} has waited{_since(first, now)}"
    return (
        f"{len(waiting)} endpoints wait, {first.endpoint_id} of account {first.owner} has "
        f"waited{_since(first, now)},"
    )


def _since(connection: Connection, now: float) -> str:
    created = connection.created
    return "" if created is None else f" for {age(now - created)}"
