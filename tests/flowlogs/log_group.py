"""A CloudWatch Logs group in memory, with FilterLogEvents as AWS documents it."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import ClientError


@dataclass
class LogGroups:
    """Groups by name. Pages are short, some are empty, and the end of a window is inclusive."""

    page: int = 3
    seed: int = 0
    groups: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    reads: list[tuple[str, int, int]] = field(default_factory=list)
    fail_after: int | None = None

    def put(self, group: str, stream: str, message: str, start: float, ingested: float) -> None:
        events = self.groups.setdefault(group, [])
        events.append(
            {
                "eventId": str(len(events)),
                "logStreamName": stream,
                "timestamp": int(start * 1000),
                "ingestionTime": int(ingested * 1000),
                "message": message,
            }
        )

    def filter_log_events(
        self, *, logGroupName: str, startTime: int, endTime: int, nextToken: str | None = None
    ) -> dict[str, Any]:
        if self.fail_after is not None:
            self.fail_after -= 1
            if self.fail_after < 0:
                error = {"Code": "ThrottlingException", "Message": "Rate exceeded"}
                raise ClientError({"Error": error}, "FilterLogEvents")
        if logGroupName not in self.groups:
            error = {"Code": "ResourceNotFoundException", "Message": "no such group"}
            raise ClientError({"Error": error}, "FilterLogEvents")
        if nextToken is None:
            self.reads.append((logGroupName, startTime, endTime))
        at, _, odd = (nextToken or "0:").partition(":")
        if not odd and random.Random(f"{self.seed}{at}{startTime}").random() < 0.3:
            return {"events": [], "nextToken": f"{at}:again"}
        found = [e for e in self.groups[logGroupName] if startTime <= e["timestamp"] <= endTime]
        found.sort(key=lambda e: (e["logStreamName"], e["timestamp"]))
        begin = int(at)
        answer: dict[str, Any] = {"events": found[begin : begin + self.page]}
        if begin + self.page < len(found):
            answer["nextToken"] = f"{begin + self.page}:"
        return answer
