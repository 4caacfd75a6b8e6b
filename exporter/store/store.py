"""The store's questions and answers, in the words of whoever counts."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from exporter.model import Scope
from exporter.store.database import Database, StoreError
from exporter.store.retention import forget, remembers, retire_endpoints, scope_of

# A source that was read last so long ago is not read any more.
_GIVEN_UP = 7 * 86400.0
# What has not been there for so long does not come back.
_RETIRED = 30 * 86400.0


class CounterKey(NamedTuple):
    """What a count belongs to."""

    subject: str
    name: str
    label: str


class Seen(NamedTuple):
    """An identity in its source, and the millisecond it is remembered by.

    That is a line's start, or the slot in a file's name.
    """

    start: int
    identity: bytes


class Bin(NamedTuple):
    """What a query counted of one minute of an interface; None for what its format lacks."""

    records: int
    bytes: int | None = None
    packets: int | None = None
    refused: int | None = None


class KnownInterface(NamedTuple):
    """An endpoint's interface; from when on, and when it was last listed (seconds)."""

    interface_id: str
    endpoint_id: str
    vpc_id: str
    subnet_id: str
    addresses: tuple[str, ...]
    born: float
    last_listed: float


class SourceId(NamedTuple):
    """A source in the file that was open then: what was found there holds for no other."""

    row: int
    opening: int


@dataclass(frozen=True, slots=True)
class SourceState:
    """A source of lines, and the moment up to which all that was delivered is accounted for.

    What is earlier than `forgotten` (milliseconds) may have been counted and is no longer
    remembered: it must not be read again.
    """

    id: SourceId
    read_to: float | None
    forgotten: int = 0


@dataclass(slots=True)
class Batch:
    """What one transaction adds. `touch` counters are created at 0 where they do not exist.

    `objects` have their ETag; `bins`, by minute, interface and action, replace what was there;
    `recent` are by endpoint, minute, protocol and port, `accepted` by endpoint, protocol and port.
    What is older than `forget_before` (milliseconds) in this source goes.
    """

    counters: dict[CounterKey, int] = field(default_factory=dict)
    touch: set[CounterKey] = field(default_factory=set)
    seen: set[Seen] = field(default_factory=set)
    objects: dict[Seen, str] = field(default_factory=dict)
    bins: dict[tuple[int, str, str], Bin] = field(default_factory=dict)
    newest: dict[str, float] = field(default_factory=dict)
    recent: dict[tuple[str, int, int, int], int] = field(default_factory=dict)
    accepted: set[tuple[str, int, int]] = field(default_factory=set)
    read_to: float | None = None
    forget_before: int | None = None


