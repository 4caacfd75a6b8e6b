"""What must survive a restart: cursors, the seen-set and the counters, in one SQLite file.

Cursor, seen-set and counters change in one transaction, so that after `kill -9` at any
instruction a record is either counted and remembered, or neither.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterable, Mapping
from concurrent import futures
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, TypeVar

from exporter.model import Scope

T = TypeVar("T")

FILE = "privatelink-exporter.sqlite"
VERSION = 1
_APPLICATION_ID = 0x504C4558  # "PLEX"

# Times of records are whole seconds since the epoch; `start` of the seen-set is in milliseconds,
# as CloudWatch Logs stamps its events.
_SCHEMA = """
CREATE TABLE counter (
  account TEXT NOT NULL, region TEXT NOT NULL,
  subject TEXT NOT NULL,            -- an endpoint, a flow log, an event
  name TEXT NOT NULL,               -- what is counted
  label TEXT NOT NULL,              -- the action, the line's fate, the outcome
  value NUMERIC NOT NULL,
  PRIMARY KEY (account, region, subject, name, label)
) WITHOUT ROWID;
CREATE TABLE flow_log (
  account TEXT NOT NULL, region TEXT NOT NULL, flow_log_id TEXT NOT NULL,
  first_seen REAL NOT NULL,         -- records that start earlier are not counted
  newest_record REAL,               -- the latest end of a record
  PRIMARY KEY (account, region, flow_log_id)
) WITHOUT ROWID;
CREATE TABLE source (
  id INTEGER PRIMARY KEY,
  account TEXT NOT NULL, region TEXT NOT NULL,
  kind TEXT NOT NULL,               -- cloudwatch, s3, sqs, insights, athena
  name TEXT NOT NULL,               -- the log group, bucket, queue
  read_to REAL,                     -- every record delivered by then is accounted for
  forgotten INTEGER NOT NULL DEFAULT 0,  -- lines that start earlier are not in `seen` any more
  UNIQUE (account, region, kind, name)
);
CREATE TABLE seen (
  source INTEGER NOT NULL REFERENCES source (id),
  start INTEGER NOT NULL,
  identity BLOB NOT NULL,
  PRIMARY KEY (source, start, identity)
) WITHOUT ROWID;
CREATE TABLE interface (
  account TEXT NOT NULL, region TEXT NOT NULL, interface_id TEXT NOT NULL,
  endpoint_id TEXT NOT NULL,
  last_listed REAL NOT NULL,
  PRIMARY KEY (account, region, interface_id)
) WITHOUT ROWID;
CREATE TABLE choice (
  account TEXT NOT NULL, region TEXT NOT NULL, interface_id TEXT NOT NULL,
  action TEXT NOT NULL,
  since REAL NOT NULL,              -- records that start from here on count from this flow log
  flow_log_id TEXT NOT NULL,
  PRIMARY KEY (account, region, interface_id, action, since)
) WITHOUT ROWID;
"""


class StoreError(Exception):
    """Raised when the store cannot be used; says which file, why, and the remedy."""


class CounterKey(NamedTuple):
    """What a count belongs to."""

    subject: str
    name: str
    label: str


class Seen(NamedTuple):
    """A line's identity in its source: milliseconds of its start, and a digest."""

    start: int
    identity: bytes


@dataclass(frozen=True, slots=True)
class SourceState:
    """A source of lines, and the moment up to which all that was delivered is accounted for.

    Lines that start before `forgotten` (milliseconds) may have been counted and are no longer
    remembered: they must not be read again.
    """

    id: int
    read_to: float | None
    forgotten: int = 0


@dataclass(slots=True)
class Batch:
    """What one transaction adds. `touch` counters are created at 0 where they do not exist."""

    counters: dict[CounterKey, int] = field(default_factory=dict)
    touch: set[CounterKey] = field(default_factory=set)
    seen: set[Seen] = field(default_factory=set)
    newest: dict[str, float] = field(default_factory=dict)
    read_to: float | None = None
    forget_before: int | None = None

    def count(self, subject: str, name: str, label: str, amount: int = 1) -> None:
        """Add to a counter."""
        key = CounterKey(subject, name, label)
        self.counters[key] = self.counters.get(key, 0) + amount


