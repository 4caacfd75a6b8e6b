"""What the compiled code has counted, and how it comes to a tally.

The compiled code decides about each record by the tables of a Judge, as `records.py` does. It adds
up what counts, and puts rejected records and accepted ports aside.
"""

from __future__ import annotations

import itertools
from itertools import repeat

import numpy as np

from exporter.flowlogs.judge import CLOCKS_DIFFER
from exporter.flowlogs.native.library import Ledger, Verdicts
from exporter.flowlogs.records import PACKETS_OF, SIDES
from exporter.flowlogs.table import Table
from exporter.flowlogs.tally import (
    BYTES,
    CLIENT_RECORDS,
    CLIENT_REJECTED,
    CLIENTS_ACCEPTED,
    DIRECTIONS,
    PACKETS,
    RECORDS,
    REJECTED_CONNECTIONS,
    Port,
    Rejected,
    Tally,
    within,
)
from exporter.model import ACTIONS

# How many rejected records and accepted ports are put aside, and how much text of addresses; a
# column may have as much as is looked at at a time (WINDOW in scan.c).
REJECTED_ROOM, PORTS_ROOM, TEXT_ROOM = 4096, 4096, 2**18
# As in verdict.h.
_SUMS, _REJECTED_COLUMNS, _JUST_SEEN = 6, 9, 4096
_CLIENTS = np.dtype(
    [
        ("limit", np.uint64),
        ("count", np.int64),
        ("hash", np.uint64, CLIENTS_ACCEPTED),
        ("end", np.int64, CLIENTS_ACCEPTED),
        ("text", "S48", CLIENTS_ACCEPTED),
    ]
)
# Each file has a sample of clients of its own.
_salts = itertools.count(1)


def verdicts(table: Table, delivered: float) -> Verdicts:
    """Return a table as the compiled code takes it, for as long as the table is there."""
    arrays = table.arrays()
    return Verdicts(
        **{name: array.ctypes.data for name, array in arrays.items()},
        interfaces=len(table.interfaces.tokens),
        first_seen=table.first_seen,
        lookback=table.judge.lookback,
        delivered=delivered,
        clocks_differ=CLOCKS_DIFFER,
    )


class Counted:
    """What the compiled code adds to; `ledger` is what it sees of it."""

    def __init__(self, table: Table, ledger: Ledger) -> None:
        """Give a ledger, all zeros, its room."""
        self.ledger = ledger
        self._table = table
        self._sums = np.zeros((len(table.endpoints), 2, 2, _SUMS), np.int64)
        self._rejected = np.empty((REJECTED_ROOM, _REJECTED_COLUMNS), np.int64)
        self._ports = np.empty(PORTS_ROOM, np.int64)
        self._seen = np.full(_JUST_SEEN, -1, np.int64)
        self._text = np.empty(TEXT_ROOM, np.uint8)
        self._accepted: set[int] = set()
        self._clients = np.zeros((len(table.endpoints), 2), _CLIENTS)
        for name in ("sums", "rejected", "ports", "seen", "text", "clients"):
            setattr(ledger, name, getattr(self, f"_{name}").ctypes.data)
        ledger.rejected_room, ledger.ports_room = REJECTED_ROOM, PORTS_ROOM
        ledger.text_room, ledger.salt = TEXT_ROOM, next(_salts)

    def make_room(self, tally: Tally) -> None:
        """Move to the tally what has no room any more."""
        ledger = self.ledger
        self._reject(tally)
        self._accepted.update(self._ports[: ledger.ports_count].tolist())
        ledger.ports_count = 0
        self._add(tally)

    def flush(self, tally: Tally) -> None:
        """Move everything to the tally."""
        self.make_room(tally)
        ledger = self.ledger
        for result in Ledger.RESULTS:
            tally.line(self._table.flow_log_id, result, None, getattr(ledger, result))
            setattr(ledger, result, 0)
        endpoints = self._table.endpoints
        for key in self._accepted:
            protocol = within(key >> 16 & 0x1FF, 256)
            tally.accept(Port(endpoints[key >> 32], protocol, key & 0xFFFF))
        self._accepted.clear()
        self._seen[:] = -1
        self._meet(tally)

    def _meet(self, tally: Tally) -> None:
        """Move the sample of clients to the tally."""
        counts = self._clients["count"]
        places = np.argwhere(counts)
        known = self._clients[tuple(places.T)]
        each = known["count"].tolist(), known["text"].tolist(), known["end"].tolist()
        for (endpoint, inbound), n, texts, ends in zip(places.tolist(), *each, strict=True):
            whose = self._table.endpoints[endpoint], inbound == 1
            # Many: made without a call of Python code for each, but where some are known already.
            found = dict(zip(map(bytes.decode, texts[:n]), ends, strict=False))
            if whose not in tally.clients:
                tally.clients[whose] = found
                continue
            for text, end in found.items():
                tally.client(whose[0], text, whose[1], end)
        counts[:] = 0

    def _add(self, tally: Tally) -> None:
        places = np.argwhere(self._sums[..., 0])
        sums = self._sums[tuple(places.T)]
        for (endpoint, client, rejected), found in zip(places.tolist(), sums.tolist(), strict=True):
            of, action = self._table.endpoints[endpoint], ACTIONS[rejected]
            records, packets, packet_sum, sizes, size_sum, refused = found
            tally.count(of, CLIENT_RECORDS if client else RECORDS, action, records)
            if packets and not client:
                tally.count(of, PACKETS, action, packet_sum)
            if sizes and not client:
                tally.count(of, BYTES, action, size_sum)
            if refused:
                tally.count(of, CLIENT_REJECTED if client else REJECTED_CONNECTIONS, "", refused)
        self._sums[:] = 0

    def _reject(self, tally: Tally) -> None:
        ledger = self.ledger
        if not ledger.rejected_count:
            return
        columns = self._rejected[: ledger.rejected_count].T.tolist()
        endpoint, inbound, client, protocol, port, flags, end, begin, length = columns
        text = self._text[: ledger.text_size].tobytes().decode("ascii")
        each = zip(
            [text[a : a + n] for a, n in zip(begin, length, strict=True)],
            port,
            protocol,
            map(SIDES.__getitem__, client),
            map(DIRECTIONS.__getitem__, inbound),
            map(PACKETS_OF.__getitem__, flags),
            strict=True,
        )
        # Many: made without a call of Python code for each.
        whos = map(tuple.__new__, repeat(Rejected), each)
        tally.rejects(zip(map(self._table.endpoints.__getitem__, endpoint), whos, end, strict=True))
        ledger.rejected_count = ledger.text_size = 0
