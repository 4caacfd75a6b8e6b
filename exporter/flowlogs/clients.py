"""A sample of the clients that endpoints accepted in the last hour, in memory alone."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from ipaddress import ip_address

from exporter.flowlogs.tally import KEPT
from exporter.model import Accepted

# So many of an endpoint are remembered.
CLIENTS = 64


class Clients:
    """Whom endpoints accepted; at most so many of each endpoint."""

    def __init__(self) -> None:
        # By endpoint and address. What is inside is never changed: others may be reading it.
        self._of: dict[str, dict[str, Accepted]] = {}

    def add(self, met: Mapping[tuple[str, bool], Mapping[str, int]], now: float) -> None:
        """Take note of the clients that a tally tells of, and forget those that tell least."""
        of = self._of.copy()
        for (endpoint_id, inbound), ends in met.items():
            known = of.get(endpoint_id, {}).copy()
            for text, end in ends.items():
                client = _seen(known.get(text), text, inbound, end) if end >= now - KEPT else None
                if client:
                    known[text] = client
            of[endpoint_id] = known
        for endpoint_id in {endpoint_id for endpoint_id, _ in met}:
            if len(of[endpoint_id]) > CLIENTS:
                best = sorted(of[endpoint_id].items(), key=lambda item: _worth(item[1]))
                of[endpoint_id] = dict(best[-CLIENTS:])
        self._of = of

    def forget(self, now: float, endpoint_ids: Collection[str]) -> None:
        """Forget whom no endpoint accepted lately, and all of an endpoint that is none of these."""
        kept = {e: _fresh(known, now - KEPT) for e, known in self._of.items() if e in endpoint_ids}
        self._of = {endpoint_id: known for endpoint_id, known in kept.items() if known}

    def sample(self) -> dict[str, tuple[Accepted, ...]]:
        """Return who is remembered, by endpoint."""
        return {endpoint_id: tuple(known.values()) for endpoint_id, known in self._of.items()}


def _seen(client: Accepted | None, text: str, inbound: bool, end: float) -> Accepted | None:
    """Return a client with the end of one more record; None for a text that is no address."""
    if client is None:
        try:
            client = Accepted(ip_address(text))
        except ValueError:
            return None
    if inbound:
        return Accepted(client.address, max(end, client.inbound or end), client.outbound)
    return Accepted(client.address, client.inbound, max(end, client.outbound or end))


def _fresh(known: Mapping[str, Accepted], oldest: float) -> dict[str, Accepted]:
    """Return who was seen since then, with when, each way."""
    fresh: dict[str, Accepted] = {}
    for text, client in known.items():
        inbound, outbound = _since(client.inbound, oldest), _since(client.outbound, oldest)
        if (inbound, outbound) == (client.inbound, client.outbound):
            fresh[text] = client
        elif inbound is not None or outbound is not None:
            fresh[text] = Accepted(client.address, inbound, outbound)
    return fresh


def _since(end: float | None, oldest: float) -> float | None:
    return end if end is not None and end >= oldest else None


def _worth(client: Accepted) -> tuple[bool, float]:
    """Who was seen both ways tells most; then who was seen last."""
    ends = [end for end in (client.inbound, client.outbound) if end is not None]
    return len(ends) == 2, max(ends)
