"""What DNS answered."""

from __future__ import annotations

from dataclasses import dataclass

from exporter.model.endpoint import DnsName
from exporter.model.network import Address


@dataclass(frozen=True, slots=True)
class Lookup:
    """What one resolver answered for one name of an endpoint.

    `rcode` is the response code's name, or "TIMEOUT". `ttl` in seconds, the least of the answer's.
    `matches` is whether there are answers and all of them are the endpoint's own addresses; None
    while those are unknown. `problem` is the value of the label of that name, None without one.
    `inside` is whether the resolver answers for clients in the endpoint's VPC: what it says is what
    they see.
    """

    endpoint_id: str
    name: DnsName
    resolver: str
    rcode: str
    answers: tuple[Address, ...]
    expected: tuple[Address, ...] | None
    cnames: tuple[str, ...]
    ttl: int | None
    duration: float
    as_of: float
    problem: str | None
    matches: bool | None
    inside: bool = True

    @property
    def success(self) -> bool:
        """Whether every address family that should be there was answered."""
        return self.problem in (None, "public_address", "foreign_address")
