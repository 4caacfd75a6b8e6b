"""CloudTrail's events and LookupEvents for the tests, by the field names of AWS's reference."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import ClientError

from exporter.model import Change, Scope

ACCOUNT = "222233334444"
SCOPE = Scope(ACCOUNT, "eu-west-1")
NOW = 1_760_000_000.0
EC2 = "ec2.amazonaws.com"
ELB = "elasticloadbalancing.amazonaws.com"
ROUTE53 = "route53.amazonaws.com"
ALICE = {
    "type": "AssumedRole",
    "principalId": "AROAIOSFODNN7EXAMPLE:alice",
    "arn": f"arn:aws:sts::{ACCOUNT}:assumed-role/deploy/alice",
    "accountId": ACCOUNT,
    "sessionContext": {
        "sessionIssuer": {
            "type": "Role",
            "arn": f"arn:aws:iam::{ACCOUNT}:role/deploy",
            "userName": "deploy",
        }
    },
}


def event(
    name: str = "RevokeSecurityGroupIngress",
    request: Any = None,
    response: Any = None,
    *,
    source: str = EC2,
    at: float = NOW,
    id_: str = "e1",
    **more: Any,
) -> dict[str, Any]:
    """Return an event's record."""
    return {
        "eventVersion": "1.10",
        "userIdentity": ALICE,
        "eventTime": f"{datetime.fromtimestamp(at, UTC):%Y-%m-%dT%H:%M:%SZ}",
        "eventSource": source,
        "eventName": name,
        "awsRegion": SCOPE.region,
        "sourceIPAddress": "198.51.100.31",
        "requestParameters": request,
        "responseElements": response,
        "eventID": id_,
        "readOnly": False,
        "recipientAccountId": ACCOUNT,
        "eventCategory": "Management",
        **more,
    }


def change(
    event: str = "RevokeSecurityGroupIngress",
    touched: str = "sg-0a1",
    at: float = NOW - 600,
    id_: str = "e1",
    **more: Any,
) -> Change:
    """Return a change as it is when it has been translated."""
    return Change(
        **{
            "id": id_,
            "scope": SCOPE,
            "at": at,
            "event": event,
            "source": EC2,
            "actor": "role/deploy (session alice)",
            "address": "198.51.100.31",
            "outcome": "ok",
            "resources": frozenset([touched]),
            "what": "revoked tcp 443 from 10.0.0.0/8",
            **more,
        }
    )


class CloudTrail:
    """LookupEvents over these events; `refusals` has the error codes of the next calls."""

    def __init__(self, *events: Mapping[str, Any]) -> None:
        self.events = list(events)
        self.refusals: list[str] = []
        self.asked: list[Mapping[str, Any]] = []

    def lookup_events(self, **asked: Any) -> Mapping[str, Any]:
        self.asked.append(asked)
        assert asked["LookupAttributes"] == [
            {"AttributeKey": "ReadOnly", "AttributeValue": "false"}
        ]
        assert asked["MaxResults"] <= 50
        assert asked["StartTime"] <= asked["EndTime"]
        if self.refusals:
            code = self.refusals.pop(0)
            if code:
                error = {"Code": code, "Message": "Rate exceeded"}
                status = {"HTTPStatusCode": 400}
                answer: Any = {"Error": error, "ResponseMetadata": status}
                raise ClientError(answer, "LookupEvents")
        rows = [row for row in map(_row, self.events) if row]
        rows = [r for r in rows if asked["StartTime"] <= r["EventTime"] <= asked["EndTime"]]
        rows.sort(key=lambda row: row["EventTime"].timestamp(), reverse=True)
        first = int(asked.get("NextToken", "0"))
        more = first + asked["MaxResults"]
        token = {"NextToken": str(more)} if more < len(rows) else {}
        return {"Events": rows[first:more], **token}


def _row(event: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "EventId": event["eventID"],
        "EventName": event["eventName"],
        "EventSource": event["eventSource"],
        "ReadOnly": "false",
        "EventTime": datetime.fromisoformat(event["eventTime"]),
        "CloudTrailEvent": event.get("raw") or json.dumps(event),
    }