class Store(Database):
    """The store."""

    def counters(self, scope: Scope) -> Mapping[CounterKey, int]:
        """Return the committed counters of the scope."""

        def read(db: sqlite3.Connection) -> Mapping[CounterKey, int]:
            rows = db.execute(
                "SELECT subject, name, label, value FROM counter WHERE account=? AND region=?",
                scope_of(scope),
            )
            return {CounterKey(*key): value for *key, value in rows}

        return self.run(read)

    def newest_records(self, scope: Scope) -> Mapping[str, float]:
        """Return each flow log's latest end of a record, in seconds."""
        return self.run(
            lambda db: dict(
                db.execute(
                    "SELECT flow_log_id, newest_record FROM flow_log "
                    "WHERE account=? AND region=? AND newest_record IS NOT NULL",
                    scope_of(scope),
                ).fetchall()
            )
        )

    def recent(self, scope: Scope) -> Mapping[tuple[str, int, int, int], int]:
        """Return rejected records by endpoint, minute, protocol and port."""

        def read(db: sqlite3.Connection) -> Mapping[tuple[str, int, int, int], int]:
            rows = db.execute(
                "SELECT endpoint_id, minute, protocol, port, value FROM recent "
                "WHERE account=? AND region=?",
                scope_of(scope),
            )
            return {(e, m, proto, port): value for e, m, proto, port, value in rows}

        return self.run(read)

    def recent_ports(
        self, scope: Scope, minutes: Iterable[tuple[str, int]]
    ) -> Mapping[tuple[str, int], set[tuple[int, int]]]:
        """Return the protocols and ports of rejected records, by endpoint and minute.

        Those of the minutes where there are any, and of others between them.
        """
        wanted: dict[str, list[int]] = {}
        for endpoint_id, minute in minutes:
            wanted.setdefault(endpoint_id, []).append(minute)

        def read(
            db: sqlite3.Connection,
        ) -> Mapping[tuple[str, int], set[tuple[int, int]]]:
            found: dict[tuple[str, int], set[tuple[int, int]]] = {}
            find = (
                "SELECT minute, protocol, port FROM recent "
                "WHERE account=? AND region=? AND endpoint_id=? AND minute BETWEEN ? AND ?"
            )
            for endpoint_id, some in wanted.items():
                where = (*scope_of(scope), endpoint_id, min(some), max(some))
                for minute, *port in db.execute(find, where):
                    found.setdefault((endpoint_id, minute), set()).add((port[0], port[1]))
            return found

        return self.run(read) if wanted else {}

    def accepted(self, scope: Scope) -> frozenset[tuple[str, int, int]]:
        """Return the ports that have accepted, by endpoint, protocol and port."""
        return self.run(
            lambda db: frozenset(
                db.execute(
                    "SELECT endpoint_id, protocol, port FROM accepted WHERE account=? AND region=?",
                    scope_of(scope),
                ).fetchall()
            )
        )

    def rejected(self, scope: Scope) -> Mapping[tuple[str, int], str]:
        """Return who was rejected, by endpoint and quarter of an hour, as it was written."""

        def read(db: sqlite3.Connection) -> Mapping[tuple[str, int], str]:
            rows = db.execute(
                "SELECT endpoint_id, bucket, sketch FROM rejected WHERE account=? AND region=?",
                scope_of(scope),
            )
            return {(endpoint, bucket): sketch for endpoint, bucket, sketch in rows}

        return self.run(read)

    def meet(self, scope: Scope, flow_log_ids: Iterable[str], now: float) -> Mapping[str, float]:
        """Return when each flow log was first seen: `now` for those that are new."""
        ids = sorted(flow_log_ids)

        def write(db: sqlite3.Connection) -> Mapping[str, float]:
            db.executemany(
                "INSERT INTO flow_log (account, region, flow_log_id, first_seen) "
                "VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
                [(*scope_of(scope), i, now) for i in ids],
            )
            rows = db.execute(
                "SELECT flow_log_id, first_seen FROM flow_log WHERE account=? AND region=?",
                scope_of(scope),
            )
            known = dict(rows.fetchall())
            return {i: known[i] for i in ids}

        return self.write(write)

    def remember(
        self, scope: Scope, listed: Iterable[KnownInterface], as_of: float, keep: float
    ) -> Mapping[str, KnownInterface]:
        """Return the interfaces listed and those that went less than `keep` seconds ago.

        That is `keep` seconds before what is still to be read, where reading is behind. One that is
        new, or returns after that, was born when the listed row says, but not before the last
        listing. The counters of an endpoint go a month after its last interface.
        """
        where = scope_of(scope)

        def write(db: sqlite3.Connection) -> Mapping[str, KnownInterface]:
            before = db.execute(
                "SELECT max(last_listed) FROM interface WHERE account=? AND region=?", where
            ).fetchone()[0]
            behind = db.execute(
                "SELECT min(read_to) FROM source WHERE account=? AND region=? AND read_to>?",
                (*where, as_of - _GIVEN_UP),
            ).fetchone()[0]
            bound = min(as_of, behind or as_of) - keep
            db.executemany(
                "INSERT INTO interface (account, region, interface_id, endpoint_id, vpc_id, "
                "subnet_id, addresses, born, last_listed) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) "
                "ON CONFLICT DO UPDATE SET endpoint_id=excluded.endpoint_id, "
                "vpc_id=excluded.vpc_id, subnet_id=excluded.subnet_id, "
                "addresses=excluded.addresses, last_listed=excluded.last_listed, "
                "born=CASE WHEN last_listed<? THEN excluded.born ELSE born END",
                [
                    (
                        *where,
                        x.interface_id,
                        x.endpoint_id,
                        x.vpc_id,
                        x.subnet_id,
                        " ".join(x.addresses),
                        max(x.born, before or 0.0),
                        as_of,
                        bound,
                    )
                    for x in listed
                ],
            )
            retire_endpoints(db, scope, min(as_of - _RETIRED, bound))
            rows = db.execute(
                "SELECT interface_id, endpoint_id, vpc_id, subnet_id, addresses, born, last_listed "
                "FROM interface WHERE account=? AND region=? AND last_listed>=?",
                (*where, bound),
            )
            return {
                i: KnownInterface(i, endpoint, vpc, subnet, tuple(text.split()), born, last)
                for i, endpoint, vpc, subnet, text, born, last in rows
            }

        return self.write(write)

    def choices(self, scope: Scope) -> Mapping[tuple[str, str], list[tuple[float, str]]]:
        """Return who speaks for a resource and action, since which start of a record.

        Latest first.
        """

        def read(db: sqlite3.Connection) -> Mapping[tuple[str, str], list[tuple[float, str]]]:
            found: dict[tuple[str, str], list[tuple[float, str]]] = {}
            for resource, action, since, speaker in db.execute(
                "SELECT resource, action, since, speaker FROM choice "
                "WHERE account=? AND region=? ORDER BY since DESC",
                scope_of(scope),
            ):
                found.setdefault((resource, action), []).append((since, speaker))
            return found

        return self.run(read)

    def choose(
        self,
        scope: Scope,
        new: Iterable[tuple[str, str, float, str]],
        gone: Collection[str],
    ) -> None:
        """Add who speaks for resources (resource, action, since, speaker); drop the gone ones'."""
        where = scope_of(scope)

        def write(db: sqlite3.Connection) -> None:
            db.executemany(
                "INSERT OR REPLACE INTO choice (account, region, resource, action, since, speaker) "
                "VALUES (?, ?, ?, ?, ?, ?)",
                [(*where, *row) for row in new],
            )
            db.executemany(
                "DELETE FROM choice WHERE account=? AND region=? AND resource=?",
                [(*where, resource) for resource in gone],
            )

        self.write(write)

    def source(self, scope: Scope, kind: str, name: str) -> SourceState:
        """Return the source of that kind and name, new ones with nothing read."""
        key = (*scope_of(scope), kind, name)

        def write(db: sqlite3.Connection) -> SourceState:
            db.execute(
                "INSERT INTO source (account, region, kind, name) VALUES (?, ?, ?, ?) "
                "ON CONFLICT DO NOTHING",
                key,
            )
            row = db.execute(
                "SELECT id, read_to, forgotten FROM source "
                "WHERE account=? AND region=? AND kind=? AND name=?",
                key,
            ).fetchone()
            return SourceState(SourceId(row[0], self._openings), *row[1:])

        return self.write(write)

    def unseen(self, source: SourceId, lines: Iterable[Seen]) -> set[Seen]:
        """Return those of the lines that have not been committed before."""
        wanted = set(lines)

        def read(db: sqlite3.Connection) -> set[Seen]:
            row = self._row(source)
            find = "SELECT 1 FROM seen WHERE source=? AND start=? AND identity=?"
            return {x for x in wanted if not db.execute(find, (row, *x)).fetchone()}

        return self.run(read) if wanted else wanted

    def etags(self, source: SourceId, objects: Iterable[Seen]) -> Mapping[Seen, str]:
        """Return the ETags of those of the objects that have been committed before."""
        wanted = list(objects)

        def read(db: sqlite3.Connection) -> Mapping[Seen, str]:
            row = self._row(source)
            find = "SELECT etag FROM object WHERE source=? AND start=? AND identity=?"
            found = ((x, db.execute(find, (row, *x)).fetchone()) for x in wanted)
            return {x: etag[0] for x, etag in found if etag}

        return self.run(read) if wanted else {}

    def bins(self, source: SourceId, first: int, last: int) -> Mapping[tuple[int, str, str], Bin]:
        """Return what was last counted of the minutes from `first` to `last` (seconds)."""

        def read(db: sqlite3.Connection) -> Mapping[tuple[int, str, str], Bin]:
            rows = db.execute(
                "SELECT minute, interface_id, action, records, bytes, packets, refused FROM bin "
                "WHERE source=? AND minute BETWEEN ? AND ?",
                (self._row(source), first, last),
            )
            return {(minute, i, action): Bin(*counts) for minute, i, action, *counts in rows}

        return self.run(read)

    def commit(
        self,
        scope: Scope,
        source: SourceId,
        batch: Batch,
        meanwhile: Callable[[], None] = lambda: None,
    ) -> None:
        """Write the batch in one transaction; raises StoreError when it cannot, with none of it.

        `meanwhile` is called while it is written.
        """
        where = scope_of(scope)

        def write(db: sqlite3.Connection) -> None:
            row = self._row(source)
            # A plain INSERT: an identity that is there already fails the whole batch
            # rather than count twice.
            db.executemany(
                "INSERT INTO seen VALUES (?, ?, ?)", [(row, *seen) for seen in batch.seen]
            )
            db.executemany(
                "INSERT INTO object VALUES (?, ?, ?, ?)",
                [(row, *seen, etag) for seen, etag in batch.objects.items()],
            )
            db.executemany(
                "INSERT OR REPLACE INTO bin VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                [(row, *key, *found) for key, found in batch.bins.items()],
            )
            # Those that are there already are not written again.
            db.executemany(
                "INSERT INTO counter VALUES (?, ?, ?, ?, ?, 0) ON CONFLICT DO NOTHING",
                [(*where, *key) for key in batch.touch],
            )
            db.executemany(
                "INSERT INTO counter VALUES (?, ?, ?, ?, ?, ?) "
                "ON CONFLICT DO UPDATE SET value = value + excluded.value",
                [(*where, *key, n) for key, n in batch.counters.items()],
            )
            db.executemany(
                "UPDATE flow_log SET newest_record = max(coalesce(newest_record, 0), ?) "
                "WHERE account=? AND region=? AND flow_log_id=?",
                [(newest, *where, flow_log) for flow_log, newest in batch.newest.items()],
            )
            db.executemany(
                "INSERT INTO recent VALUES (?, ?, ?, ?, ?, ?, ?) "
                "ON CONFLICT DO UPDATE SET value = value + excluded.value",
                # In the order in which they lie.
                [(*where, *key, n) for key, n in sorted(batch.recent.items())],
            )
            db.executemany(
                "INSERT INTO accepted VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
                [(*where, *port) for port in batch.accepted],
            )
            if batch.read_to is not None:
                db.execute("UPDATE source SET read_to=? WHERE id=?", (batch.read_to, row))
            if batch.forget_before is not None:
                forget(db, row, batch.forget_before)

        self.write(write, meanwhile)

    def note(
        self,
        scope: Scope,
        rejected: Mapping[tuple[str, int], str],
        fade_before: float,
        gone: Collection[str] = (),
    ) -> None:
        """Write who was rejected, by endpoint and quarter of an hour, for what was there.

        What was rejected before `fade_before` (seconds) goes, and the ports that have accepted of
        endpoints that are gone.
        """
        where = scope_of(scope)

        def write(db: sqlite3.Connection) -> None:
            db.executemany(
                "INSERT OR REPLACE INTO rejected VALUES (?, ?, ?, ?, ?)",
                [(*where, *key, sketch) for key, sketch in rejected.items()],
            )
            for table, column in (("recent", "minute"), ("rejected", "bucket")):
                db.execute(
                    f"DELETE FROM {table} "  # noqa: S608  # names of our own
                    f"WHERE account=? AND region=? AND {column}<?",
                    (*where, fade_before),
                )
            db.executemany(
                "DELETE FROM accepted WHERE account=? AND region=? AND endpoint_id=?",
                [(*where, endpoint_id) for endpoint_id in gone],
            )

        self.write(write)

    def retire(self, scope: Scope, names: Collection[str], now: float) -> None:
        """Drop what was remembered by identity of sources that have gone a month ago.

        `names` are those that are there: log groups and flow logs. One that comes back is not read
        from before then.
        """
        before = now - _RETIRED

        def write(db: sqlite3.Connection) -> None:
            rows = db.execute(
                "SELECT id, name FROM source WHERE account=? AND region=? "
                "AND coalesce(read_to, 0)<?",
                (*scope_of(scope), before),
            )
            for source, name in rows.fetchall():
                if name not in names and remembers(db, source, int(before * 1000)):
                    forget(db, source, int(before * 1000))

        self.write(write)

    def spend(self, aws_service: str, operation: str, day: str, dollars: float) -> None:
        """Add to what calls have cost, by an estimate, on a day (UTC); earlier days become one."""
        add = (
            "INSERT INTO cost VALUES (?, ?, ?, ?) "
            "ON CONFLICT DO UPDATE SET dollars = dollars + excluded.dollars"
        )

        def write(db: sqlite3.Connection) -> None:
            earlier = db.execute(
                "SELECT aws_service, operation, '', dollars FROM cost WHERE day>'' AND day<?",
                (day,),
            ).fetchall()
            db.execute("DELETE FROM cost WHERE day>'' AND day<?", (day,))
            db.executemany(add, [*earlier, (aws_service, operation, day, dollars)])

        self.write(write)

    def spent(self) -> Mapping[tuple[str, str, str], float]:
        """Return what calls have cost, by service, operation and day; '' for all earlier days."""

        def read(db: sqlite3.Connection) -> Mapping[tuple[str, str, str], float]:
            rows = db.execute("SELECT aws_service, operation, day, dollars FROM cost")
            return {(service, operation, day): n for service, operation, day, n in rows}

        return self.run(read)

    def _row(self, source: SourceId) -> int:
        """Return the source's row; raises StoreError where another file has been opened since."""
        if source.opening != self._openings:
            raise StoreError(
                f"The store {self.path} was changed by somebody else. It is whole, and what is "
                "there is gone on from with the next pass."
            )
        return source.row
