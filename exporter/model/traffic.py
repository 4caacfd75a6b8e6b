"""What flow logs tell of an endpoint, and what came of connecting to it from here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from exporter.model.flow_log import Action, FlowLog
from exporter.model.network import Address

Side: TypeAlias = Literal["endpoint", "client"]
# The problem of a dial that was not answered at all: dropped on the way, there or back.
NO_ANSWER = "no answer in time"


@dataclass(frozen=True, slots=True)
class Accepted:
    """A client whose packets were accepted at the endpoint's interfaces in the last hour.

    `inbound` and `outbound` are when a record of packets to and from the endpoint last ended; None
    where none was seen.
    """

    address: Address
    inbound: float | None = None
    outbound: float | None = None


@dataclass(frozen=True, slots=True)
class Rejected:
    """Who was rejected in the last hour, and at which port on the endpoint's side.

    `side` is whose interface rejected; `direction` is to_endpoint or from_endpoint, `packets` what
    they were for: syn opens a connection, syn-ack answers that, other is of one that was open.
    Both are empty where the format does not tell. `count` records, at most `error` more; `first`
    and `last` are ends of records.
    """

    address: Address
    port: int | None
    protocol: int | None
    side: Side
    direction: str
    packets: str
    count: int
    error: int
    first: float
    last: float


@dataclass(frozen=True, slots=True)
class Traffic:
    """What the flow logs of one endpoint tell.

    `coverage` is the share of its interfaces whose ACCEPT and REJECT is logged, delivered and read;
    None while that is not known. `covering` are the flow logs on its interfaces, `unread` says of
    some of them why they are not read. `accepted_ports` are (protocol, port) on the endpoint's side
    that ever accepted. `clients` is a sample. `rejected` is None where no flow log tells who.
    `read_to` is up to when everything that was delivered has been read; None where nothing was.
    """

    coverage: Mapping[Action, float] | None = None
    covering: tuple[FlowLog, ...] = ()
    unread: Mapping[str, str] = field(default_factory=dict)
    accepted_ports: frozenset[tuple[int, int]] = frozenset()
    clients: tuple[Accepted, ...] = ()
    rejected: tuple[Rejected, ...] | None = None
    read_to: float | None = None


@dataclass(frozen=True, slots=True)
class Dial:
    """What came of connecting to one address and port of an endpoint from this host.

    `problem` says why no TCP connection came about (NO_ANSWER, or the error), `tls_problem` why no
    TLS handshake did or what is wrong with the certificate; None where nothing is, or where that
    was not tried. `local` is whether the problem is this host's own, which says nothing of the
    endpoint. `duration` is how long the TCP connection took, in seconds. `name` was sent as SNI.
    `names` and `not_after` (seconds since the epoch) are the certificate's.
    """

    endpoint_id: str
    address: Address
    port: int
    at: float
    duration: float
    problem: str | None = None
    name: str = ""
    tls_problem: str | None = None
    names: tuple[str, ...] = ()
    not_after: float | None = None
    local: bool = False


def judged(dials: Iterable[Dial]) -> tuple[tuple[Dial, ...], tuple[Dial, ...]]:
    """Return the dials that say something of the endpoint, and those that failed on this host.

    The latter without an address family of which nothing could be tried from here while the other
    one could: this host does not speak it, and is in no position to judge it.
    """
    found = tuple(dials)
    told = tuple(dial for dial in found if not dial.local)
    spoken = {dial.address.version for dial in told}
    return told, tuple(
        dial for dial in found if dial.local and (not told or dial.address.version in spoken)
    )


def by_port(dials: Iterable[Dial]) -> tuple[tuple[Dial, ...], ...]:
    """Return the dials of each endpoint and port together, by these."""
    found: dict[tuple[str, int], list[Dial]] = {}
    for dial in dials:
        found.setdefault((dial.endpoint_id, dial.port), []).append(dial)
    return tuple(tuple(found[key]) for key in sorted(found))


def covers(names: Iterable[str], name: str) -> bool:
    """Return whether a certificate with these DNS names is for a name.

    A star stands for the whole first label and for nothing else.
    https://www.rfc-editor.org/rfc/rfc6125#section-6.4.3
    """
    wanted = name.rstrip(".").lower()
    _, _, parent = wanted.partition(".")
    wild = f"*.{parent}" if "." in parent else None
    return any(one.rstrip(".").lower() in (wanted, wild) for one in names)
