"""Seeded records of one flow log file, in AWS's default format (version 2).

https://docs.aws.amazon.com/vpc/latest/userguide/flow-log-records.html
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.bench.flowlogs.estate import ENDPOINTS, INTERFACES, INTERFACES_EACH, Interface

NO_DATA, AT_ENDPOINT, TO_ENDPOINT = 0.01, 0.10, 0.10
REJECTED = 0.04
BEGIN = 1_767_225_600  # 2026-01-01 00:00 UTC
SLOT = 300  # AWS delivers a file for every five minutes

SERVICES = [443, 80, 53, 5432, 3306, 6379, 9092, 8080, 22, 123]
SHARES = [0.55, 0.08, 0.10, 0.07, 0.05, 0.05, 0.04, 0.03, 0.02, 0.01]
UDP = [53, 123]
PUBLIC = ("192.0.2", "198.51.100", "203.0.113")

OWN = ENDPOINTS * INTERFACES_EACH  # the endpoints' interfaces come first
OTHER = INTERFACES - OWN

Ints = NDArray[np.int64]
Record = tuple[
    str, str | None, str | None, int | None, int | None, int | None, int | None, int | None,
    int, int, str | None, str,
]  # fmt: skip


def busy(rng: np.random.Generator, among: int, count: int) -> Ints:
    """Return places among so many, of which few are busy and many are not."""
    return (among * rng.random(count) ** 2).astype(np.int64)


def outside(rng: np.random.Generator, count: int) -> list[str]:
    """Return addresses outside the VPC: on premises, or public ones of the documentation."""
    private = rng.random(count) < 0.6
    rows = zip(
        private.tolist(), rng.integers(0, 4096, count).tolist(),
        rng.integers(1, 255, count).tolist(), strict=True,
    )  # fmt: skip
    return [
        f"172.{16 + n // 256}.{n % 256}.{last}" if inner else f"{PUBLIC[n % 3]}.{last}"
        for inner, n, last in rows
    ]


def records(seed: int, number: int, count: int, estate: list[Interface]) -> Iterator[Record]:
    """Yield interface, source, destination, ports, protocol, packets, bytes, start, end,
    action, status of each record of the file of that number; None where AWS has no value.
    """
    rng = np.random.default_rng([seed, number])
    kind = rng.random(count)
    no_data = kind < NO_DATA
    at_endpoint = ~no_data & (kind < NO_DATA + AT_ENDPOINT)
    to_endpoint = ~no_data & ~at_endpoint & (kind < NO_DATA + AT_ENDPOINT + TO_ENDPOINT)

    interface = np.where(at_endpoint, busy(rng, OWN, count), OWN + busy(rng, OTHER, count))
    interface = np.where(no_data, rng.integers(0, INTERFACES, count), interface)
    # A peer in the VPC is another interface of no endpoint, unless it has to be an endpoint's.
    peer = OWN + (interface - OWN + rng.integers(1, OTHER, count)) % OTHER
    peer = np.where(to_endpoint, busy(rng, OWN, count), peer)
    peer_outside = ~at_endpoint & ~to_endpoint & (rng.random(count) < 0.5)

    rejected = rng.random(count) < REJECTED
    request = rejected | (rng.random(count) < 0.5)
    serves = at_endpoint | (~to_endpoint & (rng.random(count) < 0.5))
    incoming = serves == request

    service = rng.choice(SERVICES, count, p=SHARES)
    service = np.where(at_endpoint | to_endpoint, 443, service)
    client = rng.integers(32_768, 61_000, count)
    ping = ~at_endpoint & ~to_endpoint & (rng.random(count) < 0.01)
    protocol = np.where(ping, 1, np.where(np.isin(service, UDP), 17, 6))
    packets = 1 + rng.lognormal(2.0, 1.3, count).astype(np.int64)
    packets = np.where(rejected, rng.integers(1, 4, count), packets)
    size = np.where(rejected, rng.choice([40, 52, 60], count), rng.integers(52, 1_400, count))
    start = BEGIN + SLOT * number + rng.integers(0, SLOT - 60, count)
    end = start + rng.integers(20, 61, count)

    columns: list[list[Any]] = [
        no_data.tolist(),
        interface.tolist(),
        peer.tolist(),
        peer_outside.tolist(),
        outside(rng, count),
        incoming.tolist(),
        np.where(ping, 0, np.where(request, client, service)).tolist(),
        np.where(ping, 0, np.where(request, service, client)).tolist(),
        protocol.tolist(),
        packets.tolist(),
        (packets * size).tolist(),
        start.tolist(),
        end.tolist(),
        rejected.tolist(),
    ]
    for empty, at, to, far, stranger, inward, sport, dport, proto, n, b, s, e, no in zip(
        *columns, strict=True
    ):
        own = estate[at]
        if empty:
            yield own.id, None, None, None, None, None, None, None, s, e, None, "NODATA"
            continue
        there = stranger if far else estate[to].address
        source, target = (there, own.address) if inward else (own.address, there)
        action = "REJECT" if no else "ACCEPT"
        yield own.id, source, target, sport, dport, proto, n, b, s, e, action, "OK"
