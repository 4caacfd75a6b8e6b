"""Records of endpoints and of their clients, column by column, and what becomes of each.

It says the same of each as the Judge, by its tables; what these do not tell is the Judge's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from exporter.flowlogs.block import Ints, Mask
from exporter.flowlogs.judge import CLOCKS_DIFFER
from exporter.flowlogs.parse import ACK, LARGEST, SYN
from exporter.flowlogs.table import Table
from exporter.flowlogs.tally import (
    BYTES,
    CLIENT_RECORDS,
    CLIENT_REJECTED,
    PACKETS,
    RECORDS,
    REJECTED_CONNECTIONS,
    Port,
    Rejected,
    Tally,
    within,
)
from exporter.model import ACTIONS

Indexes: TypeAlias = npt.NDArray[np.int32]
Delivered: TypeAlias = float | npt.NDArray[np.float64]


@dataclass(slots=True)
class Records:
    """Good records that may concern an endpoint.

    `own` is the number of the endpoint's interface that a record is of, -1 for any other interface;
    `ends` the numbers of known addresses among its targets (True) and sources (False). Of numbers
    -1 is none, and -2 one that is too long. `source` returns the address of the other end of a row
    that is inbound or not.
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
    source: Callable[[int, bool], str]
    _endpoint: Ints = field(init=False)
    # 1 to the endpoint, 0 from it, -1 unknown.
    _inbound: Ints = field(init=False)
    _results: dict[str, Mask] = field(init=False, default_factory=dict)

    def judge(self, table: Table, delivered: Delivered) -> Mask:
        """Decide what becomes of each; return those that only the Judge itself can tell."""
        is_own = self.own >= 0
        self._endpoint = np.where(is_own, table.owners[self.own], -1)
        self._inbound = np.full(len(self.own), -1, np.int64)
        knotty = (self.end < self.start) | (self.end > delivered + CLOCKS_DIFFER)
        knotty |= (self.packets > LARGEST) | (self.size > LARGEST)
        numbers = (self.packets, self.size, self.start, self.end, self.flags, self.protocol)
        for values in (*numbers, self.source_port, self.target_port):
            knotty |= values == -2
        for inbound, found in self.ends:
            named = found >= 0
            owner, born, until, tangled = table.lives(found)
            knotty |= named & tangled
            here = named & is_own & (owner == self._endpoint) & (self._inbound < 0)
            client = named & ~is_own & (self._endpoint < 0)
            client &= (born <= self.start) & (self.end <= until)
            self._endpoint[client] = owner[client]
            self._inbound[here | client] = inbound
        begin, until, tangled = table.spoken(self.own, self.rejected)
        knotty |= tangled & (self._endpoint >= 0)
        self._results["other"] = ~knotty & (self._endpoint < 0)
        left = ~knotty & (self._endpoint >= 0)
        for name, fate in (
            ("duplicate", (self.start < begin) | (self.start >= until)),
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
        counted = self._results["counted"]
        own, client = counted & (self.own >= 0), counted & (self.own < 0)
        for action in ACTIONS:
            of_action = self.rejected == (action == "REJECT")
            for name, amounts in ((RECORDS, None), (PACKETS, self.packets), (BYTES, self.size)):
                sums.add(name, action, self._endpoint, own & of_action, amounts)
            sums.add(CLIENT_RECORDS, action, self._endpoint, client & of_action)
        flags = np.maximum(self.flags, 0)
        refused = self.rejected & (flags & SYN > 0) & (flags & ACK == 0)
        sums.add(REJECTED_CONNECTIONS, "", self._endpoint, own & refused)
        sums.add(CLIENT_REJECTED, "", self._endpoint, client & refused)
        for row in np.flatnonzero(counted & self.rejected).tolist():
            self._reject(row, table, tally)
        self._accept(own & ~self.rejected & (self._inbound >= 0), sums)

    def _reject(self, row: int, table: Table, tally: Tally) -> None:
        source, port = "", -1
        inbound = int(self._inbound[row])
        if inbound >= 0:
            source = self.source(row, bool(inbound))
            ports = self.target_port if inbound else self.source_port
            port = within(int(ports[row]), 65536)
        who = Rejected(
            source,
            port,
            within(int(self.protocol[row]), 256),
            "endpoint" if self.own[row] >= 0 else "client",
        )
        tally.reject(table.endpoints[int(self._endpoint[row])], who, int(self.end[row]))

    def _accept(self, rows: Mask, sums: Sums) -> None:
        """Take note of the ports that accept; most of a block's records share a few."""
        ports = np.where(self._inbound[rows] == 1, self.target_port[rows], self.source_port[rows])
        protocols = self.protocol[rows]
        protocols = np.where((protocols >= 0) & (protocols < 256), protocols, 256)
        keys = self._endpoint[rows] << 32 | protocols << 16 | ports
        sums.accepted.update(np.unique(keys[(ports >= 0) & (ports < 65536)]).tolist())


@dataclass(slots=True)
class Sums:
    """What the records of many slices add up to, by the numbers that endpoints have in a table."""

    table: Table
    accepted: set[int] = field(default_factory=set)
    _sums: dict[tuple[str, str], tuple[Ints, Ints]] = field(default_factory=dict)

    def add(
        self, name: str, label: str, endpoint: Ints, rows: Mask, amounts: Ints | None = None
    ) -> None:
        """Count the records of each endpoint, or add up their amounts where they have one."""
        if amounts is not None:
            rows = rows & (amounts >= 0)
        owners = endpoint[rows]
        if not len(owners):
            return
        size = len(self.table.endpoints)
        of = self._sums.get((name, label))
        if of is None:
            of = self._sums[name, label] = np.zeros(size, np.int64), np.zeros(size, np.int64)
        numbers, sums = of
        numbers += np.bincount(owners, minlength=size)
        if amounts is not None:
            # Exact: floating point would round sums beyond 2**53.
            np.add.at(sums, owners, amounts[rows])

    def flush(self, tally: Tally) -> None:
        """Move everything to the tally."""
        endpoints = self.table.endpoints
        for (name, label), (numbers, sums) in self._sums.items():
            amounts = sums if name in (PACKETS, BYTES) else numbers
            for i in np.flatnonzero(numbers).tolist():
                tally.count(endpoints[i], name, label, int(amounts[i]))
        for key in self.accepted:
            protocol = within(key >> 16 & 0x1FF, 256)
            tally.accept(Port(endpoints[key >> 32], protocol, key & 0xFFFF))
        self._sums.clear()
        self.accepted.clear()
