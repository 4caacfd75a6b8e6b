"""Answers of FilterLogEvents, as boto3 hands them out.

https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_FilterLogEvents.html
"""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

PAGE = 10_000  # what AWS returns at most
DELAY = 90  # seconds from a record's end to its ingestion


def pages(path: Path) -> list[dict[str, Any]]:
    """Return the records of a text file as answers, ordered by time, without its header."""
    with gzip.open(path, "rt") as file:
        next(file)
        lines = [line.rstrip("\n") for line in file]
    rows = sorted((int(line.split(" ")[10]), line) for line in lines)
    events = [
        {
            "logStreamName": f"{line.split(' ')[2]}-all",
            "timestamp": start * 1000,
            "message": line,
            "ingestionTime": (int(line.split(" ")[11]) + DELAY) * 1000,
            "eventId": f"{start * 1000:020}{number:036}",
        }
        for number, (start, line) in enumerate(rows)
    ]
    answers: list[dict[str, Any]] = [
        {"events": events[at : at + PAGE], "searchedLogStreams": [], "nextToken": str(at + PAGE)}
        for at in range(0, len(events), PAGE)
    ]
    del answers[-1]["nextToken"]
    return answers
