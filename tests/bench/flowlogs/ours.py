"""Our own reading of the same files, asked the same question: from bytes to committed counters.

The daemon's own code from the listing on; only the network is not there.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from exporter.flowlogs.attribute import Index, Own, Place, with_addresses
from exporter.flowlogs.formats import DEFAULT
from exporter.flowlogs.ingest import Ingest
from exporter.flowlogs.sources.s3 import object_of
from exporter.flowlogs.sourcing import Settings
from exporter.flowlogs.tally import BYTES, LINES, PACKETS, RECORDS
from exporter.model import ACTIONS, FlowLog, Scope
from exporter.store import Store
from tests.bench.flowlogs import traffic
from tests.bench.flowlogs.estate import ACCOUNT, REGION, Answer, Interface

SCOPE = Scope(ACCOUNT, REGION)
VPC = "vpc-0a1"
FLOW_LOG = f"fl-{1:017x}"
# A file comes ten minutes after its slot began.
DELAY = 600.0


class Body:
    """A file's bytes, as botocore streams them."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb")

    def __enter__(self) -> Body:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def iter_chunks(self, size: int) -> Iterator[bytes]:
        """Yield the bytes in pieces."""
        while chunk := self._file.read(size):
            yield chunk


@dataclass
class Disk:
    """Answers ListObjectsV2 and GetObject of S3 from files."""

    files: list[Path]

    def list_objects_v2(self, *, Prefix: str, StartAfter: str, **_: str) -> dict[str, Any]:  # noqa: N803
        """Return the files whose keys begin with the prefix."""
        rows = []
        for path in sorted(self.files):
            key = f"AWSLogs/{ACCOUNT}/vpcflowlogs/{REGION}/2026/01/01/{path.name}"
            if key.startswith(Prefix) and key > StartAfter:
                row = {"Key": key, "ETag": '"x"', "Size": path.stat().st_size}
                rows.append({**row, "LastModified": written(path)})
        return {"Contents": rows, "KeyCount": len(rows)}

    def get_object(self, *, Key: str, **_: str) -> dict[str, Any]:  # noqa: N803
        """Return a file."""
        path = next(p for p in self.files if p.name == Key.rpartition("/")[2])
        about = {"ETag": '"x"', "ContentLength": path.stat().st_size}
        return {**about, "LastModified": written(path), "Body": Body(path)}


class Pages:
    """Answers FilterLogEvents of CloudWatch Logs with pages."""

    def __init__(self, pages: list[dict[str, Any]]) -> None:
        self._pages = pages

    def filter_log_events(self, *, startTime: int, endTime: int, **rest: str) -> dict[str, Any]:  # noqa: N803
        """Return a page of the window; the pages are in the order of time."""
        at = int(rest.get("nextToken", 0))
        for number, page in enumerate(self._pages[at:], at):
            events = page["events"]
            if startTime <= events[-1]["timestamp"] and events[0]["timestamp"] <= endTime:
                if startTime <= events[0]["timestamp"] and events[-1]["timestamp"] <= endTime:
                    found = events
                else:
                    found = [e for e in events if startTime <= e["timestamp"] <= endTime]
                return {"events": found, "nextToken": str(number + 1)}
        return {"events": []}


def written(path: Path) -> datetime:
    """Return when a file was written."""
    file = object_of("logs", path.name)
    assert file is not None, path
    return datetime.fromtimestamp(file.stamp + DELAY, UTC)


def index(as_of: float, interfaces: list[Interface], flow_log: FlowLog) -> Index:
    """Return who owns what."""
    place = Place(VPC, "subnet-0a1")
    own = {i.id: Own(i.endpoint, place, (i.address,)) for i in interfaces if i.endpoint}
    made = Index(
        as_of,
        own,
        {i.id: place for i in interfaces},
        {(VPC, action): flow_log for action in ACTIONS},
        {flow_log.id: flow_log},
        {flow_log.id: VPC},
    )
    return with_addresses(made, own, {})


@contextmanager
def ingest(
    interfaces: list[Interface], destination: str, where: str, client: Any
) -> Iterator[Answer]:
    """Count everything that the client has, and yield the answer that was committed."""
    flow_log = FlowLog(FLOW_LOG, VPC, "ALL", destination, where, DEFAULT, 60, "ACTIVE", "SUCCESS")
    begin, end = traffic.BEGIN - 60.0, traffic.BEGIN + 3600.0
    settings = Settings(lookback=7200.0, budget=600.0)
    with tempfile.TemporaryDirectory() as directory:
        store = Store(Path(directory))
        reading = Ingest(SCOPE, store, lambda: end, settings)
        # When the flow log was first seen: before the first record.
        store.meet(SCOPE, [FLOW_LOG], begin)
        report = reading.run(lambda _: client, index(end, interfaces, flow_log))
        store.close()
    assert not report.problems(), report.problems()
    counts: dict[tuple[str, str], list[int]] = {}
    for key, number in report.counters.items():
        if key.name in (RECORDS, BYTES, PACKETS) and number:
            of = counts.setdefault((key.subject, key.label), [0, 0, 0])
            of[(RECORDS, BYTES, PACKETS).index(key.name)] = number
    lines = {key.label: n for key, n in report.counters.items() if key.name == LINES}
    yield Answer({key: (r, b, p) for key, (r, b, p) in counts.items()}, lines["no_data"])


def ours_text(files: list[Path], interfaces: list[Interface]) -> Answer:
    """Return the answer read from text.gz files."""
    with ingest(interfaces, "s3", "arn:aws:s3:::logs", Disk(files)) as answer:
        return answer


def ours_parquet(files: list[Path], interfaces: list[Interface]) -> Answer:
    """Return the answer read from Parquet files."""
    return ours_text(files, interfaces)


def ours_cloudwatch(pages: list[dict[str, Any]], interfaces: list[Interface]) -> Answer:
    """Return the answer read from answers of FilterLogEvents."""
    with ingest(interfaces, "cloud-watch-logs", "/logs", Pages(pages)) as answer:
        return answer
