"""Flow logs come and go.

https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateFlowLogs.html
"""

from __future__ import annotations

import re
import uuid
from datetime import UTC, datetime

from moto.logs import logs_backends

from exporter.flowlogs.formats import DEFAULT
from exporter.simulator.changes.outcome import Outcome, nested, refused, refused_told, tagged
from exporter.simulator.state import Row, Where, World
from exporter.simulator.wire import AwsError

_RESOURCES = {
    "VPC": ("Vpcs", "VpcId", "InvalidVpcID.NotFound"),
    "Subnet": ("Subnets", "SubnetId", "InvalidSubnetID.NotFound"),
    "NetworkInterface": (
        "NetworkInterfaces",
        "NetworkInterfaceId",
        "InvalidNetworkInterfaceID.NotFound",
    ),
}
_ROLE = re.compile(r"arn:aws[a-z-]*:iam::\d{12}:role/.+")
_FIELD = re.compile(r"\$\{[a-z][a-z0-9-]*\}(?: \$\{[a-z][a-z0-9-]*\})*")
# What makes two flow logs of a resource the same.
_SAME = ("ResourceId", "TrafficType", "LogDestination")


def create(world: World, where: Where, request: Row) -> Outcome:
    """Add a flow log to each resource; those that have it, or are not there, are told of."""
    common = _checked(world, where, request)
    table, key, code = _RESOURCES[request["ResourceType"]]
    known = {row[key] for row in world.tables.get(where, {}).get(table, ())}
    flow_logs = world.table("FlowLogs", *where)
    ids, unsuccessful = [], []
    for name in request["ResourceIds"]:
        row: Row = {"FlowLogId": f"fl-{uuid.uuid4().hex[:17]}", "ResourceId": name, **common}
        if name not in known:
            unsuccessful.append(refused(name, code, f"The ID '{name}' does not exist"))
        elif any(all(one[k] == row[k] for k in _SAME) for one in flow_logs):
            why = "There is an existing Flow Log with the same configuration and log destination."
            unsuccessful.append(refused(name, "FlowLogAlreadyExists", why))
        else:
            flow_logs.append(row)
            ids.append(row["FlowLogId"])
    told = {"clientToken": str(uuid.uuid4()), "unsuccessful": refused_told(unsuccessful)}
    told["flowLogIdSet"] = {"item": tagged(ids)} if ids else ""
    answer = {"FlowLogIds": ids, "Unsuccessful": unsuccessful}
    return Outcome(answer, nested("CreateFlowLogs", **told))


def delete(world: World, where: Where, request: Row) -> Outcome:
    """Delete flow logs."""
    flow_logs = world.table("FlowLogs", *where)
    known = {row["FlowLogId"]: row for row in flow_logs}
    unsuccessful = []
    for name in request["FlowLogIds"]:
        if name in known:
            flow_logs.remove(known[name])
        else:
            why = f"These flow log ids in the input list are not found: [{name}]"
            unsuccessful.append(refused(name, "InvalidFlowLogId.NotFound", why))
    told = nested("DeleteFlowLogs", unsuccessful=refused_told(unsuccessful))
    return Outcome({"Unsuccessful": unsuccessful}, told)


def _checked(world: World, where: Where, request: Row) -> Row:
    """Return what the flow logs have in common; raises AwsError for what AWS would not take."""
    if request.get("TrafficType") not in ("ALL", "ACCEPT", "REJECT"):
        raise AwsError("InvalidParameter", "TrafficType must be one of ACCEPT, REJECT, ALL.")
    interval = request.get("MaxAggregationInterval", 600)
    if interval not in (60, 600):
        raise AwsError("InvalidParameter", "MaxAggregationInterval must be 60 or 600.")
    log_format = request.get("LogFormat", DEFAULT)
    if not _FIELD.fullmatch(log_format):
        raise AwsError("InvalidParameter", "LogFormat is not valid.")
    if request.get("LogDestinationType", "cloud-watch-logs") == "s3":
        destination = _to_bucket(world, request)
    else:
        destination = _to_group(world, where, request)
    return {
        "FlowLogStatus": "ACTIVE",
        "TrafficType": request["TrafficType"],
        **destination,
        "LogFormat": log_format,
        "MaxAggregationInterval": interval,
        "DeliverLogsStatus": "SUCCESS",
        "CreationTime": datetime.now(UTC).replace(microsecond=0),
        "Tags": [],
    }


def _to_group(world: World, where: Where, request: Row) -> Row:
    """AWS makes a log group that is not there."""
    group, role = request.get("LogGroupName"), request.get("DeliverLogsPermissionArn", "")
    if not group:
        raise AwsError("MissingParameter", "The request must contain the parameter LogGroupName")
    if not _ROLE.fullmatch(role):
        raise AwsError("InvalidParameter", f"DeliverLogsPermissionArn {role} is not a role's ARN.")
    groups = world.log_groups.setdefault(where, [])
    if group not in groups:
        groups.append(group)
        backend = logs_backends[where.account][where.region]
        if group not in backend.groups:
            backend.create_log_group(group, {})
    return {
        "LogDestinationType": "cloud-watch-logs",
        "LogGroupName": group,
        "LogDestination": f"arn:aws:logs:{where.region}:{where.account}:log-group:{group}",
        "DeliverLogsPermissionArn": role,
    }


def _to_bucket(world: World, request: Row) -> Row:
    destination = request.get("LogDestination", "")
    bucket = destination.removeprefix("arn:aws:s3:::").partition("/")[0]
    if not any(bucket in buckets for buckets in world.buckets.values()):
        raise AwsError("InvalidParameter", f"LogDestination: {destination} does not exist")
    options = {
        "FileFormat": "plain-text",
        "HiveCompatiblePartitions": False,
        "PerHourPartition": False,
    }
    return {
        "LogDestinationType": "s3",
        "LogDestination": destination,
        "DestinationOptions": options | request.get("DestinationOptions", {}),
    }