class Store:
    """The store; every statement runs on its one thread, callers wait for theirs."""

    def __init__(self, directory: Path) -> None:
        """Open or create the store in the directory; raises StoreError."""
        self._path = directory / FILE
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="store")
        self.ok = True
        try:
            directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(
                f"The store's directory {directory} cannot be made: {error.strerror}. "
                "Name another one with --storage.path."
            ) from None
        self._db = self._run(self._open)

    def close(self) -> None:
        """Close once what is in flight has been committed or dropped, or after two seconds.

        A second call does nothing.
        """
        try:
            closing = self._thread.submit(self._db.close)
        except RuntimeError:
            return
        self._thread.shutdown(wait=False)
        futures.wait([closing], timeout=2)

    def counters(self, scope: Scope) -> Mapping[CounterKey, int]:
        """Return the committed counters of the scope."""

        def read() -> Mapping[CounterKey, int]:
            rows = self._db.execute(
                "SELECT subject, name, label, value FROM counter WHERE account=? AND region=?",
                (scope.account, scope.region),
            )
            return {CounterKey(*key): value for *key, value in rows}

        return self._run(read)

    def newest_records(self, scope: Scope) -> Mapping[str, float]:
        """Return each flow log's latest end of a record, in seconds."""

        def read() -> Mapping[str, float]:
            return dict(
                self._db.execute(
                    "SELECT flow_log_id, newest_record FROM flow_log "
                    "WHERE account=? AND region=? AND newest_record IS NOT NULL",
                    (scope.account, scope.region),
                ).fetchall()
            )

        return self._run(read)

    def meet(self, scope: Scope, flow_log_ids: Iterable[str], now: float) -> Mapping[str, float]:
        """Return when each flow log was first seen: `now` for those that are new."""
        ids = sorted(flow_log_ids)

        def write() -> Mapping[str, float]:
            with self._db:
                self._db.executemany(
                    "INSERT INTO flow_log (account, region, flow_log_id, first_seen) "
                    "VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
                    [(scope.account, scope.region, i, now) for i in ids],
                )
            rows = self._db.execute(
                "SELECT flow_log_id, first_seen FROM flow_log WHERE account=? AND region=?",
                (scope.account, scope.region),
            )
            return {i: first for i, first in rows if i in ids}

        return self._run(write)

    def remember(
        self, scope: Scope, endpoint_of: Mapping[str, str], as_of: float, keep: float
    ) -> Mapping[str, str]:
        """Return interface → endpoint for those listed and those that went less than `keep` ago."""

        def write() -> Mapping[str, str]:
            where = (scope.account, scope.region)
            with self._db:
                self._db.executemany(
                    "INSERT INTO interface VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE "
                    "SET endpoint_id=excluded.endpoint_id, last_listed=excluded.last_listed",
                    [(*where, i, endpoint, as_of) for i, endpoint in endpoint_of.items()],
                )
                self._db.execute(
                    "DELETE FROM interface WHERE account=? AND region=? AND last_listed<?",
                    (*where, as_of - keep),
                )
            rows = self._db.execute(
                "SELECT interface_id, endpoint_id FROM interface WHERE account=? AND region=?",
                where,
            )
            return dict(rows.fetchall())

        return self._run(write)

    def choices(
        self, scope: Scope, chosen: Mapping[tuple[str, str], str], as_of: float
    ) -> Mapping[tuple[str, str], list[tuple[float, str]]]:
        """Return which flow log speaks for an interface and action, since which start of a record.

        Latest first. A choice that differs from the last one holds from `as_of` on; the choices
        for interfaces that are no longer remembered are dropped.
        """
        where = (scope.account, scope.region)

        def read() -> dict[tuple[str, str], list[tuple[float, str]]]:
            found: dict[tuple[str, str], list[tuple[float, str]]] = {}
            for interface, action, since, flow_log in self._db.execute(
                "SELECT interface_id, action, since, flow_log_id FROM choice "
                "WHERE account=? AND region=? ORDER BY since DESC",
                where,
            ):
                found.setdefault((interface, action), []).append((since, flow_log))
            return found

        def write() -> Mapping[tuple[str, str], list[tuple[float, str]]]:
            known = read()
            new = [
                # The first one holds for ever back: `first_seen` bounds it.
                (*where, *key, as_of if key in known else 0.0, flow_log)
                for key, flow_log in chosen.items()
                if key not in known or known[key][0][1] != flow_log
            ]
            with self._db:
                self._db.executemany("INSERT OR REPLACE INTO choice VALUES (?, ?, ?, ?, ?, ?)", new)
                self._db.execute(
                    "DELETE FROM choice WHERE account=? AND region=? AND interface_id NOT IN "
                    "(SELECT interface_id FROM interface WHERE account=? AND region=?)",
                    (*where, *where),
                )
            return read()

        return self._run(write)

    def source(self, scope: Scope, kind: str, name: str) -> SourceState:
        """Return the source of that kind and name, new ones with nothing read."""

        def write() -> SourceState:
            key = (scope.account, scope.region, kind, name)
            with self._db:
                self._db.execute(
                    "INSERT INTO source (account, region, kind, name) VALUES (?, ?, ?, ?) "
                    "ON CONFLICT DO NOTHING",
                    key,
                )
            row = self._db.execute(
                "SELECT id, read_to, forgotten FROM source "
                "WHERE account=? AND region=? AND kind=? AND name=?",
                key,
            ).fetchone()
            return SourceState(*row)

        return self._run(write)

    def unseen(self, source: int, lines: Iterable[Seen]) -> set[Seen]:
        """Return those of the lines that have not been committed before."""
        wanted = set(lines)
        if not wanted:
            return set()
        first = min(line.start for line in wanted)
        last = max(line.start for line in wanted)

        def read() -> set[Seen]:
            rows = self._db.execute(
                "SELECT start, identity FROM seen WHERE source=? AND start BETWEEN ? AND ?",
                (source, first, last),
            )
            return wanted.difference(Seen(*row) for row in rows)

        return self._run(read)

    def commit(self, scope: Scope, source: int, batch: Batch) -> None:
        """Write the batch in one transaction; raises StoreError when it cannot, with none of it."""
        where = (scope.account, scope.region)

        def write() -> None:
            with self._db:
                # A plain INSERT: an identity that is there already fails the whole batch
                # rather than count twice.
                self._db.executemany(
                    "INSERT INTO seen VALUES (?, ?, ?)", [(source, *s) for s in batch.seen]
                )
                zeros = dict.fromkeys(batch.touch, 0)
                self._db.executemany(
                    "INSERT INTO counter VALUES (?, ?, ?, ?, ?, ?) "
                    "ON CONFLICT DO UPDATE SET value = value + excluded.value",
                    [(*where, *key, n) for key, n in (zeros | batch.counters).items()],
                )
                self._db.executemany(
                    "UPDATE flow_log SET newest_record = max(coalesce(newest_record, 0), ?) "
                    "WHERE account=? AND region=? AND flow_log_id=?",
                    [(newest, *where, flow_log) for flow_log, newest in batch.newest.items()],
                )
                if batch.read_to is not None:
                    self._db.execute(
                        "UPDATE source SET read_to=? WHERE id=?", (batch.read_to, source)
                    )
                if batch.forget_before is not None:
                    self._db.execute(
                        "DELETE FROM seen WHERE source=? AND start<?",
                        (source, batch.forget_before),
                    )
                    self._db.execute(
                        "UPDATE source SET forgotten=max(forgotten, ?) WHERE id=?",
                        (batch.forget_before, source),
                    )
            self.ok = True  # not before a commit has succeeded again

        self._run(write)

    def _run(self, statement: Callable[[], T]) -> T:
        def guarded() -> T:
            try:
                result = statement()
            except (sqlite3.Error, OverflowError) as error:
                self.ok = False
                raise StoreError(f"The store {self._path} failed: {error}") from error
            return result

        try:
            future: Future[T] = self._thread.submit(guarded)
        except RuntimeError:
            raise StoreError(f"The store {self._path} is closed") from None
        return future.result()

    def _open(self) -> sqlite3.Connection:
        db: sqlite3.Connection | None = None
        try:
            db = sqlite3.connect(self._path, timeout=0, check_same_thread=False)
            self._prepare(db)
        except (sqlite3.Error, StoreError) as error:
            if db is not None:
                db.close()
            raise self._refusal(error) from None
        return db

    def _prepare(self, db: sqlite3.Connection) -> None:
        """Take the lock, and make the schema in an empty file; raises StoreError on another's."""
        # The lock is held as long as the process lives, and goes with it however it ends.
        db.execute("PRAGMA locking_mode = EXCLUSIVE")
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        db.execute("BEGIN IMMEDIATE")
        version: int = db.execute("PRAGMA user_version").fetchone()[0]
        tables = db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        application = db.execute("PRAGMA application_id").fetchone()[0]
        if tables and application != _APPLICATION_ID:
            raise StoreError(
                f"{self._path} is another program's database. "
                "Name another directory with --storage.path."
            )
        if version > VERSION:
            raise StoreError(
                f"The store {self._path} was written by a newer exporter (schema {version}, "
                f"this one knows {VERSION}). Run that version again, or name another "
                "directory with --storage.path; its counters start from 0."
            )
        if not tables:
            for statement in _SCHEMA.split(";\n"):
                db.execute(statement)
            db.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
            db.execute(f"PRAGMA user_version = {VERSION}")
        db.execute("COMMIT")

    def _refusal(self, error: sqlite3.Error | StoreError) -> StoreError:
        """Return what to tell whoever started this of a store that cannot be opened."""
        if isinstance(error, StoreError):
            return error
        if isinstance(error, sqlite3.OperationalError) and "locked" in str(error):
            return StoreError(
                f"The store {self._path} is in use by another exporter. Stop that one, or "
                "give this one a directory of its own with --storage.path."
            )
        if isinstance(error, sqlite3.OperationalError):
            return StoreError(
                f"The store {self._path} cannot be opened: {error}. User {os.getuid()} must be "
                "able to read and write it and its directory; or name another directory with "
                "--storage.path."
            )
        return StoreError(
            f"The store {self._path} cannot be read: {error}. Restore it from a backup, or "
            "move it away: the counters then start from 0."
        )
