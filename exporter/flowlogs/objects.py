"""Files in S3: each is counted once as a whole, whether a listing or a notification names it."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from exporter.aws.errors import AWS_ERRORS, MALFORMED_ANSWER, code_of, unavailable
from exporter.flowlogs import kernel
from exporter.flowlogs.apart import Readers
from exporter.flowlogs.attribute import layout
from exporter.flowlogs.parse import Malformed
from exporter.flowlogs.passing import Pass
from exporter.flowlogs.sources import s3
from exporter.flowlogs.sources.s3 import SLOT, Object
from exporter.flowlogs.table import Table
from exporter.flowlogs.tally import Tally
from exporter.flowlogs.text import SMALL_STEP, STEP, CorruptFile, Reader
from exporter.model import FlowLog, Unavailable
from exporter.store import Batch, Seen, SourceState

# A file's name may be off by a slot, and a clock by some minutes.
SLACK = 2 * SLOT
# What a queue delivers may have waited there, or with a consumer that died, for so long.
REMEMBERED = 24 * 3600.0
# Parquet is read whole: a file as large as AWS's largest, and as much again.
LARGEST_PARQUET = 150 * 1024**2

# Decompressing and counting take a processor each; fetching waits for the network in between.
_AT_ONCE = max(2, os.cpu_count() or 2)
_READERS = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="flow-logs")
_PARQUET = Readers()
# A transaction costs as much as thousands of records: files that come quickly share one.
FILES_TOGETHER, SECONDS_TOGETHER = 16, 1.0


@dataclass(frozen=True, slots=True)
class Counted:
    """A file that was read: what is in it, and what is wrong with it."""

    file: Object
    tally: Tally
    problem: str | None = None


@dataclass(slots=True)
class Objects:
    """The files of one flow log in one pass.

    `done` has the keys of those that are accounted for, `fresh` is how many of them only now are;
    `problem` is the first failure;
    `oldest` when the oldest file was written that is not accounted for yet.
    """

    flow_log: FlowLog
    state: SourceState
    context: Pass
    done: set[str] = field(default_factory=set)
    fresh: int = 0
    problem: Unavailable[None] | None = None
    oldest: float | None = None

    def list(self, client: Any) -> float | None:
        """Count every new file that a listing finds; return up to when all is accounted for.

        None when not even the first time. Raises what boto3 raises, and StoreError.
        """
        now = self.context.index.as_of
        read_to = self.state.read_to
        first = self.context.first_seen[self.flow_log.id] - self.flow_log.aggregation
        begin = max(first if read_to is None else read_to - self.context.lookback, first) - SLACK
        for page in s3.listing(client, self.flow_log, self.context.scope, begin, now + SLACK):
            self.count(client, page)
        moved = now if self.oldest is None else min(now, self.oldest)
        if read_to is not None:
            moved = max(moved, read_to)
        elif self.oldest is not None and self.problem:
            return None
        # Nothing that a listing or a queue may still name is forgotten.
        forget = int((moved - self.context.lookback - SLACK - REMEMBERED) * 1000)
        batch = Batch(read_to=moved, forget_before=max(0, forget))
        if self.oldest is None:
            batch.touch = self.context.zeros(self.flow_log)
        self.context.store.commit(self.context.scope, self.state.id, batch)
        return moved

    def count(self, client: Any, files: Sequence[Object]) -> None:
        """Count those of the files that are new; what fails or has to wait is named in `oldest`.

        Raises StoreError.
        """
        known = self.context.store.etags(self.state.id, (file.seen for file in files))
        for file in files:
            etag = known.get(file.seen)
            if etag is not None:
                self.done.add(file.key)
                if file.etag and file.etag != etag:
                    # Encrypted or copied again: the same lines, and they are counted already.
                    self.context.tell(
                        f"{file.bucket}/{file.key}",
                        "was written again; it is not counted again",
                        "",
                    )
        # A queue may name a file twice at a time.
        once = {f.seen: f for f in files if f.seen not in known}
        new = [f for f in once.values() if not self._waits(f)]
        if not new:
            return
        table = Table(self.context.judge([self.flow_log], {self.flow_log.id: self.flow_log.id}))
        tally, together = Tally(), dict[Seen, Object]()
        since = time.monotonic()
        for file, counted in self._read(client, table, new):
            if not isinstance(counted, Counted):
                self._leave(file, counted)
                continue
            if counted.problem:
                self.context.tell(f"{file.bucket}/{file.key}", counted.problem, "")
            tally.merge(counted.tally)
            together[counted.file.seen] = counted.file
            self.fresh += 1
            if len(together) == FILES_TOGETHER or time.monotonic() - since > SECONDS_TOGETHER:
                self._commit(tally, together)
                tally, together, since = Tally(), {}, time.monotonic()
        self._commit(tally, together)

    def _commit(self, tally: Tally, files: Mapping[Seen, Object]) -> None:
        """Commit what is in files, with their identities."""
        if files:
            etags = {seen: file.etag for seen, file in files.items()}
            self.context.commit(self.state, tally, objects=etags)
            self.done |= {file.key for file in files.values()}

    def _waits(self, file: Object) -> bool:
        """Whether the file has to wait for a later index, or can no longer be told apart."""
        if file.seen.start < self.state.forgotten:
            self.context.tell(
                f"{file.bucket}/{file.key}", "is too old to know whether it was counted", ""
            )
            self.done.add(file.key)
            return True
        if file.modified is not None and file.modified > self.context.index.as_of:
            self._leave(file)
            return True
        return False

    def _leave(self, file: Object, problem: Unavailable[None] | None = None) -> None:
        """Leave a file to a later pass."""
        since = file.stamp if file.modified is None else file.modified
        self.oldest = since if self.oldest is None else min(self.oldest, since)
        if problem:
            self.problem = self.problem or Unavailable(
                f"{file.bucket}/{file.key}: {problem.reason}", problem.outcome
            )

    def _read(
        self, client: Any, table: Table, files: Iterable[Object]
    ) -> Iterator[tuple[Object, Counted | Unavailable[None] | None]]:
        """Yield each file with what is in it, in their order; None for one that has to wait.

        As many are read at once as there are processors, and none is begun when time is up.
        """
        left = deque(files)
        running: deque[tuple[Object, Future[Counted | Unavailable[None] | None]]] = deque()
        try:
            while left or running:
                while left and len(running) < _AT_ONCE + 1:
                    if self.context.late() and self.fresh:
                        yield left.popleft(), None
                        continue
                    file = left.popleft()
                    running.append((file, _READERS.submit(self._one, client, table, file)))
                if running:
                    file, future = running.popleft()
                    yield file, future.result()
        finally:
            for _, future in running:
                future.cancel()

    def _one(self, client: Any, table: Table, file: Object) -> Counted | Unavailable[None] | None:
        try:
            return self._counted(client, table, file, STEP)
        except CorruptFile:
            pass  # read again, so that as little as possible is lost
        except (*AWS_ERRORS, *MALFORMED_ANSWER) as error:
            return _failed(file, error)
        try:
            return self._counted(client, table, file, SMALL_STEP)
        except (*AWS_ERRORS, *MALFORMED_ANSWER) as error:
            return _failed(file, error)

    def _counted(self, client: Any, table: Table, file: Object, step: int) -> Counted | None:
        body = s3.get(client, file)
        with body.stream:
            if body.modified > self.context.index.as_of:
                return None
            tally = Tally()
            named = file._replace(etag=body.etag, modified=body.modified)
            if file.parquet:
                if body.size > LARGEST_PARQUET:
                    problem = f"{body.size} bytes of Parquet: AWS writes 75 MB at most"
                    tally.malformed(self.flow_log.id, Malformed(problem), file.key)
                    return Counted(named, tally, problem)
                data = b"".join(body.chunks())
                found = kernel.parquet(data, table, body.modified)
                if found is not None:
                    return Counted(named, found)
                return Counted(named, tally, _PARQUET.read(data, table, body.modified, tally))
            reader = Reader(table, body.modified, tally, layout(self.flow_log))
            reader.read(body.chunks(), step)
            return Counted(named, tally, reader.problem)


def _failed(file: Object, error: Exception) -> Counted | Unavailable[None]:
    """Return what a file is that could not be read: one that has gone has no more lines."""
    if code_of(error) in ("NoSuchKey", "404"):
        return Counted(file, Tally(), "has gone before it could be read")
    return unavailable(error)
