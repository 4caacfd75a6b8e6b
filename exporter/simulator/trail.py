"""CloudTrail: what is recorded of each change, and LookupEvents.

https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-record-contents.html
https://docs.aws.amazon.com/awscloudtrail/latest/APIReference/API_LookupEvents.html
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import NamedTuple

from exporter.simulator.listing import page
from exporter.simulator.state import Row, Where, World
from exporter.simulator.wire import AwsError

EC2 = "ec2.amazonaws.com"
ELB = "elasticloadbalancing.amazonaws.com"
# CloudTrail's event history goes back so far, in seconds.
HISTORY = 90 * 86400


class Actor(NamedTuple):
    """Who acted: a role, and the name of its session."""

    role: str
    session: str
    address: str = "198.51.100.20"


DEPLOY = Actor("deploy", "pipeline")
CLOCK = Actor("maintenance", "change-window")


def record(
    world: World,
    where: Where,
    name: str,
    request: Row | None,
    response: Row | None = None,
    *,
    actor: Actor = DEPLOY,
    source: str = EC2,
    error: tuple[str, str] | None = None,
    at: float | None = None,
    resources: Iterable[tuple[str, str]] = (),
) -> Row:
    """Record an event in the account's trail and return its row.

    `at` is in seconds since the epoch, now without it. `resources` are types and names.
    """
    when = datetime.fromtimestamp(int(time.time() if at is None else at), UTC)
    event_id = str(uuid.uuid4())
    access_key = "ASIAIOSFODNN7EXAMPLE"
    event = {
        "eventVersion": "1.10",
        "userIdentity": _identity(where.account, actor, access_key, when),
        "eventTime": when.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "eventSource": source,
        "eventName": name,
        "awsRegion": where.region,
        "sourceIPAddress": actor.address,
        "userAgent": "aws-cli/2.17.0",
        **({"errorCode": error[0], "errorMessage": error[1]} if error else {}),
        "requestParameters": request,
        "responseElements": None if error else response,
        "requestID": str(uuid.uuid4()),
        "eventID": event_id,
        "readOnly": False,
        "eventType": "AwsApiCall",
        "managementEvent": True,
        "recipientAccountId": where.account,
        "eventCategory": "Management",
    }
    row = {
        "EventId": event_id,
        "EventName": name,
        "ReadOnly": "false",
        "AccessKeyId": access_key,
        "EventTime": when,
        "EventSource": source,
        "Username": actor.session,
        "Resources": [{"ResourceType": t, "ResourceName": n} for t, n in resources],
        "CloudTrailEvent": json.dumps(event, separators=(",", ":")),
    }
    world.table("Events", *where).append(row)
    return row


def _identity(account: str, actor: Actor, access_key: str, when: datetime) -> Row:
    role_id = "AROAIOSFODNN7EXAMPLE"
    return {
        "type": "AssumedRole",
        "principalId": f"{role_id}:{actor.session}",
        "arn": f"arn:aws:sts::{account}:assumed-role/{actor.role}/{actor.session}",
        "accountId": account,
        "accessKeyId": access_key,
        "sessionContext": {
            "sessionIssuer": {
                "type": "Role",
                "principalId": role_id,
                "arn": f"arn:aws:iam::{account}:role/{actor.role}",
                "accountId": account,
                "userName": actor.role,
            },
            "attributes": {
                "creationDate": when.strftime("%Y-%m-%dT%H:00:00Z"),
                "mfaAuthenticated": "false",
            },
        },
    }


def lookup_events(world: World, where: Where, request: Row) -> Row:
    """Return a page of the account's events in that Region, the newest first."""
    now = time.time()
    begin = request.get("StartTime") or datetime.fromtimestamp(now - HISTORY, UTC)
    end = request.get("EndTime") or datetime.fromtimestamp(now + 1, UTC)
    if begin > end:
        raise AwsError("InvalidTimeRangeException", "The start time must be before the end time.")
    size = request.get("MaxResults", 50)
    if not 1 <= size <= 50:
        raise AwsError("InvalidMaxResultsException", "MaxResults must be between 1 and 50.")
    visible = now - world.trail_delay
    rows = [
        row
        for row in world.tables.get(where, {}).get("Events", ())
        if begin <= row["EventTime"] <= end and row["EventTime"].timestamp() <= visible
    ]
    rows.sort(key=lambda row: row["EventTime"].timestamp(), reverse=True)
    for attribute in _attributes(request):
        rows = [row for row in rows if attribute["AttributeValue"] in _values(row, attribute)]
    try:
        found, token = page(rows, request.get("NextToken"), size, 50, "LookupEvents")
    except AwsError as error:
        raise AwsError("InvalidNextTokenException", error.message) from None
    return {"Events": found, **({"NextToken": token} if token else {})}


def _attributes(request: Row) -> list[Row]:
    attributes: list[Row] = request.get("LookupAttributes") or []
    if len(attributes) > 1:
        raise AwsError(
            "InvalidLookupAttributesException", "Only one lookup attribute is allowed per request."
        )
    return attributes


def _values(row: Row, attribute: Row) -> list[str]:
    key = attribute["AttributeKey"]
    if key in ("ResourceType", "ResourceName"):
        return [resource[key] for resource in row["Resources"]]
    if key not in ("EventId", "EventName", "ReadOnly", "Username", "EventSource", "AccessKeyId"):
        raise AwsError("InvalidLookupAttributesException", f"{key} is no lookup attribute.")
    return [row[key]]
