"""Beside the counters: who was rejected and accepted in the last hour, and which ports accepted.

Bounded for each endpoint. Ports and recent rejects are committed with the counters; who was
rejected is saved at the end of a pass, so that a pass that is killed is missing there. Who was
accepted is in memory alone.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from exporter.flowlogs.clients import Clients
from exporter.flowlogs.sketch import Sketch
from exporter.flowlogs.tally import (
    BUCKET,
    KEPT,
    OTHER,
    PORTS_A_MINUTE,
    PORTS_ACCEPTED,
    Port,
    Rejected,
    Tally,
)
from exporter.model import Accepted, Scope
from exporter.store import Batch, SourceId, Store


class Top(NamedTuple):
    """One of the most rejected: `least` records, and at most `error` more."""

    who: Rejected
    least: int
    error: int
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Noted:
    """What is noted of a scope, frozen.

    `recent` are rejected records by endpoint, minute, protocol and port. `clients` are some of whom
    an endpoint's own interfaces accepted in the last hour, by endpoint.
    """

    recent: Mapping[tuple[str, int, int, int], int] = field(default_factory=dict)
    accepted: frozenset[Port] = frozenset()
    rejected: Mapping[tuple[str, int], Sketch[Rejected]] = field(default_factory=dict)
    clients: Mapping[str, tuple[Accepted, ...]] = field(default_factory=dict)

    def top(self, endpoint_id: str, now: float, most: int = 20) -> Sequence[Top]:
        """Return whom an endpoint rejected most in the last hour, the most frequent first.

        By quarters of an hour: the oldest may begin up to a quarter of an hour earlier.
        """
        return self.tops(now, most).get(endpoint_id, ())

    def tops(self, now: float, most: int = 20) -> Mapping[str, Sequence[Top]]:
        """Return the same of every endpoint that rejected somebody, by its id."""
        sketches: dict[str, Sketch[Rejected]] = {}
        for (endpoint_id, bucket), part in self.rejected.items():
            if now - KEPT < bucket + BUCKET:
                sketches.setdefault(endpoint_id, Sketch()).merge(part)
        return {endpoint_id: _ranked(sketch)[:most] for endpoint_id, sketch in sketches.items()}


def _ranked(sketch: Sketch[Rejected]) -> Sequence[Top]:
    found = [Top(who, n, sketch.error, a, b) for who, (n, a, b) in sketch.counts.items()]
    return sorted(found, key=lambda top: (-top.least, top.who))


class Notes:
    """What is noted of a scope; begins with what is stored. Raises StoreError."""

    def __init__(self, store: Store, scope: Scope) -> None:
        self._store = store
        self._scope = scope
        self._accepted: dict[str, set[Port]] = {}
        for endpoint_id, protocol, port in store.accepted(scope):
            accepted = Port(endpoint_id, protocol, port)
            self._accepted.setdefault(endpoint_id, set()).add(accepted)
        self._rejected = {key: _read(text) for key, text in store.rejected(scope).items()}
        # What is to be saved, as it is written.
        self._changed: dict[tuple[str, int], str] = {}
        self._clients = Clients()

    def commit(self, source: SourceId, batch: Batch, tally: Tally, now: float) -> None:
        """Write a batch with what a tally adds to it; raises StoreError, with nothing noted."""
        batch.counters = tally.counters
        batch.newest = tally.newest
        oldest = now - KEPT - BUCKET
        batch.recent = self._recent(
            {key: ports for key, ports in tally.recent.items() if key[1] >= oldest}
        )
        accepted: set[Port] = set()
        for port in tally.accepted:
            known = self._accepted.get(port.endpoint_id, set())
            room = (
                PORTS_ACCEPTED
                - len(known)
                - sum(p.endpoint_id == port.endpoint_id for p in accepted)
            )
            if port not in known and room > 0:
                accepted.add(port)
        batch.accepted = {(p.endpoint_id, p.protocol, p.port) for p in accepted}
        rejected: dict[tuple[str, int], Sketch[Rejected]] = {}
        texts: dict[tuple[str, int], str] = {}

        def prepare() -> None:
            for key, sketch in tally.rejected.items():
                if key[1] >= oldest:
                    known = self._rejected.get(key)
                    rejected[key] = both = known.copy() if known else Sketch()
                    both.merge(sketch)
                    texts[key] = _write(both)

        # That takes as long as the writing.
        self._store.commit(self._scope, source, batch, prepare)
        for port in accepted:
            self._accepted.setdefault(port.endpoint_id, set()).add(port)
        self._rejected |= rejected
        self._changed |= texts
        self._clients.add(tally.clients, now)

    def _recent(
        self, ports_of: Mapping[tuple[str, int], Mapping[Port, int]]
    ) -> dict[tuple[str, int, int, int], int]:
        """Return what a batch adds to recent rejects: no more ports in a minute than there may be.

        However many tallies tell of that minute.
        """
        found: Counter[tuple[str, int, int, int]] = Counter()
        stored = self._store.recent_ports(self._scope, ports_of)
        for (endpoint_id, minute), ports in ports_of.items():
            before = stored.get((endpoint_id, minute))
            if before is None:
                # A tally has no more ports in a minute than there may be.
                for of, amount in ports.items():
                    found[endpoint_id, minute, of.protocol, of.port] = amount
                continue
            known = {named for named in before if named != OTHER}
            for port, amount in ports.items():
                named = port.protocol, port.port
                if named != OTHER and named not in known:
                    if len(known) < PORTS_A_MINUTE:
                        known.add(named)
                    else:
                        named = OTHER
                found[endpoint_id, minute, *named] += amount
        return found

    def save(self, now: float, endpoint_ids: Collection[str]) -> None:
        """Save who was rejected, and forget whom nobody asks about; raises StoreError.

        Of an endpoint that is none of these any more no record can come.
        """
        oldest = now - KEPT - BUCKET
        self._rejected = {key: s for key, s in self._rejected.items() if key[1] >= oldest}
        changed = {key: text for key, text in self._changed.items() if key[1] >= oldest}
        gone = self._accepted.keys() - set(endpoint_ids)
        self._store.note(self._scope, changed, oldest, gone)
        self._clients.forget(now, endpoint_ids)
        self._changed.clear()
        for endpoint_id in gone:
            del self._accepted[endpoint_id]

    def noted(self) -> Noted:
        """Return what is noted; raises StoreError."""
        ports = frozenset(port for ports in self._accepted.values() for port in ports)
        rejected = {key: sketch.copy() for key, sketch in self._rejected.items()}
        recent = self._store.recent(self._scope)
        return Noted(recent, ports, rejected, self._clients.sample())


def _write(sketch: Sketch[Rejected]) -> str:
    """Return a sketch as text: its columns, short because there are many.

    What is mostly alike is written once, and moments as seconds after the first one.
    """
    kinds: dict[tuple[object, ...], int] = {}
    of = [kinds.setdefault(who[1:], len(kinds)) for who in sketch.counts]
    sources = [who[0] for who in sketch.counts]
    times = sketch.counts.values()
    begin = min((first for _, first, _ in times), default=0)
    columns = [[n for n, _, _ in times], [a - begin for _, a, _ in times]]
    columns.append([b - begin for _, _, b in times])
    return _JSON.encode([sketch.error, list(kinds), begin, sources, of, *columns])


_JSON = json.JSONEncoder(separators=(",", ":"), check_circular=False)


def _read(text: str) -> Sketch[Rejected]:
    error, kinds, *rest = json.loads(text)
    if not rest:
        # As an earlier version wrote it, row by row.
        return Sketch(error, {Rejected(*row[:-3]): (row[-3], row[-2], row[-1]) for row in kinds})
    begin, *columns = rest
    return Sketch(
        error,
        {
            Rejected(source, *kinds[of]): (number, begin + first, begin + last)
            for source, of, number, first, last in zip(*columns, strict=True)
        },
    )
