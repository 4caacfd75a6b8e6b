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

    `seen` is its identity: stream and event id.
    """

    seen: Seen
    ingested: float
    stream: str
    message: str

    @property
    def content(self) -> Seen:
        """The same for another event of the stream that has the same text."""
        return _identity("content", self.stream, self.message, self.seen.start)


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
    stream, start = row.get("logStreamName", ""), int(row["timestamp"])
    return Event(
        _identity("event", stream, row["eventId"], start),
        row.get("ingestionTime", start) / 1000,
        stream,
        row["message"],
    )


def _identity(kind: str, stream: str, text: str, start: int) -> Seen:
    key = f"{kind}\0{stream}\0{text}".encode("utf-8", "surrogatepass")
    return Seen(start, blake2b(key, digest_size=16).digest())
