"""Records of endpoints and of their clients, column by column, and what becomes of each.

It says the same of each as the Judge, by its tables; what these do not tell is the Judge's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import repeat
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from exporter.flowlogs.block import EVERY, Ints, Mask
from exporter.flowlogs.judge import CLOCKS_DIFFER, Side
from exporter.flowlogs.parse import ACK, LARGEST, SYN
from exporter.flowlogs.table import Indexes, Table
from exporter.flowlogs.tally import (
    BYTES,
    CLIENT_RECORDS,
    CLIENT_REJECTED,
    CLIENTS_ACCEPTED,
    DIRECTIONS,
    PACKETS,
    RECORDS,
    REJECTED_CONNECTIONS,
    TCP,
    Port,
    Rejected,
    Tally,
    packets_of,
    within,
)
from exporter.model import ACTIONS

Delivered: TypeAlias = float | npt.NDArray[np.float64]


@dataclass(slots=True)
class Records:
    """Good records that may concern an endpoint.

    `own` is the number of the endpoint's interface that a record is of, -1 for any other interface;
    `ends` the numbers of known addresses among its targets (True) and sources (False). Of numbers
    -1 is none, and -2 one that is too long. `sources` returns the
    addresses of the other ends of rows that are inbound (1), outbound (0) or unknown (-1: "").
    """

    own: Indexes
    ends: Sequence[tuple[bool, Indexes]]
    rejected: Mask
    start: Ints
    end: Ints
    packets: Ints
    size: Ints
    flags: Ints
    source_port: Ints
    target_port: Ints
    protocol: Ints
    sources: Callable[[Ints, Ints], list[str]]
    _endpoint: Ints = field(init=False)
    # 1 to the endpoint, 0 from it, -1 unknown.
    _inbound: Ints = field(init=False)
    _results: dict[str, Mask] = field(init=False, default_factory=dict)

    def judge(self, table: Table, delivered: Delivered) -> Mask:
        """Decide what becomes of each; return those that only the Judge itself can tell."""
        is_own = self.own >= 0
        self._endpoint = table.owners(self.own)
        self._inbound = np.full(len(self.own), -1, np.int64)
        knotty = (self.end < self.start) | (self.end > delivered + CLOCKS_DIFFER)
        knotty |= (self.packets > LARGEST) | (self.size > LARGEST)
        lowest = np.minimum(self.packets, self.size)
        for values in (self.start, self.end, self.flags, self.protocol):
            np.minimum(lowest, values, out=lowest)
        for values in (self.source_port, self.target_port):
            np.minimum(lowest, values, out=lowest)
        knotty |= lowest == -2
        for inbound, found in self.ends:
            named = np.flatnonzero(found >= 0)
            owner, born, until, tangled = table.lives(found[named])
            knotty[named] |= tangled
            mine, endpoint = is_own[named], self._endpoint[named]
            here = mine & (owner == endpoint) & (self._inbound[named] < 0)
            client = (endpoint < 0) & (born <= self.start[named]) & (self.end[named] <= until)
            self._endpoint[named] = np.where(client, owner, endpoint)
            self._inbound[named[here | client]] = inbound
        begin, end, unclear = table.spoken(self.own, self.rejected)
        knotty |= unclear & (self._endpoint >= 0)
        self._results["other"] = ~knotty & (self._endpoint < 0)
        left = ~knotty & (self._endpoint >= 0)
        for name, fate in (
            ("duplicate", (self.start < begin) | (self.start >= end)),
            ("before_start", self.start < table.first_seen),
            ("late", delivered - self.end > table.judge.lookback),
        ):
            self._results[name] = left & fate
            left = left & ~fate
        self._results["counted"] = left
        return knotty

    def add(self, sums: Sums, tally: Tally) -> None:
        """Add what was decided to the sums and the tally."""
        table = sums.table
        for name, rows in self._results.items():
            tally.line(table.flow_log_id, name, None, int(np.count_nonzero(rows)))
        counted = np.flatnonzero(self._results["counted"])
        if not len(counted):
            return
        # Mostly all are.
        some = EVERY if len(counted) == len(self.own) else counted
        endpoint, rejected, client = self._endpoint[some], self.rejected[some], self.own[some] < 0
        flags = self.flags[some]
        refused = rejected & (flags > 0) & (flags & (SYN | ACK) == SYN)
        sums.add(endpoint, rejected, client, self.packets[some], self.size[some])
        sums.refused(endpoint[refused], client[refused])
        self._reject(counted[rejected], table, tally)
        self._accept(counted[~(rejected | client)], sums, tally)

    def _reject(self, rows: Ints, table: Table, tally: Tally) -> None:
        inbound, protocol, flags = self._inbound[rows], self.protocol[rows], self.flags[rows]
        told = (flags >= 0) & ((protocol == TCP) | ((protocol < 0) & (flags > 0)))
        port = np.where(inbound == 1, self.target_port[rows], self.source_port[rows])
        port[(inbound < 0) | (port < 0) | (port >= 65536)] = -1
        protocol = np.where((protocol >= 0) & (protocol < 256), protocol, -1)
        sides = [SIDES[client] for client in (self.own[rows] < 0).tolist()]
        # Only the two flags tell, and -1 that there are none, or none of TCP's.
        flags = np.where(told, flags & (SYN | ACK), -1)
        each = zip(
            self.sources(rows, inbound),
            port.tolist(),
            protocol.tolist(),
            sides,
            map(DIRECTIONS.__getitem__, inbound.tolist()),
            map(PACKETS_OF.__getitem__, flags.tolist()),
            strict=True,
        )
        # Many: made without a call of Python code for each.
        whos = map(tuple.__new__, repeat(Rejected), each)
        endpoints = map(table.endpoints.__getitem__, self._endpoint[rows].tolist())
        tally.rejects(zip(endpoints, whos, self.end[rows].tolist(), strict=True))

    def _accept(self, rows: Ints, sums: Sums, tally: Tally) -> None:
        """Take note of the ports that accept, and of a few of the clients."""
        inbound, endpoint = self._inbound[rows], self._endpoint[rows]
        ports = np.where(inbound == 1, self.target_port[rows], self.source_port[rows])
        protocols = self.protocol[rows]
        protocols = np.where((protocols >= 0) & (protocols < 256), protocols, 256)
        keys = endpoint << 32 | protocols << 16 | ports
        sums.accept(keys[(inbound >= 0) & (ports >= 0) & (ports < 65536)])
        at = sums.places(endpoint, inbound)
        some = sums.wanted(at)
        for i in range(0, len(some), _PIECE):
            part = some[i : i + _PIECE]
            part = part[sums.wanted(at[part])]
            if len(part) > _FEW and not sums.may_sift():
                break
            if len(part):
                self._clients(rows[part], at[part], sums, tally)

    def _clients(self, rows: Ints, at: Ints, sums: Sums, tally: Tally) -> None:
        """Take note of a few of the clients of these rows, whose places are these."""
        to = self._inbound[rows] == 1
        # Both ways of a connection have the client's port: they are chosen together.
        ports = np.where(to, self.source_port[rows], self.target_port[rows])
        few = sums.sift(at, ports)
        rows, to = rows[few], to[few]
        names = map(sums.table.endpoints.__getitem__, self._endpoint[rows].tolist())
        whos, ends = self.sources(rows, self._inbound[rows]), self.end[rows].tolist()
        for each in zip(names, whos, to.tolist(), ends, strict=True):
            tally.client(*each)


PACKETS_OF = {flags: packets_of(flags, TCP) for flags in (0, SYN, ACK, SYN | ACK)} | {-1: ""}
SIDES: tuple[Side, Side] = ("endpoint", "client")
# Floating point is exact up to here.
_EXACT = 2**53
# So many accepted ports are remembered as just seen; so few records show most of a slice's.
_SEEN, _FEW = 2**12, 256
# So many rows are looked at together for clients.
_PIECE = 4096
# Spreads ports over all numbers of 16 bits.
_MIX = 40503


class Sums:
    """What the records of many slices add up to, by the numbers that endpoints have in a table."""

    def __init__(self, table: Table) -> None:
        self.table = table
        self._sums: dict[tuple[str, str], tuple[Ints, Ints]] = {}
        self._accepted: set[int] = set()
        self._seen = np.full(_SEEN, -1, np.int64)
        # How many rows are still to tell of clients, by place.
        self._wanted = self._all_wanted()
        self._crowds = 0

    def _all_wanted(self) -> Ints:
        width = len(self.table.endpoints)
        return np.repeat([CLIENTS_ACCEPTED, CLIENTS_ACCEPTED, 0], width)

    def add(self, endpoint: Ints, rejected: Mask, client: Mask, packets: Ints, size: Ints) -> None:
        """Count records, and add up what those at an endpoint's own interface carry, if known."""
        width = len(self.table.endpoints)
        # A row of endpoints for each action, then the same for clients.
        at = endpoint + width * (rejected + 2 * client)
        numbers = np.bincount(at, minlength=4 * width)
        for i, action in enumerate(ACTIONS):
            own, clients = _row(numbers, i, width), _row(numbers, i + 2, width)
            self._put(RECORDS, action, own, own)
            self._put(CLIENT_RECORDS, action, clients, clients)
        for name, amounts in ((PACKETS, packets), (BYTES, size)):
            known = numbers
            if int(amounts.min()) < 0:
                known = np.bincount(at[amounts >= 0], minlength=4 * width)
                amounts = np.maximum(amounts, 0)
            sums = _sum(at, amounts, 4 * width)
            for i, action in enumerate(ACTIONS):
                self._put(name, action, _row(known, i, width), _row(sums, i, width))

    def refused(self, endpoint: Ints, client: Mask) -> None:
        """Count rejected connections."""
        width = len(self.table.endpoints)
        numbers = np.bincount(endpoint + width * client, minlength=2 * width)
        for i, name in enumerate((REJECTED_CONNECTIONS, CLIENT_REJECTED)):
            self._put(name, "", _row(numbers, i, width), _row(numbers, i, width))

    def _put(self, name: str, label: str, numbers: Ints, amounts: Ints) -> None:
        known = self._sums.get((name, label))
        if known:
            known[0][:] += numbers
            known[1][:] += amounts
        else:
            self._sums[name, label] = numbers.copy(), amounts.copy()

    def accept(self, keys: Ints) -> None:
        """Take note of ports that accept; most of the records of a slice share a few."""
        for some in (keys[:_FEW], keys[_FEW:]):
            slots = (some ^ some >> 29) & (_SEEN - 1)
            self._accepted.update(some[self._seen[slots] != some].tolist())
            self._seen[slots] = some

    def places(self, endpoint: Ints, inbound: Ints) -> Ints:
        """Return one number for an endpoint and a direction: from it, to it, unknown."""
        # -1, which is unknown, counts from the end.
        return inbound * len(self.table.endpoints) + endpoint

    def wanted(self, at: Ints) -> Ints:
        """Return which rows may tell of a client that is not known yet."""
        return np.flatnonzero(self._wanted[at])

    def may_sift(self) -> bool:
        """Whether many rows may be looked at for clients: at first, the fourth time, the 16th..."""
        self._crowds += 1
        return not self._crowds & (self._crowds - 1) and self._crowds.bit_length() % 2 == 1

    def sift(self, at: Ints, ports: Ints) -> Ints:
        """Return a few of the rows: of each place no more than are wanted."""
        order = np.argsort(at << 16 | ports * _MIX & 0xFFFF)
        at = at[order]
        each = np.arange(len(at))
        rank = each - np.maximum.accumulate(np.where(np.diff(at, prepend=-1) != 0, each, 0))
        # The first ones of each place come first: none has to wait for another.
        few = np.flatnonzero(rank < self._wanted[at])
        few = few[np.argsort(rank[few], kind="stable")[:_FEW]]
        np.subtract.at(self._wanted, at[few], 1)
        chosen: Ints = order[few]
        return chosen

    def flush(self, tally: Tally) -> None:
        """Move everything to the tally."""
        endpoints = self.table.endpoints
        for (name, label), (numbers, amounts) in self._sums.items():
            for i in np.flatnonzero(numbers).tolist():
                tally.count(endpoints[i], name, label, int(amounts[i]))
        for key in self._accepted:
            protocol = within(key >> 16 & 0x1FF, 256)
            tally.accept(Port(endpoints[key >> 32], protocol, key & 0xFFFF))
        self._sums.clear()
        self._accepted.clear()
        self._seen[:] = -1
        self._wanted = self._all_wanted()


def _row(values: Ints, number: int, width: int) -> Ints:
    return values[number * width : (number + 1) * width]


def _sum(at: Ints, amounts: Ints, size: int) -> Ints:
    """Return the exact sums of the amounts at each number."""
    if int(amounts.max()) * len(amounts) < _EXACT:
        return np.bincount(at, amounts, size).astype(np.int64)
    sums = np.zeros(size, np.int64)
    np.add.at(sums, at, amounts)
    return sums
