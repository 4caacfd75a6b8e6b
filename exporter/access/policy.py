"""IAM policies: what permits operations, restricted to resources as far as IAM can."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from string import Formatter
from typing import Any, TypeAlias

from exporter.access.operations import Grant, Operation
from exporter.flowlogs import attribute
from exporter.flowlogs.sources import s3
from exporter.model import FlowLog, Scope

# What fills the places of ARNs, by their names: each may have several values that go together.
Places: TypeAlias = tuple[Mapping[str, str], ...]

# For a policy of no account in particular. The names are for the reader to fill in.
NAMES: Places = (
    {
        "partition": "aws",
        "region": "*",
        "account": "*",
        "log_group": "YOUR-FLOW-LOG-GROUP",
        "bucket": "YOUR-BUCKET",
        "prefix": "",
        "workgroup": "YOUR-WORKGROUP",
        "database": "YOUR-DATABASE",
        "results_bucket": "YOUR-RESULTS",
        "results_prefix": "",
        "queue": "*:*:YOUR-QUEUE",
        "role": "arn:aws:iam::*:role/privatelink-exporter",
    },
)


def document(grants: Iterable[tuple[Grant, Places]]) -> dict[str, Any] | None:
    """Return a policy that permits all of them; None where there are none.

    What has the same resources shares a statement.
    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements.html
    """
    resources: dict[str, set[str]] = {}
    for grant, places in grants:
        resources.setdefault(grant.action, set()).update(_filled(grant.resource, places))
    statements: dict[tuple[str, ...], list[str]] = {}
    for action in sorted(resources):
        # What is permitted on everything is permitted on each.
        on = ("*",) if "*" in resources[action] else tuple(sorted(resources[action]))
        statements.setdefault(on, []).append(action)
    if not statements:
        return None
    return {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Action": actions, "Resource": on[0] if len(on) == 1 else [*on]}
            for on, actions in sorted(statements.items())
        ],
    }


def grants_of(operations: Iterable[Operation], places: Places) -> Iterable[tuple[Grant, Places]]:
    """Yield what operations need."""
    for operation in operations:
        for grant in (operation.grant, *operation.also):
            yield grant, places


def trust(principal: str, external_id: bool) -> dict[str, Any]:
    """Return the trust policy with which a role may be assumed.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_create_for-user_externalid.html
    """
    statement: dict[str, Any] = {
        "Effect": "Allow",
        "Principal": {"AWS": principal},
        "Action": "sts:AssumeRole",
    }
    if external_id:
        named = "THE-EXTERNAL-ID-OF-YOUR-CONFIGURATION"
        statement["Condition"] = {"StringEquals": {"sts:ExternalId": named}}
    return {"Version": "2012-10-17", "Statement": [statement]}


def places_of(
    scope: Scope, partition: str, flow_logs: Iterable[FlowLog], known: Mapping[str, str]
) -> Places:
    """Return what fills ARNs in a scope: `known`, and where its flow logs deliver to."""
    here = {"partition": partition, "region": scope.region or "*", "account": scope.account or "*"}
    here |= known
    return (here, *(here | _destination(flow_log) for flow_log in flow_logs))


def _destination(flow_log: FlowLog) -> dict[str, str]:
    if flow_log.destination_type == attribute.S3:
        bucket, prefix = s3.bucket_of(flow_log)
        return {"bucket": bucket, "prefix": prefix}
    return {"log_group": flow_log.destination} if flow_log.destination else {}


def _filled(resource: str, places: Places) -> set[str]:
    """Return the resources in all places that have the names; else with names to fill in."""
    wanted = {name for _, name, _, _ in Formatter().parse(resource) if name}
    fitting = [of for of in places if wanted <= of.keys()]
    if not fitting:
        fitting = [{**NAMES[0], **of} for of in places[:1]]
    return {resource.format_map(of) for of in fitting}
