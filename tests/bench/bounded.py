"""Whether memory and store stay as large as they are while more and more records are counted.

`python -m tests.bench.bounded --records 100000000` prints what both are at the end of each tenth.
A few large files are made once; each pass finds them under new keys, with stamps of their own time,
and what was counted is compared with what was in them.
"""

from __future__ import annotations

import argparse
import gc
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import structlog
from isal import igzip

from exporter.flowlogs.ingest import Ingest
from exporter.flowlogs.sources import s3
from exporter.flowlogs.sourcing import Settings
from exporter.flowlogs.tally import LINES
from exporter.store import FILE, Store
from tests.flowlogs import bucket
from tests.flowlogs.estate import BEGIN, NAMES, SCOPE, Estate

# Whole seconds of a fixed width that each pass writes its own time over.
START, END = b"1600000000", b"1600000060"
SLOT = int(s3.SLOT)
# So long what is remembered of files grows: a day, the look-back, and some slots.
DAY = 24 * 3600


class Sizes(NamedTuple):
    """How large everything is after so many records, in bytes."""

    records: int
    store: int
    resident: int
    seconds: float


@dataclass
class Shelf:
    """A bucket in which a pass finds its own files only: what is older has expired."""

    draw: random.Random
    contents: list[bytes]
    prefix: str = ""
    objects: dict[str, bytes] = field(default_factory=dict)
    written: float = 0.0

    def fill(self, flow_log: Any, now: float) -> None:
        """Put every file under a new key, with records that ended a moment ago."""
        slot = now // SLOT * SLOT
        (prefix,) = s3.prefixes(flow_log, SCOPE, slot, slot)
        stamp = datetime.fromtimestamp(slot, UTC).strftime("%Y%m%dT%H%MZ")
        start, end = str(int(now - 120)).encode(), str(int(now - 60)).encode()
        self.objects = {
            f"{prefix}{stamp}_{self.draw.getrandbits(64):016x}.log.gz": igzip.compress(
                content.replace(START, start).replace(END, end), 0
            )
            for content in self.contents
        }
        self.written = now

    def list_objects_v2(self, **call: Any) -> dict[str, Any]:
        found = sorted(key for key in self.objects if key.startswith(call["Prefix"]))
        rows = [
            {"Key": k, "ETag": '"1"', "LastModified": self._modified, "Size": len(self.objects[k])}
            for k in found
        ]
        return {"KeyCount": len(rows), **({"Contents": rows} if rows else {})}

    def get_object(self, **call: Any) -> dict[str, Any]:
        content = self.objects[call["Key"]]
        return {
            "ETag": '"1"',
            "LastModified": self._modified,
            "ContentLength": len(content),
            "Body": bucket.Body(content, hangs=False),
        }

    @property
    def _modified(self) -> datetime:
        return datetime.fromtimestamp(self.written, UTC)


def content(draw: random.Random, estate: Estate, lines: int) -> bytes:
    """Return a file of so many lines, of which every tenth is an endpoint's or a client's."""
    own = [x for x in estate.interfaces if x.endpoint_id]
    rows = [" ".join(NAMES)]
    for _ in range(lines):
        interface, peer = "eni-0f0f0f0f", f"10.{draw.randrange(256)}.{draw.randrange(256)}.9"
        target = "10.250.0.1"
        if draw.random() < 0.1:
            found = draw.choice(own)
            target = found.address
            interface = found.id if draw.random() < 0.7 else interface
        action = draw.choice(["ACCEPT", "REJECT"])
        port = draw.choice([443, 443, draw.randrange(65536)])
        rows.append(
            f"{interface} {peer} {target} {draw.randrange(1024, 65536)} {port} 6 "
            f"{draw.randrange(1, 99)} {draw.randrange(40, 99999)} {START.decode()} {END.decode()} "
            f"{action} {draw.choice([2, 3, 18])} OK"
        )
    return "\n".join([*rows, ""]).encode()


def resident() -> int:
    """Return how much memory this process has."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096


def measure(records: int, parts: int, directory: Path, lines: int = 100_000) -> Iterator[Sizes]:
    """Count so many records and yield the sizes after each part.

    A pass is as much later than the one before that each part lasts more than a day: then what is
    remembered of files for a day is as much at the end of the first part as it will be.
    """
    draw = random.Random(1)
    estate = Estate(draw)
    vpc = estate.vpc("text")
    flow_log = vpc.flow_logs[0][1]
    shelf = Shelf(draw, [content(draw, estate, lines) for _ in range(4)])
    now = [BEGIN]
    store = Store(directory)
    ingest = Ingest(SCOPE, store, lambda: now[0], Settings(budget=1e9))
    ingest.run(lambda _: shelf, estate.index(now[0]))
    per_pass = len(shelf.contents) * lines
    passes = max(1, round(records / parts / per_pass))
    step = max(SLOT, -(-2 * DAY // passes))
    began = time.monotonic()
    for part in range(parts):
        for _ in range(passes):
            now[0] += step
            shelf.fill(flow_log, now[0])
            report = ingest.run(lambda _: shelf, estate.index(now[0]))
        done = (part + 1) * passes * per_pass
        read = sum(n for key, n in report.counters.items() if key.name == LINES)
        assert read == done, f"{read} of {done} records were read"
        size = sum(p.stat().st_size for p in directory.glob(f"{FILE}*"))
        yield Sizes(done, size, resident(), time.monotonic() - began)
    store.close()


def main() -> None:
    """Print the sizes as they come."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--records", type=int, default=30_000_000)
    parser.add_argument("--parts", type=int, default=10)
    arguments = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    with tempfile.TemporaryDirectory() as directory:
        for sizes in measure(arguments.records, arguments.parts, Path(directory)):
            sys.stdout.write(told(sizes) + "\n")
            sys.stdout.flush()


def told(sizes: Sizes) -> str:
    """Return sizes as a line for people."""
    return (
        f"{sizes.records:>12,} records  store {sizes.store / 1e6:7.2f} MB  "
        f"resident {sizes.resident / 1e6:7.1f} MB  {sizes.records / sizes.seconds:>12,.0f} a second"
    )


if __name__ == "__main__":
    main()
