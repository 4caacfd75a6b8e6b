"""Lines from a CloudWatch Logs group, by FilterLogEvents.

https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_FilterLogEvents.html
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import blake2b
from typing import Any, NamedTuple

from exporter.store import Seen

KIND = "cloudwatch"


class Event(NamedTuple):
    """A delivered line; `ingested` is when CloudWatch Logs received it, in seconds.

    `seen` is its identity: stream and event id. `content` is the same for another event of the
    stream that has the same text.
    """

    seen: Seen
    content: Seen
    ingested: float
    stream: str
    message: str


def pages(logs: Any, group: str, first: float, last: float) -> Iterator[list[Event]]:
    """Yield the group's events page by page, those stamped from `first` to `last` inclusive.

    A page may be empty and still not be the last: only a missing token ends the listing. An event
    is known by its stream and id: several events may share one millisecond.
    """
    token: dict[str, str] = {}
    while True:
        answer = logs.filter_log_events(
            logGroupName=group, startTime=int(first * 1000), endTime=int(last * 1000), **token
        )
        yield [_event(row) for row in answer["events"]]
        if not answer.get("nextToken"):
            return
        token = {"nextToken": answer["nextToken"]}


def _event(row: dict[str, Any]) -> Event:
    stream = row.get("logStreamName", "")
    start = int(row["timestamp"])

    def seen(kind: str, text: str) -> Seen:
        key = f"{kind}\0{stream}\0{text}".encode("utf-8", "surrogatepass")
        return Seen(start, blake2b(key, digest_size=16).digest())

    return Event(
        seen("event", row["eventId"]),
        seen("content", row["message"]),
        row.get("ingestionTime", row["timestamp"]) / 1000,
        stream,
        row["message"],
    )
