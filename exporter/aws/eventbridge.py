"""CloudTrail events that EventBridge put into a queue, as such or through SNS.

https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-service-event-cloudtrail.html
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from exporter.aws.queues import opened

DETAIL_TYPE = "AWS API Call via CloudTrail"


def event_of(body: str) -> Mapping[str, Any]:
    """Return the CloudTrail event that a message brings; raises ValueError for what brings none."""
    try:
        found = opened(body, "detail")
        kind, event = found.get("detail-type"), found.get("detail")
    except (TypeError, ValueError, AttributeError, RecursionError) as error:
        raise ValueError(f"no event of EventBridge: {type(error).__name__}: {error}") from None
    if kind != DETAIL_TYPE or not isinstance(event, dict):
        raise ValueError(f"no event of CloudTrail, but {str(kind)[:60]!r}")
    return event
