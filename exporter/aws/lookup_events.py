"""CloudTrail's LookupEvents: one page of what was changed, the newest first.

AWS allows two calls a second per account and Region, to all who ask there. An event can be found
about five minutes after it happened.
https://docs.aws.amazon.com/awscloudtrail/latest/APIReference/API_LookupEvents.html
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from exporter.aws.changes import translate
from exporter.aws.events import watched
from exporter.model import Change, Scope

# Seconds between calls; CloudTrail's own limit.
PAUSE = 0.5
PAGE = 50


class Page(NamedTuple):
    """A page: the changes on it that matter, when its oldest event was, where the next one is.

    `oldest` is None for a page without events, `token` after the last page. `unreadable` counts
    events that should matter and are none that can be read.
    """

    changes: tuple[Change, ...]
    oldest: float | None
    token: str | None
    unreadable: int = 0


def page(client: Any, scope: Scope, begin: float, end: float, token: str | None) -> Page:
    """Return a page of the events between two moments.

    One attribute may be asked for: that the event is of a change costs the fewest pages. Raises
    what boto3 raises; KeyError, TypeError or AttributeError for an answer that is none.
    """
    more = {"NextToken": token} if token else {}
    answer = client.lookup_events(
        LookupAttributes=[{"AttributeKey": "ReadOnly", "AttributeValue": "false"}],
        StartTime=datetime.fromtimestamp(int(begin), UTC),
        EndTime=datetime.fromtimestamp(int(end), UTC),
        MaxResults=PAGE,
        **more,
    )
    rows: list[Mapping[str, Any]] = answer["Events"]
    wanted = [row for row in rows if watched(row.get("EventSource"), row.get("EventName"))]
    found = [translate(row.get("CloudTrailEvent"), scope) for row in wanted]
    changes = tuple(change for change in found if change)
    return Page(
        changes,
        min((when.timestamp() for row in rows if (when := row.get("EventTime"))), default=None),
        answer.get("NextToken") or None,
        len(wanted) - len(changes),
    )
